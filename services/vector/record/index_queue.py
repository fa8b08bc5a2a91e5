"""What the vector index has still to learn. Written with the change itself, so nothing is forgotten by a
crash.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.vector.record.database import Connection, Database
from services.vector.record.vectors import VectorRows, stacked


@dataclass(frozen=True, slots=True)
class IndexedCollection:
    """What the index should hold of a collection once its queue is empty."""

    collection_key: int
    dimension: int
    entries: int
    sample_key: int | None
    sample: bytes


class IndexQueue:
    """Additions, removals and drops that wait, and the generation of the index they are for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def identity(self) -> tuple[str, int]:
        """The installation's name and the index's generation."""

        def work(connection: Connection) -> tuple[str, int]:
            meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
            return str(meta["installation"]), int(meta["index_generation"])

        return await self._database.read(work)

    async def expected(self) -> list[IndexedCollection]:
        """Every collection that has entries in the index or should have."""

        def work(connection: Connection) -> list[IndexedCollection]:
            rows = connection.execute(
                "SELECT c.key, c.dimension, (SELECT count(*) FROM vectors v WHERE v.collection_key = c.key),"
                " (SELECT min(v.seq) FROM vectors v WHERE v.collection_key = c.key AND NOT EXISTS"
                "  (SELECT 1 FROM index_additions a WHERE a.chunk_key = v.chunk_key))"
                " FROM collections c ORDER BY c.key"
            ).fetchall()
            found = []
            for key, dimension, entries, seq in rows:
                sample = connection.execute(
                    "SELECT chunk_key, vector FROM vectors WHERE seq = ?", (seq,)
                ).fetchone()
                chunk_key, vector = sample or (None, b"")
                found.append(IndexedCollection(key, dimension, entries, chunk_key, vector))
            return found

        return await self._database.read(work)

    async def additions(self, limit: int) -> tuple[int, VectorRows] | None:
        """The oldest additions of one collection, with its key; None when none wait."""

        def work(connection: Connection) -> tuple[int, VectorRows] | None:
            first = connection.execute(
                "SELECT a.collection_key, c.dimension FROM index_additions a"
                " JOIN collections c ON c.key = a.collection_key ORDER BY a.chunk_key LIMIT 1"
            ).fetchone()
            if first is None:
                return None
            collection_key, dimension = first
            rows = connection.execute(
                "SELECT v.chunk_key, v.vector FROM index_additions a JOIN vectors v ON v.chunk_key ="
                " a.chunk_key"
                " WHERE a.collection_key = ? ORDER BY a.chunk_key LIMIT ?",
                (collection_key, limit),
            ).fetchall()
            return collection_key, VectorRows(
                np.array([key for key, _ in rows], dtype=np.int64),
                stacked([vector for _, vector in rows], dimension),
                0,
            )

        return await self._database.read(work)

    async def added(self, chunk_keys: Sequence[int]) -> None:
        """These are in the index."""
        await self._delete(
            "DELETE FROM index_additions WHERE chunk_key IN (SELECT value FROM json_each(?))", chunk_keys
        )

    async def removals(self, limit: int) -> tuple[int, list[int]] | None:
        """Keys to remove from the index for one collection; None when none wait."""

        def work(connection: Connection) -> tuple[int, list[int]] | None:
            first = connection.execute("SELECT collection_key FROM index_removals LIMIT 1").fetchone()
            if first is None:
                return None
            rows = connection.execute(
                "SELECT chunk_key FROM index_removals WHERE collection_key = ? ORDER BY chunk_key LIMIT ?",
                (first[0], limit),
            )
            return first[0], [key for (key,) in rows]

        return await self._database.read(work)

    async def removed(self, chunk_keys: Sequence[int]) -> None:
        """These are no longer in the index."""
        await self._delete(
            "DELETE FROM index_removals WHERE chunk_key IN (SELECT value FROM json_each(?))", chunk_keys
        )

    async def drops(self) -> list[int]:
        """Keys of collections whose index is to go."""
        return await self._database.read(
            lambda connection: [
                key for (key,) in connection.execute("SELECT collection_key FROM index_drops")
            ]
        )

    async def dropped(self, collection_key: int) -> None:
        """Its index is gone."""
        await self._delete(
            "DELETE FROM index_drops WHERE collection_key IN (SELECT value FROM json_each(?))",
            [collection_key],
        )

    async def entries(self, collection_key: int) -> int:
        """How many entries the index holds of a collection if it has done all that was taken from the"
        " queues."""

        def work(connection: Connection) -> int:
            (count,) = connection.execute(
                "SELECT (SELECT count(*) FROM vectors WHERE collection_key = ?1)"
                " - (SELECT count(*) FROM index_additions WHERE collection_key = ?1)"
                " + (SELECT count(*) FROM index_removals WHERE collection_key = ?1)",
                (collection_key,),
            ).fetchone()
            return int(count)

        return await self._database.read(work)

    async def reconcile(self, collection_key: int, present: Sequence[int]) -> tuple[int, int]:
        """Queues what the index lacks and what it has too much; returns both counts.

        present: the keys that the index holds of this collection.
        """

        def work(connection: Connection) -> tuple[int, int]:
            keys = json.dumps(list(present))
            missing = connection.execute(
                "INSERT OR IGNORE INTO index_additions (chunk_key, collection_key)"
                " SELECT chunk_key, collection_key FROM vectors WHERE collection_key = ?"
                " AND chunk_key NOT IN (SELECT value FROM json_each(?))",
                (collection_key, keys),
            ).rowcount
            orphans = connection.execute(
                "INSERT OR IGNORE INTO index_removals (chunk_key, collection_key, tombstone_id)"
                " SELECT value, ?, '' FROM json_each(?)"
                " WHERE value NOT IN (SELECT chunk_key FROM vectors WHERE collection_key = ?)",
                (collection_key, keys, collection_key),
            ).rowcount
            return missing, orphans

        return await self._database.write(work)

    async def restart(self) -> int:
        """Begins a new, empty index: everything waits to be added, nothing to be removed. Returns its
        generation.
        """

        def work(connection: Connection) -> int:
            connection.execute("DELETE FROM index_removals")
            connection.execute("DELETE FROM index_drops")
            connection.execute(
                "INSERT OR IGNORE INTO index_additions (chunk_key, collection_key)"
                " SELECT chunk_key, collection_key FROM vectors"
            )
            (generation,) = connection.execute(
                "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE name = 'index_generation'"
                " RETURNING value"
            ).fetchone()
            return int(generation)

        return await self._database.write(work)

    async def pending(self) -> int:
        """Changes that the index has still to learn."""

        def work(connection: Connection) -> int:
            (count,) = connection.execute(
                "SELECT (SELECT count(*) FROM index_additions) + (SELECT count(*) FROM index_removals)"
                " + (SELECT count(*) FROM index_drops)"
            ).fetchone()
            return int(count)

        return await self._database.read(work)

    async def _delete(self, statement: str, keys: Sequence[int]) -> None:
        await self._database.write(
            lambda connection: connection.execute(statement, (json.dumps(list(keys)),)).rowcount
        )
