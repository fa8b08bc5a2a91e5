"""Scores in tables: CSV, and tables with pipes in a text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from services.agents.deciding.matrix import Better, Stated, invalid

_MAX_CHARACTERS = 100_000
_MAX_UNIT = 50
_DELIMITERS = (",", ";", "\t", "|")
_MISSING = frozenset({"", "-", "–", "—", "?", "n/a", "na", "unknown"})
_WEIGHT, _UNIT, _DIRECTION = "weight", "unit", "direction"
_AT_LEAST, _AT_MOST = "at least", "at most"
_ABOUT = {
    **dict.fromkeys(("weight", "weights"), _WEIGHT),
    **dict.fromkeys(("unit", "units"), _UNIT),
    **dict.fromkeys(("direction", "directions", "better"), _DIRECTION),
    **dict.fromkeys(("at least", "at_least", "minimum", ">=", "≥"), _AT_LEAST),
    **dict.fromkeys(("at most", "at_most", "maximum", "<=", "≤"), _AT_MOST),
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
    _Table(stated, "$.csv", decimal_comma=delimiter != ",").read(
        [_stripped(row) for row in rows if any(cell.strip() for cell in row)]
    )


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
            rows.append(_stripped(line.strip()[1:-1].split("|")))
        elif ruled:
            break
        else:
            rows = []
    if not ruled or len(rows) < 2 or not all(map(_of_scores, rows[1:])):
        return False
    _Table(stated, "$.message", decimal_comma=True).read(rows)
    return True


def _stripped(row: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in row]


def _of_scores(row: Sequence[str]) -> bool:
    """Whether a line is about the criteria, or has nothing but numbers and gaps behind its option."""
    if row[0].casefold() in _ABOUT:
        return True
    cells = [cell for cell in row[1:] if cell.casefold() not in _MISSING]
    return bool(row[0]) and all(_number(cell, decimal_comma=True) is not None for cell in cells)


class _Table:
    """Reads rows whose first one is the header. path: where they stand, for errors."""

    def __init__(self, stated: Stated, path: str, *, decimal_comma: bool) -> None:
        self._stated = stated
        self._path = path
        self._decimal_comma = decimal_comma

    def read(self, rows: Sequence[Sequence[str]]) -> None:
        """Adds what they say. Raises InvalidArgumentError."""
        header, *body = rows
        names = header[1:]
        if not names or not all(names):
            raise invalid(self._path, "the header line names the options' column and each criterion")
        if len({name.casefold() for name in names}) < len(names):
            raise invalid(self._path, "two columns have the same name")
        for name in names:
            self._stated.criterion(name, self._path)
        for number, (first, *cells) in enumerate(body, 2):
            line = f"{self._path}, line {number}"
            if len(cells) > len(names):
                raise invalid(line, f"{len(cells) + 1} cells, and {len(header)} in the header line")
            about = _ABOUT.get(first.casefold())
            if about is None:
                self._stated.option(first, line)
            for name, cell in zip(names, cells, strict=False):
                if cell.casefold() in _MISSING:
                    continue
                place = f"{line}, {name}"
                if about is None:
                    self._stated.score(first, name, self._read_number(cell, place), place)
                else:
                    self._stated.criterion(name, place, **self._told(about, cell, place))

    def _told(self, about: str, cell: str, place: str) -> dict[str, object]:
        match about:
            case "unit":
                return {"unit": cell[:_MAX_UNIT]}
            case "direction":
                return {"better": direction(cell, place)}
            case _:
                return {about.replace(" ", "_"): self._read_number(cell, place)}

    def _read_number(self, cell: str, place: str) -> float:
        number = _number(cell, decimal_comma=self._decimal_comma)
        if number is None:
            raise invalid(place, f"{cell[:50]!r} is no number")
        return number


def direction(word: str, path: str) -> Better:
    """Which scores are better, by one word. Raises InvalidArgumentError."""
    first = (word.casefold().split() or [""])[0]
    if first in _HIGHER:
        return Better.HIGHER
    if first in _LOWER:
        return Better.LOWER
    raise invalid(path, f"{word[:50]!r} is neither higher nor lower")


def _number(cell: str, *, decimal_comma: bool) -> float | None:
    if decimal_comma and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except ValueError:
        return None
