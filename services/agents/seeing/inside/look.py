"""The program: decodes one picture, says what was measured of it, and writes copies that are asked for."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from . import exif, measures

REQUEST = ".meld/request.json"
RESULT = ".meld/result.json"
PICTURE = "picture"
CLEAN, SHOWN, PAGE = "clean", "shown", "page"

# JPEG covers MPO, which is several of them.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
MAX_PIXELS = 50_000_000
MAX_SIDE = 50_000
MAX_FRAMES = 1_000
# Models scale down what is larger.
_SHOWN_SIDE = 1_568
_SHOWN_BYTES = 1 << 20
# A line of text that is read well is some thirty pixels high; small pictures are made larger. A made page of
# 100 dots an inch, n = 700 words, was read to 98.4 % as it is, and to 99.7 % at twice and three times that.
_PAGE_SIDE = 3_000
_PAGE_FACTOR = 3
_BITS = {"1": 1, "I": 32, "F": 32}


class UnreadableError(Exception):
    """Why the picture is not measured, for people."""


def main() -> None:
    """Tells what was measured, or the reason why nothing was."""
    asked = json.loads(Path(REQUEST).read_text("utf-8"))
    try:
        told = look(Path(PICTURE), asked)
    except UnreadableError as error:
        told = {"reason": str(error)}
    Path(RESULT).write_text(json.dumps(told, allow_nan=False), "utf-8")


def look(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Fields of the message Picture. asked: show_position, and which copies: clean, shown, page.

    Raises UnreadableError.
    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(path, formats=FORMATS) as image:
            return _looked(image, path, asked)
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        known = "PNG, JPEG, GIF, WebP, TIFF, BMP, PNM, AVIF and JPEG 2000"
        raise UnreadableError(f"It is no picture that can be read here; {known} can.") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UnreadableError(f"It has more pixels than are read ({MAX_PIXELS:,}).") from error
    except MemoryError as error:
        raise UnreadableError("It needs more memory than a picture may.") from error
    except Exception as error:
        # Decoders raise anything over bytes that are no picture.
        raise UnreadableError(f"It cannot be decoded: {str(error)[:200] or type(error).__name__}.") from error


def _looked(image: Image.Image, path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise UnreadableError(f"It has {width:,} × {height:,} pixels; {MAX_SIDE:,} are read on a side.")
    # As the file has them, before anything is decoded.
    form, mode, media_type = image.format, image.mode, Image.MIME.get(image.format or "", "")
    frames = int(getattr(image, "n_frames", 1))
    if frames > MAX_FRAMES:
        raise UnreadableError(f"It has {frames:,} frames; {MAX_FRAMES:,} are read.")
    image.seek(0)
    dpi = image.info.get("dpi")
    image.load()
    shown = measures.on_white(image)
    luma = shown.convert("L")
    written, upright = _written(image, show_position=bool(asked.get("show_position")))
    swatches = measures.palette(shown)
    told: dict[str, Any] = {
        "format": form,
        "media_type": "image/jpeg" if form == "MPO" else media_type,
        "mode": mode,
        "width": width,
        "height": height,
        "frames": frames,
        "channel_bits": _bits(image, path),
        "transparent": image.has_transparency_data,
        **_dpi(dpi),
        **written,
        **measures.light(luma),
        "palette": swatches,
        "sharpness": measures.sharpness(luma),
        "difference_hash": measures.difference_hash(measures.on_white(upright).convert("L")),
        "notes": [*written.get("notes", ()), *_notes(image, mode)],
    }
    contrast = measures.background_contrast(swatches)
    if contrast is not None:
        told["background_contrast"] = contrast
    _write_copies(image, upright, asked)
    return told


def _written(image: Image.Image, *, show_position: bool) -> tuple[dict[str, Any], Image.Image]:
    """What stands in the file besides the pixels, and the picture as it says that it stands upright.

    The pixels are there, so one whose other contents are damaged is measured all the same.
    """
    try:
        return exif.told(image, show_position=show_position), measures.upright(image)
    except Exception as error:  # the parser raises anything over bytes that are no EXIF
        damaged = f"What a camera wrote into it cannot be read ({type(error).__name__}): it may tell a place."
        return {"orientation": 1, "notes": [damaged]}, image


def _bits(image: Image.Image, path: Path) -> int:
    """Bits of a channel as the file has them: Pillow makes eight of sixteen in colour."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, 1)
        return int(bits[0] if isinstance(bits, tuple) else bits)
    return 16 if image.mode.startswith("I;16") else _BITS.get(image.mode, 8)


def _dpi(value: Any) -> dict[str, float]:
    try:
        x, y = (float(part) for part in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return {}
    return {"dpi_x": x, "dpi_y": y} if all(math.isfinite(v) and 0 < v < 1e6 for v in (x, y)) else {}


def _notes(image: Image.Image, mode: str) -> list[str]:
    notes = []
    if image.info.get("icc_profile"):
        notes.append("Its colour profile is not applied: its colours are told as they are stored.")
    if mode == "CMYK":
        notes.append("Its printing colours were turned into those of a screen without a profile.")
    if mode in ("I", "F"):
        notes.append("Its values have no fixed white: they were stretched from the least to the most.")
    return notes


def _write_copies(image: Image.Image, upright: Image.Image, asked: dict[str, Any]) -> None:
    if asked.get("clean"):
        _write_clean(image, upright)
    if asked.get("shown"):
        _write_shown(measures.on_white(upright))
    if asked.get("page"):
        _write_page(measures.on_white(upright).convert("L"))


def _write_clean(image: Image.Image, upright: Image.Image) -> None:
    """Upright, with nothing but the pixels and what their colours mean."""
    kept, profile = upright, image.info.get("icc_profile")
    if upright.mode == "P":
        kept = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    elif upright.mode not in ("1", "L", "LA", "RGB", "RGBA", "I;16"):
        # The profile is that of other channels.
        kept, profile = measures.on_white(upright), None
    bare = Image.frombytes(kept.mode, kept.size, kept.tobytes())
    if image.format in ("JPEG", "MPO"):
        bare.save(f"{CLEAN}.jpg", quality=92, icc_profile=profile)
    else:
        bare.save(f"{CLEAN}.png", icc_profile=profile)


def _write_shown(picture: Image.Image) -> None:
    picture.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.LANCZOS)
    path = Path(f"{SHOWN}.png")
    picture.save(path, optimize=False)
    if path.stat().st_size > _SHOWN_BYTES:
        path.unlink()
        picture.save(f"{SHOWN}.jpg", quality=85)


def _write_page(luma: Image.Image) -> None:
    """For the reader of text: grey, on white, large enough. Its factor stands in the file's name."""
    factor = max(1, min(_PAGE_FACTOR, _PAGE_SIDE // max(luma.size)))
    if factor > 1:
        luma = luma.resize((luma.width * factor, luma.height * factor), Image.Resampling.LANCZOS)
    luma.save(f"{PAGE}{factor}.png", compress_level=1)
