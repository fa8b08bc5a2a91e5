"""Pictures of pages as files."""

import io

import pytest
from pypdf import PdfReader

from services.vector.extraction.pages.pictures import has_pictures, pictures_of
from tests.unit.vector.extraction import samples

SIDE = 120
PIXELS = SIDE * SIDE
HEADER = b"%d %d\n" % (SIDE, SIDE)


def found(data: bytes, entries: bytes) -> list[bytes]:
    page = PdfReader(io.BytesIO(samples.scanned_pdf([data], SIDE, SIDE, entries))).pages[0]
    assert has_pictures(page)
    return [picture.data for picture in pictures_of(page, 0)]


@pytest.mark.parametrize(
    ("samples_of_picture", "entries", "expected"),
    [
        (b"g" * PIXELS, samples.GREY, b"P5\n" + HEADER + b"255\n" + b"g" * PIXELS),
        (
            b"rgb" * PIXELS,
            b"/ColorSpace /DeviceRGB /BitsPerComponent 8",
            b"P6\n" + HEADER + b"255\n" + b"rgb" * PIXELS,
        ),
        (
            b"\xf0" * (PIXELS // 8),
            b"/ColorSpace /DeviceGray /BitsPerComponent 1",
            b"P4\n" + HEADER + b"\x0f" * (PIXELS // 8),
        ),
        (
            b"\1" * PIXELS,
            b"/ColorSpace [/Indexed /DeviceRGB 1 (abcxyz)] /BitsPerComponent 8",
            b"P6\n" + HEADER + b"255\n" + b"xyz" * PIXELS,
        ),
    ],
    ids=["grey", "colour", "black and white", "palette"],
)
def test_plain_samples_become_pnm(samples_of_picture: bytes, entries: bytes, expected: bytes) -> None:
    assert found(samples_of_picture, entries) == [expected]


@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (b"g" * 10, samples.GREY),
        (b"cmyk" * PIXELS, b"/ColorSpace /DeviceCMYK /BitsPerComponent 8"),
        (b"g" * PIXELS, b"/ColorSpace /Nonsense /BitsPerComponent 8"),
        (b"g" * PIXELS, b"/ColorSpace [/Indexed] /BitsPerComponent 8"),
    ],
    ids=["short", "other colours", "unknown", "broken"],
)
def test_what_is_not_read_is_left_out(data: bytes, entries: bytes) -> None:
    assert found(data, entries) == []


def test_small_and_enormous_pictures_are_no_pages() -> None:
    for side in (20, 60_000):
        data = samples.scanned_pdf([b"x"], side, side)
        assert not has_pictures(PdfReader(io.BytesIO(data)).pages[0])


def test_a_picture_in_a_page_that_was_put_into_another_is_found() -> None:
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /A 7 0 R /B 6 0 R >> >> "
    picture = b"/Subtype /Image /Width %d /Height %d %s " % (SIDE, SIDE, samples.GREY)
    objects = samples.pdf_page(
        samples.stream(b"/B Do"),
        resources=b"/XObject << /B 6 0 R >>",
        more=[samples.stream(b"/A Do", form), samples.stream(b"g" * PIXELS, picture)],
    )
    page = PdfReader(io.BytesIO(samples.pdf_of(objects))).pages[0]
    assert has_pictures(page)
    assert [picture.data[:2] for picture in pictures_of(page, 0)] == [b"P5"]
