"""Scores in tables: CSV, and tables with pipes in a text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from services.agents.deciding.matrix import Better, Stated, invalid
from services.chassis.errors import InvalidArgumentError

_MAX_CHARACTERS = 100_000
_DELIMITERS = (",", ";", "\t", "|")
_MISSING = frozenset({"", "-", "–", "—", "?", "n/a", "na", "unknown"})
_WEIGHT, _UNIT, _DIRECTION = "weight", "unit", "direction"
_AT_LEAST, _AT_MOST = "at least", "at most"
_ABOUT = {
    **{name: _WEIGHT for name in ("weight", "weights")},
    **{name: _UNIT for name in ("unit", "units")},
    **{name: _DIRECTION for name in ("direction", "directions", "better")},
    **{name: _AT_LEAST for name in ("at least", "at_least", "minimum", ">=", "≥")},
    **{name: _AT_MOST for name in ("at most", "at_most", "maximum", "<=", "≤")},
}
_HIGHER = frozenset({"higher", "more", "max", "maximise", "maximize", "high", "up"})
_LOWER = frozenset({"lower", "less", "min", "minimise", "minimize", "low", "down"})
_PIPES = re.compile(r"^[ \t]*\|.*\|[ \t]*$")
_RULE = re.compile(r"^[ \t]*\|[ \t:|-]+\|[ \t]*$")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def read_csv(text: str, stated: Stated) -> None:
    """Adds what a table in CSV says. Raises InvalidArgumentError (INPUTS_INVALID) that names the cell."""
    if len(text) > _MAX_CHARACTERS:
        raise invalid("$.csv", f"more than {_MAX_CHARACTERS} characters")
    lines = text.strip().splitlines()
    if not lines:
        return
    delimiter = max(_DELIMITERS, key=lines[0].count)
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise invalid("$.csv", str(error)) from error
    _read([row for row in rows if any(cell.strip() for cell in row)], stated, "$.csv", delimiter)


def read_pipes(text: str, stated: Stated) -> bool:
    """Adds what the first table with pipes in a text says, if it is one of scores; whether it is. Raises as
    `read_csv`.
    """
    rows: list[list[str]] = []
    ruled = False
    for line in text.splitlines():
        if _RULE.match(line) and len(rows) == 1:
            ruled = True
        elif _PIPES.match(line):
            rows.append(line.strip()[1:-1].split("|"))
        elif ruled:
            break
        else:
            rows = []
    if not ruled or len(rows) < 2 or not all(_of_scores(row) for row in rows[1:]):
        return False
    _read(rows, stated, "$.message", "|")
    return True


def _of_scores(row: Sequence[str]) -> bool:
    """Whether a line is about the criteria, or has nothing but numbers and gaps behind its option."""
    first, *cells = [cell.strip() for cell in row]
    if not first or first.casefold() in _ABOUT:
        return bool(first)
    return all(cell.casefold() in _MISSING or _is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        _number(cell, "$.message", "|")
    except InvalidArgumentError:
        return False
    return True


def _read(rows: Sequence[Sequence[str]], stated: Stated, path: str, delimiter: str) -> None:
    header = [cell.strip() for cell in rows[0]]
    names = header[1:]
    if not names or not all(names):
        raise invalid(path, "the header line names the options' column and each criterion")
    if len({name.casefold() for name in names}) < len(names):
        raise invalid(path, "two columns have the same name")
    for name in names:
        stated.criterion(name, path)
    for number, row in enumerate(rows[1:], 2):
        cells = [cell.strip() for cell in row]
        if len(cells) > len(header):
            raise invalid(path, f"line {number} has {len(cells)} cells, the header line {len(header)}")
        about = _ABOUT.get(cells[0].casefold())
        if about is None:
            stated.option(cells[0], f"{path}, line {number}")
        for name, cell in zip(names, cells[1:], strict=False):
            place = f"{path}, line {number}, {name}"
            if about is not None:
                _tell(about, name, cell, stated, place, delimiter)
            elif cell.casefold() not in _MISSING:
                stated.score(cells[0], name, _number(cell, place, delimiter), place)


def _tell(about: str, name: str, cell: str, stated: Stated, place: str, delimiter: str) -> None:
    if cell.casefold() in _MISSING:
        return
    match about:
        case "unit":
            stated.criterion(name, place, unit=cell[:50])
        case "direction":
            stated.criterion(name, place, better=direction(cell, place))
        case _:
            field = about.replace(" ", "_")
            stated.criterion(name, place, **{field: _number(cell, place, delimiter)})


def direction(word: str, path: str) -> Better:
    """Which scores are better, by one word. Raises InvalidArgumentError."""
    first = (word.casefold().split() or [""])[0]
    if first in _HIGHER:
        return Better.HIGHER
    if first in _LOWER:
        return Better.LOWER
    raise invalid(path, f"{word[:50]!r} is neither higher nor lower")


def _number(cell: str, place: str, delimiter: str) -> float:
    if delimiter != "," and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except ValueError:
        raise invalid(place, f"{cell[:50]!r} is no number") from None
