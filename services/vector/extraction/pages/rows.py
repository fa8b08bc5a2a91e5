"""Rows of a table on a page of a PDF, which knows no tables: cells that stand side by side are one line.

Some programs end a line behind each cell, and so does the text that is read. Where such a line goes on to
the right on the same baseline it did not end; two neighbouring lines of which that is so are a table. Its
rows with the most cells show where its columns stand, and cells of the others go to theirs. What stands
closely below a cell other than the first goes on it, where the rows of the table stand further apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, pairwise
from typing import Any, Final

from services.vector.extraction.writer import CELL_SEPARATOR

# Points by which the baseline of one line may vary.
_LEVEL: Final = 0.5
_ROWS_MIN: Final = 2
# Between the lines of a cell, in sizes of its font, and how much further apart rows are.
_LEADING: Final = 1.35
_APART: Final = 1.2
# Points; no page reaches as far (ISO 32000-2, annex C).
_FAR: Final = 1_000_000.0
_COLUMNS_MAX: Final = 100
_CELL_MAX: Final = 200
# Points within which cells are set under one another; where they end is only guessed.
_ALIGNED: Final = 2.0
# Width of a letter in sizes of its font, as common fonts have it; fonts need not tell theirs.
_WIDTH: Final = 0.5
_WIDTHS: Final = {
    **dict.fromkeys("0123456789", 0.55),
    **dict.fromkeys(" .,:;'!|()[]/iljtfI", 0.3),
    **dict.fromkeys("mwMW", 0.85),
}


@dataclass(slots=True)
class _Piece:
    """Text that was set in one go, the blanks behind it, whether a line begins with it, where it begins, the
    size of its letters, and what goes on it in the lines below.
    """

    text: str
    behind: str
    begins: bool
    x: float
    y: float
    upright: bool
    size: float
    below: "list[_Piece]" = field(default_factory=list)

    @property
    def all(self) -> "list[_Piece]":
        return [self, *self.below]

    @property
    def last(self) -> "_Piece":
        return self.below[-1] if self.below else self

    @property
    def right(self) -> float:
        """About where it ends, were it a cell of one line."""
        return self.x + self.size * sum(_WIDTHS.get(char, _WIDTH) for char in self.text[:_CELL_MAX])

    def goes_on(self, following: "_Piece") -> bool:
        """Whether the piece that follows stands on the same line, though a line end is between them."""
        return (
            self.upright
            and following.upright
            and "\n" in self.last.behind
            and "\n" not in self.text
            and abs(self.y - following.y) <= _LEVEL
            and self.x < following.x
        )

    def goes_on_below(self, following: "_Piece") -> bool:
        """Whether the piece that follows may be the next line of the cell: words, not numbers."""
        return (
            self.upright
            and following.upright
            and "\n" in self.last.behind
            and max(abs(self.x - following.x), abs(self.size - following.size)) <= _LEVEL
            and 0 < self.last.y - following.y <= _LEADING * self.size
            and self.last.text[-1] not in "-\u2010\u00ad"
            and all(any(char.isalpha() for char in piece.text) for piece in (self, following))
        )


def text_with_rows(read: Callable[..., str]) -> str:
    """The text of a page, its cells that stand side by side with bars between them.

    read: gives the text, and each piece of it, in order, to `visitor_text`, as pypdf does.
    """
    pieces: list[_Piece] = []
    told: list[str] = []
    lead: list[str] = []

    def visit(text: str, user: Sequence[float], matrix: Sequence[float], _font: Any, size: float) -> None:
        told.append(text)
        core = text.strip()
        blanks = text[: len(text) - len(text.lstrip())] if core else text
        if pieces:
            pieces[-1].behind += blanks
        else:
            lead.append(blanks)
        if core:
            x = matrix[4] * user[0] + matrix[5] * user[2] + user[4]
            y = matrix[4] * user[1] + matrix[5] * user[3] + user[5]
            size = abs(size * matrix[0] * user[0])
            upright = not (user[1] or user[2] or matrix[1] or matrix[2])
            upright = upright and abs(x) < _FAR and size < _FAR
            begins = not pieces or "\n" in pieces[-1].behind
            pieces.append(_Piece(core, text[len(text.rstrip()) :], begins, x, y, upright, size))

    whole = read(visitor_text=visit)
    lines = list(_lines(pieces))
    if all(len(line) == 1 for line in lines) or "".join(told) != whole:
        return whole
    return "".join(chain(lead, _written(lines)))


def _written(lines: Iterable[list[_Piece]]) -> Iterator[str]:
    for is_row, run in groupby(lines, lambda line: len(line) > 1):
        several = list(run)
        pieces = [piece for line in several for cell in line for piece in cell.all]
        if not is_row or len(several) < _ROWS_MIN:
            for piece in pieces:
                yield piece.text
                yield piece.behind
        elif _are_apart(several):
            for line, cells in zip(several, _cells(several), strict=True):
                yield CELL_SEPARATOR.join(cells).lstrip()
                yield line[-1].last.behind
        else:
            for piece in pieces:
                piece.below = []
            yield from _written(_lines(pieces, below=False))


def _are_apart(rows: Sequence[Sequence[_Piece]]) -> bool:
    """Whether the rows stand further apart than the lines of their cells."""
    steps = [upper.y - lower.y for row in rows for cell in row for upper, lower in pairwise(cell.all)]
    if not steps:
        return True
    gaps = [min(cell.last.y for cell in row) - following[0].y for row, following in pairwise(rows)]
    return min(gaps) > _APART * max(steps)


class _Column:
    """Where the cells of a column stand: its edges, and each of theirs and their middles on a grid."""

    def __init__(self, cells: Sequence[_Piece]) -> None:
        self.left = min(piece.x for piece in cells)
        self.right = max(piece.right for piece in cells)
        self._sides = {side for piece in cells for side in self._grid(piece)}

    @staticmethod
    def _grid(piece: _Piece) -> Iterator[tuple[int, int]]:
        for side, at in enumerate((piece.x, (piece.x + piece.right) / 2, piece.right)):
            yield side, round(at / _ALIGNED)

    def takes(self, piece: _Piece) -> bool:
        """Whether the piece is within the column, or begins, ends or has its middle where a cell has."""
        return (self.left <= piece.x and piece.right <= self.right) or any(
            (side, at + by) in self._sides for side, at in self._grid(piece) for by in (-1, 0, 1)
        )

    def apart(self, piece: _Piece) -> float:
        left, right = abs(self.left - piece.x), abs(self.right - piece.right)
        return min(left, right, abs(self.left + self.right - piece.x - piece.right) / 2)


def _cells(rows: Sequence[Sequence[_Piece]]) -> Iterator[list[str]]:
    """The texts of each row, with empty ones where it has none before its last.

    Above the first row that has all there may be one of names; what is further up may be another table.
    """
    count = max(map(len, rows))
    full = [place for place, row in enumerate(rows) if len(row) == count]
    columns = _columns([rows[place] for place in full]) if len(full) < len(rows) else []
    for place, row in enumerate(rows):
        is_placed = columns and len(row) < count and (full[0] <= 1 or place > full[0]) and _is_whole(row)
        yield (_placed(row, columns) if is_placed else None) or [_text(piece) for piece in row]


def _text(cell: _Piece) -> str:
    return " ".join(piece.text for piece in cell.all)


def _is_whole(row: Sequence[_Piece]) -> bool:
    """Whether it neither goes on what is before it nor is gone on, as where the font changes in a cell."""
    return row[0].begins and "\n" in row[-1].last.behind


def _columns(rows: Sequence[Sequence[_Piece]]) -> list[_Column]:
    """Those of rows with as many cells each; none where they do not agree."""
    cells = list(zip(*rows, strict=True))
    if len(cells) > _COLUMNS_MAX or any(
        max(piece.x for piece in column) >= min(piece.x for piece in following)
        for column, following in pairwise(cells)
    ):
        return []
    return [_Column(column) for column in cells]


def _placed(row: Sequence[_Piece], columns: Sequence[_Column]) -> list[str] | None:
    """None where a cell stands in no column, as the head of several does, or two in one."""
    cells: list[str] = []
    for piece in row:
        taking = [place for place, column in enumerate(columns) if column.takes(piece)]
        place = min(taking, key=lambda place: columns[place].apart(piece), default=-1)
        if place < len(cells):
            return None
        cells += [""] * (place - len(cells))
        cells.append(_text(piece))
    return cells


def _lines(pieces: Sequence[_Piece], *, below: bool = True) -> Iterator[list[_Piece]]:
    """Pieces side by side, and with `below` what may go on a cell of theirs, the first apart."""
    line: list[_Piece] = []
    for piece in pieces:
        if line and line[-1].goes_on(piece):
            line.append(piece)
        elif below and len(line) > 1 and line[-1].goes_on_below(piece):
            line[-1].below.append(piece)
        else:
            if line:
                yield line
            line = [piece]
    if line:
        yield line
