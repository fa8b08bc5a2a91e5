"""How a text is built: headings, paragraphs, their order, a summary."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.agents.coaching.readability import words
from services.agents.coaching.remarks import Remark

_LONG_PARAGRAPH = 150
_WITHOUT_HEADINGS = 300
_WITHOUT_SUMMARY = 600
_MAX_HEADING = 80
_MAX_HEADINGS = 500

_BLOCK = re.compile(r"[^\n]+(?:\n(?![ \t]*\n)[^\n]+)*")
_MARKED = re.compile(r"[ \t]*(#{1,6})[ \t]+(\S.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r"[ \t]*(=+|-{3,})[ \t]*$")
_ENDED = re.compile(r"[.!?:;,…。！？][\"'”’)\]]*$")
_ITEM = re.compile(r"[ \t]*(?:[-*•–+>|]|\d{1,3}[.)])\s")
_SUMMARY = re.compile(
    r"\b(?:summary|abstract|overview|in short|in brief|in summary|to sum up|tl;?dr|key points|conclusions?"
    r"|zusammenfassung|fazit|résumé|resumen|riassunto|samenvatting|sammanfattning)\b",
    re.IGNORECASE,
)
_LAST = re.compile(r"^\W*(?:\d+[.)]?\s*)?(?:conclusions?|closing remarks|fazit)\b", re.IGNORECASE)
_FIRST = re.compile(r"^\W*(?:\d+[.)]?\s*)?(?:introduction|abstract|einleitung)\b", re.IGNORECASE)
_BEHIND_ALL = re.compile(
    r"^\W*(?:[a-z\d]+[.)]\s*)?(?:references|bibliography|sources|appendi(?:x|ces)|acknowledge?ments|notes"
    r"|literatur|anhang)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Heading:
    """A heading, by characters. level: 1 to 6; 0 for a line that stands alone and has no mark.

    underlined: the mark is the line below it.
    """

    title: str
    level: int
    start: int
    end: int
    underlined: bool = False


@dataclass(frozen=True)
class Layout:
    """headings and paragraphs of a text, each in order; paragraphs by their characters."""

    headings: tuple[Heading, ...]
    paragraphs: tuple[tuple[int, int], ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """Of the headings."""
        return tuple(heading.title for heading in self.headings)


def layout(text: str) -> Layout:
    """Where the headings and paragraphs of a text stand."""
    headings: list[Heading] = []
    paragraphs: list[tuple[int, int]] = []
    for block in _BLOCK.finditer(text):
        start, end = block.span()
        lines = block.group().split("\n")
        taken = 0
        while taken < len(lines) and (heading := _heading(lines, taken, start)):
            headings.append(heading)
            taken += 1 + heading.underlined
            start = min(end, heading.end + 1)
        if taken < len(lines) and text[start:end].strip():
            paragraphs.append((start, end))
    if not paragraphs:
        # Lines that stand alone head nothing then.
        paragraphs = [(heading.start, heading.end) for heading in headings if not heading.level]
        headings = [heading for heading in headings if heading.level]
    return Layout(tuple(headings), tuple(paragraphs))


def _heading(lines: list[str], position: int, start: int) -> Heading | None:
    """The heading in a line of a block, which begins at `start`; None for one that is no heading."""
    line = lines[position]
    if marked := _MARKED.match(line):
        return Heading(marked[2], len(marked[1]), start, start + len(line))
    if not line.strip() or _ITEM.match(line):
        return None
    if position + 1 < len(lines) and (mark := _UNDERLINE.match(lines[position + 1])):
        end = start + len(line) + 1 + len(lines[position + 1])
        return Heading(line.strip(), 1 if mark[1].startswith("=") else 2, start, end, underlined=True)
    alone = len(lines) == 1 and len(line.strip()) <= _MAX_HEADING and not _ENDED.search(line.strip())
    return Heading(line.strip(), 0, start, start + len(line)) if alone and len(words(line)) <= 8 else None


def remarks(text: str, found: Layout) -> Iterator[Remark]:
    """What to think about in how the text is built."""
    counts = [len(words(text[start:end])) for start, end in found.paragraphs]
    for (start, end), count in zip(found.paragraphs, counts, strict=True):
        if count > _LONG_PARAGRAPH:
            statement = f"This paragraph has {count} words. One thought each: split it."
            yield Remark("paragraph", statement, start, end)
    # With more it is no text that is read from the beginning to the end.
    if len(found.headings) <= _MAX_HEADINGS:
        yield from _headings(found)
        yield from _order(found)
    if not found.paragraphs:
        return
    start, end = found.paragraphs[0]
    total = sum(counts)
    if total > _WITHOUT_HEADINGS and not found.headings:
        statement = f"{total} words follow without a heading. Headings let readers find their way."
        yield Remark("heading", statement, start, end)
    told = [text[start:end], *found.titles]
    if total > _WITHOUT_SUMMARY and not any(_SUMMARY.search(piece) for piece in told):
        statement = f"A text of {total} words begins here without a summary. Say first what it comes to."
        yield Remark("summary", statement, start, end)


def _headings(found: Layout) -> Iterator[Remark]:
    for one, other in itertools.pairwise(found.headings):
        if one.level and other.level > one.level + 1:
            statement = f"This heading is {other.level - one.level} levels below the one before it."
            yield Remark("heading", statement, other.start, other.end)
        between = any(one.end <= start < other.start for start, _ in found.paragraphs)
        if not between and other.level <= one.level:
            yield Remark("heading", "Nothing stands below this heading.", one.start, one.end)
    if found.headings and not any(start >= found.headings[-1].end for start, _ in found.paragraphs):
        last = found.headings[-1]
        yield Remark("heading", "Nothing stands below this heading.", last.start, last.end)


def _order(found: Layout) -> Iterator[Remark]:
    main = [heading for heading in found.headings if not _BEHIND_ALL.match(heading.title)]
    for position, heading in enumerate(main):
        behind = [other for other in main[position + 1 :] if other.level <= heading.level]
        if _LAST.match(heading.title) and behind:
            statement = f"The conclusion stands before “{behind[0].title}”. Put it last."
            yield Remark("order", statement, heading.start, heading.end)
        before = [other for other in main[:position] if other.level >= heading.level]
        if _FIRST.match(heading.title) and before:
            statement = f"This stands behind “{before[0].title}”. Put it first."
            yield Remark("order", statement, heading.start, heading.end)
