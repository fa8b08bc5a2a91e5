"""How the cost of a function grows with the size of its input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.agents.measuring.ranks import Numbers

MIN_SIZES = 5
# Largest size over smallest: below, neighbouring classes look the same. An exponential shows earlier.
_MIN_RANGE = 4.0
_RESAMPLES = 200
_ALTERNATIVE = 0.05
_MAX_ERROR = 0.25
_LEAST_CONFIDENCE = 0.5
_OVERHEAD = 8.0
_BASES = (1.25, 1.4, 1.618, 2.0, 3.0, 4.0)

CONSTANT = "O(1)"
EXPONENTIAL = "O(c^n)"
# From slow to fast growth.
CLASSES: Mapping[str, Callable[[Numbers], Numbers]] = {
    CONSTANT: np.zeros_like,
    "O(log n)": np.log2,
    "O(n)": lambda n: n,
    "O(n log n)": lambda n: n * np.log2(n),
    "O(n^2)": lambda n: n**2,
    "O(n^3)": lambda n: n**3,
}


@dataclass(frozen=True)
class Growth:
    """The class that fits best, cost ≈ fixed + factor · f(n).

    name: of the class; empty when the measurements do not tell one. reason: why not.
    confidence: share of 200 resamples (repetitions drawn again, a fifth of the sizes left out) that choose
    it, 0 to 1. It speaks of the noise of these measurements at these sizes and proves nothing about larger
    ones.
    alternatives: the other classes that at least 5 % of the resamples choose, with their shares.
    error: mean relative deviation of the fit. exponent: slope in log-log over the upper half of the sizes.
    base: of the exponential; 0 for the others.
    """

    name: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...]
    fixed: float
    factor: float
    error: float
    exponent: float
    base: float = 0.0
    reason: str = ""

    def predict(self, sizes: Numbers) -> Numbers:
        """The fitted cost at sizes."""
        shape = _exponential(self.base)(sizes) if self.base else CLASSES[self.name](sizes)
        return self.fixed + self.factor * shape


@dataclass(frozen=True)
class _Fit:
    name: str
    fixed: float
    factor: float
    error: float
    score: float
    base: float = 0.0


def growth(sizes: Sequence[int], repetitions: Sequence[Sequence[float]], seed: int = 0) -> Growth:
    """Least squares of relative errors on the medians of the repetitions; the class by Bayes' information
    criterion (Schwarz 1978), the slower growth where two are within 2 of each other.

    sizes: at least 1. repetitions: the costs at each size, at least one, none negative.
    """
    n = np.array(sizes, dtype=np.float64)
    medians = np.array([float(np.median(costs)) for costs in repetitions])
    if len(n) < MIN_SIZES:
        return _untold(f"{len(n)} sizes were measured; {MIN_SIZES} are needed")
    if min(min(costs) for costs in repetitions) <= 0:
        return _untold("a cost of 0 was measured")
    if n.max() / n.min() < _MIN_RANGE:
        return _untold(f"the sizes go from {n.min():g} to {n.max():g}; a factor of {_MIN_RANGE:g} is needed")
    told = _telling(medians)
    n, medians = n[told], medians[told]
    repetitions = [repetitions[i] for i in np.flatnonzero(told).tolist()]
    best = _choose(n, medians)
    exponent = _exponent(n, medians)
    if best.error > _MAX_ERROR:
        reason = f"no class fits: the closest, {best.name}, is off by {best.error:.0%} on average"
        return _untold(reason, exponent)
    shares = _resampled(n, repetitions, seed)
    if shares.get(best.name, 0.0) < _LEAST_CONFIDENCE:
        return _untold(f"the measurements waver between {' and '.join(sorted(shares))}", exponent)
    others = sorted(((share, name) for name, share in shares.items() if name != best.name), reverse=True)
    return Growth(
        name=best.name,
        confidence=shares.get(best.name, 0.0),
        alternatives=tuple((name, share) for share, name in others if share >= _ALTERNATIVE),
        fixed=best.fixed,
        factor=best.factor,
        error=best.error,
        exponent=exponent,
        base=best.base,
    )


def _untold(reason: str, exponent: float = math.nan) -> Growth:
    return Growth("", 0.0, (), 0.0, 0.0, 0.0, 0.0 if math.isnan(exponent) else exponent, reason=reason)


def _telling(costs: Numbers) -> NDArray[np.bool_]:
    """Sizes whose cost is not mostly what every call costs, when there are enough of them; else all."""
    above = costs >= _OVERHEAD * costs.min()
    return above if above.sum() >= MIN_SIZES + 2 else np.ones(len(costs), dtype=np.bool_)


def _choose(n: Numbers, costs: Numbers) -> _Fit:
    fits = [_fit(name, shape(n), costs) for name, shape in CLASSES.items()]
    fits += [_fit(EXPONENTIAL, _exponential(base)(n), costs, base) for base in _BASES]
    least = min(fit.score for fit in fits)
    return next(fit for fit in fits if fit.score <= least + 2)


def _fit(name: str, shape: Numbers, costs: Numbers, base: float = 0.0) -> _Fit:
    """Fixed + factor · shape, neither negative, by least squares of (fit - cost) / cost."""
    weighted = np.stack((1 / costs, shape / costs), axis=1)
    target = np.ones_like(costs)
    top = float(shape.max())
    candidates = [(float(1 / costs @ target / (1 / costs @ (1 / costs))), 0.0)]
    if top > 0:
        scaled = weighted / np.array([1.0, top])
        fixed, factor = np.linalg.lstsq(scaled, target, rcond=None)[0]
        alone = scaled[:, 1] @ target / (scaled[:, 1] @ scaled[:, 1])
        candidates += [(0.0, float(alone) / top)]
        if fixed >= 0 and factor >= 0:
            candidates.append((float(fixed), float(factor) / top))
    options = [(float(np.mean((weighted @ np.array(c) - target) ** 2)), c) for c in candidates]
    square, (fixed, factor) = min(options)
    # Timings agree to a percent at best: a fit below that is no better.
    score = len(costs) * math.log(max(square, 1e-4))
    parameters = (fixed > 0) + (factor > 0) + (base > 0)
    return _Fit(name, fixed, factor, math.sqrt(square), score + parameters * math.log(len(costs)), base)


def _exponential(base: float) -> Callable[[Numbers], Numbers]:
    # The factor takes what is cut off: only the ratios matter, and they are finite.
    return lambda n: np.exp(np.minimum(n * math.log(base), 600.0))


def _exponent(n: Numbers, costs: Numbers) -> float:
    """The empirical order: Theil's slope of log cost over log size in the upper half."""
    upper = n >= np.median(n)
    x, y = np.log(n[upper]), np.log(costs[upper])
    i, j = np.triu_indices(len(x), 1)
    apart = x[j] > x[i]
    return float(np.median((y[j] - y[i])[apart] / (x[j] - x[i])[apart])) if apart.any() else 0.0


def _resampled(n: Numbers, repetitions: Sequence[Sequence[float]], seed: int) -> dict[str, float]:
    """How often each class is chosen when the repetitions are drawn again."""
    source = np.random.default_rng(seed)
    chosen: dict[str, int] = {}
    kept = max(MIN_SIZES - 1, round(len(n) * 0.8))
    for _ in range(_RESAMPLES):
        at = np.sort(source.choice(len(n), kept, replace=False))
        drawn = [source.choice(repetitions[i], len(repetitions[i])) for i in at]
        name = _choose(n[at], np.array([float(np.median(costs)) for costs in drawn])).name
        chosen[name] = chosen.get(name, 0) + 1
    return {name: count / _RESAMPLES for name, count in chosen.items()}
