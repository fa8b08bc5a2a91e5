"""Single values that do not belong to the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from services.agents.measuring import ranks
from services.agents.measuring.ranks import Numbers

MIN_VALUES = 12
LEVEL = 0.01
_IDENTITY = "as they are"
_ROOT = "as square roots"
_LOG = "as logarithms"
# Below, the sides share one spread.
_SIDES_FROM = 60
# Positive measurements are products of causes more often than sums, and far from 0 the scales agree.
_FAVOUR = {_IDENTITY: 0.0, _ROOT: 0.05, _LOG: 0.1}
# Quantiles that a normal distribution is laid through on either side; the farther, the more values it takes.
_KNOTS = ((0.9, 12), (0.95, 40), (0.98, 200))


@dataclass(frozen=True)
class Anomaly:
    """A value too far from what is expected there. z: in robust standard deviations of its side.

    p_value: that any of all values is so far out, when they are as the assumption says.
    """

    index: int
    value: float
    expected: float
    z: float
    p_value: float


@dataclass(frozen=True)
class Anomalies:
    """The anomalies of a series, farthest out first, and the scale on which it is symmetric."""

    found: tuple[Anomaly, ...]
    scale: str


def anomalies(values: Numbers, expected: Numbers) -> Anomalies:
    """Values beyond the robust z-score that noise of this length reaches in 1 of 100 series.

    The median and the MAD after Iglewicz and Hoaglin (1993), with a spread of its own for each side and as
    wide as the outer quantiles ask for, on the scale (plain, root, logarithm) on which the values are most
    symmetric: latencies are skewed, and a long tail by itself is no anomaly.

    expected: what each value would be without noise; same length.
    """
    count = len(values)
    if count < MIN_VALUES or values.min() == values.max():
        return Anomalies((), _IDENTITY)
    scale, change = _symmetric(values, expected)
    rest = change(values) - change(expected)
    rest = rest - np.median(rest)
    above, below = _side(rest), _side(-rest)
    if count < _SIDES_FROM:
        above = below = max(ranks.spread(rest), min(above, below))
    if above <= 0 or below <= 0:
        return Anomalies((), scale)
    z = np.where(rest > 0, rest / above, rest / below)
    found = [
        Anomaly(int(i), float(values[i]), float(expected[i]), float(z[i]), p_value)
        for i in np.argsort(-np.abs(z), kind="stable")
        if (p_value := min(1.0, count * ranks.two_sided(_as_normal(float(z[i]), count)))) <= LEVEL
    ]
    return Anomalies(tuple(found), scale)


def _symmetric(values: Numbers, expected: Numbers) -> tuple[str, Callable[[Numbers], Numbers]]:
    scales: dict[str, Callable[[Numbers], Numbers]] = {_IDENTITY: lambda x: x}
    if values.min() > 0 and expected.min() > 0:
        scales |= {_ROOT: np.sqrt, _LOG: np.log}
    skews = {
        name: _skew(change(values) - change(expected)) - _FAVOUR[name] for name, change in scales.items()
    }
    chosen = min(skews, key=skews.__getitem__)
    return chosen, scales[chosen]


def _as_normal(z: float, count: int) -> float:
    """The normal number as rare as a z-score whose spread was itself measured (Wallace 1959).

    A MAD knows as much as 0.37 times as many values would tell a standard deviation, and one of each side as
    half of them.
    """
    known = max(3.0, 0.37 * (count / 2 if count >= _SIDES_FROM else count))
    size = math.sqrt(known * math.log1p(z * z / known)) * (8 * known + 1) / (8 * known + 3)
    return math.copysign(size, z)


def _skew(values: Numbers) -> float:
    """How far from symmetric the outer eighths are: 0 to 1 (Bowley's coefficient on octiles)."""
    low, middle, high = np.quantile(values, [0.125, 0.5, 0.875])
    return abs(float(high + low - 2 * middle)) / float(high - low) if high > low else 0.0


def _side(rest: Numbers) -> float:
    """The standard deviation of the upper half, by its median and by quantiles farther out; the widest."""
    upper = rest[rest >= 0]
    estimates = [float(np.median(upper)) * ranks.MAD_TO_SIGMA]
    estimates += [
        float(np.quantile(rest, knot)) / ranks.quantile(knot) for knot, least in _KNOTS if len(rest) >= least
    ]
    return max(estimates)
