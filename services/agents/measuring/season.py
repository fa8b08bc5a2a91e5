"""Whether values repeat with a period."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from services.agents.measuring import ranks
from services.agents.measuring.ranks import Numbers

MIN_VALUES = 40
_MIN_CYCLES = 3
_NEIGHBOURS = 8
_WINDOW = 2 * _NEIGHBOURS + 1
_LEVEL = 0.001
# The strongest wave may be an overtone of what repeats.
_MULTIPLES = (1, 2, 3, 4)


@dataclass(frozen=True)
class Season:
    """A period, in values. effect: the median of each phase, less the median of all. p_value: of the wave."""

    period: int
    effect: Numbers
    p_value: float

    def pattern(self, count: int) -> Numbers:
        """The effect for each of the first `count` values."""
        return self.effect[np.arange(count) % self.period]


def season(values: Numbers) -> Season | None:
    """The period that repeats at least three times and stands out; None when none does.

    The periodogram of the normal scores, each ordinate against the median of those around it, which makes the
    spectrum of steps, slopes and persistent noise flat; the largest ratio tested as in Fisher (1929), by
    his bound.
    """
    count = len(values)
    if count < MIN_VALUES or values.min() == values.max():
        return None
    # The slope between halves, robust against outliers, waves and one step.
    half = count // 2
    values = values - np.arange(count) * float(np.median(values[half:] - values[: count - half])) / half
    scores = ranks.normal_scores(values)
    line = np.polynomial.Polynomial.fit(np.arange(count), scores, 1)(np.arange(count))
    power = np.abs(np.fft.rfft((scores - line) * np.hanning(count))) ** 2
    tested = np.arange(_MIN_CYCLES, len(power) - 1)
    around = np.clip(tested - _NEIGHBOURS, 1, len(power) - _WINDOW)[:, None] + np.arange(_WINDOW)
    apart = np.abs(around - tested[:, None]) > 1
    # The median of an exponential distribution is its mean times log 2.
    level = np.nanmedian(np.where(apart, power[around], np.nan), axis=1) / math.log(2)
    ratios = np.divide(power[tested], level, out=np.zeros(len(tested)), where=level > 0)
    best = int(tested[np.argmax(ratios)])
    p_value = _tail(float(ratios.max()), _WINDOW - 3, len(tested))
    if p_value > _LEVEL:
        return None
    periods = {
        period
        for multiple in _MULTIPLES
        for period in (math.floor(count / best * multiple), math.ceil(count / best * multiple))
        if 2 <= period <= count // _MIN_CYCLES
    }
    fits = {period: _fit(values, period) for period in periods}
    period = min(sorted(fits), key=lambda p: fits[p][0], default=0)
    # A pattern must explain more than it takes to write down.
    if not fits or fits[period][0] >= _fit(values, 1)[0]:
        return None
    return Season(period, fits[period][1], p_value)


def _tail(ratio: float, around: int, tested: int) -> float:
    """Chance that any of the ordinates is so far above a level that was itself measured on a few others."""
    # An exponential over a mean of m exponentials is F(2, 2m); a median knows about half as much as a mean.
    known = around / 2
    return float(min(1.0, tested * (1 + ratio / known) ** -known))


def _fit(values: Numbers, period: int) -> tuple[float, Numbers]:
    """The information criterion of a period (Laplace errors, one parameter a phase), and its effect."""
    count = len(values)
    phases = np.arange(count) % period
    effect = np.array([np.median(values[phases == phase]) for phase in range(period)])
    rest = float(np.mean(np.abs(values - effect[phases])))
    score = 2 * count * math.log(max(rest, 1e-300)) + period * math.log(count)
    return score, effect - np.median(values)
