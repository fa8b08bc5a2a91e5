"""Vectors of collections in memory, kept in step with the record, for exact scores."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.vector.record.vectors import Keys, Matrix, VectorRows
from services.vector.search.exact import Signs, signs, words_of

_ROWS_PER_READ = 4096


class VectorSource(Protocol):
    """The record, seen from here."""

    async def after(self, generation_key: int, seq: int, dimension: int, limit: int) -> VectorRows:
        """Vectors of a generation written after `seq`, oldest first, at most `limit`."""
        ...


class LoadedVectors:
    """The vectors of one generation of a collection. Rows are appended as they are written; a removed row is
    dropped.
    """

    def __init__(self, dimension: int, collection_key: int = 0) -> None:
        self.collection_key = collection_key
        self._keys: Keys = np.empty(0, dtype=np.int64)
        self._vectors: Matrix = np.empty((0, dimension), dtype=np.float32)
        self._signs: Signs = np.empty((words_of(dimension), 0), dtype=np.uint64)
        self._size = 0
        self._order: NDArray[np.intp] | None = None
        self._removed: set[int] = set()
        self.last_seq = 0
        self.loading = asyncio.Lock()

    @property
    def keys(self) -> Keys:
        """(n,)"""
        return self._keys[: self._size]

    @property
    def vectors(self) -> Matrix:
        """(n, dimension), row i for keys[i]."""
        return self._vectors[: self._size]

    @property
    def signs(self) -> Signs:
        """Column i for keys[i], see exact.signs."""
        return self._signs[:, : self._size]

    @property
    def bytes(self) -> int:
        """Memory held."""
        return self._vectors.nbytes + self._keys.nbytes + self._signs.nbytes

    def reserve(self, rows: int) -> None:
        """Makes room for the first so many rows, so that none is left over."""
        if not len(self._keys):
            self._resize(rows)

    def append(self, rows: VectorRows) -> None:
        """Takes rows in; the arrays that were handed out before stay as they are."""
        needed = self._size + len(rows.keys)
        if needed > len(self._keys):
            self._resize(max(needed, len(self._keys) * 3 // 2))
        self._keys[self._size : needed] = rows.keys
        self._vectors[self._size : needed] = rows.vectors
        self._signs[:, self._size : needed] = signs(rows.vectors)
        self._size = needed
        self._order = None
        self.last_seq = rows.last_seq

    def _resize(self, room: int) -> None:
        keys = np.empty(room, dtype=np.int64)
        vectors = np.empty((room, self._vectors.shape[1]), dtype=np.float32)
        bits = np.empty((len(self._signs), room), dtype=np.uint64)
        keys[: self._size], vectors[: self._size], bits[:, : self._size] = self.keys, self.vectors, self.signs
        self._keys, self._vectors, self._signs = keys, vectors, bits

    def remove(self, chunk_keys: Iterable[int]) -> None:
        """Notes rows that have gone from the record; a load under way may still bring them."""
        self._removed.update(chunk_keys)

    def whole(self, count: int) -> bool:
        """Whether these are the `count` vectors of the collection, none of them gone."""
        return self._size == count and not self._removed

    def settle(self) -> None:
        """Drops the rows noted; to be called when no load is under way."""
        if not self._removed:
            return
        gone = np.fromiter(self._removed, dtype=np.int64)
        self._removed.clear()
        stay = ~np.isin(self.keys, gone)
        if not stay.all():
            self._keys, self._vectors, self._signs = self.keys[stay], self.vectors[stay], self.signs[:, stay]
            self._size = len(self._keys)
            self._order = None

    def rows_of(self, chunk_keys: Keys) -> NDArray[np.intp]:
        """Rows of those of `chunk_keys` that are here."""
        if self._order is None:
            self._order = np.argsort(self.keys)
        at = np.searchsorted(self.keys, chunk_keys, sorter=self._order)
        inside = at < self._size
        rows: NDArray[np.intp] = self._order[at[inside]]
        found: NDArray[np.intp] = rows[self.keys[rows] == chunk_keys[inside]]
        return found


class VectorCache:
    """Loaded generations, the least recently used dropped when they hold more than `limit_bytes` together."""

    def __init__(self, source: VectorSource, limit_bytes: int) -> None:
        self._source = source
        self._limit = limit_bytes
        self._loaded: OrderedDict[int, LoadedVectors] = OrderedDict()
        # Questions that found all vectors here, and those for which some had to be read.
        self.hits = 0
        self.misses = 0

    @property
    def bytes(self) -> int:
        """Memory held. May be read from any thread."""
        return sum(loaded.bytes for loaded in list(self._loaded.values()))

    def fits(self, rows: int, dimension: int) -> bool:
        """Whether a collection of this size may be loaded at all."""
        return rows * dimension * 4 <= self._limit

    def peek(self, generation_key: int) -> LoadedVectors | None:
        """What is loaded of a generation, as it is."""
        return self._loaded.get(generation_key)

    async def get(
        self, generation_key: int, dimension: int, count: int, collection_key: int
    ) -> LoadedVectors:
        """All vectors that the record has now; it had `count` a moment ago. Raises what the source raises."""
        loaded = self._loaded.get(generation_key)
        if loaded is None:
            loaded = self._loaded.setdefault(generation_key, LoadedVectors(dimension, collection_key))
        self._loaded.move_to_end(generation_key)
        if loaded.whole(count):
            self.hits += 1
            return loaded
        self.misses += 1
        async with loaded.loading:
            loaded.reserve(count)
            while True:
                rows = await self._source.after(generation_key, loaded.last_seq, dimension, _ROWS_PER_READ)
                if len(rows.keys):
                    loaded.append(rows)
                if len(rows.keys) < _ROWS_PER_READ:
                    break
            loaded.settle()
        self._shrink(generation_key)
        return loaded

    def remove(self, collection_key: int, chunk_keys: Iterable[int]) -> None:
        """These passages are no longer in the record."""
        gone = list(chunk_keys)
        for loaded in self._loaded.values():
            if loaded.collection_key == collection_key:
                loaded.remove(gone)

    def drop(self, collection_key: int) -> None:
        """What is loaded of the collection is no longer what the record has."""
        for key in [key for key, one in self._loaded.items() if one.collection_key == collection_key]:
            del self._loaded[key]

    def forget(self, generation_key: int) -> None:
        """Nobody asks this generation any more."""
        self._loaded.pop(generation_key, None)

    def _shrink(self, used: int) -> None:
        while self.bytes > self._limit:
            oldest = next(iter(self._loaded))
            if oldest == used:
                return
            del self._loaded[oldest]
