"""Measurements as they are given: CSV or JSON, as series of numbers."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from services.chassis.errors import InvalidArgumentError

Numbers = NDArray[np.float64]

MAX_ROWS = 200_000
MAX_COLUMNS = 64
MAX_GROUPS = 6
_MAX_CELL = 1_000
_MAX_NAME = 120
_SHOWN = 60
_DELIMITERS = (",", ";", "\t", "|")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "-"}
_TIME_NAMES = {"time", "timestamp", "date", "datetime", "when", "at", "day", "hour"}
_GROUP_NAMES = {"group", "version", "variant", "arm", "label", "build", "branch", "release"}
# A name that ends in a unit: latency_ms, size (KB), duration [s].
_UNIT = re.compile(
    r"[\s_(\[/]+(ns|us|µs|ms|s|sec|min|h|b|kb|mb|gb|kib|mib|gib|bytes|%|percent|rps|qps)[)\]]?$", re.I
)
# Epochs in milliseconds are told from epochs in seconds by their size: after the year 5138, else.
_MILLISECONDS_FROM = 1e11


@dataclass(frozen=True)
class Series:
    """Finite numbers in the order of their times, else in the order given.

    times: seconds, one per value; None where the table has none. Then the position counts.
    groups: the group of each value; None where the table has none.
    rows: the row of each value, from 1, the header not counted.
    """

    name: str
    unit: str
    values: Numbers
    times: Numbers | None
    groups: tuple[str, ...] | None
    rows: tuple[int, ...]
    missing: int = 0

    def positions(self) -> Numbers:
        """Where the values stand on the horizontal axis."""
        return np.arange(len(self.values), dtype=np.float64) if self.times is None else self.times


@dataclass(frozen=True)
class Table:
    """The series of one table. `dated` says whether times are moments and not plain numbers."""

    series: tuple[Series, ...]
    time_column: str
    group_column: str
    dated: bool


def read_csv(text: str, time_column: str = "", group_column: str = "") -> Table:
    """A table with a header line; comma, semicolon, tab or bar between the cells, point or comma in numbers.

    Raises InvalidArgumentError (INPUTS_INVALID) that names the row and the column.
    """
    return _table("$.csv", csv_columns(text), time_column, group_column)


def csv_columns(text: str) -> dict[str, list[str]]:
    """The cells of each column by its name, all as many. Raises as read_csv does."""
    text = text.lstrip("\ufeff")
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [row for row in islice(reader, MAX_ROWS + 2) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise _invalid("$.csv", f"line {reader.line_num}: {error}") from error
    if not rows:
        raise _invalid("$.csv", "the table is empty")
    header = [cell.strip() for cell in rows[0]]
    if all(numeric(cell) is not None for cell in header):
        raise _invalid("$.csv", "the first line must name the columns, and holds numbers")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise _invalid("$.csv", f"row {number} has {len(row)} cells, the header has {len(header)}")
    columns = {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(header)}
    if len(columns) != len(header) or "" in columns:
        raise _invalid("$.csv", "every column needs a name of its own")
    return columns


def read_json(text: str, time_column: str = "", group_column: str = "") -> Table:
    """Numbers, rows ([{"ms": 3}, ...]) or columns ({"ms": [3, ...]}).

    Raises InvalidArgumentError (INPUTS_INVALID) that names what does not fit.
    """
    return _table("$.json", json_columns(text), time_column, group_column)


def json_columns(text: str) -> dict[str, list[object]]:
    """The cells of each column by its name, all as many. Raises as read_json does."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid("$.json", f"no JSON: {error}") from error
    columns: dict[str, list[object]]
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        names = dict.fromkeys(name for row in value for name in row)
        if len(names) > MAX_COLUMNS:
            raise _invalid("$.json", f"{len(names)} columns; {MAX_COLUMNS} are allowed")
        columns = {name: [row.get(name) for row in value] for name in names}
    elif isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        columns = value
    elif isinstance(value, list):
        columns = {"value": value}
    else:
        raise _invalid("$.json", "neither a list of numbers, a list of rows nor an object of columns")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise _invalid("$.json", f"the columns have different lengths: {sorted(lengths)[:5]}")
    return columns


def _table(
    where: str, columns: dict[str, list[object]] | dict[str, list[str]], time_column: str, group_column: str
) -> Table:
    cells: dict[str, Sequence[object]] = dict(columns)
    count = len(next(iter(cells.values()), ()))
    if not count:
        raise _invalid(where, "there are no rows")
    for name in cells:
        if len(name) > _MAX_NAME:
            raise _invalid(where, f"the name of a column has {len(name)} characters; {_MAX_NAME} are allowed")
    if count > MAX_ROWS or len(cells) > MAX_COLUMNS:
        raise _invalid(where, f"at most {MAX_ROWS} rows and {MAX_COLUMNS} columns")
    for asked in filter(None, (time_column, group_column)):
        if asked not in cells:
            raise _invalid(where, f"there is no column {asked[:_SHOWN]!r}")
    times, dated, time_name = _times(where, cells, time_column)
    group_name = group_column or _group_name(cells, time_name)
    groups = [_text(cell) for cell in cells[group_name]] if group_name else None
    if groups is not None and max(map(len, groups)) > _MAX_NAME:
        raise _invalid(where, f"the name of a group has more than {_MAX_NAME} characters")
    if groups is not None and group_column and len(set(groups)) > MAX_GROUPS:
        raise _invalid(
            where, f"column {group_column!r} has {len(set(groups))} groups; {MAX_GROUPS} are allowed"
        )
    order = np.arange(count) if times is None else np.argsort(times, kind="stable")
    made = tuple(
        _series(where, name, column, order=order, times=times, groups=groups)
        for name, column in cells.items()
        if name not in (time_name, group_name) and not _is_label(column)
    )
    if not made:
        raise _invalid(where, "no column holds numbers")
    return Table(made, time_name, group_name, dated)


def _times(where: str, cells: dict[str, Sequence[object]], asked: str) -> tuple[Numbers | None, bool, str]:
    """Seconds, whether they are moments, and the column; all rows have one or the column is none."""
    for name in [asked] if asked else [name for name in cells if name.strip().lower() in _TIME_NAMES]:
        column = cells[name]
        plain = [numeric(cell) for cell in column]
        if all(number is not None for number in plain):
            return (*_epochs(np.array(plain, dtype=np.float64)), name)
        moments = [seconds_of(cell) for cell in column]
        if all(moment is not None for moment in moments):
            return np.array(moments, dtype=np.float64), True, name
        if asked:
            row = next(i for i, (p, m) in enumerate(zip(plain, moments, strict=True), 1) if p is m is None)
            raise _invalid(where, f"row {row} of column {name!r} is neither a number nor a time in ISO 8601")
    return None, False, ""


def _epochs(numbers: Numbers) -> tuple[Numbers, bool]:
    """Plain numbers as they are; seconds or milliseconds since 1970 as seconds."""
    low, high = float(numbers.min()), float(numbers.max())
    if low >= _MILLISECONDS_FROM:
        return numbers / 1000, high < _MILLISECONDS_FROM * 1000
    return numbers, low > 1e8 and high < _MILLISECONDS_FROM


def _group_name(cells: dict[str, Sequence[object]], time_name: str) -> str:
    """The column that tells groups by its name, else the only one of few words."""
    labels = [
        name
        for name, column in cells.items()
        if name != time_name and 2 <= len({_text(cell) for cell in column}) <= MAX_GROUPS
    ]
    named = [name for name in labels if name.strip().lower() in _GROUP_NAMES]
    words = [name for name in labels if _is_label(cells[name])]
    return named[0] if named else words[0] if len(words) == 1 else ""


def _series(
    where: str,
    name: str,
    column: Sequence[object],
    *,
    order: NDArray[np.int64],
    times: Numbers | None,
    groups: list[str] | None,
) -> Series:
    numbers: list[float | None] = []
    for row, cell in enumerate(column, start=1):
        number = numeric(cell)
        if number is None and _text(cell).lower() not in _MISSING:
            raise _invalid(
                where, f"row {row} of column {name[:_SHOWN]!r} is no number: {_text(cell)[:_SHOWN]!r}"
            )
        numbers.append(number)
    kept = [int(i) for i in order if numbers[i] is not None]
    values = np.array([numbers[i] for i in kept], dtype=np.float64)
    if not len(values):
        raise _invalid(where, f"column {name[:_SHOWN]!r} holds no number")
    unit = _UNIT.search(name)
    return Series(
        name=name,
        unit=unit[1] if unit else "",
        values=values,
        times=None if times is None else times[kept],
        groups=None if groups is None else tuple(groups[i] for i in kept),
        rows=tuple(i + 1 for i in kept),
        missing=len(column) - len(kept),
    )


def _is_label(column: Sequence[object]) -> bool:
    """Whether none of the cells that say something is a number."""
    told = [cell for cell in column if _text(cell).lower() not in _MISSING]
    return bool(told) and all(numeric(cell) is None for cell in told)


def numeric(cell: object) -> float | None:
    """The finite number of a cell; None for anything else, truth values among them."""
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, int | float):
        return float(cell) if abs(cell) < 1e300 else None
    text = _text(cell)
    if "_" in text:
        return None
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e300 else None


def seconds_of(cell: object) -> float | None:
    """The moment of a cell in ISO 8601, in seconds since 1970; None for anything else."""
    if not isinstance(cell, str):
        return None
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)[:_MAX_CELL].strip()


def pairs(groups: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each two groups once, in the order in which they come."""
    names = list(dict.fromkeys(groups))
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            yield first, second


def _invalid(where: str, cause: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the measurements cannot be read: {cause[:300]}",
        reason="INPUTS_INVALID",
        metadata={"agent_id": "performance", "path": where, "cause": cause[:200]},
    )
