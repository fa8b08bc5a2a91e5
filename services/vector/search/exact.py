"""Exact cosine similarity over vectors of unit length."""

from __future__ import annotations

import numpy as np

from services.vector.record.vectors import Keys, Matrix

Scored = list[tuple[int, float]]


def nearest(keys: Keys, vectors: Matrix, query: Matrix, limit: int) -> Scored:
    """The `limit` most similar of keys (n,) with vectors (n, d) to query (d,); equal ones by key."""
    if not len(keys):
        return []
    scores = vectors @ query
    if len(scores) > limit:
        # Those as good as the last one stay, so that which of them is kept does not depend on chance.
        edge = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        kept = np.flatnonzero(scores >= edge)
        keys, scores = keys[kept], scores[kept]
    order = np.lexsort((keys, -scores))[:limit]
    return [(int(keys[row]), float(scores[row])) for row in order]
