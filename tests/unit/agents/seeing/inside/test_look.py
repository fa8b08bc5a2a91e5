"""Looks at files of every kind, compared with exiftool where it is installed."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from services.agents.seeing.inside import exif, look
from tests.support.pictures import (
    animation,
    blurred,
    camera_exif,
    page,
    photo,
    png_of_size,
    saved,
    stripes,
    whole_png,
)

exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")


def grey16() -> Image.Image:
    return Image.fromarray(np.linspace(0, 65535, 64 * 48, dtype=np.uint16).reshape(48, 64))


def rgb16_png() -> bytes:
    """Pillow writes none; sixteen bits for each of three channels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + struct.pack(">HHH", y * 4000, 30000, 60000) * 10 for y in range(12))
    header = struct.pack(">IIBBBBB", 10, 12, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


FILES: dict[str, Callable[[], bytes]] = {
    "photo.jpg": lambda: saved(photo(), "JPEG", dpi=(240, 240), exif=camera_exif(position=True)),
    "grey.jpg": lambda: saved(photo().convert("L"), "JPEG", dpi=(72, 72)),
    "cmyk.jpg": lambda: saved(photo().convert("CMYK"), "JPEG", dpi=(300, 300)),
    "turned.jpg": lambda: saved(photo(), "JPEG", exif=camera_exif(orientation=6)),
    "print.png": lambda: saved(page("Elmsund"), dpi=(150, 150)),
    "clear.png": lambda: saved(Image.new("RGBA", (33, 21), (10, 200, 30, 90))),
    "palette.png": lambda: saved(stripes(("red", 3), ("blue", 5)).quantize(4)),
    "bilevel.png": lambda: saved(page("Elmsund").convert("1")),
    "deep.png": lambda: saved(grey16()),
    "deep-colour.png": rgb16_png,
    "moving.gif": lambda: animation(7),
    "photo.webp": lambda: saved(photo(), "WEBP", lossless=True, exif=camera_exif()),
    "photo.tiff": lambda: saved(photo(), "TIFF", dpi=(600, 600), exif=camera_exif()),
    "deep.tiff": lambda: saved(grey16(), "TIFF"),
    "pages.tiff": lambda: saved(photo(), "TIFF", save_all=True, append_images=[photo(seed=2), photo(seed=3)]),
    "photo.bmp": lambda: saved(photo(), "BMP"),
}
# exiftool's words for a file's kind, where they are others.
KINDS = {"Extended WEBP": "WEBP"}


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Callable[[str, bytes], Path]]:
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    limit = Image.MAX_IMAGE_PIXELS
    yield write
    Image.MAX_IMAGE_PIXELS = limit


def reference(path: Path) -> dict[str, Any]:
    """What exiftool says, in numbers."""
    printed = subprocess.run(["exiftool", "-j", "-n", str(path)], capture_output=True, check=True, timeout=60)
    told: dict[str, Any] = json.loads(printed.stdout)[0]
    return told


@exiftool
@pytest.mark.parametrize("name", FILES)
def test_what_the_file_says_agrees_with_exiftool(name: str, at: Callable[[str, bytes], Path]) -> None:
    path = at(name, FILES[name]())
    told, said = look.look(path, {"show_position": True}), reference(path)

    assert (told["width"], told["height"]) == (said["ImageWidth"], said["ImageHeight"])
    assert told["format"] == KINDS.get(said["FileType"], said["FileType"])
    assert told["media_type"] == said["MIMEType"]
    assert told["orientation"] == said.get("Orientation", 1)
    if "FrameCount" in said:
        assert told["frames"] == said["FrameCount"]
    if "BitsPerSample" in said or "BitDepth" in said:
        bits = str(said.get("BitDepth", said.get("BitsPerSample"))).split()[0]
        # Of a BMP exiftool tells the bits of a pixel.
        if name != "photo.bmp":
            assert told["channel_bits"] == int(bits)
    if said.get("ResolutionUnit") == 2:
        assert told["dpi_x"] == pytest.approx(said["XResolution"], abs=0.5)
        assert told["dpi_y"] == pytest.approx(said["YResolution"], abs=0.5)
    camera = told.get("camera", {})
    for field, tag in (
        ("make", "Make"),
        ("model", "Model"),
        ("lens", "LensModel"),
        ("software", "Software"),
        ("exposure_seconds", "ExposureTime"),
        ("f_number", "FNumber"),
        ("iso_speed", "ISO"),
        ("focal_length_mm", "FocalLength"),
    ):
        assert camera.get(field) == pytest.approx(said.get(tag)), tag
    assert told["position_present"] == ("GPSLatitude" in said)
    if told["position_present"]:
        assert told["position"]["latitude"] == pytest.approx(said["GPSLatitude"], abs=1e-6)
        assert told["position"]["longitude"] == pytest.approx(said["GPSLongitude"], abs=1e-6)


@exiftool
def test_exiftool_finds_nothing_in_a_clean_copy(
    at: Callable[[str, bytes], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    data = saved(photo(), "JPEG", exif=camera_exif(position=True, orientation=6), comment=b"by the harbour")
    look.look(at("photo.jpg", data), {"clean": True})
    said = reference(tmp_path / "clean.jpg")
    assert not {"Make", "Model", "GPSLatitude", "DateTimeOriginal", "Orientation", "Comment"} & set(said)
    # It was on its side.
    assert (said["ImageWidth"], said["ImageHeight"]) == (240, 320)


def test_when_it_was_taken_is_told_with_the_offset(at: Callable[[str, bytes], Path]) -> None:
    told = look.look(at("p.jpg", FILES["photo.jpg"]()), {})
    assert told["camera"]["taken"] == "2024-05-01T10:11:12+02:00"


def test_a_position_is_told_when_it_is_asked_for_alone(at: Callable[[str, bytes], Path]) -> None:
    path = at("p.jpg", FILES["photo.jpg"]())
    silent, asked = look.look(path, {}), look.look(path, {"show_position": True})
    assert silent["position_present"]
    assert "position" not in silent
    assert "59.4" not in json.dumps(silent)
    assert asked["position"] == {
        "latitude": pytest.approx(59 + 26 / 60 + 15 / 3600),
        "longitude": pytest.approx(-(24 + 44 / 60 + 30 / 3600)),
    }


def test_a_picture_is_measured_also_where_what_the_camera_wrote_is_damaged(
    at: Callable[[str, bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object, **__: object) -> dict[str, Any]:
        raise struct.error("unpack requires a buffer of 2 bytes")

    monkeypatch.setattr(exif, "told", damaged)
    told = look.look(at("p.jpg", FILES["photo.jpg"]()), {})
    assert (told["width"], told["orientation"]) == (320, 1)
    assert "it may tell a place" in told["notes"][0]


def test_a_position_in_adobes_packet_is_noticed(at: Callable[[str, bytes], Path]) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a exif:GPSLatitude="59,26N"/></x:xmpmeta>'
    assert look.look(at("p.jpg", saved(photo(), "JPEG", xmp=packet)), {})["position_present"]
    assert not look.look(at("q.jpg", saved(photo(), "JPEG")), {})["position_present"]


def test_a_picture_on_its_side_looks_like_the_one_that_stands(at: Callable[[str, bytes], Path]) -> None:
    lying = photo().transpose(Image.Transpose.ROTATE_90)
    stands = look.look(at("a.png", saved(photo())), {})
    turned = look.look(at("b.jpg", saved(lying, "JPEG", exif=camera_exif(orientation=6))), {})
    differing = int(stands["difference_hash"], 16) ^ int(turned["difference_hash"], 16)
    assert differing.bit_count() <= 4


def test_sharpness_falls_as_a_file_is_blurred(at: Callable[[str, bytes], Path]) -> None:
    order = [
        look.look(at(f"{n}.png", saved(blurred(photo(), radius))), {})["sharpness"]
        for n, radius in enumerate((0, 1, 2, 4))
    ]
    assert order == sorted(order, reverse=True)


def test_sixteen_bits_are_scaled_and_not_cut(at: Callable[[str, bytes], Path]) -> None:
    told = look.look(at("deep.png", FILES["deep.png"]()), {})
    assert told["mean_luma"] == pytest.approx(127.5, abs=1)
    assert told["light_clipped_share"] < 0.02
    assert told["channel_bits"] == 16


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(png_of_size(60_000, 60_000), "more pixels than are read", id="60,000 by 60,000"),
        pytest.param(whole_png(20_000, 20_000), "more pixels than are read", id="bomb"),
        pytest.param(png_of_size(60_000, 10), "50,000 are read on a side", id="a long one"),
        pytest.param(png_of_size(3_000, 3_000), "cannot be decoded", id="lying header"),
        pytest.param(saved(photo(), "JPEG")[:3_000], "cannot be decoded", id="cut off"),
        pytest.param(saved(photo())[:2_000], "cannot be decoded", id="cut off PNG"),
        pytest.param(b"%PDF-1.7 and so on", "no picture that can be read here", id="a PDF"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture that can", id="an SVG"),
        pytest.param(animation(1_001), "1,001 frames", id="frames"),
    ],
)
def test_what_is_too_much_or_no_picture_is_named(
    data: bytes, said: str, at: Callable[[str, bytes], Path]
) -> None:
    with pytest.raises(look.UnreadableError, match=said):
        look.look(at("picture", data), {})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_noise_at_the_end_of_a_header_never_breaks_the_program(at: Callable[[str, bytes], Path]) -> None:
    random = np.random.default_rng(5)
    whole = {
        name: FILES[name]() for name in ("photo.jpg", "print.png", "moving.gif", "photo.tiff", "photo.webp")
    }
    for number in range(60):
        data = bytearray(whole[list(whole)[number % len(whole)]])
        for place in random.integers(0, min(400, len(data)), 12):
            data[place] = random.integers(0, 256)
        path = at("picture", bytes(data))
        try:
            told = look.look(path, {"show_position": True})
        except look.UnreadableError:
            continue
        json.dumps(told, allow_nan=False)


def test_copies_are_small_grey_or_bare(
    at: Callable[[str, bytes], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    data = saved(page("Elmsund").resize((3_000, 900)), exif=camera_exif(position=True))
    look.look(at("p.png", data), {"clean": True, "shown": True, "page": True})
    with Image.open(tmp_path / "shown.png") as shown:
        assert max(shown.size) == 1_568
        assert not shown.getexif()
    with Image.open(tmp_path / "page1.png") as for_reading:
        assert (for_reading.mode, for_reading.size) == ("L", (3_000, 900))
    with Image.open(tmp_path / "clean.png") as clean, Image.open(io.BytesIO(data)) as first:
        assert not clean.getexif()
        assert np.array_equal(np.asarray(clean), np.asarray(first))
