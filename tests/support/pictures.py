"""Pictures made for tests, of which it is known what is to be measured."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFilter, ImageFont
from PIL.TiffImagePlugin import IFDRational

TAKEN = "2024:05:01 10:11:12"


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The picture as a file."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def photo(width: int = 320, height: int = 240, seed: int = 1) -> Image.Image:
    """Something with gradients, edges and noise, the same for each seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    red = 40 + 170 * x / width
    green = 60 + 120 * y / height
    blue = 90 + 80 * np.sin(x / 17 + seed) * np.cos(y / 23)
    pixels = np.stack([red, green, blue], axis=-1)
    pixels[height // 4 : height // 2, width // 5 : width // 3] = (240, 230, 40)
    pixels += random.normal(0, 6, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def stripes(*colours: tuple[str, int], height: int = 40) -> Image.Image:
    """Upright stripes: colours with their widths."""
    image = Image.new("RGB", (sum(width for _, width in colours), height))
    left = 0
    for colour, width in colours:
        image.paste(colour, (left, 0, left + width, height))
        left += width
    return image


def blurred(image: Image.Image, radius: float) -> Image.Image:
    """The same, less sharp."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def page(*lines: str, size: int = 32, ink: str = "black", paper: str = "white") -> Image.Image:
    """Lines of print, each 1.6 times its size high, from 40, 40 on."""
    font = ImageFont.load_default(size)
    width = 80 + max(int(font.getlength(line)) for line in lines)
    image = Image.new("RGB", (width, 80 + int(1.6 * size * len(lines))), paper)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((40, 40 + int(1.6 * size * row)), line, fill=ink, font=font)
    return image


def camera_exif(*, position: bool = False, orientation: int = 1) -> Image.Exif:
    """What a camera writes. The position is 59° 26′ 15″ north, 24° 44′ 30″ west."""
    tags, exif = ExifTags.Base, Image.Exif()
    exif[tags.Make] = "Elmsund Optics"
    exif[tags.Model] = "EO-7"
    exif[tags.Software] = "Harbour 2.1"
    exif[tags.Orientation] = orientation
    exif[tags.DateTime] = "2024:05:02 00:00:00"
    shot = exif.get_ifd(ExifTags.IFD.Exif)
    shot[tags.DateTimeOriginal] = TAKEN
    shot[tags.OffsetTimeOriginal] = "+02:00"
    shot[tags.ExposureTime] = IFDRational(1, 250)
    shot[tags.FNumber] = IFDRational(28, 10)
    shot[tags.ISOSpeedRatings] = 400
    shot[tags.FocalLength] = IFDRational(35, 1)
    shot[tags.LensModel] = "EO 35mm f/2.8"
    if position:
        gps, where = ExifTags.GPS, exif.get_ifd(ExifTags.IFD.GPSInfo)
        where[gps.GPSLatitudeRef] = "N"
        where[gps.GPSLatitude] = (59.0, 26.0, 15.0)
        where[gps.GPSLongitudeRef] = "W"
        where[gps.GPSLongitude] = (24.0, 44.0, 30.0)
    return exif


def animation(frames: int, **options: Any) -> bytes:
    """A GIF of that many frames, each of another colour."""
    made = [Image.new("P", (16, 12), number % 250) for number in range(frames)]
    for image in made:
        image.putpalette([value for i in range(256) for value in (i, 255 - i, (i * 7) % 256)])
    return saved(made[0], "GIF", save_all=True, append_images=made[1:], duration=40, loop=0, **options)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header says that size, with hardly any pixels behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def whole_png(width: int, height: int) -> bytes:
    """A grey PNG of that size that is all there, one bit a pixel: small as a file however large it is."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
