"""How sure a mean is, and whether two settings differ by more than chance.

Both draw with a fixed seed, so that equal values give equal answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SEED = 20260101
_RESAMPLES = 2_000
_FLIPS = 9_999
# Up to so many differences every way to flip them is counted.
_EXACT = 15
# Values that are drawn at a time.
_BATCH = 1 << 20
# Sums that differ by less are the same sum, added in another order.
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """The mean of at least one value, with the percentile interval of 2,000 bootstrap samples (Efron 1979).

    One value alone tells nothing of others: its interval is itself.
    """
    given = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(_SEED)
    means = np.concatenate(
        [
            given[generator.integers(0, len(given), (count, len(given)))].mean(axis=1)
            for count in _batches(_RESAMPLES, len(given))
        ]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(given.mean()), float(low), float(high))


def p_value(differences: Sequence[float]) -> float:
    """Two-sided p of the paired randomisation test (Fisher 1935; Smucker, Allan and Carterette 2007).

    If the settings were alike, each difference could as well have the other sign: this is the share of ways
    to choose signs that give a sum at least as far from 0. All ways are counted where there are up to 15
    differences that are not 0, else 9,999 ways are drawn and what was measured counts as one more.
    """
    given = np.asarray([value for value in differences if value], dtype=np.float64)
    if not len(given):
        return 1.0
    measured = abs(float(given.sum())) - _EPSILON
    if len(given) <= _EXACT:
        ways = np.arange(2 ** len(given))[:, None]
        signs = 1 - 2 * ((ways >> np.arange(len(given))) & 1)
        return float(np.mean(np.abs(signs @ given) >= measured))
    generator = np.random.default_rng(_SEED)
    beyond = 0
    for count in _batches(_FLIPS, len(given)):
        signs = 1 - 2 * generator.integers(0, 2, (count, len(given)), dtype=np.int8)
        beyond += int(np.sum(np.abs(signs @ given) >= measured))
    return (1 + beyond) / (1 + _FLIPS)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed (nearest rank)."""
    return float(np.quantile(np.asarray(values, dtype=np.float64), share, method="inverted_cdf"))


def _batches(rows: int, width: int) -> Iterator[int]:
    """Numbers of rows that make `rows` together, each small enough in memory."""
    most = max(1, _BATCH // width)
    while rows > 0:
        yield min(rows, most)
        rows -= most
