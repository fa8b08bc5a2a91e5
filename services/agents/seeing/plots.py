"""Charts of tables that somebody gives: what is drawn, and how, is chosen by what the columns hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from meldrag.agents.v1 import results_pb2
from services.agents.measuring import charts
from services.agents.measuring.charts import MAX_SERIES, Chart
from services.agents.measuring.ranks import Numbers
from services.agents.measuring.series import csv_columns, json_columns, numeric, seconds_of
from services.chassis.errors import InvalidArgumentError

MAX_ROWS = 2_000
MAX_COLUMNS = 64
MAX_BARS = 60
KINDS = ("bars", "lines", "points", "histogram")
_MAX_TITLE = 200
# So many values have a spread that is worth more than each of them.
_HISTOGRAM_FROM = 30
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})
_PATH = "$.chart"


@dataclass(frozen=True)
class _Across:
    """The column along the horizontal axis. positions: ascending where it holds numbers or moments; else
    labels count. name: empty where rows are numbered.
    """

    name: str
    labels: tuple[str, ...]
    positions: Numbers | None
    dated: bool = False


def plot(inputs: results_pb2.ChartInputs) -> Chart:
    """The chart of a table. Raises InvalidArgumentError (INPUTS_INVALID) that names what does not fit."""
    columns = _columns(inputs)
    if inputs.kind and inputs.kind not in KINDS:
        _refuse("kind", f"{inputs.kind[:40]!r} is none of {', '.join(KINDS)}")
    if len(inputs.title) > _MAX_TITLE:
        _refuse("title", f"at most {_MAX_TITLE} characters")
    for name in (*([inputs.x] if inputs.x else []), *inputs.y):
        if name not in columns:
            _refuse("x" if name == inputs.x else "y", f"there is no column {name[:60]!r}")
    across = _across(columns, inputs)
    values = _values(columns, inputs, across)
    kind = inputs.kind or _kind(across, values)
    title = inputs.title or _title(kind, across, values)
    return _drawn(kind, title, across, values)


def _columns(inputs: results_pb2.ChartInputs) -> dict[str, list[object]]:
    if bool(inputs.csv) == bool(inputs.json):
        _refuse("csv", "the data are given as csv or as json, one of the two")
    try:
        read = csv_columns(inputs.csv) if inputs.csv else json_columns(inputs.json)
    except InvalidArgumentError as error:
        _refuse("csv" if inputs.csv else "json", error.metadata.get("cause", error.message))
    columns: dict[str, list[object]] = {name: list(cells) for name, cells in read.items()}
    count = len(next(iter(columns.values()), ()))
    if not count or count > MAX_ROWS or len(columns) > MAX_COLUMNS:
        _refuse(
            "csv" if inputs.csv else "json",
            f"{count} rows and {len(columns)} columns; at most {MAX_ROWS:,} rows and {MAX_COLUMNS} columns",
        )
    return columns


def _told(cell: object) -> bool:
    return str("" if cell is None else cell).strip().lower() not in _MISSING


def _numbers(cells: Sequence[object]) -> Numbers | None:
    """The column as numbers, NaN where nothing is said; None when something else is said, or nothing."""
    read = [numeric(cell) for cell in cells]
    if any(value is None and _told(cell) for value, cell in zip(read, cells, strict=True)):
        return None
    made = np.array([math.nan if value is None else value for value in read], dtype=np.float64)
    return made if np.isfinite(made).any() else None


def _moments(cells: Sequence[object]) -> Numbers | None:
    read = [seconds_of(cell) for cell in cells]
    return None if None in read else np.array(read, dtype=np.float64)


def _across(columns: dict[str, list[object]], inputs: results_pb2.ChartInputs) -> _Across:
    """The asked column; else the first of words, else the first of numbers where others are left."""
    numbers = {name: made for name, cells in columns.items() if (made := _numbers(cells)) is not None}
    name = inputs.x
    if not name and inputs.kind != "histogram":
        words = [name for name in columns if name not in numbers and name not in inputs.y]
        plain = [name for name in numbers if name not in inputs.y]
        left = list(inputs.y) or list(numbers)[1:]
        name = words[0] if words else plain[0] if plain and left else ""
    if not name:
        count = len(next(iter(columns.values())))
        return _Across("", tuple(map(str, range(1, count + 1))), np.arange(1.0, count + 1))
    cells = columns[name]
    labels = tuple(str("" if cell is None else cell).strip() for cell in cells)
    moments = _moments(cells)
    if moments is not None:
        return _Across(name, labels, moments, dated=True)
    positions = numbers.get(name)
    if positions is not None and not np.isfinite(positions).all():
        _refuse("x", f"column {name[:60]!r} lacks values")
    return _Across(name, labels, positions)


def _values(
    columns: dict[str, list[object]], inputs: results_pb2.ChartInputs, across: _Across
) -> dict[str, Numbers]:
    found: dict[str, Numbers] = {}
    for name in list(inputs.y) or [name for name in columns if name != across.name]:
        made = _numbers(columns[name])
        if made is not None:
            found[name] = made
        elif inputs.y:
            _refuse("y", f"column {name[:60]!r} holds something else than numbers")
    if not found:
        _refuse("y", "no column holds numbers")
    if len(found) > MAX_SERIES:
        _refuse("y", f"{len(found)} columns of numbers; name at most {MAX_SERIES} of them")
    return found


def _kind(across: _Across, values: dict[str, Numbers]) -> str:
    if across.positions is None:
        return "bars"
    if not across.name:
        many = len(values) == 1 and len(across.labels) >= _HISTOGRAM_FROM
        return "histogram" if many else "bars" if len(across.labels) <= MAX_BARS else "lines"
    ascending = bool((np.diff(across.positions) > 0).all())
    return "lines" if across.dated or ascending else "points"


def _title(kind: str, across: _Across, values: dict[str, Numbers]) -> str:
    names = ", ".join(values)
    return f"{names} by {across.name}" if across.name and kind != "histogram" else names


def _drawn(kind: str, title: str, across: _Across, values: dict[str, Numbers]) -> Chart:
    if kind == "bars":
        if len(across.labels) > MAX_BARS:
            _refuse("kind", f"{len(across.labels)} bars; {MAX_BARS} can be told apart")
        return charts.bars(title, across.labels, values)
    if kind == "histogram":
        if len(values) > 1:
            _refuse("y", "a histogram is of one column; name it")
        name, series = next(iter(values.items()))
        return charts.histogram(title or name, "", series[np.isfinite(series)])
    if across.positions is None:
        _refuse("x", f"column {across.name[:60]!r} holds words; lines and points need numbers or times")
    order = np.argsort(across.positions, kind="stable")
    positions = across.positions[order]
    ordered = {name: series[order] for name, series in values.items()}
    if kind == "lines":
        return charts.curves(title, across.name or "row", positions, ordered, dated=across.dated)
    return charts.points(title, across.name or "row", positions, ordered)


def _refuse(field: str, cause: str) -> NoReturn:
    path = f"{_PATH}.{field}"
    raise InvalidArgumentError(
        f"the inputs do not fit the agent image: {path}: {cause}",
        reason="INPUTS_INVALID",
        metadata={"agent_id": "image", "path": path, "cause": cause[:200]},
    )
