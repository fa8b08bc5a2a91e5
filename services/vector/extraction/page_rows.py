"""Rows of a table on a page of a PDF, which knows no tables: cells that stand side by side are one line.

Some programs end a line behind each cell, and so does the text that is read. Where such a line goes on to
the right on the same baseline it did not end; two neighbouring lines of which that is so are a table. Its
rows with the most cells show where its columns stand, and cells of the others go to theirs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Any, Final

from services.vector.extraction.writer import CELL_SEPARATOR

# Points by which the baseline of one line may vary.
_LEVEL: Final = 0.5
_ROWS_MIN: Final = 2
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
    """Text that was set in one go, the blanks behind it, whether a line begins with it, where it begins, and
    the size of its letters.
    """

    text: str
    behind: str
    begins: bool
    x: float
    y: float
    upright: bool
    size: float

    @property
    def right(self) -> float:
        """About where it ends, were it a cell of one line."""
        return self.x + self.size * sum(_WIDTHS.get(char, _WIDTH) for char in self.text[:_CELL_MAX])

    def goes_on(self, following: "_Piece") -> bool:
        """Whether the piece that follows stands on the same line, though a line end is between them."""
        return (
            self.upright
            and following.upright
            and "\n" in self.behind
            and "\n" not in self.text
            and abs(self.y - following.y) <= _LEVEL
            and self.x < following.x
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
    parts = list(lead)
    for is_row, run in groupby(lines, lambda line: len(line) > 1):
        several = list(run)
        if is_row and len(several) >= _ROWS_MIN:
            for line, cells in zip(several, _cells(several), strict=True):
                parts += (CELL_SEPARATOR.join(cells).lstrip(), line[-1].behind)
        else:
            for piece in chain.from_iterable(several):
                parts += (piece.text, piece.behind)
    return "".join(parts)


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
        yield (_placed(row, columns) if is_placed else None) or [piece.text for piece in row]


def _is_whole(row: Sequence[_Piece]) -> bool:
    """Whether it neither goes on what is before it nor is gone on, as where the font changes in a cell."""
    return row[0].begins and "\n" in row[-1].behind


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
        cells.append(piece.text)
    return cells


def _lines(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    line: list[_Piece] = []
    for piece in pieces:
        if line and not line[-1].goes_on(piece):
            yield line
            line = []
        line.append(piece)
    if line:
        yield line
