"""Where the level of values changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from services.agents.measuring import ranks
from services.agents.measuring.ranks import Numbers

MIN_VALUES = 12
MIN_SEGMENT = 5
# Above this many values, medians of blocks are searched: a change is then known to the block.
_MAX_SEARCHED = 2_000
_MAX_CHANGES = 50
_SEARCH_LEVEL = 0.01
_LEAST_SPREAD = 0.2


@dataclass(frozen=True)
class Change:
    """A change of the level. index: the first value of the new level; `resolution` values wide.

    before, after: medians of the two neighbouring stretches. p_value: that stretches of equal level have a
    split as good as this one anywhere.
    """

    index: int
    before: float
    after: float
    p_value: float
    resolution: int = 1


def changes(values: Numbers) -> list[Change]:
    """Changes of the level, in order; none for fewer than 12 values.

    PELT (Killick, Fearnhead, Eckley 2012) proposes on the normal scores of the values, so that neither their
    distribution nor an outlier matters. The penalty is the size of the best split that noise of this length
    reaches in 1 of 100 cases (Miller, Siegmund 1982), times the inflation of the variance by persistence.
    Each proposal is then tested on its own stretch.
    """
    block = max(1, math.ceil(len(values) / _MAX_SEARCHED))
    searched = _medians(values, block)
    if len(searched) < MIN_VALUES or searched.min() == searched.max():
        return []
    found = _proposals(searched)
    # A proposal that its own stretch does not bear out is withdrawn, the weakest first.
    while found:
        tested = _tested(searched, found)
        weakest = max(range(len(found)), key=lambda i: tested[i])
        if tested[weakest] <= _SEARCH_LEVEL and len(found) <= _MAX_CHANGES:
            break
        del found[weakest]
    bounds = [0, *(index * block for index in found), len(values)]
    levels = [float(np.median(values[a:b])) for a, b in pairwise(bounds)]
    return [
        Change(index * block, levels[i], levels[i + 1], p_value, block)
        for i, (index, p_value) in enumerate(zip(found, _tested(searched, found), strict=True))
    ]


def levels(values: Numbers, found: Sequence[Change]) -> Numbers:
    """The median of its stretch for each value."""
    bounds = [0, *(change.index for change in found), len(values)]
    fitted = np.empty(len(values))
    for a, b in pairwise(bounds):
        fitted[a:b] = np.median(values[a:b])
    return fitted


def split_tail(size: float, count: int) -> float:
    """Probability that noise of `count` values has a split of at least this size (in standard deviations)
    with 5 values on either side: Miller and Siegmund 1982, for a continuous path, hence not too small.
    """
    if size < 1.5:
        return 1.0
    edge = min(0.5, MIN_SEGMENT / count)
    tail = 4 / size + (size - 1 / size) * 2 * math.log((1 - edge) / edge)
    return min(1.0, ranks.density(size) * tail)


def _proposals(values: Numbers) -> list[int]:
    scores = ranks.normal_scores(values)
    penalty = _critical(len(values)) ** 2 * ranks.inflation(ranks.persistence(values))
    # Shifts make the scores wider than the noise in them is; differences show the noise.
    noise = ranks.spread(np.diff(scores)) / math.sqrt(2)
    scale = min(1.0, max(_LEAST_SPREAD, noise))
    return pelt(scores / scale, penalty)


def _tested(values: Numbers, found: Sequence[int]) -> list[float]:
    bounds = [0, *found, len(values)]
    return [
        _split_p_value(values[a:c], b - a) for a, b, c in zip(bounds, bounds[1:], bounds[2:], strict=False)
    ]


def _split_p_value(stretch: Numbers, at: int) -> float:
    """For the split of a stretch at an index, as if it had been the best one."""
    scores = ranks.normal_scores(stretch)
    variance = float(np.var(scores))
    if variance == 0:
        return 1.0
    gap = float(scores[:at].mean() - scores[at:].mean())
    phi = max(ranks.persistence(stretch[:at]), ranks.persistence(stretch[at:]))
    size = abs(gap) * math.sqrt(at * (len(stretch) - at) / len(stretch) / variance / ranks.inflation(phi))
    return split_tail(size, len(stretch))


def pelt(values: Numbers, penalty: float) -> list[int]:
    """The indices that begin a new mean, by least squares plus a penalty for each; exact.

    Killick, Fearnhead, Eckley 2012, with stretches of at least 5 values. Takes n steps of at most n.
    """
    count = len(values)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    squares = np.concatenate(([0.0], np.cumsum(values**2)))
    best = np.full(count + 1, np.inf)
    best[0] = -penalty
    last = np.zeros(count + 1, dtype=np.int64)
    candidates = np.array([0])
    # A start that is beaten at an end may still win until a stretch fits behind that end.
    leaves = np.array([count + 1])
    for end in range(MIN_SEGMENT, count + 1):
        staying = leaves > end
        candidates, leaves = candidates[staying], leaves[staying]
        lengths = end - candidates
        costs = squares[end] - squares[candidates] - (sums[end] - sums[candidates]) ** 2 / lengths
        totals = best[candidates] + costs
        chosen = int(np.argmin(totals))
        best[end], last[end] = totals[chosen] + penalty, candidates[chosen]
        leaves = np.where(totals > best[end], np.minimum(leaves, end + MIN_SEGMENT), leaves)
        # One more start becomes long enough for the next end.
        start = end - MIN_SEGMENT + 1
        if start >= MIN_SEGMENT:
            candidates, leaves = np.append(candidates, start), np.append(leaves, count + 1)
    found = []
    end = count
    while last[end] > 0:
        end = int(last[end])
        found.append(end)
    return found[::-1]


def _critical(count: int) -> float:
    """The size of a split that noise of this length reaches in 1 of 100 cases, by bisection."""
    low, high = 1.5, 10.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if split_tail(middle, count) > _SEARCH_LEVEL else (low, middle)
    return high


def _medians(values: Numbers, block: int) -> Numbers:
    if block == 1:
        return values
    whole = len(values) // block * block
    return np.asarray(np.median(values[:whole].reshape(-1, block), axis=1), dtype=np.float64)
