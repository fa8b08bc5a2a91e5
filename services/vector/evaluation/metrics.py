"""Measures of one ranking against what was judged, as trec_eval has them.

A ranking names what was found, best first and each once. `graded` maps what was judged to its grade: 0 is
not relevant, more is better; what was not judged counts as not relevant. At least one grade is above 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranking: Sequence[str], graded: Mapping[str, int], k: int = 10) -> float:
    """Normalised discounted cumulative gain of the first `k`, 0 to 1.

    Gain is the grade, discount log2(rank + 1); the ideal ranking is made from all that was judged, found or
    not (Järvelin and Kekäläinen 2002, in the form of trec_eval's ndcg_cut).
    """

    def gain(grades: Sequence[int]) -> float:
        return sum(grade / math.log2(rank + 2) for rank, grade in enumerate(grades[:k]))

    best = gain(sorted(graded.values(), reverse=True))
    return gain([graded.get(name, 0) for name in ranking]) / best


def recall(ranking: Sequence[str], graded: Mapping[str, int], k: int) -> float:
    """Share of what is relevant among the first `k`, 0 to 1."""
    relevant = {name for name, grade in graded.items() if grade > 0}
    return len(relevant & set(ranking[:k])) / len(relevant)


def first_rank(ranking: Sequence[str], graded: Mapping[str, int]) -> int:
    """Rank of the first that is relevant, from 1; 0 when none is."""
    return next((rank for rank, name in enumerate(ranking, 1) if graded.get(name, 0) > 0), 0)


def reciprocal_rank(ranking: Sequence[str], graded: Mapping[str, int]) -> float:
    """1 over the rank of the first that is relevant; 0 when none is. Its mean is MRR."""
    rank = first_rank(ranking, graded)
    return 1 / rank if rank else 0.0
