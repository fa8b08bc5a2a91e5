"""What text recognition read from pictures of pages (hOCR 1.2): words become lines, lines paragraphs.

Each line stands at its region of its page, in pixels of the picture: "page 1, region 120,40 300×80" is 300
wide and 80 high, 120 from the left and 40 from the top.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from services.vector.extraction.decoding import decode
from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.writer import TextWriter, one_line

# What stands for a line; Tesseract names some after what it takes them for.
_LINES: Final = ".ocr_line, .ocr_header, .ocr_caption, .ocr_textfloat, .ocrx_line"
_BOX: Final = re.compile(r"\bbbox\s+(-?\d{1,7})\s+(-?\d{1,7})\s+(-?\d{1,7})\s+(-?\d{1,7})\b")


def read(source: BinaryIO, writer: TextWriter) -> None:
    tree = LexborHTMLParser(decode(source.read()).replace("\0", ""))
    title = tree.css_first("head > title")
    if title is not None:
        writer.title = one_line(title.text())
    pages = tree.css(".ocr_page")
    if not pages:
        raise DocumentUnreadableError.because("not hOCR: it has no page")
    for page in pages:
        number = writer.begin_page("page")
        paragraph: int | None = None
        for line, text in _lines(page):
            if not text:
                continue
            above = line.parent.mem_id if line.parent is not None else None
            writer.place(f"page {number}{_region(line)}", page=number)
            writer.paragraph(text, goes_on=above is not None and above == paragraph)
            paragraph = above


def _lines(page: LexborNode) -> Iterator[tuple[LexborNode, str]]:
    """The lines of a page and their texts; the page itself where it has none."""
    lines = page.css(_LINES)
    for line in lines:
        words = line.css(".ocrx_word")
        yield line, one_line(" ".join(word.text() for word in words) if words else line.text())
    if not lines:
        yield page, one_line(page.text(separator=" "))


def _region(node: LexborNode) -> str:
    box = _BOX.search(node.attributes.get("title") or "")
    if box is None:
        return ""
    # A box may begin before the edge of the picture.
    left, top, right, bottom = (max(0, int(side)) for side in box.groups())
    return f", region {left},{top} {max(0, right - left)}×{max(0, bottom - top)}"
