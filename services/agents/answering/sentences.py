"""Cuts passages into sentences without changing a byte of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.agents.answering import rows
from services.agents.answering.rows import Row
from services.agents.model import Passage, Quote

# A quote longer than this is cut at a line, a clause or a word.
_MAX_CHARACTERS = 600

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_LINE = re.compile(r"[^\n]+")
# A new line that begins an item, a heading, a table row or a fence begins a new piece.
_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*•–+]\s|\d{1,3}[.)]\s|[a-zA-Z][.)]\s|#{1,6}\s|\||```|>))")
_BOUNDARY = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s+[\"'“‘(\[]*[A-ZÀ-ÞΑ-ΩА-Я0-9])|[。！？]+[”’」』）]*"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:(?:[A-Za-z]\.)*[A-Za-z]|mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|cf|fig|figs|eq|eqs|sec|no|vol"
    r"|pp|ed|al|approx|inc|ltd|co|corp|jr|sr|gen|col|capt|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|ca)$",
    re.IGNORECASE,
)
# More than any of them: what stands further back has no say, and is not looked at again at each full stop.
_LONGEST_ABBREVIATION = 24
_NUMBERING = re.compile(r"\s*(?:[-*•–+]\s*)?\(?(?:\d{1,3}|[A-Za-z])$")
_CLAUSE = re.compile(r"\n|[;:,]\s|\s")
_WHOLE = re.compile(r"[.!…。！][\"'”’)\]」』）]*$")
_FRAGMENT_FACTOR = 0.9
_HEADING = re.compile(r"(#{1,6})[ \t]+\S[^\n]*")
_WORTH = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Sentence:
    """A sentence, or a row of a table, and what it says to one who sees its surroundings.

    reading: its text; of a row with the names of its columns. heads: a row that names the columns of others.
    """

    quote: Quote
    reading: str
    heads: bool = False

    @property
    def level(self) -> int:
        """Of a heading, from 1; 0 for others. A heading stands for the sentences below it."""
        marks = _HEADING.fullmatch(self.quote.text)
        return len(marks[1]) if marks else 0


def sentences(passage: Passage) -> list[Quote]:
    """The sentences of a passage, in order, each with its exact place. A row of a table is one."""
    return [sentence.quote for sentence in read(passage)]


def read(passage: Passage) -> list[Sentence]:
    """The sentences of a passage, in order, as they are to be understood."""
    found = rows.rows(passage.text, begins=passage.byte_start == 0)
    known = {(row.start, row.end): row for row in found}
    made = []
    for start, end in _spans(passage.text, found):
        quote, row = Quote.of(passage, start, end), known.get((start, end))
        made.append(Sentence(quote, row.reading, row.heads) if row else Sentence(quote, quote.text))
    return made


def wholeness(text: str) -> float:
    """1 for a whole sentence; less for a heading, fragment or question, which says less in the same words."""
    return 1.0 if _WHOLE.search(text) else _FRAGMENT_FACTOR


def spans(text: str) -> list[tuple[int, int]]:
    """Character ranges of the sentences of a text, without the blanks around them."""
    return _spans(text, rows.rows(text))


def _spans(text: str, tables: Sequence[Row]) -> list[tuple[int, int]]:
    begins = {row.start for row in tables}
    found = []
    for start, end in _blocks(text, tables):
        for first, last in [(start, end)] if start in begins else _cut(text, start, end):
            for begin, stop in _limited(text, first, last):
                trimmed = _trimmed(text, begin, stop)
                if _WORTH.search(text, *trimmed):
                    found.append(trimmed)
    return found


def _blocks(text: str, tables: Sequence[Row]) -> Iterator[tuple[int, int]]:
    edges = sorted(
        {(match.start(), match.end()) for match in _PARAGRAPH.finditer(text)}
        | {(match.start(), match.end()) for match in _ITEM.finditer(text)}
        | {(edge, edge + 1) for edge in _line_ends(text)}
        | {(row.start, row.start) for row in tables}
        | {(row.end, row.end) for row in tables}
    )
    position = 0
    for start, end in edges:
        if start >= position:
            yield position, start
            position = end
    yield position, len(text)


def _line_ends(text: str) -> Iterator[int]:
    """Ends of lines that end a thought: a heading, or a line much shorter than the longest one that is
    followed by a capital letter."""
    lines = list(_LINE.finditer(text))
    longest = max((len(line.group()) for line in lines), default=0)
    for line, following in itertools.pairwise(lines):
        heading = line.group().startswith("#")
        short = len(line.group().rstrip()) < 0.6 * longest and following.group().lstrip()[:1].isupper()
        if heading or (short and not line.group().rstrip().endswith((",", "-"))):
            yield line.end()


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    position = start
    for match in _BOUNDARY.finditer(text, start, end):
        if match.group().startswith("."):
            numbering = _NUMBERING.match(text, position, match.start())
            before = text[max(position, match.start() - _LONGEST_ABBREVIATION) : match.start()]
            if numbering or _ABBREVIATION.search(before):
                continue
        yield position, match.end()
        position = match.end()
    if position < end:
        yield position, end


def _limited(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _MAX_CHARACTERS:
        window = [match.end() for match in _CLAUSE.finditer(text, start, start + _MAX_CHARACTERS)]
        lines = [edge for edge in window if text[edge - 1] == "\n"]
        cut = (lines or window or [start + _MAX_CHARACTERS])[-1]
        yield start, cut
        start = cut
    yield start, end


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
