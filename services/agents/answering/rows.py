"""Rows of tables in a passage: where they stand, and what they say under the names of their columns.

Extractions write a row as one line: its cells with bars between them, or each cell behind the name of its
column, ``name: value; name: value``. A row of bars alone does not say what its values are; the first row of
its table does, and what both say together is its reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LINE = re.compile(r"[^\n]+")
_BAR = re.compile(r"(?<!\\)\|")
_BARRED = re.compile(r"[ \t]*\||[^\n]*[^\s|][ \t]\|(?:[ \t]|$)")
_CELL_NAME = r"[^\W\d][^;:!?\n|]{0,63}"
# Two cells of which the names are told; a third may have none.
_NAMED = re.compile(rf"[ \t]*({_CELL_NAME}): [^;\n]+(?:; [^;:\n]+)*?; ({_CELL_NAME}): ")
_NAMES = re.compile(rf"(?:^|; )({_CELL_NAME}): ")
_NAME = re.compile(rf"{_CELL_NAME}$")
_RULE = re.compile(r":?-+:?$")
_DIGIT = re.compile(r"\d")
# A column is one of figures when so many of its values have any.
_FIGURES = 0.8
# A table of two columns may as well be a list of names and values, whose first row is one like the others.
_HEADED_COLUMNS = 3


@dataclass(frozen=True)
class Row:
    """A row as a range of characters, without the blanks around it.

    reading: its cells with the names of their columns; the row as it is where those are not known. heads: it
    names the columns of others and says nothing else.
    """

    start: int
    end: int
    reading: str
    heads: bool = False


@dataclass(frozen=True)
class _Line:
    start: int
    end: int
    text: str
    cells: tuple[str, ...]

    @property
    def is_rule(self) -> bool:
        return all(_RULE.match(cell) for cell in self.cells)

    @property
    def is_named(self) -> bool:
        return bool(_NAMED.match(self.text))


def is_row(text: str) -> bool:
    """Whether a text is a single row of a table."""
    return "\n" not in text and bool(_NAMED.match(text) or _BARRED.match(text))


def rows(text: str, *, begins: bool = True) -> list[Row]:
    """The rows of the tables of a text, in order. A single line is none: it takes two to make a table.

    begins: whether the text is the beginning of its document; otherwise its first line may be a row from
    the middle of a table.
    """
    found: list[Row] = []
    for number, table in enumerate(_tables(text)):
        whole = begins or number > 0 or bool(text[: table[0].start].strip())
        found += _read(table, whole=whole)
    return found


def _tables(text: str) -> Iterator[list[_Line]]:
    """Neighbouring lines that are rows, two at least."""
    table: list[_Line] = []
    for match in _LINE.finditer(text):
        raw = match.group()
        line = raw.strip()
        start = match.start() + len(raw) - len(raw.lstrip())
        if table and text.count("\n", table[-1].end, start) > 1:
            yield from _of_two(table)
            table = []
        if line and is_row(line):
            table.append(_Line(start, start + len(line), line, ()))
        else:
            yield from _of_two(table)
            table = []
    yield from _of_two(table)


def _of_two(table: list[_Line]) -> Iterator[list[_Line]]:
    if len(table) > 1:
        # A bar at both ends of every row is a frame; at one end it stands beside an empty cell.
        framed = all(line.text.startswith("|") and line.text.endswith("|") for line in table)
        yield [_Line(line.start, line.end, line.text, _cells(line.text, framed)) for line in table]


def _cells(text: str, framed: bool) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in _BAR.split(text[1:-1] if framed else text))


def _read(table: Sequence[_Line], *, whole: bool) -> Iterator[Row]:
    head, body = table[0], [line for line in table[1:] if not line.is_rule]
    ruled, told = table[1].is_rule, _is_told(head, body)
    figured = _is_name_row(head, body) and _has_figures(head, body)
    heads = bool(body) and (ruled or told or (figured and len(head.cells) >= _HEADED_COLUMNS))
    named = heads or figured or (whole and _is_name_row(head, body))
    yield Row(head.start, head.end, head.text, heads)
    for line in body:
        known = named and not line.is_named
        yield Row(line.start, line.end, _reading(head.cells, line.cells) if known else line.text)


def _is_told(head: _Line, body: Sequence[_Line]) -> bool:
    """Whether the rows below say themselves what the first one names."""
    return not head.is_named and any(
        line.is_named and set(_NAMES.findall(line.text)) <= set(head.cells) for line in body
    )


def _is_name_row(head: _Line, body: Sequence[_Line]) -> bool:
    """Whether the cells of the first row are distinct names, and none is a value of its column."""
    named = [cell for cell in head.cells if cell]
    if head.is_named or len(named) < max(2, len(head.cells) - 1) or len(set(named)) < len(named):
        return False
    return all(_NAME.match(cell) for cell in named) and not any(
        cell and cell in _column(body, place) for place, cell in enumerate(head.cells)
    )


def _has_figures(head: _Line, body: Sequence[_Line]) -> bool:
    """Whether a column has figures below a name that has none."""
    for place, cell in enumerate(head.cells):
        values = _column(body, place)
        figures = sum(1 for value in values if _DIGIT.search(value))
        if values and not _DIGIT.search(cell) and figures >= _FIGURES * len(values):
            return True
    return False


def _column(body: Sequence[_Line], place: int) -> list[str]:
    return [line.cells[place] for line in body if place < len(line.cells) and line.cells[place]]


def _reading(names: Sequence[str], cells: Sequence[str]) -> str:
    padded = [*names, *[""] * (len(cells) - len(names))]
    told = (f"{name}: {cell}" if name else cell for name, cell in zip(padded, cells, strict=False) if cell)
    return "; ".join(told)
