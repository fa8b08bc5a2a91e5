"""What the start page says that is read."""

from __future__ import annotations

from pathlib import Path

from services import gateway
from services.vector.extraction import formats

PAGE = Path(gateway.__path__[0]) / "page" / "index.html"
# What the page calls the formats, by their modules.
FAMILIES = {
    "pdf": "PDF", "docx": "Word", "odt": "text documents", "rtf": "text documents", "plain": "text documents",
    "pptx": "slides", "xlsx": "spreadsheets", "eml": "mail", "epub": "books", "html": "web pages",
    "hocr": "web pages", "markdown": "Markdown", "csv": "data", "json": "data", "xml": "data",
    "vtt": "subtitles", "source": "source code", "zip": "archives",
}  # fmt: skip


def test_the_start_page_names_the_family_of_each_format() -> None:
    (line,) = (line for line in PAGE.read_text("utf-8").splitlines() if "drop-how" in line)
    assert {module.stem for module in Path(formats.__path__[0]).glob("[a-z]*.py")} == set(FAMILIES)
    assert [family for family in FAMILIES.values() if family not in line] == []
