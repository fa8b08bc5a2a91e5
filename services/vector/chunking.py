"""Cuts an extraction into passages: spans of its text, made for embedding and for citing.

Cuts follow headings first, then paragraphs, table rows and list items, then sentences, then clauses, then
words. Only a word that is longer than a passage may be is cut, between characters; text without spaces
between words (Chinese, Japanese) is cut between sentences and then between characters.

Passages do not overlap by default: each sentence is embedded, found and cited once, ingest pays for no token
twice, and what an overlap would add, the context of a passage, is carried by its headings.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import ceil
from typing import Final

from services.vector.extraction.model import Block, BlockKind, Extraction, Span
from services.vector.sentences import sentences

# A token stands for at most this many characters. Tokenizers that give one token for a word of any length
# (WordPiece: [UNK]), or none for blanks, would otherwise allow a passage of any size.
CHARACTERS_PER_TOKEN: Final = 8
# How full the parts of a piece that is too long are planned to be.
_FILL: Final = 0.9
# Strings given to the token counter at once.
_BATCH: Final = 2048
# Neighbouring pieces that together have fewer characters than this share of the target's tokens are one
# piece.
_SHORT: Final = 0.2
_JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f")
_MARKS_BACK_MAX: Final = 64

_UNSPACED: Final = (
    "\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# What never begins a line: closing marks, sound marks and variation selectors.
_CLOSING: Final = "、。，．｡､・：；？！」』）】》〉〕ー々\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef"
_OPENING: Final = "「『（【《〈〔"
# In order of preference; a cut is where the match ends.
_CUTS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\n",
        r"[,;:—–](?=\s)|[，；：、]",
        r"\s",
    )
)
# The last rank, looked for only where there are such characters.
_UNSPACED_CHARACTER: Final = re.compile(f"[{_UNSPACED}]")
_UNSPACED_CUT: Final = re.compile(
    rf"(?<=[{_UNSPACED}])(?![{_CLOSING}])|(?<![{_OPENING}])(?=[{_UNSPACED}])(?![{_CLOSING}])"
)

TokenCounter = Callable[[Sequence[str]], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage. `ordinal` counts from 0, `page` from 1 (where the passage begins; None without pages).

    The span is half open, in UTF-8 bytes of the text, and has no blank at either end. `headings` is the
    path to the passage, outermost first.
    """

    ordinal: int
    byte_start: int
    byte_end: int
    page: int | None
    headings: tuple[str, ...]


@dataclass(slots=True)
class _Piece:
    """What is not cut any further: a sentence, row, item, heading, or a part of one. Character offsets."""

    start: int
    end: int
    kind: BlockKind | None
    heading: Block | None = None
    cost: int = 0


def chunk(
    extraction: Extraction,
    *,
    target_tokens: int,
    max_tokens: int,
    count_tokens: TokenCounter,
    overlap_sentences: int = 0,
) -> list[Chunk]:
    """The passages in order; together they hold all text that is not blank.

    A passage is closed at the first good place after `target_tokens`, and never has more than `max_tokens` as
    `count_tokens` counts them (special tokens not included; it gets many texts at once and gives a number for
    each; where two texts meet it may find one token more than in both). With `overlap_sentences` a passage
    that goes on a section begins with up to that many sentences of the one before. Raises ValueError when
    `target_tokens` is not between 1 and `max_tokens`.
    """
    if not 1 <= target_tokens <= max_tokens:
        raise ValueError("target_tokens must be between 1 and max_tokens")
    text = extraction.text
    pieces = _measured(text, _pieces(extraction, int(_SHORT * target_tokens)), max_tokens, count_tokens)
    packer = _Packer(text, pieces, target_tokens, max_tokens, overlap_sentences)
    groups = _verified(text, pieces, packer.groups(), max_tokens, count_tokens)
    return _chunks(extraction, pieces, groups)


def _pieces(extraction: Extraction, short: int) -> Iterator[_Piece]:
    """Headings, lines of blocks, and sentences of the prose between them."""
    text = extraction.text
    edges = _to_characters(extraction)
    at = 0
    for block, (start, end) in zip(extraction.blocks, edges, strict=True):
        yield from _joined(text, _prose(text, at, start), short)
        if block.kind is BlockKind.HEADING:
            yield from _trimmed(text, start, end, block.kind, block)
        else:
            yield from _joined(text, _lines(text, start, end, block.kind), short)
        at = end
    yield from _joined(text, _prose(text, at, len(text)), short)


def _to_characters(extraction: Extraction) -> list[tuple[int, int]]:
    """The character spans of the blocks."""
    if extraction.text.isascii():
        return [(block.byte_start, block.byte_end) for block in extraction.blocks]
    data = extraction.text.encode("utf-8")
    spans: list[tuple[int, int]] = []
    at = character = 0
    for block in extraction.blocks:
        start = character + len(data[at : block.byte_start].decode("utf-8"))
        character = start + len(data[block.byte_start : block.byte_end].decode("utf-8"))
        at = block.byte_end
        spans.append((start, character))
    return spans


def _prose(text: str, start: int, end: int) -> Iterator[_Piece]:
    for first, last in sentences(text[start:end]):
        yield _Piece(start + first, start + last, None)


def _lines(text: str, start: int, end: int, kind: BlockKind) -> Iterator[_Piece]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield from _trimmed(text, start, stop, kind)
        start = stop + 1


def _trimmed(
    text: str, start: int, end: int, kind: BlockKind | None, heading: Block | None = None
) -> Iterator[_Piece]:
    """The span without blanks around it, if anything is left."""
    body = text[start:end]
    left = len(body) - len(body.lstrip())
    if left < len(body):
        yield _Piece(start + left, start + len(body.rstrip()), kind, heading)


def _joined(text: str, pieces: Iterable[_Piece], short: int) -> Iterator[_Piece]:
    """Very short neighbours as one piece, so that a text of nothing but them stays cheap."""
    last: _Piece | None = None
    for piece in pieces:
        if last is not None:
            size = piece.end - last.start
            if size <= short and (size <= short // 2 or not _new_paragraph(text, last.end, piece.start)):
                last.end = piece.end
                continue
            yield last
        last = piece
    if last is not None:
        yield last


def _new_paragraph(text: str, end: int, start: int) -> bool:
    """Whether a blank line stands between two pieces."""
    return text.count("\n", end, start) > 1


def _measured(
    text: str, pieces: Iterable[_Piece], max_tokens: int, count_tokens: TokenCounter
) -> list[_Piece]:
    """The pieces with their cost, those over `max_tokens` cut until they fit."""
    done: list[_Piece] = []
    for piece in pieces:
        done.extend(_cut_long(text, piece, max_tokens * CHARACTERS_PER_TOKEN))
    while True:
        unknown = [place for place, piece in enumerate(done) if not piece.cost]
        if not unknown:
            return done
        counts = _counted([text[done[place].start : done[place].end] for place in unknown], count_tokens)
        # Place -> number of parts.
        over: dict[int, int] = {}
        for place, count in zip(unknown, counts, strict=True):
            piece = done[place]
            piece.cost = max(1, count, -(-(piece.end - piece.start) // CHARACTERS_PER_TOKEN))
            if piece.cost > max_tokens and piece.end - piece.start > 1:
                over[place] = ceil(piece.cost / (_FILL * max_tokens))
        if over:
            done = [
                part
                for place, piece in enumerate(done)
                for part in (_parts(text, piece, over[place]) if place in over else (piece,))
            ]


def _counted(texts: list[str], count_tokens: TokenCounter) -> Iterator[int]:
    for start in range(0, len(texts), _BATCH):
        yield from count_tokens(texts[start : start + _BATCH])


def _cut_long(text: str, piece: _Piece, size_max: int) -> Iterator[_Piece]:
    """Parts of at most `size_max` characters, cut at the last good place that leaves at least half of it."""
    start = piece.start
    heading = piece.heading
    while piece.end - start > size_max:
        cut = _last_cut(text, start, start + size_max)
        yield from _trimmed(text, start, cut, piece.kind, heading)
        heading = None
        start = cut
    yield from _trimmed(text, start, piece.end, piece.kind, heading)


def _last_cut(text: str, start: int, limit: int) -> int:
    """The best cut in (start, limit]; inside a word only when the word fills all of it."""
    late = (limit - start) // 2
    earlier = 0
    for places in _cuts(text[start : limit + 1]):
        if places:
            if places[-1] >= late:
                return start + places[-1]
            earlier = max(earlier, places[-1])
    return start + earlier if earlier else _between_characters(text, start, limit)


def _cuts(window: str) -> Iterator[list[int]]:
    """The places inside `window` where it may be cut, for each rank of _CUTS."""
    for cuts in _CUTS:
        yield [match.end() for match in cuts.finditer(window) if 0 < match.end() < len(window)]
    yield (
        [match.end() for match in _UNSPACED_CUT.finditer(window) if 0 < match.end() < len(window)]
        if _UNSPACED_CHARACTER.search(window)
        else []
    )


def _parts(text: str, piece: _Piece, count: int) -> Iterator[_Piece]:
    """About `count` parts of like size, cut at the best places near; inside a word only when it is one
    word.
    """
    size = piece.end - piece.start
    ranks = [places for places in _cuts(text[piece.start : piece.end]) if places]
    start = piece.start
    heading = piece.heading
    for number in range(1, count):
        ideal = size * number // count
        if ranks:
            cut = piece.start + _near(ranks, ideal, size // (4 * count))
        else:
            cut = _between_characters(text, start, piece.start + max(1, ideal))
        if cut > start:
            yield from _trimmed(text, start, cut, piece.kind, heading)
            start, heading = cut, None
    yield from _trimmed(text, start, piece.end, piece.kind, heading)


def _near(ranks: list[list[int]], ideal: int, tolerance: int) -> int:
    """The place of the first rank that has one within `tolerance` of `ideal`, else the nearest of all."""
    nearest: list[int] = []
    for places in ranks:
        right = bisect_left(places, ideal)
        best = min(places[max(0, right - 1) : right + 1], key=lambda place: abs(place - ideal))
        if abs(best - ideal) <= tolerance:
            return best
        nearest.append(best)
    return min(nearest, key=lambda place: abs(place - ideal))


def _between_characters(text: str, start: int, cut: int) -> int:
    """`cut`, or a place shortly before it that does not part a character from its marks."""
    for place in range(cut, max(start, cut - _MARKS_BACK_MAX), -1):
        char = text[place]
        if char not in _JOINERS and text[place - 1] != "\u200d" and unicodedata.category(char)[0] != "M":
            return place
    return cut


@dataclass(slots=True)
class _Group:
    """The pieces [first, last] of one passage, and the path of headings above it."""

    first: int
    last: int
    path: tuple[str, ...]


class _Packer:
    """Fills passages piece by piece."""

    def __init__(
        self, text: str, pieces: list[_Piece], target_tokens: int, max_tokens: int, overlap: int
    ) -> None:
        self._text = text
        self._pieces = pieces
        self._target = target_tokens
        self._max = max_tokens
        self._overlap = overlap
        # Below this a passage says too little to be found by.
        self._min = target_tokens // 4
        # Blanks between pieces cost nothing as tokens, but they count as characters.
        gaps = [0, *((b.start - a.end) // CHARACTERS_PER_TOKEN for a, b in pairwise(pieces))]
        self._costs = list(accumulate((p.cost + g for p, g in zip(pieces, gaps, strict=False)), initial=0))
        self._paragraph_costs = self._ahead()
        self._groups: list[_Group] = []

    def groups(self) -> list[_Group]:
        first = 0
        # (level, label) of the headings above the current piece.
        above: list[tuple[int, str]] = []
        path: tuple[str, ...] = ()
        section = 0
        # Whether the passage has more than headings; its path is the one of its first content.
        has_content = False
        for place, piece in enumerate(self._pieces):
            if piece.heading is not None:
                if place > first and self._closes_before_heading(first, place, piece.heading):
                    self._close(first, place - 1, path, section)
                    first = section = place
                    has_content = False
                above = [*(entry for entry in above if entry[0] < piece.heading.level)]
                above.append((piece.heading.level, piece.heading.label))
            elif place > first and self._is_full(first, place):
                self._close(first, place - 1, path, section)
                first = self._overlapped(first, place)
                has_content = False
            if not has_content:
                path = tuple(label for _, label in above)
                has_content = piece.kind is not BlockKind.HEADING
        if self._pieces:
            self._close(first, len(self._pieces) - 1, path, section)
        return self._groups

    def _ahead(self) -> list[int]:
        """For each piece, the cost from it to the end of its paragraph, when it begins one; otherwise 0."""
        ahead = [0] * len(self._pieces)
        total = 0
        for place in range(len(self._pieces) - 1, -1, -1):
            piece = self._pieces[place]
            total += piece.cost
            before = self._pieces[place - 1] if place else None
            if (
                before is None
                or before.kind is not piece.kind
                or _new_paragraph(self._text, before.end, piece.start)
            ):
                ahead[place] = total
                total = 0
        return ahead

    def _cost(self, first: int, last: int) -> int:
        """Of the pieces [first, last] as one passage."""
        gap = 0
        if first:
            gap = (self._pieces[first].start - self._pieces[first - 1].end) // CHARACTERS_PER_TOKEN
        return self._costs[last + 1] - self._costs[first] - gap

    def _closes_before_heading(self, first: int, place: int, heading: Block) -> bool:
        """A heading opens a passage, unless it stands right under another one or under very little text of
        it.
        """
        if self._cost(first, place) > self._max:
            return True
        if self._pieces[place - 1].kind is BlockKind.HEADING:
            return False
        opening = self._pieces[first].heading
        nested = opening is not None and heading.level > opening.level
        return not (nested and self._cost(first, place - 1) < self._min)

    def _is_full(self, first: int, place: int) -> bool:
        """Whether the passage [first, place - 1] ends before the piece at `place`."""
        if self._cost(first, place) > self._max:
            return True
        if self._pieces[place - 1].kind is BlockKind.HEADING:
            return False
        cost = self._cost(first, place - 1)
        if cost >= self._target:
            return True
        # A paragraph that would be cut begins the next passage, when this one is long enough without it.
        paragraph = self._paragraph_costs[place]
        return bool(paragraph) and cost >= self._target // 2 and cost + paragraph > self._max

    def _overlapped(self, first: int, place: int) -> int:
        """Where the passage after `place - 1` begins: at `place`, or some sentences of prose before it."""
        start = place
        while (
            place - start < self._overlap
            and start - 1 > first
            and self._pieces[start - 1].kind is None
            and self._cost(start - 1, place - 1) <= self._min
            and self._cost(start - 1, place) <= self._max
        ):
            start -= 1
        return start

    def _close(self, first: int, last: int, path: tuple[str, ...], section: int) -> None:
        """Ends a passage. A short rest of a section goes to the passage before it where there is room."""
        before = self._groups[-1] if self._groups else None
        if (
            before is not None
            and before.first >= section
            and self._cost(first, last) < self._min
            and self._cost(before.first, last) <= self._max
        ):
            before.last = last
            return
        self._groups.append(_Group(first, last, path))


def _verified(
    text: str, pieces: list[_Piece], groups: list[_Group], max_tokens: int, count_tokens: TokenCounter
) -> list[_Group]:
    """The groups, with those cut in two which are longer as a whole than the sum of their pieces promised.

    Only groups are counted again that pass the limit if each place where pieces meet is a token of its own.
    """
    done: list[_Group] = []
    unknown = groups
    while unknown:
        near = [group for group in unknown if _promised(pieces, group) > max_tokens]
        counts = _counted([text[pieces[g.first].start : pieces[g.last].end] for g in near], count_tokens)
        over = {group.first for group, count in zip(near, counts, strict=True) if count > max_tokens}
        again: list[_Group] = []
        for group in unknown:
            if group.first in over and group.first < group.last:
                middle = (group.first + group.last) // 2
                again += _Group(group.first, middle, group.path), _Group(middle + 1, group.last, group.path)
            else:
                done.append(group)
        unknown = again
    return sorted(done, key=lambda group: group.first)


def _promised(pieces: list[_Piece], group: _Group) -> int:
    return sum(pieces[place].cost + 1 for place in range(group.first, group.last + 1)) - 1


def _chunks(extraction: Extraction, pieces: list[_Piece], groups: list[_Group]) -> list[Chunk]:
    text = extraction.text
    edges = {pieces[group.first].start for group in groups} | {pieces[group.last].end for group in groups}
    in_bytes: dict[int, int] = {}
    at = size = 0
    for edge in sorted(edges):
        size += len(text[at:edge].encode("utf-8"))
        in_bytes[edge] = size
        at = edge
    page_starts = [span.byte_start for span in extraction.pages]
    chunks: list[Chunk] = []
    for ordinal, group in enumerate(groups):
        start = in_bytes[pieces[group.first].start]
        end = in_bytes[pieces[group.last].end]
        page = _page(extraction.pages, page_starts, start)
        chunks.append(Chunk(ordinal, start, end, page, group.path))
    return chunks


def _page(pages: Sequence[Span], starts: list[int], byte_start: int) -> int | None:
    """The number of the page that holds the byte; empty pages stand where the one before them ends."""
    place = bisect_right(starts, byte_start) - 1
    while place > 0 and pages[place].byte_start == pages[place].byte_end:
        place -= 1
    return place + 1 if place >= 0 else None
