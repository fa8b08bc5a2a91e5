"""What a table of measurements tells, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from services.agents.measuring import charts, ranks
from services.agents.measuring.anomalies import anomalies
from services.agents.measuring.changes import Change, changes, levels
from services.agents.measuring.charts import Chart, number
from services.agents.measuring.comparison import Comparison, compare
from services.agents.measuring.percentiles import Percentile, percentiles
from services.agents.measuring.ranks import Numbers
from services.agents.measuring.season import Season, season
from services.agents.measuring.series import Series, Table, pairs
from services.agents.measuring.trend import Trend, trend
from services.agents.ports import JsonObject

LEVEL = 0.05
MAX_PARTS = 64
MAX_CHARTS = 8
MAX_CLAIMS = 300
_MAX_SHOWN_ANOMALIES = 20
_SPANS = ((86_400 * 3, 86_400, "day"), (3_600 * 3, 3_600, "hour"), (60 * 3, 60, "minute"), (0, 1, "second"))


@dataclass(frozen=True)
class Claim:
    """A statement about a series, with what it rests on.

    kind: "trend", "change", "anomaly", "season" or "comparison". p_value: of the test; corrected: for all the
    questions asked of the table (Holm). significant: corrected ≤ 0.05; otherwise the statement says that
    nothing was found. effect: its size, in `unit`, with its interval where there is one.
    row: the row it begins at, from 1; 0 where it concerns them all.
    """

    kind: str
    series: str
    statement: str
    p_value: float
    assumption: str
    unit: str = ""
    effect: float = 0.0
    low: float | None = None
    high: float | None = None
    row: int = 0
    corrected: float = 1.0
    significant: bool = False
    # Said in place of the statement when it is not significant.
    otherwise: str = ""


@dataclass(frozen=True)
class Summary:
    """The plain numbers of a part of a series."""

    series: str
    unit: str
    count: int
    missing: int
    least: float
    largest: float
    mean: float
    percentiles: tuple[Percentile, ...]


@dataclass(frozen=True)
class Study:
    """All that a table tells. left_out: parts and claims beyond the bounds, in words."""

    summaries: tuple[Summary, ...]
    claims: tuple[Claim, ...]
    charts: tuple[Chart, ...]
    left_out: tuple[str, ...]

    def significant(self) -> list[Claim]:
        """The claims that hold."""
        return [claim for claim in self.claims if claim.significant]

    def to_json(self) -> JsonObject:
        """As plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Study:
        """What `to_json` wrote down."""
        return cls(
            summaries=tuple(
                Summary(**{**s, "percentiles": tuple(Percentile(**p) for p in s["percentiles"])})
                for s in value["summaries"]
            ),
            claims=tuple(Claim(**claim) for claim in value["claims"]),
            charts=tuple(Chart(**chart) for chart in value["charts"]),
            left_out=tuple(value["left_out"]),
        )


@dataclass(frozen=True)
class _Part:
    """A series, or one group of it."""

    name: str
    series: Series
    dated: bool

    def place(self, index: int) -> str:
        if self.series.times is None:
            return f"row {self.series.rows[index]}"
        at = float(self.series.times[index])
        return charts.moment(at) if self.dated else f"{number(at)} (row {self.series.rows[index]})"

    def amount(self, value: float) -> str:
        return f"{number(value)} {self.series.unit}".strip()


def study(table: Table, seed: int = 0) -> Study:
    """Percentiles, trend, changes, season and anomalies of each series and group, and the comparisons of
    groups.

    All p-values of the table are corrected together, so that the chance of even one false claim is at most
    5 % where the assumptions hold.
    """
    parts = list(_parts(table))
    left_out = (
        [f"{len(parts) - MAX_PARTS} series and groups were not looked at"] if len(parts) > MAX_PARTS else []
    )
    summaries, claims, drawn = [], [], []
    for part in parts[:MAX_PARTS]:
        summaries.append(_summary(part))
        found, chart, hidden = _looked_at(part, seed)
        claims += found
        if hidden:
            left_out.append(f"{hidden} more anomalies of {part.name}")
        drawn += [chart, charts.histogram(part.name, part.series.unit, part.series.values)]
    for series in table.series:
        claims += _comparisons(series, seed)
    corrected = ranks.holm([claim.p_value for claim in claims])
    judged = [
        replace(
            claim,
            corrected=value,
            significant=value <= LEVEL,
            statement=claim.statement if value <= LEVEL else claim.otherwise,
        )
        for claim, value in zip(claims, corrected, strict=True)
    ]
    # An anomaly that is none is not worth a line.
    told = [claim for claim in judged if claim.statement]
    told.sort(key=lambda claim: (not claim.significant, claim.corrected))
    if len(told) > MAX_CLAIMS:
        left_out.append(f"{len(told) - MAX_CLAIMS} statements, the least certain ones")
    # The course of every part comes before the histograms.
    drawn = drawn[::2] + drawn[1::2]
    return Study(tuple(summaries), tuple(told[:MAX_CLAIMS]), tuple(drawn[:MAX_CHARTS]), tuple(left_out))


def _parts(table: Table) -> Iterator[_Part]:
    for series in table.series:
        if series.groups is None:
            yield _Part(series.name, series, table.dated)
            continue
        for group in dict.fromkeys(series.groups):
            at = [i for i, other in enumerate(series.groups) if other == group]
            yield _Part(f"{series.name} of {group or 'no group'}", _subset(series, at), table.dated)


def _subset(series: Series, at: list[int]) -> Series:
    return replace(
        series,
        values=series.values[at],
        times=None if series.times is None else series.times[at],
        groups=None,
        rows=tuple(series.rows[i] for i in at),
    )


def _summary(part: _Part) -> Summary:
    values = part.series.values
    return Summary(
        series=part.name,
        unit=part.series.unit,
        count=len(values),
        missing=part.series.missing,
        least=float(values.min()),
        largest=float(values.max()),
        mean=float(values.mean()),
        percentiles=tuple(percentiles(values)),
    )


def _looked_at(part: _Part, seed: int) -> tuple[list[Claim], Chart, int]:
    """The claims about the course of one part, its chart, and how many anomalies are not among them."""
    values, positions = part.series.values, part.series.positions()
    repeats = season(values)
    plain = values - repeats.pattern(len(values)) if repeats else values
    line, steps = trend(positions, plain, seed), changes(plain)
    expected, shape = _expected(positions, plain, line, steps)
    claims = [_season_claim(part, repeats)] if repeats else []
    if line is not None and shape != "steps":
        claims.append(_trend_claim(part, positions, line))
    if shape == "steps":
        claims += [_change_claim(part, change) for change in steps]
    whole = expected + (repeats.pattern(len(values)) if repeats else 0.0)
    unusual = anomalies(values, whole)
    claims += [
        Claim(
            kind="anomaly",
            series=part.name,
            statement=f"{part.name} is {part.amount(a.value)} at {part.place(a.index)}, where "
            f"{part.amount(a.expected)} would be expected: {abs(a.z):.1f} robust standard deviations off",
            p_value=a.p_value,
            assumption="the other values are independent and, taken " + unusual.scale + ", near to normal",
            unit=part.series.unit,
            effect=a.value - a.expected,
            row=part.series.rows[a.index],
        )
        for a in unusual.found[:_MAX_SHOWN_ANOMALIES]
    ]
    chart = charts.time_series(
        part.name,
        part.series.unit,
        positions,
        values,
        dated=part.dated,
        level=whole if shape or repeats else None,
        changes=[change.index for change in steps] if shape == "steps" else [],
        anomalies=[a.index for a in unusual.found],
    )
    return claims, chart, max(0, len(unusual.found) - _MAX_SHOWN_ANOMALIES)


def _expected(
    positions: Numbers, values: Numbers, line: Trend | None, steps: list[Change]
) -> tuple[Numbers, str]:
    """What each value would be without noise, and whether that is "steps", a "line" or neither.

    A slope looks like steps and steps look like a slope; the one that explains more with less is meant
    (Schwarz 1978, Laplace errors).
    """
    flat = np.full(len(values), np.median(values))
    models = [(_criterion(values, flat, 1), "", flat)]
    if steps:
        stepped = levels(values, steps)
        models.append((_criterion(values, stepped, 2 * len(steps) + 1), "steps", stepped))
    if line is not None and line.p_value <= LEVEL:
        straight = line.intercept + line.slope * positions
        models.append((_criterion(values, straight, 2), "line", straight))
    _, shape, expected = min(models, key=lambda model: model[0])
    return expected, shape


def _criterion(values: Numbers, fitted: Numbers, parameters: int) -> float:
    rest = float(np.mean(np.abs(values - fitted)))
    return 2 * len(values) * math.log(max(rest, 1e-300)) + parameters * math.log(len(values))


def _trend_claim(part: _Part, positions: Numbers, line: Trend) -> Claim:
    scale, per = _rate(part, positions)
    slope, low, high = (number * scale for number in (line.slope, line.low, line.high))
    unit = f"{part.series.unit or '1'} per {per}"
    direction = "rises" if slope > 0 else "falls"
    assumption = "the order is that of time; the slope is the same throughout"
    if line.inflation > 1.05:
        assumption += (
            f"; neighbours resemble each other, hence a variance {line.inflation:.1f} times as large"
        )
    return Claim(
        kind="trend",
        series=part.name,
        statement=f"{part.name} {direction} by {number(abs(slope))} {unit} "
        f"(95 % interval {number(low)} to {number(high)})",
        otherwise=f"No trend was found in {part.name}",
        p_value=line.p_value,
        assumption=assumption,
        unit=unit,
        effect=slope,
        low=low,
        high=high,
    )


def _rate(part: _Part, positions: Numbers) -> tuple[float, str]:
    """By what a slope is multiplied to be one per a unit that people use, and that unit."""
    if part.series.times is None:
        return 1.0, "row"
    if not part.dated:
        return 1.0, "unit of time"
    length = float(positions[-1] - positions[0])
    return next((float(seconds), name) for least, seconds, name in _SPANS if length >= least)


def _change_claim(part: _Part, change: Change) -> Claim:
    shift = change.after - change.before
    share = f" ({shift / abs(change.before):+.0%})" if change.before else ""
    near = f", to within {change.resolution} rows" if change.resolution > 1 else ""
    return Claim(
        kind="change",
        series=part.name,
        statement=f"The level of {part.name} goes from {part.amount(change.before)} to "
        f"{part.amount(change.after)}{share} at {part.place(change.index)}{near}",
        otherwise=f"A change of the level of {part.name} at {part.place(change.index)} is not certain",
        p_value=change.p_value,
        assumption="the level is constant between changes, the noise alike on both sides",
        unit=part.series.unit,
        effect=shift,
        row=part.series.rows[change.index],
    )


def _season_claim(part: _Part, repeats: Season) -> Claim:
    swing = float(repeats.effect.max() - repeats.effect.min())
    return Claim(
        kind="season",
        series=part.name,
        statement=f"{part.name} repeats every {repeats.period} rows, with a swing of {part.amount(swing)}",
        p_value=repeats.p_value,
        assumption="the rows are evenly spaced",
        unit=part.series.unit,
        effect=swing,
    )


def _comparisons(series: Series, seed: int) -> Iterator[Claim]:
    if series.groups is None:
        return
    groups = np.array(series.groups)
    for first, second in pairs(series.groups):
        made = compare((first, second), series.values[groups == first], series.values[groups == second], seed)
        if made is not None:
            yield _comparison_claim(series, made)


def _comparison_claim(series: Series, made: Comparison) -> Claim:
    before, after = made.medians
    share = f", {made.shift / abs(before):+.1%}" if before else ""
    between = (
        f"{series.name} is {number(after)} in {made.second} and {number(before)} in {made.first} (medians"
        f"{share}); the difference is {number(made.low)} to {number(made.high)} {series.unit}".rstrip()
        + f" with 95 % confidence, a {made.effect()} effect (Cliff's delta {made.delta:+.2f})"
    )
    assumption = "the values are independent within and between the groups"
    if made.inflation > 1.05:
        assumption += (
            f"; neighbours resemble each other, hence a variance {made.inflation:.1f} times as large"
        )
    return Claim(
        kind="comparison",
        series=series.name,
        statement=between,
        otherwise=f"No difference of {series.name} between {made.first} and {made.second} is certain; the "
        + f"medians differ by {number(made.low)} to {number(made.high)} {series.unit}".rstrip(),
        p_value=made.p_value,
        assumption=assumption,
        unit=series.unit,
        effect=made.shift,
        low=made.low,
        high=made.high,
    )
