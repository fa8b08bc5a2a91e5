"""The vector side of search: exact where the candidates are few, after a sieve where they are many, proposed
by the index where they are more than there is memory for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

import numpy as np

from services.chassis import context
from services.vector import late
from services.vector.documents import Collection
from services.vector.embedding.ports import EmbedderError, ModelName, WordsEmbedder, name_of
from services.vector.embedding.roster import Roster
from services.vector.index.keeper import IndexUnavailableError
from services.vector.record.vectors import Keys, Matrix, Vectors
from services.vector.search.exact import Scored, nearest, sieved
from services.vector.search.matrix import LoadedVectors, VectorCache
from services.vector.search.searching import DenseUnavailableError, Meant

# An embedder that hangs must leave time for the answer by keyword.
_EMBED_SECONDS = 5.0
_EMBED_SHARE = 0.5
# The index misses neighbours; so many more are asked for, and scored exactly.
_OVERFETCH = 4
_MOST_FETCHED = 2_000
# Above this many rows a product is worth a thread.
_INLINE_ROWS = 2_048
# Above this many a sieve goes before it.
_SIEVED_ROWS = 20_000


class NearestKeys(Protocol):
    """The vector index."""

    async def nearest(self, collection_key: int, query: Matrix, limit: int) -> list[int]:
        """About the nearest keys, best first. Raises IndexUnavailableError."""
        ...


class DenseSearch:
    """Scores are always exact, whoever proposed the candidates."""

    def __init__(
        self,
        roster: Roster,
        executor: Executor,
        vectors: Vectors,
        cache: VectorCache,
        *,
        index: NearestKeys,
        exact_limit: int,
    ) -> None:
        self._roster = roster
        self._executor = executor
        self._vectors = vectors
        self._cache = cache
        self._index = index
        self._exact_limit = exact_limit

    async def embed(self, model: ModelName, text: str, *, exact: bool) -> Meant:
        """See the port."""
        embedder = self._roster.find(model)
        if embedder is None:
            raise DenseUnavailableError(
                "EMBEDDING_MISMATCH",
                f"the vectors were made by {model}, and the service is set to"
                f" {name_of(self._roster.configured)}",
            )
        seconds = min(_EMBED_SECONDS, context.remaining() * _EMBED_SHARE)
        deadline = time.monotonic() + seconds
        loop = asyncio.get_running_loop()

        def work() -> Meant:
            if exact:
                return Meant(np.ascontiguousarray(embedder.embed_queries([text], deadline=deadline)[0]))
            if not isinstance(embedder, WordsEmbedder):
                return Meant(embedder.embed_question(text, deadline=deadline))
            vector, words = embedder.embed_question_words(text, deadline=deadline)
            return Meant(vector, late.question_words(text, words))

        try:
            async with asyncio.timeout(seconds):
                return await loop.run_in_executor(self._executor, work)
        except (EmbedderError, TimeoutError) as error:
            cause = str(error) or "no answer in time"
            raise DenseUnavailableError("EMBEDDER_UNAVAILABLE", f"the embedding model: {cause}") from error

    async def nearest(
        self, collection: Collection, query: Matrix, limit: int, allowed: Keys | None
    ) -> Scored:
        """See the port."""
        if allowed is not None and not len(allowed):
            return []
        few = (collection.vectors if allowed is None else len(allowed)) <= self._exact_limit
        if few and self._cache.fits(collection.vectors, collection.dimension):
            loaded = await self._cache.get(
                collection.generation_key, collection.dimension, collection.vectors, collection.key
            )
            return await self._score(loaded, query, limit, allowed)
        if few and allowed is not None:
            rows = await self._vectors.of_chunks(
                collection.generation_key, allowed.tolist(), collection.dimension
            )
            return nearest(rows.keys, rows.vectors, query, limit)
        return await self._proposed(collection, query, limit, allowed)

    async def similarities(
        self, collection: Collection, query: Matrix, keys: Sequence[int]
    ) -> dict[int, float]:
        """See the port."""
        wanted = np.fromiter(keys, dtype=np.int64)
        loaded = self._cache.peek(collection.generation_key)
        if loaded is not None and loaded.whole(collection.vectors):
            rows = loaded.rows_of(wanted)
            found, vectors = loaded.keys[rows], loaded.vectors[rows]
        else:
            read = await self._vectors.of_chunks(collection.generation_key, keys, collection.dimension)
            found, vectors = read.keys, read.vectors
        return dict(zip(found.tolist(), (vectors @ query).tolist(), strict=True))

    async def nearness(
        self, collection: Collection, words: late.QuestionWords, keys: Sequence[int]
    ) -> dict[int, float]:
        """See the port."""
        stored = await self._vectors.codes_of(collection.generation_key, keys)
        kept = {key: one for key, one in stored.items() if late.whole(one, collection.dimension)}
        loop = asyncio.get_running_loop()
        near = await loop.run_in_executor(self._executor, late.nearness, words, list(kept.values()))
        return dict(zip(kept, near.tolist(), strict=True))

    async def _score(self, loaded: LoadedVectors, query: Matrix, limit: int, allowed: Keys | None) -> Scored:
        keys, vectors, signs = loaded.keys, loaded.vectors, loaded.signs
        rows = None if allowed is None else loaded.rows_of(allowed)
        if len(keys if rows is None else rows) > _SIEVED_ROWS:
            loop = asyncio.get_running_loop()
            work = partial(sieved, keys, vectors, signs, query, limit=limit, rows=rows)
            return await loop.run_in_executor(self._executor, work)
        if rows is not None:
            keys, vectors = keys[rows], vectors[rows]
        if len(keys) <= _INLINE_ROWS:
            return nearest(keys, vectors, query, limit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, nearest, keys, vectors, query, limit)

    async def _proposed(
        self, collection: Collection, query: Matrix, limit: int, allowed: Keys | None
    ) -> Scored:
        """Candidates of the index, those that the filter leaves, scored from the record."""
        wanted = limit * _OVERFETCH
        if allowed is not None:
            wanted = wanted * collection.vectors // max(1, len(allowed))
        fetched = min(wanted, max(_MOST_FETCHED, limit), collection.vectors)
        try:
            keys = await self._index.nearest(collection.generation_key, query, fetched)
        except IndexUnavailableError as error:
            raise DenseUnavailableError("INDEX_UNAVAILABLE", f"the vector index: {error}") from error
        if allowed is not None:
            keep = set(allowed.tolist())
            keys = [key for key in keys if key in keep]
        rows = await self._vectors.of_chunks(collection.generation_key, keys, collection.dimension)
        return nearest(rows.keys, rows.vectors, query, limit)
