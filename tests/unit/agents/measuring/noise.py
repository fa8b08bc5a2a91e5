"""Noise with a known truth, seeded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def persistent(source: np.random.Generator, count: int, phi: float) -> NDArray[np.float64]:
    """An AR(1): each value carries over by phi."""
    steps = source.normal(size=count + 100)
    values = np.zeros(count + 100)
    for i in range(1, count + 100):
        values[i] = phi * values[i - 1] + steps[i]
    return values[100:]


def latencies(source: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Skewed and positive, as times are."""
    return source.lognormal(3, 0.4, size=count)
