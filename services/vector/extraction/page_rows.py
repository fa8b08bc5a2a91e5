"""Rows of a table on a page of a PDF, which knows no tables: cells that stand side by side are one line.

Some programs end a line behind each cell, and so does the text that is read. Where such a line goes on to
the right on the same baseline it did not end; two neighbouring lines of which that is so are a table.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from services.vector.extraction.writer import CELL_SEPARATOR

# Points by which the baseline of one line may vary.
_LEVEL: Final = 0.5
_ROWS_MIN: Final = 2


@dataclass(slots=True)
class _Piece:
    """Text that was set in one go, the blanks behind it, and where it begins."""

    text: str
    behind: str
    x: float
    y: float
    upright: bool

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

    def visit(text: str, user: Sequence[float], matrix: Sequence[float], _font: Any, _size: float) -> None:
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
            upright = not (user[1] or user[2] or matrix[1] or matrix[2])
            pieces.append(_Piece(core, text[len(text.rstrip()) :], x, y, upright))

    whole = read(visitor_text=visit)
    lines = list(_lines(pieces))
    if all(len(line) == 1 for line in lines) or "".join(told) != whole:
        return whole
    parts = list(lead)
    for is_row, run in groupby(lines, lambda line: len(line) > 1):
        several = list(run)
        for line in several:
            separator = CELL_SEPARATOR if is_row and len(several) >= _ROWS_MIN else None
            for piece in line[:-1]:
                parts += (piece.text, piece.behind if separator is None else separator)
            parts += (line[-1].text, line[-1].behind)
    return "".join(parts)


def _lines(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    line: list[_Piece] = []
    for piece in pieces:
        if line and not line[-1].goes_on(piece):
            yield line
            line = []
        line.append(piece)
    if line:
        yield line
