"""One order out of two scores: both lists scaled to 0..1 by their own least and greatest, then a weighted sum.

Score fusion keeps how far apart candidates are, which ranks throw away. After Bruch, Gai, Ingber, "An Analysis of
Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023.
"""

from __future__ import annotations

from collections.abc import Mapping

VECTOR_WEIGHT = 0.5


def scaled(scores: Mapping[int, float]) -> dict[int, float]:
    """Scores on a scale where the least is 0 and the greatest 1; all 1 when they do not differ."""
    if not scores:
        return {}
    least, greatest = min(scores.values()), max(scores.values())
    spread = greatest - least
    return {key: (score - least) / spread if spread > 0 else 1.0 for key, score in scores.items()}


def fuse(lexical: Mapping[int, float], vector: Mapping[int, float]) -> dict[int, float]:
    """Fused scores, 0 to 1, of every candidate of either side."""
    words, meaning = scaled(lexical), scaled(vector)
    return {
        key: (1 - VECTOR_WEIGHT) * words.get(key, 0.0) + VECTOR_WEIGHT * meaning.get(key, 0.0)
        for key in words.keys() | meaning.keys()
    }
