"""Loaded vectors follow the record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from services.vector.record.vectors import VectorRows
from services.vector.search.exact import nearest
from services.vector.search.matrix import VectorCache


class Rows:
    """Vectors (key, key) in the order they were written; some may have gone."""

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.gone: set[int] = set()
        self.reads = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def after(self, collection_key: int, seq: int, dimension: int, limit: int) -> VectorRows:
        self.reads += 1
        seqs = [n for n in range(seq + 1, len(self.keys) + 1) if self.keys[n - 1] not in self.gone][:limit]
        keys = np.array([self.keys[n - 1] for n in seqs], dtype=np.int64)
        vectors = (
            np.stack([keys, np.ones(len(keys))], axis=1).astype(np.float32).reshape(len(keys), dimension)
        )
        self.meanwhile()
        await asyncio.sleep(0)
        return VectorRows(keys, vectors, seqs[-1] if seqs else seq)

    @property
    def count(self) -> int:
        return len(self.keys) - len(self.gone)


async def keys_of(cache: VectorCache, rows: Rows, collection: int = 1) -> list[int]:
    loaded = await cache.get(collection, 2, rows.count, collection)
    assert loaded.vectors[:, 0].tolist() == loaded.keys.tolist()
    return sorted(loaded.keys.tolist())


async def test_new_rows_are_appended_and_nothing_is_read_twice() -> None:
    rows = Rows()
    cache = VectorCache(rows, 1 << 20)
    rows.keys = [5, 3, 9]
    assert await keys_of(cache, rows) == [3, 5, 9]
    reads = rows.reads
    assert await keys_of(cache, rows) == [3, 5, 9]
    assert rows.reads == reads
    rows.keys += list(range(100, 10_000))
    assert await keys_of(cache, rows) == [3, 5, 9, *range(100, 10_000)]


async def test_removed_rows_go_even_when_a_load_brings_them_at_that_moment() -> None:
    rows = Rows()
    cache = VectorCache(rows, 1 << 20)
    rows.keys = [1, 2, 3]

    def remove_two() -> None:
        rows.meanwhile = lambda: None
        rows.gone.add(2)
        cache.remove(1, [2])

    rows.meanwhile = remove_two
    assert await keys_of(cache, rows) == [1, 3]
    rows.keys.append(4)
    rows.gone.add(1)
    cache.remove(1, [1])
    assert await keys_of(cache, rows) == [3, 4]


async def test_rows_are_found_by_key() -> None:
    rows = Rows()
    cache = VectorCache(rows, 1 << 20)
    rows.keys = [50, 30, 90, 10]
    loaded = await cache.get(1, 2, 4, 1)
    found = loaded.rows_of(np.array([10, 20, 30, 95], dtype=np.int64))
    assert sorted(loaded.keys[found].tolist()) == [10, 30]
    assert loaded.rows_of(np.array([], dtype=np.int64)).tolist() == []


async def test_the_least_used_collection_makes_room() -> None:
    rows = Rows()
    rows.keys = list(range(1, 1001))
    cache = VectorCache(rows, 60_000)
    for collection in (1, 2, 1, 3):
        await cache.get(collection, 2, 1000, collection)
    assert cache.peek(2) is None
    assert cache.peek(1) is not None
    assert cache.peek(3) is not None
    assert not cache.fits(1_000_000, 2)


def test_nearest_is_exact_and_breaks_ties_by_key() -> None:
    keys = np.array([4, 2, 9, 7], dtype=np.int64)
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8]], dtype=np.float32)
    query = np.array([1, 0], dtype=np.float32)
    assert [key for key, _ in nearest(keys, vectors, query, 2)] == [4, 9]
    assert [key for key, _ in nearest(keys, vectors, query, 1)] == [4]
    assert [key for key, _ in nearest(keys, vectors, query, 9)] == [4, 9, 7, 2]
    assert nearest(keys[:0], vectors[:0], query, 3) == []


async def test_a_generation_that_is_forgotten_leaves_the_others_of_its_collection() -> None:
    rows = Rows()
    cache = VectorCache(rows, 1 << 20)
    rows.keys = [5, 3, 9]
    await cache.get(1, 2, rows.count, 1)
    await cache.get(2, 2, rows.count, 1)
    cache.forget(1)
    assert cache.peek(1) is None
    assert cache.peek(2) is not None
    cache.forget(1)
