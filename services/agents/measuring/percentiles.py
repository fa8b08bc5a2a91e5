"""Percentiles, as far as the number of values bears them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from services.agents.measuring import ranks
from services.agents.measuring.ranks import Numbers

_SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Percentile:
    """A quantile with its 95 % interval. share: 0 to 1."""

    share: float
    value: float
    low: float
    high: float

    def name(self) -> str:
        """p50, p99, p99.9."""
        return f"p{self.share * 100:g}"


def percentiles(values: Numbers) -> list[Percentile]:
    """The median, and the higher ones that at least one value is expected above.

    Linear between order statistics (Hyndman and Fan 1996, type 7). The interval is that of the order
    statistics (Conover 1999, the normal approximation); where it would leave the values, it ends with them.
    """
    ordered = np.sort(values)
    count = len(ordered)
    found = []
    for share in _SHARES:
        if share > 0.5 and count * (1 - share) < 1 - 1e-9:
            break
        half = ranks.quantile(0.975) * math.sqrt(count * share * (1 - share))
        low = max(0, math.floor(count * share - half))
        high = min(count - 1, math.ceil(count * share + half))
        found.append(
            Percentile(share, float(np.quantile(ordered, share)), float(ordered[low]), float(ordered[high]))
        )
    return found
