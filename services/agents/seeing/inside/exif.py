"""What cameras and scanners wrote into a file besides the pixels."""

from __future__ import annotations

import math
import re
from typing import Any

from PIL import ExifTags, Image

_MAX_TEXT = 120
_TAKEN = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d:\d\d:\d\d)")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")


def told(image: Image.Image, *, show_position: bool) -> dict[str, Any]:
    """The orientation, the camera's facts, and the position where it is asked for. Fields that lack are
    absent.
    """
    exif = image.getexif()
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    where = exif.get_ifd(ExifTags.IFD.GPSInfo)
    present = bool({ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude} & set(where)) or _in_xmp(image)
    made: dict[str, Any] = {
        "orientation": orientation if orientation in range(1, 9) else 1,
        "position_present": present,
    }
    if camera := _camera(exif):
        made["camera"] = camera
    if show_position and (place := _position(where)):
        made["position"] = place
    return made


def _camera(exif: Image.Exif) -> dict[str, Any]:
    shot = exif.get_ifd(ExifTags.IFD.Exif)
    tags = ExifTags.Base
    texts = {
        "make": exif.get(tags.Make),
        "model": exif.get(tags.Model),
        "lens": shot.get(tags.LensModel),
        "software": exif.get(tags.Software),
        "taken": _taken(
            shot.get(tags.DateTimeOriginal) or exif.get(tags.DateTime), shot.get(tags.OffsetTimeOriginal)
        ),
    }
    numbers = {
        "exposure_seconds": shot.get(tags.ExposureTime),
        "f_number": shot.get(tags.FNumber),
        "iso_speed": _first(shot.get(tags.ISOSpeedRatings)),
        "focal_length_mm": shot.get(tags.FocalLength),
    }
    made: dict[str, Any] = {name: text for name, value in texts.items() if (text := _text(value))}
    for name, value in numbers.items():
        number = _number(value)
        if number is not None and number > 0:
            made[name] = int(number) if name == "iso_speed" else number
    return made


def _taken(value: Any, offset: Any) -> str:
    found = _TAKEN.match(_text(value))
    if not found or found[1] == "0000":
        return ""
    zone = _OFFSET.fullmatch(_text(offset))
    return f"{found[1]}-{found[2]}-{found[3]}T{found[4]}{zone[0] if zone else ''}"


def _position(where: dict[int, Any]) -> dict[str, float] | None:
    north = _degrees(where.get(ExifTags.GPS.GPSLatitude), where.get(ExifTags.GPS.GPSLatitudeRef), "S")
    east = _degrees(where.get(ExifTags.GPS.GPSLongitude), where.get(ExifTags.GPS.GPSLongitudeRef), "W")
    if north is None or east is None or abs(north) > 90 or abs(east) > 180:
        return None
    return {"latitude": north, "longitude": east}


def _degrees(value: Any, reference: Any, negative: str) -> float | None:
    if not isinstance(value, tuple) or len(value) != 3:
        return None
    parts = [_number(part) for part in value]
    if any(part is None for part in parts):
        return None
    degrees: float = sum((part or 0.0) / 60**power for power, part in enumerate(parts))
    return -degrees if _text(reference).upper() == negative else degrees


def _in_xmp(image: Image.Image) -> bool:
    """Whether Adobe's packet tells a position; it is not read further."""
    packets = (image.info.get(name) for name in ("xmp", "XML:com.adobe.xmp"))
    return any(b"GPSLatitude" in (p.encode() if isinstance(p, str) else p) for p in packets if p)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e9 else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    clean = "".join(c if c.isprintable() else " " for c in value.split("\0")[0])
    return " ".join(clean.split())[:_MAX_TEXT]
