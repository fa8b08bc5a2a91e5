"""Changing the embedding model of a collection, as the record decides it.

A build is nothing but rows: a generation that is BUILDING and, in the queue of the embedding model, every
passage that it lacks. Whoever commits a document queues it for the build too, whoever deletes one takes it
out of every generation. So a build has no other memory, and goes on after a crash where it was. One
transaction lets the new generation answer.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.vector.access import Caller, Role
from services.vector.documents import Collection, DocumentState, Request
from services.vector.embedding.ports import ModelName
from services.vector.faults import reembed_nothing, reembed_running
from services.vector.record import generations, requests
from services.vector.record.collections import find
from services.vector.record.database import Connection, Database
from services.vector.record.generations import Generation, GenerationState
from services.vector.record.mending import recount
from services.vector.record.times import now_micros

REVERT = "RevertReembed"

# Searches that began before a switch still ask the generation before.
_LEAST_KEEP_MICROS = 60_000_000
_COMMITTED = "d.state IN (3, 4)"
_MOST_AT_ONCE = 64
_CLEARED = 2_000


class Stage(IntEnum):
    """How far a build is; the numbers are those of the contract."""

    EMBEDDING = 1
    # All vectors are there; the vector index is still learning them.
    INDEXING = 2
    # Only passages are left that the model refused; it is asked again from time to time.
    STALLED = 3
    DONE = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """Of a generation that is being built. refused: passages that the model did not take so far."""

    generation: Generation
    stage: Stage
    chunks: int
    vectors: int
    refused: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The generation before, for those who may want to go back to it, until its `expire_time`."""

    generation: Generation
    vectors: int
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What is going on in a collection."""

    building: Progress | None = None
    kept: Kept | None = None


class Reembedding:
    """Every write looks again at what it changes; raises what a write raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, caller: Caller, collection_id: str, model: ModelName, keep_micros: int) -> int:
        """Begins to build the vectors of `model`; the key of the generation that will have them, or has them.

        One that is kept and is of this model is taken up again. Raises what `find` raises, AbortedError
        (REEMBED_RUNNING) while another model's are being built.
        """

        def work(connection: Connection) -> int:
            collection = find(connection, caller, collection_id, Role.OWNER)
            building = generations.find(connection, collection.key, GenerationState.BUILDING)
            if building is not None:
                if building.model != model:
                    raise reembed_running(collection_id, str(building.model))
                return building.key
            if collection.model == model:
                return collection.generation_key
            kept = generations.find(connection, collection.key, GenerationState.PREVIOUS)
            if kept is not None and kept.model == model:
                return _take_up(connection, collection, kept, keep_micros, reverts=False)
            if kept is not None:
                generations.retire(connection, kept.key)
            state = GenerationState.BUILDING
            key = generations.add(connection, collection.key, model, state, keep_micros)
            _queue_missing(connection, collection.key, key)
            return key

        return await self._database.write(work, milestone="reembed_begin")

    async def revert(
        self,
        caller: Caller,
        collection_id: str,
        request: Request | None,
        check: Callable[[ModelName], None] | None = None,
    ) -> Collection:
        """Goes back to the generation before: at once, or when the passages that came since are embedded.

        A repeat of the request changes nothing: what was left is now what one could go back to. check: raises
        for a model that cannot be asked. Raises what `find` and `check` raise, FailedPreconditionError
        (REEMBED_NOTHING_KEPT, REQUEST_ID_REUSED), AbortedError (REEMBED_RUNNING).
        """

        def work(connection: Connection) -> Collection:
            known = requests.outcome(connection, caller.space, REVERT, request)
            collection = find(connection, caller, collection_id, Role.OWNER)
            if known is not None:
                return collection
            building = generations.find(connection, collection.key, GenerationState.BUILDING)
            if building is not None:
                if building.reverts:
                    requests.remember(connection, caller.space, REVERT, request, collection_id)
                    return collection
                raise reembed_running(collection_id, str(building.model))
            kept = generations.find(connection, collection.key, GenerationState.PREVIOUS)
            if kept is None:
                raise reembed_nothing(collection_id)
            if check is not None:
                check(kept.model)
            current = generations.find(connection, collection.key, GenerationState.CURRENT)
            keep = current.keep_micros if current else 0
            _take_up(connection, collection, kept, keep, reverts=True)
            _switch(connection, kept.key)
            requests.remember(connection, caller.space, REVERT, request, collection_id)
            return find(connection, caller, collection_id, Role.OWNER)

        return await self._database.write(work, milestone="reembed_switch")

    async def cancel(self, caller: Caller, collection_id: str) -> Collection:
        """Ends the build; what answers goes on to answer. Raises what `find` raises."""

        def work(connection: Connection) -> Collection:
            collection = find(connection, caller, collection_id, Role.OWNER)
            building = generations.find(connection, collection.key, GenerationState.BUILDING)
            if building is not None and building.reverts:
                connection.execute(
                    "UPDATE generations SET state = ?, reverts = 0, expire_time = ? WHERE key = ?",
                    (GenerationState.PREVIOUS, _expiry(building.keep_micros), building.key),
                )
                connection.execute("DELETE FROM embedding_queue WHERE generation_key = ?", (building.key,))
            elif building is not None:
                generations.retire(connection, building.key)
            return collection

        return await self._database.write(work, milestone="reembed_cancel")

    async def finish(self, caller: Caller, collection_id: str) -> Collection:
        """Forgets the generation before. Raises what `find` raises."""

        def work(connection: Connection) -> Collection:
            collection = find(connection, caller, collection_id, Role.OWNER)
            kept = generations.find(connection, collection.key, GenerationState.PREVIOUS)
            if kept is not None:
                generations.retire(connection, kept.key)
            return collection

        return await self._database.write(work)

    async def switch(self, generation_key: int) -> bool:
        """Lets a generation answer if it has all that the one before has; whether it did.

        Looks first without a write, because a build is looked at often.
        """
        if not await self._database.read(lambda connection: _complete(connection, generation_key)):
            return False
        return await self._database.write(
            lambda connection: _switch(connection, generation_key), milestone="reembed_switch"
        )

    async def building(self) -> list[int]:
        """Keys of all generations that are being built: one that waits for its model holds up no other."""

        def work(connection: Connection) -> list[int]:
            rows = connection.execute(
                "SELECT key FROM generations WHERE state = ? ORDER BY key", (GenerationState.BUILDING,)
            )
            return [key for (key,) in rows]

        return await self._database.read(work)

    async def under_way(self, collection_key: int) -> bool:
        """Whether a generation of the collection is being built."""
        return await self._database.read(
            lambda connection: (
                generations.find(connection, collection_key, GenerationState.BUILDING) is not None
            )
        )

    async def retire_expired(self) -> int:
        """Retires generations that were kept long enough; how many."""

        def expired(connection: Connection) -> list[int]:
            rows = connection.execute(
                "SELECT key FROM generations WHERE state = ? AND expire_time <= ? LIMIT ?",
                (GenerationState.PREVIOUS, now_micros(), _MOST_AT_ONCE),
            )
            return [key for (key,) in rows]

        def work(connection: Connection) -> int:
            keys = expired(connection)
            for key in keys:
                generations.retire(connection, key)
            return len(keys)

        if not await self._database.read(expired):
            return 0
        return await self._database.write(work)

    async def retired(self) -> list[int]:
        """Keys of generations whose vectors are still to be removed; some, where there are very many."""
        return await self._database.read(
            lambda connection: [
                one.key for one in generations.in_state(connection, GenerationState.RETIRED, _MOST_AT_ONCE)
            ]
        )

    async def clear(self, generation_key: int) -> bool:
        """Removes some vectors of a retired generation; whether there is more to do."""
        return await self._database.write(
            lambda connection: generations.clear(connection, generation_key, _CLEARED),
            milestone="generation_clear",
        )

    async def state(self, generation_key: int) -> GenerationState | None:
        """What a generation is now; None where it is gone."""

        def work(connection: Connection) -> GenerationState | None:
            row = connection.execute(
                "SELECT state FROM generations WHERE key = ?", (generation_key,)
            ).fetchone()
            return None if row is None else GenerationState(row[0])

        return await self._database.read(work)

    async def changes(self, collection_keys: Iterable[int]) -> dict[int, Change]:
        """What is going on in these collections; those where nothing is are left out."""

        def work(connection: Connection) -> dict[int, Change]:
            found = {}
            for key in collection_keys:
                held = generations.of_collection(connection, key)
                building = next((one for one in held if one.state is GenerationState.BUILDING), None)
                kept = next((one for one in held if one.state is GenerationState.PREVIOUS), None)
                if building or kept:
                    found[key] = Change(
                        _progress(connection, building) if building else None,
                        _kept(connection, kept) if kept else None,
                    )
            return found

        return await self._database.read(work)


def _take_up(
    connection: Connection, collection: Collection, kept: Generation, keep_micros: int, *, reverts: bool
) -> int:
    """Builds what a kept generation lacks of what came since."""
    connection.execute(
        "UPDATE generations SET state = ?, reverts = ?, keep_micros = ?, expire_time = 0 WHERE key = ?",
        (GenerationState.BUILDING, reverts, keep_micros, kept.key),
    )
    _queue_missing(connection, collection.key, kept.key)
    return kept.key


def _queue_missing(connection: Connection, collection_key: int, generation_key: int) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO embedding_queue (chunk_key, generation_key)"
        " SELECT h.key, ?1 FROM documents d JOIN chunks h ON h.document_key = d.key"
        f" WHERE d.collection_key = ?2 AND {_COMMITTED} AND NOT EXISTS"
        " (SELECT 1 FROM vectors v WHERE v.chunk_key = h.key AND v.generation_key = ?1)",
        (generation_key, collection_key),
    )


def _complete(connection: Connection, generation_key: int) -> bool:
    """Whether a generation that is being built has, and its index knows, all that the current one has.

    A passage that neither has yet is no reason to wait: it is as far in the one as in the other.
    """
    row = connection.execute(
        "SELECT g.state, c.key FROM generations g JOIN generations c"
        " ON c.collection_key = g.collection_key AND c.state = ? WHERE g.key = ?",
        (GenerationState.CURRENT, generation_key),
    ).fetchone()
    if row is None or row[0] != GenerationState.BUILDING:
        return False
    (missing,) = connection.execute(
        # The queue first: where much is missing the first row of it tells. Not OR, of which SQLite computes
        # both sides always.
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM embedding_queue q WHERE q.generation_key = ?1 AND EXISTS"
        "  (SELECT 1 FROM vectors v WHERE v.chunk_key = q.chunk_key AND v.generation_key = ?2)) THEN 1"
        " WHEN EXISTS (SELECT 1 FROM index_additions WHERE generation_key = ?1) THEN 1"
        " ELSE EXISTS (SELECT 1 FROM vectors v WHERE v.generation_key = ?2 AND NOT EXISTS"
        "  (SELECT 1 FROM vectors n WHERE n.chunk_key = v.chunk_key AND n.generation_key = ?1)) END",
        (generation_key, row[1]),
    ).fetchone()
    return not missing


def _switch(connection: Connection, generation_key: int) -> bool:
    if not _complete(connection, generation_key):
        return False
    collection_key, keep = connection.execute(
        "SELECT collection_key, keep_micros FROM generations WHERE key = ?", (generation_key,)
    ).fetchone()
    kept = generations.find(connection, collection_key, GenerationState.PREVIOUS)
    if kept is not None:
        generations.retire(connection, kept.key)
    # Nobody makes what it lacks any more; whoever goes back to it queues that again.
    connection.execute(
        "DELETE FROM embedding_queue WHERE generation_key IN"
        " (SELECT key FROM generations WHERE collection_key = ? AND state = ?)",
        (collection_key, GenerationState.CURRENT),
    )
    connection.execute(
        "UPDATE generations SET state = ?, expire_time = ? WHERE collection_key = ? AND state = ?",
        (GenerationState.PREVIOUS, _expiry(keep), collection_key, GenerationState.CURRENT),
    )
    connection.execute(
        "UPDATE generations SET state = ?, reverts = 0 WHERE key = ?",
        (GenerationState.CURRENT, generation_key),
    )
    connection.execute(
        # Not of one that waits for the new model too: it would be told to be READY.
        "UPDATE documents SET vectors = chunks, state = ? WHERE collection_key = ? AND state = ?"
        " AND NOT EXISTS (SELECT 1 FROM chunks h JOIN embedding_queue q ON q.chunk_key = h.key"
        " AND q.generation_key = ? WHERE h.document_key = documents.key)",
        (DocumentState.READY, collection_key, DocumentState.EMBEDDING, generation_key),
    )
    waiting = [
        key
        for (key,) in connection.execute(
            "SELECT chunk_key FROM embedding_queue WHERE generation_key = ?", (generation_key,)
        )
    ]
    recount(connection, collection_key, json.dumps(waiting))
    return True


def _expiry(keep_micros: int) -> int:
    return now_micros() + max(keep_micros, _LEAST_KEEP_MICROS)


def _progress(connection: Connection, generation: Generation) -> Progress:
    waiting, refused, ready = connection.execute(
        "SELECT count(*), coalesce(sum(attempts > 0), 0), coalesce(sum(not_before <= ?), 0)"
        " FROM embedding_queue WHERE generation_key = ?",
        (now_micros(), generation.key),
    ).fetchone()
    vectors = generations.count(connection, generation.key)
    stage = Stage.EMBEDDING if ready else Stage.STALLED if waiting else Stage.INDEXING
    return Progress(generation, stage, vectors + waiting, vectors, refused)


def _kept(connection: Connection, generation: Generation) -> Kept:
    return Kept(
        generation,
        generations.count(connection, generation.key),
        generation.expire_time or generation.create_time,
    )
