"""What was deleted, and what is left of it."""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from services.vector.documents import Receipt
from services.vector.faults import deletion_not_found
from services.vector.record import evaluation_rows, lexicon, originals, purging
from services.vector.record.database import Connection, Database
from services.vector.record.times import from_micros


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A delete. space: of whom. collection_key: of the collection that went, or of that of the document.

    first_chunk to last_chunk: keys of the passages of a document; none where the last is below the first.
    generations: keys of those that had its vectors.
    cancelled: it took an ingest back.
    """

    tombstone_id: str
    tenant_id: str
    space: str
    resource: str
    collection_key: int
    delete_time: int
    deleted_documents: int
    deleted_chunks: int
    first_chunk: int = 0
    last_chunk: int = -1
    generations: tuple[int, ...] = ()
    cancelled: bool = False
    deleted_evaluations: int = 0

    @property
    def document_id(self) -> str:
        """Empty where a collection was deleted."""
        return self.resource.rpartition("/")[2] if "/documents/" in self.resource else ""


def put(connection: Connection, tombstone: Tombstone) -> None:
    """Keeps it, in the transaction that deletes."""
    connection.execute(
        "INSERT INTO tombstones (tombstone_id, tenant_id, space, resource, collection_key, delete_time,"
        " deleted_documents, deleted_chunks, first_chunk, last_chunk, generations, cancelled,"
        " deleted_evaluations)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tombstone.tombstone_id,
            tombstone.tenant_id,
            tombstone.space,
            tombstone.resource,
            tombstone.collection_key,
            tombstone.delete_time,
            tombstone.deleted_documents,
            tombstone.deleted_chunks,
            tombstone.first_chunk,
            tombstone.last_chunk,
            json.dumps(tombstone.generations),
            tombstone.cancelled,
            tombstone.deleted_evaluations,
        ),
    )


def of_cancelled(connection: Connection, space: str, collection_key: int, resource: str) -> str | None:
    """The id of the tombstone of an ingest that this person took back; None when there is none."""
    row = connection.execute(
        "SELECT tombstone_id FROM tombstones WHERE cancelled = 1 AND resource = ? AND space = ?"
        " AND collection_key = ?",
        (resource, space, collection_key),
    ).fetchone()
    return None if row is None else str(row[0])


class Tombstones:
    """Found by whose delete it was."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, space: str, tombstone_id: str) -> Tombstone:
        """Raises NotFoundError (DELETION_NOT_FOUND)."""

        def work(connection: Connection) -> Tombstone:
            row = connection.execute(
                "SELECT tombstone_id, tenant_id, space, resource, collection_key, delete_time,"
                " deleted_documents, deleted_chunks, first_chunk, last_chunk,"
                " deleted_evaluations, generations FROM tombstones"
                " WHERE tombstone_id = ? AND space = ?",
                (tombstone_id, space),
            ).fetchone()
            if row is None:
                raise deletion_not_found(tombstone_id)
            *known, evaluations, keys = row
            return replace(
                Tombstone(*known),
                generations=tuple(json.loads(keys)),
                deleted_evaluations=evaluations,
            )

        return await self._database.read(work)

    async def receipt(self, tombstone: Tombstone) -> Receipt:
        """What the record, its keyword index and its queue for the vector index hold of it now."""
        return await self._database.read(lambda connection: _receipt(connection, tombstone))

    async def remove_again(self, tombstone: Tombstone, generation_key: int, chunk_keys: list[int]) -> None:
        """Queues entries that the vector index was told to remove from a generation and still has."""

        def work(connection: Connection) -> None:
            if not tombstone.document_id:
                connection.execute(
                    "INSERT OR IGNORE INTO index_drops VALUES (?, 1, ?)",
                    (generation_key, tombstone.tombstone_id),
                )
            connection.executemany(
                "INSERT OR IGNORE INTO index_removals VALUES (?, ?, ?)",
                ((key, generation_key, tombstone.tombstone_id) for key in chunk_keys),
            )

        await self._database.write(work)


def _receipt(connection: Connection, tombstone: Tombstone) -> Receipt:
    (entries,) = connection.execute(
        "SELECT (SELECT count(*) FROM index_removals WHERE tombstone_id = ?1)"
        " + (SELECT coalesce(sum(max(entries, 1)), 0) FROM index_drops WHERE tombstone_id = ?1)",
        (tombstone.tombstone_id,),
    ).fetchone()
    by = "document_id" if tombstone.document_id else "collection_key"
    subject = (tombstone.document_id or tombstone.collection_key,)
    (documents,) = connection.execute(f"SELECT count(*) FROM documents WHERE {by} = ?", subject).fetchone()
    (chunks,) = connection.execute(
        f"SELECT count(*) FROM chunks WHERE document_key IN (SELECT key FROM documents WHERE {by} = ?)",
        subject,
    ).fetchone()
    (kept,) = connection.execute(
        f"SELECT count(*) FROM documents d WHERE d.{by} = ? AND {originals.KEPT}", subject
    ).fetchone()
    key = tombstone.collection_key
    left = 0 if tombstone.document_id else evaluation_rows.count(connection, key)
    lexical = (
        lexicon.count(connection, key, tombstone.first_chunk, tombstone.last_chunk)
        if tombstone.document_id
        else lexicon.count_all(connection, key)
    )
    purged = purging.last(connection)
    return Receipt(
        resource=tombstone.resource,
        record_documents=documents,
        record_chunks=chunks,
        record_evaluations=left,
        record_originals=kept,
        lexical_entries=lexical,
        vector_entries=entries,
        files=0,
        tombstone_id=tombstone.tombstone_id,
        delete_time=from_micros(tombstone.delete_time),
        deleted_documents=tombstone.deleted_documents,
        deleted_chunks=tombstone.deleted_chunks,
        deleted_evaluations=tombstone.deleted_evaluations,
        purge_time=from_micros(purged) if purged > tombstone.delete_time else None,
    )
