"""Generations of a collection's vectors: all that one embedding model made of its passages.

A collection has one that answers. While another model takes its place there is a second that is being built
beside it, and afterwards the one before is kept for a while. A generation is named by a key that is never
used twice, and the vector index has a collection of its own for each.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from services.vector.embedding.ports import ModelName
from services.vector.record.times import from_micros, now_micros

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from services.vector.record.database import Connection


class GenerationState(IntEnum):
    """What a generation is to its collection; at most one of each of the first three."""

    CURRENT = 1
    BUILDING = 2
    PREVIOUS = 3
    # Nobody asks it any more; its vectors are being removed.
    RETIRED = 4


# Of generations that the index is to have, as a condition on rows with a generation_key.
LIVE = f"generation_key IN (SELECT key FROM generations WHERE state <> {GenerationState.RETIRED:d})"


@dataclass(frozen=True, slots=True)
class Generation:
    """A row. keep_micros: how long the one that it replaces is kept. expire_time: when a PREVIOUS one goes.

    reverts: whether it is built because somebody goes back to it.
    """

    key: int
    collection_key: int
    state: GenerationState
    model: ModelName
    create_time: datetime
    keep_micros: int
    expire_time: datetime | None
    reverts: bool


_COLUMNS = (
    "key, collection_key, state, embedding_model, dimension, revision, create_time, keep_micros, expire_time,"
    " reverts"
)


def introduce(connection: sqlite3.Connection) -> None:
    """Part of the step to version 3: what there is becomes the first generation of its collection.

    It gets the collection's key, so the vector index has it already under its name.
    """
    for statement in _STEP:
        connection.execute(statement)


def add(
    connection: Connection,
    collection_key: int,
    model: ModelName,
    state: GenerationState = GenerationState.CURRENT,
    keep_micros: int = 0,
) -> int:
    """A new one without vectors; its key."""
    cursor = connection.execute(
        "INSERT INTO generations (collection_key, state, embedding_model, dimension, revision, create_time,"
        " keep_micros) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (collection_key, state, model.name, model.dimension, model.revision, now_micros(), keep_micros),
    )
    return int(cursor.lastrowid or 0)


def of_collection(connection: Connection, collection_key: int) -> list[Generation]:
    """All of a collection, the oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM generations WHERE collection_key = ? ORDER BY key", (collection_key,)
    )
    return [_generation(row) for row in rows]


def in_state(connection: Connection, state: GenerationState, limit: int) -> list[Generation]:
    """Those in this state, of all collections."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM generations WHERE state = ? ORDER BY key LIMIT ?", (state, limit)
    )
    return [_generation(row) for row in rows]


def find(connection: Connection, collection_key: int, state: GenerationState) -> Generation | None:
    """The one of a collection in this state."""
    found = [one for one in of_collection(connection, collection_key) if one.state is state]
    return found[0] if found else None


def keys(connection: Connection, collection_key: int) -> list[int]:
    """Keys of all of a collection."""
    return [one.key for one in of_collection(connection, collection_key)]


def count(connection: Connection, generation_key: int) -> int:
    """Vectors of a generation."""
    (there,) = connection.execute(
        "SELECT count(*) FROM vectors WHERE generation_key = ?", (generation_key,)
    ).fetchone()
    return int(there)


def retire(connection: Connection, generation_key: int) -> None:
    """Takes it out of use: the index is told to drop it, and nothing is made for it any more.

    Its vectors, which may be many, are removed later in steps: see `clear`.
    """
    connection.execute(
        "INSERT OR IGNORE INTO index_drops (generation_key, entries, tombstone_id) VALUES (?, ?, '')",
        (generation_key, count(connection, generation_key)),
    )
    for table in ("embedding_queue", "index_additions", "index_removals"):
        connection.execute(f"DELETE FROM {table} WHERE generation_key = ?", (generation_key,))
    connection.execute(
        "UPDATE generations SET state = ? WHERE key = ?", (GenerationState.RETIRED, generation_key)
    )


def clear(connection: Connection, generation_key: int, limit: int) -> bool:
    """Removes some vectors of a retired one, and at the end its row; whether there is more to do."""
    removed = connection.execute(
        "DELETE FROM vectors WHERE seq IN (SELECT seq FROM vectors WHERE generation_key = ? LIMIT ?)",
        (generation_key, limit),
    ).rowcount
    if removed == limit:
        return True
    connection.execute(
        "DELETE FROM generations WHERE key = ? AND state = ?", (generation_key, GenerationState.RETIRED)
    )
    return False


def _generation(row: tuple[object, ...]) -> Generation:
    key, collection_key, state, name, dimension, revision, created, keep, expires, reverts = row
    return Generation(
        key=int(str(key)),
        collection_key=int(str(collection_key)),
        state=GenerationState(int(str(state))),
        model=ModelName(str(name), int(str(dimension)), str(revision)),
        create_time=from_micros(int(str(created))),
        keep_micros=int(str(keep)),
        expire_time=from_micros(int(str(expires))) if expires else None,
        reverts=bool(reverts),
    )


_STEP = (
    "CREATE TABLE generations ("
    " key INTEGER PRIMARY KEY AUTOINCREMENT,"
    " collection_key INTEGER NOT NULL REFERENCES collections (key),"
    " state INTEGER NOT NULL,"
    " embedding_model TEXT NOT NULL,"
    " dimension INTEGER NOT NULL,"
    # What names the model's files; empty where that is not known.
    " revision TEXT NOT NULL,"
    " create_time INTEGER NOT NULL,"
    " keep_micros INTEGER NOT NULL DEFAULT 0,"
    " expire_time INTEGER NOT NULL DEFAULT 0,"
    " reverts INTEGER NOT NULL DEFAULT 0)",
    "CREATE UNIQUE INDEX generations_in_use ON generations (collection_key, state) WHERE state IN (1, 2, 3)",
    "CREATE INDEX generations_by_collection ON generations (collection_key)",
    "INSERT INTO generations (key, collection_key, state, embedding_model, dimension, revision, create_time)"
    " SELECT key, key, 1, embedding_model, dimension, '', create_time FROM collections",
    # The index may still have a collection under a key that was deleted.
    "DELETE FROM sqlite_sequence WHERE name = 'generations'",
    "INSERT INTO sqlite_sequence (name, seq)"
    " SELECT 'generations', seq FROM sqlite_sequence WHERE name = 'collections'",
    "ALTER TABLE collections DROP COLUMN embedding_model",
    "ALTER TABLE collections DROP COLUMN dimension",
    "CREATE TABLE vectors_of_generations ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " chunk_key INTEGER NOT NULL REFERENCES chunks (key),"
    " generation_key INTEGER NOT NULL REFERENCES generations (key),"
    " vector BLOB NOT NULL,"
    # SHA-256 of the vector's bytes; NULL for one that an older release stored.
    " sha256 BLOB,"
    " UNIQUE (chunk_key, generation_key))",
    "INSERT INTO vectors_of_generations (seq, chunk_key, generation_key, vector)"
    " SELECT seq, chunk_key, collection_key, vector FROM vectors"
    " WHERE collection_key IN (SELECT key FROM generations) ORDER BY seq",
    "DROP TABLE vectors",
    "ALTER TABLE vectors_of_generations RENAME TO vectors",
    "CREATE INDEX vectors_by_generation ON vectors (generation_key, seq)",
    "CREATE TABLE embedding_queue_of_generations ("
    " chunk_key INTEGER NOT NULL REFERENCES chunks (key),"
    " generation_key INTEGER NOT NULL REFERENCES generations (key),"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " not_before INTEGER NOT NULL DEFAULT 0,"
    # Whose turn a passage takes; '' for what the house itself embeds anew.
    " space TEXT NOT NULL DEFAULT '',"
    " PRIMARY KEY (chunk_key, generation_key)) WITHOUT ROWID",
    "INSERT INTO embedding_queue_of_generations (chunk_key, generation_key, attempts, not_before)"
    " SELECT chunk_key, collection_key, attempts, not_before FROM embedding_queue"
    " WHERE collection_key IN (SELECT key FROM generations)",
    "DROP TABLE embedding_queue",
    "ALTER TABLE embedding_queue_of_generations RENAME TO embedding_queue",
    "CREATE INDEX embedding_queue_by_space ON embedding_queue (space, chunk_key)",
    "CREATE INDEX embedding_queue_by_generation ON embedding_queue (generation_key, chunk_key)",
    "CREATE TABLE index_additions_of_generations ("
    " chunk_key INTEGER NOT NULL REFERENCES chunks (key),"
    " generation_key INTEGER NOT NULL REFERENCES generations (key),"
    " PRIMARY KEY (chunk_key, generation_key)) WITHOUT ROWID",
    "INSERT INTO index_additions_of_generations SELECT chunk_key, collection_key FROM index_additions"
    " WHERE collection_key IN (SELECT key FROM generations)",
    "DROP TABLE index_additions",
    "ALTER TABLE index_additions_of_generations RENAME TO index_additions",
    "CREATE INDEX index_additions_by_generation ON index_additions (generation_key, chunk_key)",
    "CREATE TABLE index_removals_of_generations ("
    " chunk_key INTEGER NOT NULL,"
    " generation_key INTEGER NOT NULL,"
    " tombstone_id TEXT NOT NULL,"
    " PRIMARY KEY (chunk_key, generation_key)) WITHOUT ROWID",
    "INSERT INTO index_removals_of_generations"
    " SELECT chunk_key, collection_key, tombstone_id FROM index_removals",
    "DROP TABLE index_removals",
    "ALTER TABLE index_removals_of_generations RENAME TO index_removals",
    "CREATE INDEX index_removals_by_tombstone ON index_removals (tombstone_id)",
    "CREATE INDEX index_removals_by_generation ON index_removals (generation_key)",
    "ALTER TABLE index_drops RENAME COLUMN collection_key TO generation_key",
    # Keys of the generations that the index was told to forget it in, a JSON list.
    "ALTER TABLE tombstones ADD COLUMN generations TEXT NOT NULL DEFAULT '[]'",
    "UPDATE tombstones SET generations = json_array(collection_key)",
)
