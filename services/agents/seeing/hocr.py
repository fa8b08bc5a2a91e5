"""Text with its places, as hOCR: read as Tesseract writes it, written for whoever cites it (hOCR 1.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

MEDIA_TYPE = "text/vnd.hocr+html"
_LINES = frozenset({"ocr_line", "ocr_header", "ocr_caption", "ocr_textfloat"})
_BOX = re.compile(r"\bbbox (-?\d{1,7}) (-?\d{1,7}) (-?\d{1,7}) (-?\d{1,7})")
_CONFIDENCE = re.compile(r"\bx_wconf (\d{1,3}(?:\.\d+)?)")


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels; 0, 0 is the upper left."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Word:
    """A word. confidence: 0 to 1."""

    text: str
    box: Box
    confidence: float


@dataclass(frozen=True)
class Line:
    """A line of words, at least one. paragraph: lines with the same number stand in one, counted from 0."""

    words: tuple[Word, ...]
    paragraph: int = 0

    @property
    def text(self) -> str:
        """Its words with a blank between."""
        return " ".join(word.text for word in self.words)

    @property
    def confidence(self) -> float:
        """The mean over its words."""
        return sum(word.confidence for word in self.words) / len(self.words)

    @property
    def box(self) -> Box:
        """What its words stand in."""
        return around([word.box for word in self.words])


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of these, at least one."""
    left, top = min(b.left for b in boxes), min(b.top for b in boxes)
    right, bottom = max(b.left + b.width for b in boxes), max(b.top + b.height for b in boxes)
    return Box(left, top, right - left, bottom - top)


def read(text: str, factor: int = 1) -> list[Line]:
    """The lines of an hOCR document. factor: how much larger the page was than the picture whose pixels
    count. Elements without a place or a word are passed over.
    """
    reader = _Reader(factor)
    reader.feed(text)
    reader.close()
    return reader.lines


def write(name: str, width: int, height: int, lines: Sequence[Line]) -> str:
    """An hOCR document of one page. name: of the picture; width, height: of it in pixels."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<html xmlns="http://www.w3.org/1999/xhtml">',
        f"<head><title>{escape(_clean(name))}</title>"
        '<meta http-equiv="Content-Type" content="text/html; charset=utf-8"/>'
        '<meta name="ocr-system" content="tesseract"/>'
        '<meta name="ocr-capabilities" content="ocr_page ocr_par ocr_line ocrx_word ocrp_wconf"/></head>',
        f'<body><div class="ocr_page" id="page_1" title="bbox 0 0 {width} {height}; ppageno 0">',
    ]
    for _, group in groupby(lines, lambda line: line.paragraph):
        paragraph = list(group)
        parts.append(f'<p class="ocr_par" title="{_place(around([line.box for line in paragraph]))}">')
        parts += [_line(line) for line in paragraph]
        parts.append("</p>")
    return "\n".join([*parts, "</div></body>", "</html>", ""])


def _line(line: Line) -> str:
    words = " ".join(
        f'<span class="ocrx_word" title="{_place(word.box)}; x_wconf {word.confidence * 100:.0f}">'
        f"{escape(_clean(word.text))}</span>"
        for word in line.words
    )
    return f'<span class="ocr_line" title={quoteattr(_place(line.box))}>{words}</span>'


def _place(box: Box) -> str:
    return f"bbox {box.left} {box.top} {box.left + box.width} {box.top + box.height}"


def _clean(text: str) -> str:
    # Characters that XML does not allow would make the document unreadable.
    return "".join(c for c in text if c.isprintable())


class _Reader(HTMLParser):
    def __init__(self, factor: int) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[Line] = []
        self._factor = factor
        self._paragraph = -1
        self._words: list[Word] = []
        self._word: tuple[Box, float] | None = None
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        del tag
        said = {name: value or "" for name, value in attrs}
        kinds = set(said.get("class", "").split())
        if kinds & _LINES:
            self._end_line()
        elif "ocr_par" in kinds:
            self._end_line()
            self._paragraph += 1
        elif "ocrx_word" in kinds and (box := self._box(said.get("title", ""))):
            self._end_word()
            sure = _CONFIDENCE.search(said.get("title", ""))
            self._word = box, min(1.0, float(sure[1]) / 100) if sure else 0.0

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        # Others, such as strong, stand within a word.
        if tag == "span":
            self._end_word()
        elif tag in ("p", "div", "body"):
            self._end_line()

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if self._word is not None:
            self._text.append(data)

    def close(self) -> None:
        """See HTMLParser."""
        super().close()
        self._end_line()

    def _box(self, title: str) -> Box | None:
        found = _BOX.search(title)
        if not found:
            return None
        left, top, right, bottom = (max(0, int(value) // self._factor) for value in found.groups())
        return Box(left, top, max(1, right - left), max(1, bottom - top))

    def _end_word(self) -> None:
        text = " ".join(_clean("".join(self._text)).split())
        if self._word is not None and text:
            self._words.append(Word(text, *self._word))
        self._word, self._text = None, []

    def _end_line(self) -> None:
        self._end_word()
        if self._words:
            self.lines.append(Line(tuple(self._words), max(0, self._paragraph)))
        self._words = []
