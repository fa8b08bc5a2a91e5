"""Chroma as an index of vectors: ids are chunk keys, nothing else is stored. Blocking; call it in a lane."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import chromadb
import numpy as np
from chromadb.config import Settings
from chromadb.errors import NotFoundError

from services.vector.index.memory import overwrite_what_is_given_back
from services.vector.record.vectors import Matrix

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Rows in a call; Chroma's own limit (5,461 in the build that was measured) may be lower.
_BATCH = 1_000


class ChromaIndex:
    """One Chroma database. `prefix` begins the names of our collections in it.

    Every method may raise whatever Chroma raises; the index is then to be taken for broken.
    """

    def __init__(self, client: Any, prefix: str, sync_threshold: int) -> None:
        self._client = client
        self._prefix = prefix
        self._sync_threshold = sync_threshold
        self._batch = min(_BATCH, int(client.get_max_batch_size()))
        self._collections: dict[int, Any] = {}

    @classmethod
    def embedded(cls, folder: Path, prefix: str, sync_threshold: int) -> ChromaIndex:
        """The index in `folder`, made when missing. One process at a time."""
        if not overwrite_what_is_given_back():
            _log.warning("the files of the vector index may get pieces of this process's memory")
        client = chromadb.PersistentClient(path=str(folder), settings=Settings(anonymized_telemetry=False))
        return cls(client, prefix, sync_threshold)

    @classmethod
    def remote(cls, host: str, port: int, prefix: str, sync_threshold: int) -> ChromaIndex:
        """The index on a Chroma server."""
        settings = Settings(anonymized_telemetry=False)
        client = chromadb.HttpClient(host=host, port=port, settings=settings)
        return cls(client, prefix, sync_threshold)

    def add(self, collection_key: int, keys: Sequence[int], vectors: Matrix) -> None:
        """Adds or overwrites entries."""
        collection = self._open(collection_key, vectors.shape[1])
        for start in range(0, len(keys), self._batch):
            ids = [str(key) for key in keys[start : start + self._batch]]
            collection.upsert(ids=ids, embeddings=vectors[start : start + self._batch])

    def remove(self, collection_key: int, keys: Sequence[int]) -> None:
        """Removes entries; those that are not there are no fault."""

        def work(collection: Any) -> None:
            for start in range(0, len(keys), self._batch):
                collection.delete(ids=[str(key) for key in keys[start : start + self._batch]])

        self._asked(collection_key, work, None)

    def drop(self, collection_key: int) -> None:
        """Removes a collection with all its entries."""
        self._collections.pop(collection_key, None)
        try:
            self._client.delete_collection(self._name(collection_key))
        except NotFoundError:
            return

    def nearest(self, collection_key: int, query: Matrix, limit: int) -> list[int]:
        """About the `limit` nearest keys to query (d,), best first; approximate."""

        def work(collection: Any) -> list[int]:
            found = collection.query(query_embeddings=query[None, :], n_results=limit, include=[])
            return [int(key) for key in found["ids"][0]]

        return self._asked(collection_key, work, [])

    def count(self, collection_key: int) -> int:
        """Entries of a collection."""
        return self._asked(collection_key, lambda collection: int(collection.count()), 0)

    def keys(self, collection_key: int) -> list[int]:
        """All keys of a collection."""
        return self._asked(collection_key, lambda one: [int(key) for key in one.get(include=[])["ids"]], [])

    def some_keys(self, collection_key: int, start: int, limit: int) -> list[int]:
        """Keys of a collection from number `start` on, in the index's own order."""

        def work(collection: Any) -> list[int]:
            return [int(key) for key in collection.get(limit=limit, offset=start, include=[])["ids"]]

        return self._asked(collection_key, work, [])

    def present(self, collection_key: int, keys: Sequence[int]) -> list[int]:
        """Those of the entries that are there."""

        def work(collection: Any) -> list[int]:
            found: list[int] = []
            for start in range(0, len(keys), self._batch):
                ids = [str(key) for key in keys[start : start + self._batch]]
                found += map(int, collection.get(ids=ids, include=[])["ids"])
            return found

        return self._asked(collection_key, work, [])

    def held(self, collection_key: int, keys: Sequence[int], dimension: int) -> tuple[list[int], Matrix]:
        """Those of the entries that are there, with their vectors: (n, dimension). Any order."""
        none: list[int] = []
        nothing = np.empty((0, dimension), dtype=np.float32)

        def work(collection: Any) -> tuple[list[int], Matrix]:
            found: list[int] = []
            rows = [nothing]
            for start in range(0, len(keys), self._batch):
                ids = [str(key) for key in keys[start : start + self._batch]]
                part = collection.get(ids=ids, include=["embeddings"])
                if part["ids"]:
                    found += map(int, part["ids"])
                    rows.append(np.asarray(part["embeddings"], dtype=np.float32))
            return found, np.concatenate(rows)

        return self._asked(collection_key, work, (none, nothing))

    def collection_keys(self) -> list[int]:
        """The collections of this prefix that are there."""
        start = f"{self._prefix}-"
        names = [collection.name for collection in self._client.list_collections()]
        return [int(name[len(start) :]) for name in names if name.startswith(start)]

    def drop_others(self, family: str) -> None:
        """Removes the collections whose names begin with `family` and that are not of this prefix."""
        for collection in self._client.list_collections():
            name = collection.name
            if name.startswith(f"{family}-") and not name.startswith(f"{self._prefix}-"):
                self._client.delete_collection(name)

    def close(self) -> None:
        """Lets go of files and connections."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._client.close()

    def _name(self, collection_key: int) -> str:
        return f"{self._prefix}-{collection_key}"

    def _asked(self, collection_key: int, work: Callable[[Any], T], nothing: T) -> T:
        """What `work` makes of a collection; `nothing` where there is none, or none any more.

        Another thread may drop it between a look and a call, which is no fault of the index.
        """
        collection = self._find(collection_key)
        if collection is None:
            return nothing
        try:
            return work(collection)
        except NotFoundError:
            self._collections.pop(collection_key, None)
            return nothing

    def _find(self, collection_key: int) -> Any | None:
        held = self._collections.get(collection_key)
        if held is None:
            try:
                held = self._client.get_collection(self._name(collection_key), embedding_function=None)
            except NotFoundError:
                return None
            self._collections[collection_key] = held
        return held

    def _open(self, collection_key: int, dimension: int) -> Any:
        held = self._find(collection_key)
        if held is None:
            # A flush is the moment in which a kill breaks the files, so flushes are rare; what is not flushed
            # is in Chroma's log, and reading that again at the next start takes about a second per thousand.
            held = self._client.create_collection(
                self._name(collection_key),
                configuration={"hnsw": {"space": "cosine", "sync_threshold": self._sync_threshold}},
                metadata={"dimension": dimension},
                embedding_function=None,
            )
            self._collections[collection_key] = held
        return held
