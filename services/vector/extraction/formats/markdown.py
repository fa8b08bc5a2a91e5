"""Markdown stays as it is written, so that a citation points into the source.

A scan of its lines (CommonMark 0.31 where it matters here) marks headings, tables, fenced code and front
matter. A rule at the beginning is front matter only where a key follows and it is closed soon.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO, Final

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.model import BlockKind
from services.vector.extraction.writer import TextWriter

# A longer line is prose, whatever it begins with.
_LINE_MAX: Final = 1000
_FRONT_MATTER_MAX: Final = 200
_KEY: Final = re.compile(r"[\w\"'][\w .\"'-]{0,80}:(?:[ \t]|$)")
_ATX: Final = re.compile(r" {0,3}(#{1,6})(?=[ \t\n]|$)")
_SETEXT: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_DELIMITER_ROW: Final = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CONTAINER: Final = re.compile(r" {0,3}(>|[-+*][ \t]|\d{1,9}[.)][ \t])| {4}|\t")
_LINK: Final = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_MARKS: Final = re.compile(r"[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int
    end: int


def read(source: BinaryIO, writer: TextWriter) -> None:
    text = normalise(decode(source.read()))
    start = writer.verbatim(text)
    _Scan(writer).run(_lines(text, start))


def _lines(text: str, start: int) -> Iterator[_Line]:
    for line in text.split("\n"):
        size = len(line) if line.isascii() else len(line.encode("utf-8"))
        yield _Line(line, start, start + size)
        start += size + 1


class _Scan:
    """One pass over the lines; `_single` and `_header` are the line before, when the next one may complete
    it.
    """

    def __init__(self, writer: TextWriter) -> None:
        self._writer = writer
        # The only line of a paragraph so far: an underline makes it a heading.
        self._single: _Line | None = None
        # A line with bars: a delimiter row makes it the first row of a table.
        self._header: _Line | None = None
        self._after_blank = True

    def run(self, lines: Iterator[_Line]) -> None:
        pending = next(lines, None)
        if pending is not None and pending.text.rstrip() == "---":
            ahead = list(islice(lines, _FRONT_MATTER_MAX))
            lines = chain(ahead, lines)
            if _is_front_matter(ahead):
                self._front_matter(pending, lines)
                pending = next(lines, None)
        while pending is not None:
            fence = _FENCE.match(pending.text)
            if fence:
                self._fenced(pending, fence[1], lines)
                pending = next(lines, None)
            elif (
                self._header is not None
                and len(pending.text) < _LINE_MAX
                and _DELIMITER_ROW.match(pending.text)
            ):
                pending = self._table(self._header, pending, lines)
            else:
                self._plain_line(pending)
                pending = next(lines, None)

    def _plain_line(self, line: _Line) -> None:
        single, self._single, self._header = self._single, None, None
        blank = not line.text or line.text.isspace()
        after_blank, self._after_blank = self._after_blank, blank
        if blank or len(line.text) > _LINE_MAX:
            return
        atx = _ATX.match(line.text)
        setext = _SETEXT.match(line.text)
        if atx:
            self._heading(line.start, line.end, len(atx[1]), _atx_title(line.text[atx.end() :]))
        elif setext and single is not None:
            self._heading(single.start, line.end, 1 if setext[1][0] == "=" else 2, single.text)
        else:
            # A rule is no paragraph that a line below it could make a heading.
            if after_blank and not setext and not _CONTAINER.match(line.text):
                self._single = line
            if "|" in line.text:
                self._header = line

    def _heading(self, start: int, end: int, level: int, title: str) -> None:
        self._after_blank = True
        label = _MARKS.sub("", _LINK.sub(r"\1", title.strip()))
        if label:
            self._writer.mark(BlockKind.HEADING, start, end, level=level, label=label)
            if level == 1 and self._writer.title is None:
                self._writer.title = label

    def _front_matter(self, opening: _Line, lines: Iterator[_Line]) -> None:
        end = opening.end
        for line in lines:
            end = line.end
            if _closes(line):
                break
            key, colon, value = line.text.partition(":")
            if colon and key.strip().lower() == "title" and value.strip():
                self._writer.title = value.strip().strip("\"'")
        self._writer.mark(BlockKind.CODE, opening.start, end)

    def _fenced(self, opening: _Line, fence: str, lines: Iterator[_Line]) -> None:
        end = opening.end
        for line in lines:
            end = line.end
            text = line.text.strip()
            if text.startswith(fence) and not text.strip(fence[0]):
                break
        self._writer.mark(BlockKind.CODE, opening.start, end)
        self._single, self._header, self._after_blank = None, None, True

    def _table(self, header: _Line, delimiter: _Line, lines: Iterator[_Line]) -> _Line | None:
        """Marks the table and gives the first line after it."""
        end = delimiter.end
        after: _Line | None = None
        for line in lines:
            if "|" not in line.text or _FENCE.match(line.text):
                after = line
                break
            end = line.end
        self._writer.mark(BlockKind.TABLE, header.start, end)
        self._single, self._header, self._after_blank = None, None, True
        return after


def _is_front_matter(ahead: list[_Line]) -> bool:
    """Whether these lines, after a rule, are front matter and its end."""
    return bool(ahead) and _KEY.match(ahead[0].text) is not None and any(map(_closes, ahead))


def _closes(line: _Line) -> bool:
    return line.text.rstrip() in ("---", "...")


def _atx_title(text: str) -> str:
    """Without the closing sequence of number signs, which a space must precede."""
    title = text.strip()
    opened = title.rstrip("#")
    return opened.rstrip() if not opened or opened[-1] in " \t" else title
