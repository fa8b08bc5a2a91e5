"""Ranks, normal scores and tails of the normal distribution: what the tests of this package rest on."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# A MAD of normal data times this is its standard deviation.
MAD_TO_SIGMA = 1.4826
_NORMAL = NormalDist()


def two_sided(z: float) -> float:
    """Probability that a standard normal number is at least that far from 0, either way."""
    return math.erfc(abs(z) / math.sqrt(2))


def quantile(p: float) -> float:
    """The standard normal number below which a share p lies; 0 < p < 1."""
    return _NORMAL.inv_cdf(p)


def density(z: float) -> float:
    """The standard normal density."""
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def ranked(values: Numbers) -> Numbers:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def normal_scores(values: Numbers) -> Numbers:
    """Van der Waerden's scores: the normal quantile of each rank.

    Whatever the values' distribution is, scores of values in random order are those of normal noise, with the
    variance 1 but for ties; an outlier is worth no more than its rank.
    """
    ranks = ranked(values)
    table = {rank: quantile((rank - 0.5) / len(values)) for rank in np.unique(ranks)}
    return np.array([table[rank] for rank in ranks], dtype=np.float64)


def spread(values: Numbers) -> float:
    """A robust standard deviation: the MAD, else (more than half equal) the mean absolute deviation,
    scaled.
    """
    deviations = np.abs(values - np.median(values))
    mad = float(np.median(deviations)) * MAD_TO_SIGMA
    return mad if mad > 0 else float(np.mean(deviations)) * math.sqrt(math.pi / 2)


def persistence(values: Numbers) -> float:
    """How much of a value carries over to the next: the coefficient of an AR(1), from 0 to 0.95.

    From differences over one and over two steps, which a few shifts of the level do not disturb (Chakar,
    Lebarbier, Lévy-Leduc, Robin 2017). What is within the noise of independent values counts as 0.
    """
    if len(values) < 10:
        return 0.0
    scores = normal_scores(values)
    one, two = float(np.var(np.diff(scores))), float(np.var(scores[2:] - scores[:-2]))
    if one <= 0:
        return 0.0
    phi = two / one - 1
    return min(0.95, phi) if phi > 2 / math.sqrt(len(values)) else 0.0


def inflation(phi: float) -> float:
    """How much persistence makes the variance of a mean larger than that of independent values."""
    return (1 + phi) / (1 - phi)


def holm(p_values: list[float]) -> list[float]:
    """The p-values corrected for being many, in their order (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected
