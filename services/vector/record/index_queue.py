"""What the vector index has still to learn. Written with the change itself, so nothing is forgotten by a
crash.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.vector.record.database import Connection, Database
from services.vector.record.generations import LIVE, GenerationState
from services.vector.record.vectors import VectorRows, stacked


@dataclass(frozen=True, slots=True)
class IndexedCollection:
    """What the index should hold of a generation once its queue is empty.

    The index knows a generation as a collection of its own, under the generation's key.
    """

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
        """Every generation that has entries in the index or should have."""

        def work(connection: Connection) -> list[IndexedCollection]:
            rows = connection.execute(
                "SELECT g.key, g.dimension, (SELECT count(*) FROM vectors v WHERE v.generation_key = g.key),"
                " (SELECT min(v.seq) FROM vectors v WHERE v.generation_key = g.key AND NOT EXISTS"
                "  (SELECT 1 FROM index_additions a"
                "   WHERE a.chunk_key = v.chunk_key AND a.generation_key = g.key))"
                f" FROM generations g WHERE g.state <> {GenerationState.RETIRED:d} ORDER BY g.key"
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
        """The oldest additions of one generation, with its key; None when none wait."""

        def work(connection: Connection) -> tuple[int, VectorRows] | None:
            first = connection.execute(
                "SELECT a.generation_key, g.dimension FROM index_additions a"
                " JOIN generations g ON g.key = a.generation_key ORDER BY a.chunk_key LIMIT 1"
            ).fetchone()
            if first is None:
                return None
            generation_key, dimension = first
            rows = connection.execute(
                "SELECT v.chunk_key, v.vector FROM index_additions a JOIN vectors v"
                " ON v.chunk_key = a.chunk_key AND v.generation_key = a.generation_key"
                " WHERE a.generation_key = ? ORDER BY a.chunk_key LIMIT ?",
                (generation_key, limit),
            ).fetchall()
            return generation_key, VectorRows(
                np.array([key for key, _ in rows], dtype=np.int64),
                stacked([vector for _, vector in rows], dimension),
                0,
            )

        return await self._database.read(work)

    async def added(self, generation_key: int, chunk_keys: Sequence[int]) -> None:
        """These are in the index."""
        await self._delete("index_additions", generation_key, chunk_keys)

    async def removals(self, limit: int) -> tuple[int, list[int]] | None:
        """Keys to remove from the index for one generation, with its key; None when none wait."""

        def work(connection: Connection) -> tuple[int, list[int]] | None:
            first = connection.execute("SELECT generation_key FROM index_removals LIMIT 1").fetchone()
            if first is None:
                return None
            rows = connection.execute(
                "SELECT chunk_key FROM index_removals WHERE generation_key = ? ORDER BY chunk_key LIMIT ?",
                (first[0], limit),
            )
            return first[0], [key for (key,) in rows]

        return await self._database.read(work)

    async def removed(self, generation_key: int, chunk_keys: Sequence[int]) -> None:
        """These are no longer in the index."""
        await self._delete("index_removals", generation_key, chunk_keys)

    async def drops(self) -> list[int]:
        """Keys of generations whose index is to go."""
        return await self._database.read(
            lambda connection: [
                key for (key,) in connection.execute("SELECT generation_key FROM index_drops")
            ]
        )

    async def dropped(self, generation_key: int) -> None:
        """Its index is gone."""
        await self._database.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM index_drops WHERE generation_key = ?", (generation_key,)
                ).rowcount
            )
        )

    async def entries(self, generation_key: int) -> int:
        """How many entries the index holds of a generation if it has done all that was taken from the"
        " queues."""

        def work(connection: Connection) -> int:
            (count,) = connection.execute(
                "SELECT (SELECT count(*) FROM vectors WHERE generation_key = ?1)"
                " - (SELECT count(*) FROM index_additions WHERE generation_key = ?1)"
                " + (SELECT count(*) FROM index_removals WHERE generation_key = ?1)",
                (generation_key,),
            ).fetchone()
            return int(count)

        return await self._database.read(work)

    async def reconcile(self, generation_key: int, present: Sequence[int]) -> tuple[int, int]:
        """Queues what the index lacks and what it has too much; returns both counts.

        present: the keys that the index holds of this generation.
        """

        def work(connection: Connection) -> tuple[int, int]:
            keys = json.dumps(list(present))
            missing = connection.execute(
                "INSERT OR IGNORE INTO index_additions (chunk_key, generation_key)"
                f" SELECT chunk_key, generation_key FROM vectors WHERE generation_key = ? AND {LIVE}"
                " AND chunk_key NOT IN (SELECT value FROM json_each(?))",
                (generation_key, keys),
            ).rowcount
            orphans = connection.execute(
                "INSERT OR IGNORE INTO index_removals (chunk_key, generation_key, tombstone_id)"
                " SELECT value, ?1, '' FROM json_each(?2)"
                " WHERE value NOT IN (SELECT chunk_key FROM vectors WHERE generation_key = ?1)",
                (generation_key, keys),
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
                "INSERT OR IGNORE INTO index_additions (chunk_key, generation_key)"
                f" SELECT chunk_key, generation_key FROM vectors WHERE {LIVE}"
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

    async def _delete(self, table: str, generation_key: int, keys: Sequence[int]) -> None:
        await self._database.write(
            lambda connection: (
                connection.execute(
                    f"DELETE FROM {table} WHERE generation_key = ?"
                    " AND chunk_key IN (SELECT value FROM json_each(?))",
                    (generation_key, json.dumps(list(keys))),
                ).rowcount
            )
        )
