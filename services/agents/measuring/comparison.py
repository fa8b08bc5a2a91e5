"""Whether one group of values is larger than another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from services.agents.measuring import ranks
from services.agents.measuring.ranks import Numbers

MIN_VALUES = 3
_EXACT_UP_TO = 25
_RESAMPLES = 2_000
_MAX_RESAMPLED = 2_000
LARGEST_EFFECTS = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"), (math.inf, "large"))


@dataclass(frozen=True)
class Comparison:
    """Two groups. shift: median of the second less that of the first, with its 95 % bootstrap interval.

    u: Mann's and Whitney's, of the second group. delta: Cliff's, -1 to 1; how much more often a value of the
    second is above one of the first than below. exact: the p-value counts all orders.
    inflation: by how much the variance grew because neighbouring values resemble each other.
    """

    first: str
    second: str
    sizes: tuple[int, int]
    medians: tuple[float, float]
    shift: float
    low: float
    high: float
    u: float
    delta: float
    p_value: float
    exact: bool
    inflation: float

    def effect(self) -> str:
        """The size of the effect in a word (Romano et al. 2006)."""
        return next(word for limit, word in LARGEST_EFFECTS if abs(self.delta) < limit)


def compare(names: tuple[str, str], first: Numbers, second: Numbers, seed: int = 0) -> Comparison | None:
    """Mann and Whitney (1947), two-sided: exact for small groups without ties, else by the normal
    approximation with the corrections for ties and continuity, its variance inflated by the persistence of
    the groups. The interval is the percentile bootstrap (Efron 1979). None for fewer than 3 values in a
    group.

    first, second: in the order in which they were measured.
    """
    n, m = len(first), len(second)
    if min(n, m) < MIN_VALUES:
        return None
    both = np.concatenate((first, second))
    rank_sum = float(ranks.ranked(both)[n:].sum())
    u = rank_sum - m * (m + 1) / 2
    _, counts = np.unique(both, return_counts=True)
    inflation = max(ranks.inflation(ranks.persistence(group)) for group in (first, second))
    exact = bool(counts.max() == 1 and n + m <= _EXACT_UP_TO and inflation == 1)
    if exact:
        p_value = _exact(round(u), n, m)
    else:
        sizes = counts.astype(np.float64)
        ties = float((sizes**3 - sizes).sum()) / ((n + m) * (n + m - 1))
        variance = n * m / 12 * (n + m + 1 - ties) * inflation
        distance = max(0.0, abs(u - n * m / 2) - 0.5)
        p_value = ranks.two_sided(distance / math.sqrt(variance)) if variance > 0 else 1.0
    low, high = _bootstrap(first, second, inflation, seed)
    medians = float(np.median(first)), float(np.median(second))
    return Comparison(
        *names,
        sizes=(n, m),
        medians=medians,
        shift=medians[1] - medians[0],
        low=low,
        high=high,
        u=u,
        delta=2 * u / (n * m) - 1,
        p_value=p_value,
        exact=exact,
        inflation=inflation,
    )


def _exact(u: int, n: int, m: int) -> float:
    """Share of the orders of n and m values whose U is at least as far from the middle."""
    # ways[k][s]: choices of k of the ranks seen so far with the sum s above the least.
    ways = [[0] * (n * m + 1) for _ in range(m + 1)]
    ways[0][0] = 1
    for rank in range(1, n + m + 1):
        for k in range(min(rank, m), 0, -1):
            # The k-th smallest chosen has rank - k of the others below it.
            below = rank - k
            if below > n:
                continue
            for s in range(n * m, below - 1, -1):
                ways[k][s] += ways[k - 1][s - below]
    counts = ways[m]
    edge = min(u, n * m - u)
    tail = sum(counts[: edge + 1])
    return min(1.0, 2 * tail / math.comb(n + m, m))


def _bootstrap(first: Numbers, second: Numbers, inflation: float, seed: int) -> tuple[float, float]:
    """The interval of the difference of medians. Of long groups, and of persistent ones, fewer are drawn
    and the interval is scaled to their size: an m out of n bootstrap (Bickel, Götze, van Zwet 1997).
    """
    source = np.random.default_rng(seed)
    middle = float(np.median(second) - np.median(first))
    drawn, scale = [], math.sqrt(inflation)
    for group in (first, second):
        size = min(len(group), _MAX_RESAMPLED)
        picked = source.integers(0, len(group), (_RESAMPLES, size))
        medians = np.median(group[picked], axis=1) - np.median(group)
        drawn.append(medians * math.sqrt(size / len(group)) * scale)
    low, high = np.quantile(middle + drawn[1] - drawn[0], [0.025, 0.975])
    return float(low), float(high)
