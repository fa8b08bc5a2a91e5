"""Pictures of PDF pages that are scans, as files that a text recogniser opens.

Only what scanners write: JPEG, JPEG 2000 and fax pictures as they stand, and plain grey, colour, palette or
black and white samples as PNM. No picture is decoded here that would need a decoder of its own.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pypdf.errors import PyPdfError

from services.vector.extraction.needs import Picture

# A4 at 600 dots an inch has 35 million.
PIXELS_MAX: Final = 50_000_000
# Smaller ones are logos and rules.
_PIXELS_MIN: Final = 10_000
_PICTURES_MAX: Final = 50
# Forms of a page, which hold pictures of their own where a page was put into another file.
_FORMS_MAX: Final = 100
_AS_IT_STANDS: Final = frozenset({"/DCTDecode", "/JPXDecode"})
_BLACK: Final = frozenset({"/CCITTFaxDecode", "/JBIG2Decode"})
_CHANNELS: Final = {"/DeviceGray": 1, "/CalGray": 1, "/DeviceRGB": 3, "/CalRGB": 3}


def has_pictures(page: Any) -> bool:
    """Whether the page shows a picture that could hold text."""
    try:
        return any(True for _ in images_of(page))
    except (PyPdfError, KeyError, ValueError, TypeError, AttributeError):
        return False


def pictures_of(page: Any, number: int) -> Iterator[Picture]:
    """The pictures of a page in the order of its resources; those of other kinds are left out."""
    try:
        for image in images_of(page):
            data = _file(image)
            if data is not None:
                yield Picture(number, data)
    except (PyPdfError, KeyError, ValueError, TypeError, AttributeError, IndexError, NotImplementedError):
        return


def images_of(page: Any) -> Iterator[Any]:
    """The pictures that could hold text among those that the page may show, as objects of pypdf."""
    holders = [page]
    known: set[int] = set()
    shown = 0
    for holder in holders:
        objects = objects_of(holder)
        if objects is None or id(objects) in known:
            continue
        known.add(id(objects))
        for entry in objects.values():
            image = entry.get_object()
            if image.get("/Subtype") == "/Form" and len(holders) <= _FORMS_MAX:
                holders.append(image)
            elif is_picture(image):
                shown += 1
                if shown > _PICTURES_MAX:
                    return
                yield image


def objects_of(holder: Any) -> Any:
    """What a page or a form may draw, by name; None where it names nothing."""
    resources = holder.get("/Resources")
    objects = resources.get_object().get("/XObject") if resources is not None else None
    return None if objects is None else objects.get_object()


def is_picture(image: Any) -> bool:
    """Whether it is one that could hold text."""
    if image.get("/Subtype") != "/Image" or image.get("/ImageMask") is True:
        return False
    return _PIXELS_MIN <= int(image["/Width"]) * int(image["/Height"]) <= PIXELS_MAX


def is_grey(image: Any) -> bool:
    """Whether it is one in grey, or in black and white."""
    filters = image.get("/Filter", [])
    names = {filters} if isinstance(filters, str) else set(filters)
    if names & _BLACK or image.get("/BitsPerComponent") == 1:
        return True
    return "/ColorSpace" in image and _channels(image["/ColorSpace"]) == 1


def _file(image: Any) -> bytes | None:
    filters = image.get("/Filter", [])
    names = [str(filters)] if isinstance(filters, str) else [str(name) for name in filters]
    if len(names) == 1 and names[0] in _AS_IT_STANDS:
        return bytes(image._data)
    if _AS_IT_STANDS & set(names) or "/JBIG2Decode" in names:
        return None
    data = bytes(image.get_data())
    if names[-1:] == ["/CCITTFaxDecode"]:
        # pypdf puts the header of a TIFF file before it.
        return data
    return _pnm(image, data)


def _pnm(image: Mapping[str, Any], data: bytes) -> bytes | None:
    width, height = int(image["/Width"]), int(image["/Height"])
    bits = int(image.get("/BitsPerComponent", 8))
    space = image.get("/ColorSpace", "/DeviceGray")
    space = space.get_object() if hasattr(space, "get_object") else space
    kind = str(space if isinstance(space, str) else space[0])
    if kind == "/Indexed" and bits == 8:
        base = _channels(space[1])
        table = space[3].get_object()
        table = table.get_data() if hasattr(table, "get_data") else getattr(table, "original_bytes", table)
        return _palette(width, height, data, bytes(table), base) if base else None
    channels = 3 if kind == "/ICCBased" and space[1].get_object().get("/N") == 3 else _channels(space)
    row = (width * channels * bits + 7) // 8
    if not channels or len(data) < row * height:
        return None
    if bits == 8:
        return b"P%d\n%d %d\n255\n" % (6 if channels == 3 else 5, width, height) + data[: row * height]
    if bits == 1 and channels == 1:
        # Black is 1 in PBM and 0 in a grey picture.
        return b"P4\n%d %d\n" % (width, height) + bytes(255 - byte for byte in data[: row * height])
    return None


def _channels(space: Any) -> int:
    """0 for a colour space that is not read here."""
    space = space.get_object() if hasattr(space, "get_object") else space
    if isinstance(space, str):
        return _CHANNELS.get(space, 0)
    if str(space[0]) == "/ICCBased":
        count = int(space[1].get_object().get("/N", 0))
        return count if count in (1, 3) else 0
    return _CHANNELS.get(str(space[0]), 0)


def _palette(width: int, height: int, data: bytes, table: bytes, channels: int) -> bytes | None:
    if len(data) < width * height:
        return None
    table = table.ljust(256 * channels, b"\0")
    planes = [table[channel : 256 * channels : channels] for channel in range(channels)]
    data = data[: width * height]
    if channels == 1:
        return b"P5\n%d %d\n255\n" % (width, height) + data.translate(planes[0])
    pixels = bytearray(width * height * 3)
    for c in range(3):
        pixels[c::3] = data.translate(planes[c])
    return b"P6\n%d %d\n255\n" % (width, height) + bytes(pixels)
