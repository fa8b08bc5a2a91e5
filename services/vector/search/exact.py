"""Cosine similarity over vectors of unit length: exact, of all of them or of those that a sieve lets through.

The sieve compares signs: a bit says whether a component is above 0, and vectors whose bits differ in few
places have a small angle. After Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC
2002, with the axes for random directions. See docs/adr/0127 for what it misses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.vector.record.vectors import Keys, Matrix

Scored = list[tuple[int, float]]
Signs = NDArray[np.uint64]

# So many rows for each that is wanted, and at least so many, pass the sieve.
_PASSED_EACH, _LEAST_PASSED = 20, 1_500
# Rows that are copied at once.
_PIECE = 256


def nearest(keys: Keys, vectors: Matrix, query: Matrix, limit: int) -> Scored:
    """The `limit` most similar of keys (n,) with vectors (n, d) to query (d,); equal ones by key."""
    return _best(keys, vectors @ query, limit)


def _best(keys: Keys, scores: Matrix, limit: int) -> Scored:
    if len(scores) > limit:
        # Those as good as the last one stay, so that which of them is kept does not depend on chance. With
        # the best in front, because those behind take longer to find.
        apart = -scores
        kept = np.flatnonzero(apart <= np.partition(apart, limit - 1)[limit - 1])
        keys, scores = keys[kept], scores[kept]
    order = np.lexsort((keys, -scores))[:limit]
    return list(zip(keys[order].tolist(), scores[order].tolist(), strict=True))


def signs(vectors: Matrix) -> Signs:
    """The bits of vectors (n, d), 64 in a number: (ceil(d / 64), n); those past the end are 0.

    A column for each vector, because that is four times as fast to compare.
    """
    packed = np.packbits(vectors > 0, axis=1)
    whole = np.zeros((len(vectors), words_of(vectors.shape[1]) * 8), dtype=np.uint8)
    whole[:, : packed.shape[1]] = packed
    return np.ascontiguousarray(whole.view(np.uint64).T)


def words_of(dimension: int) -> int:
    """Numbers that the bits of a vector fill."""
    return -(-dimension // 64)


def sieved(
    keys: Keys,
    vectors: Matrix,
    bits: Signs,
    query: Matrix,
    *,
    limit: int,
    rows: NDArray[np.intp] | None = None,
) -> Scored:
    """As `nearest`, of the rows whose bits differ least from those of the query.

    bits: the signs of the vectors. rows: only these of them; all when None.
    """
    passed = max(_LEAST_PASSED, limit * _PASSED_EACH)
    count = len(keys) if rows is None else len(rows)
    if count > passed:
        apart = np.zeros(count, dtype=np.uint16)
        for held, asked in zip(bits, signs(query[None, :])[:, 0], strict=True):
            apart += np.bitwise_count((held if rows is None else held[rows]) ^ asked)
        # Those at the edge stay, so that the order of rows does not decide.
        near = np.flatnonzero(apart <= _edge(apart, passed, vectors.shape[1]))
        rows = near if rows is None else rows[near]
    if rows is None:
        return nearest(keys, vectors, query, limit)
    return _best(keys[rows], _cosines(vectors, rows, query), limit)


def _edge(apart: NDArray[np.uint16], passed: int, most: int) -> int:
    """The least number, at most `most`, that so many of `apart` do not exceed.

    Counted a few times over, because there are few numbers: np.partition takes three times as long.
    """
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if np.count_nonzero(apart <= middle) >= passed:
            high = middle
        else:
            low = middle + 1
    return low


def _cosines(vectors: Matrix, rows: NDArray[np.intp], query: Matrix) -> Matrix:
    """vectors[rows] @ query, by pieces that the processor's cache holds until they are multiplied.

    vectors: (n, d), and query (d,), float32. rows: (m,), each from 0 to n - 1, which is not checked.
    """
    scores = np.empty(len(rows), np.float32)
    held = np.empty((min(_PIECE, len(rows)), vectors.shape[1]), np.float32)
    for start in range(0, len(rows), _PIECE):
        some = rows[start : start + _PIECE]
        np.take(vectors, some, axis=0, out=held[: len(some)], mode="clip")
        np.dot(held[: len(some)], query, out=scores[start : start + len(some)])
    return scores
