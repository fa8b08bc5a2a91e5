import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from services.vector.extraction.errors import DocumentEmptyError, DocumentUnreadableError
from tests.unit.vector.extraction.samples import page_texts, read, recognised_page

TWO_PAGES = recognised_page(
    [
        [("61 47 394 78", "The lighthouse of Brava")],
        [("63 117 580 142", "It was built in 1884 &amp; burns"), ("61 157 525 188", "whale oil.")],
    ],
    [[("10 20 110 60", "Größe")], [("5 90 15 99", " ")]],
)


def test_lines_stand_at_their_regions() -> None:
    extraction = read("hocr", TWO_PAGES)
    assert extraction.text == ("The lighthouse of Brava\n\nIt was built in 1884 & burns\nwhale oil.\n\nGröße")
    assert [(place.label, place.page) for place in extraction.places] == [
        ("page 1, region 61,47 333×31", 1),
        ("page 1, region 63,117 517×25", 1),
        ("page 1, region 61,157 464×31", 1),
        ("page 2, region 10,20 100×40", 2),
    ]
    assert page_texts(extraction) == [
        "The lighthouse of Brava\n\nIt was built in 1884 & burns\nwhale oil.",
        "Größe",
    ]


def test_a_page_without_lines_is_read_as_it_is() -> None:
    data = b"<html><body><div class='ocr_page' title='bbox 0 0 9 9'><p>bare</p> text</div></body></html>"
    extraction = read("hocr", data)
    assert extraction.text == "bare text"
    assert [place.label for place in extraction.places] == ["page 1, region 0,0 9×9"]


def test_a_line_without_a_box_stands_on_its_page() -> None:
    data = b"<div class='ocr_page'><p><span class='ocr_line'>no box</span></p></div>"
    assert [(place.label, place.page) for place in read("hocr", data).places] == [("page 1", 1)]


def test_a_box_beyond_the_edge_ends_there() -> None:
    extraction = read("hocr", recognised_page([[("-4 -2 30 12", "edge")]]))
    assert extraction.places[0].label == "page 1, region 0,0 30×12"


def test_what_has_no_page_or_no_text_is_refused() -> None:
    with pytest.raises(DocumentUnreadableError, match="page"):
        read("hocr", b"<html><body>text</body></html>")
    with pytest.raises(DocumentEmptyError):
        read("hocr", recognised_page([[("1 2 3 4", " ")]]))


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="there is no tesseract here")
def test_what_tesseract_writes_is_read(tmp_path: Path) -> None:
    picture = Image.new("L", (1000, 400), 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=32)
    lines = [(40, "The lighthouse of Brava"), (200, "It was built in 1884"), (240, "and burns whale oil.")]
    for top, text in lines:
        draw.text((60, top), text, font=font, fill=0)
    picture.save(tmp_path / "page.png")
    said = subprocess.run(
        ["tesseract", str(tmp_path / "page.png"), "-", "--psm", "3", "hocr"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    extraction = read("hocr", said.stdout)
    assert extraction.text == "The lighthouse of Brava\n\nIt was built in 1884\nand burns whale oil."
    for place, (top, _) in zip(extraction.places, lines, strict=True):
        _, _, box = place.label.partition("region ")
        left, y = map(int, box.split()[0].split(","))
        assert abs(left - 61) < 5
        assert top <= y < top + 20
