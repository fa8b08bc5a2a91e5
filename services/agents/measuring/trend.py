"""Whether values rise or fall over time, and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.agents.measuring.ranks import Numbers, quantile, ranked, two_sided

MIN_VALUES = 8
# Slopes of all pairs up to here, of as many pairs drawn at random above.
_ALL_PAIRS = 1_500
_DRAWN_PAIRS = 500_000
_BLOCK = 256


@dataclass(frozen=True)
class Trend:
    """A monotone trend. slope: units of the values per unit of the positions, with its 95 % interval.

    p_value: of Mann and Kendall's test, two-sided, its variance corrected for serial correlation.
    tau: Kendall's, -1 to 1. inflation: by how much that variance grew.
    """

    slope: float
    low: float
    high: float
    intercept: float
    tau: float
    p_value: float
    inflation: float


def trend(positions: Numbers, values: Numbers, seed: int = 0) -> Trend | None:
    """Theil's and Sen's slope (Sen 1968), Mann's and Kendall's test (Mann 1945) with the correction of Hamed
    and Rao (1998). None for fewer than 8 values or a single position.

    positions: ascending.
    """
    count = len(values)
    if count < MIN_VALUES or positions[0] == positions[-1]:
        return None
    s = concordance(values)
    ties = _tie_term(values)
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    if variance <= 0:
        return Trend(0.0, 0.0, 0.0, float(values[0]), 0.0, 1.0, 1.0)
    slopes = _slopes(positions, values, seed)
    slope = float(np.median(slopes))
    inflation = _hamed_rao(values - slope * positions)
    z = 0.0 if s == 0 else (s - math.copysign(1, s)) / math.sqrt(variance * inflation)
    # Sen's interval: the slopes whose rank is as far from the middle as S may be by chance.
    half = quantile(0.975) * math.sqrt(variance * inflation) / (count * (count - 1) / 2) / 2
    low, high = np.quantile(slopes, [max(0.0, 0.5 - half), min(1.0, 0.5 + half)])
    return Trend(
        slope=slope,
        low=float(low),
        high=float(high),
        intercept=float(np.median(values - slope * positions)),
        tau=2 * s / (count * (count - 1)),
        p_value=two_sided(z),
        inflation=inflation,
    )


def concordance(values: Numbers) -> int:
    """Pairs that rise less pairs that fall: Kendall's S. Takes n log² n steps."""
    count = len(values)
    if count <= _BLOCK:
        return int(np.triu(np.sign(values[None, :] - values[:, None]), 1).sum())
    left, right = values[: count // 2], values[count // 2 :]
    ordered = np.sort(left)
    below = np.searchsorted(ordered, right, side="left").sum()
    above = len(right) * len(left) - np.searchsorted(ordered, right, side="right").sum()
    return concordance(left) + concordance(right) + int(below) - int(above)


def _tie_term(values: Numbers) -> float:
    _, counts = np.unique(values, return_counts=True)
    sizes = counts.astype(np.float64)
    return float((sizes * (sizes - 1) * (2 * sizes + 5)).sum())


def _slopes(positions: Numbers, values: Numbers, seed: int) -> Numbers:
    """Slopes of pairs, those that stand at one position left out."""
    count = len(values)
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    if count <= _ALL_PAIRS:
        first, second = np.triu_indices(count, 1)
    else:
        drawn = np.random.default_rng(seed).integers(0, count, (2, _DRAWN_PAIRS))
        first, second = drawn.min(axis=0), drawn.max(axis=0)
    runs = positions[second] - positions[first]
    apart = runs > 0
    return np.asarray((values[second] - values[first])[apart] / runs[apart], dtype=np.float64)


def _hamed_rao(residuals: Numbers) -> float:
    """By how much serial correlation of the ranks inflates the variance of S; at least 1.

    Only the first lags count, up to the first whose correlation is within the noise.
    """
    count = len(residuals)
    ranks = ranked(residuals)
    ranks -= ranks.mean()
    power = np.fft.rfft(ranks, 2 * count)
    correlations = np.fft.irfft(power * np.conj(power))[:count]
    if correlations[0] <= 0:
        return 1.0
    correlations = correlations / correlations[0]
    noise = quantile(0.975) / math.sqrt(count)
    added = 0.0
    for lag in range(1, count // 3):
        if abs(correlations[lag]) <= noise:
            break
        added += (count - lag) * (count - lag - 1) * (count - lag - 2) * float(correlations[lag])
    return max(1.0, 1 + 2 * added / (count * (count - 1) * (count - 2)))
