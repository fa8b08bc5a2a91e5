"""Single values that do not belong to the others."""

from __future__ import annotations

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
    if above <= 0 or below <= 0:
        return Anomalies((), scale)
    z = np.where(rest > 0, rest / above, rest / below)
    found = [
        Anomaly(int(i), float(values[i]), float(expected[i]), float(z[i]), p_value)
        for i in np.argsort(-np.abs(z), kind="stable")
        if (p_value := min(1.0, count * ranks.two_sided(float(z[i])))) <= LEVEL
    ]
    return Anomalies(tuple(found), scale)


def _symmetric(values: Numbers, expected: Numbers) -> tuple[str, Callable[[Numbers], Numbers]]:
    scales: dict[str, Callable[[Numbers], Numbers]] = {_IDENTITY: lambda x: x}
    if values.min() > 0 and expected.min() > 0:
        scales |= {_ROOT: np.sqrt, _LOG: np.log}
    skews = {name: _skew(change(values) - change(expected)) for name, change in scales.items()}
    # Without a clear gain values stay as they are.
    best = min(skews, key=skews.__getitem__)
    chosen = best if skews[best] < skews[_IDENTITY] - 0.1 else _IDENTITY
    return chosen, scales[chosen]


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
