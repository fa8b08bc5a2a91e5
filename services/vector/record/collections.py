"""Collections in the record. Each has a keyword index of its own, so that its BM25 statistics depend on
nothing else.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import secrets
import sqlite3

from services.chassis.errors import AlreadyExistsError
from services.vector.documents import Collection, Request
from services.vector.faults import collection_not_found
from services.vector.record import lexicon, purging, requests, tombstones
from services.vector.record.database import Connection, Database
from services.vector.record.times import from_micros, now_micros

_CREATE, _DELETE = "CreateCollection", "DeleteCollection"
_COLUMNS = (
    "key, tenant_id, collection_id, description, embedding_model, dimension, documents, chunks,"
    " vectors, create_time"
)


def collection_of(row: tuple[object, ...]) -> Collection:
    """From a row of `_COLUMNS`."""
    key, tenant_id, collection_id, description, model, dimension, documents, chunks, vectors, created = row
    return Collection(
        key=int(str(key)),
        tenant_id=str(tenant_id),
        collection_id=str(collection_id),
        description=str(description),
        embedding_model=str(model),
        dimension=int(str(dimension)),
        documents=int(str(documents)),
        chunks=int(str(chunks)),
        vectors=int(str(vectors)),
        create_time=from_micros(int(str(created))),
    )


def find(connection: Connection, tenant_id: str, collection_id: str) -> Collection:
    """The collection. Raises NotFoundError (COLLECTION_NOT_FOUND)."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM collections WHERE tenant_id = ? AND collection_id = ?",
        (tenant_id, collection_id),
    ).fetchone()
    if row is None:
        raise collection_not_found(collection_id)
    return collection_of(row)


class Collections:
    """Create, read, list, delete; all within a tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        tenant_id: str,
        collection_id: str,
        *,
        description: str,
        embedding_model: str,
        dimension: int,
        request: Request | None,
    ) -> Collection:
        """Raises AlreadyExistsError (COLLECTION_EXISTS), FailedPreconditionError (REQUEST_ID_REUSED)."""

        def work(connection: Connection) -> Collection:
            if requests.outcome(connection, tenant_id, _CREATE, request) is not None:
                return find(connection, tenant_id, collection_id)
            try:
                cursor = connection.execute(
                    "INSERT INTO collections (tenant_id, collection_id, description, embedding_model,"
                    " dimension,"
                    " create_time) VALUES (?, ?, ?, ?, ?, ?)",
                    (tenant_id, collection_id, description, embedding_model, dimension, now_micros()),
                )
            except sqlite3.IntegrityError:
                raise AlreadyExistsError(
                    f"there is a collection {collection_id} already",
                    reason="COLLECTION_EXISTS",
                    metadata={"collection_id": collection_id},
                ) from None
            lexicon.create(connection, int(cursor.lastrowid or 0))
            requests.remember(connection, tenant_id, _CREATE, request, collection_id)
            return find(connection, tenant_id, collection_id)

        return await self._database.write(work)

    async def get(self, tenant_id: str, collection_id: str) -> Collection:
        """Raises NotFoundError (COLLECTION_NOT_FOUND)."""
        return await self._database.read(lambda connection: find(connection, tenant_id, collection_id))

    async def get_all(self, tenant_id: str, collection_ids: list[str]) -> list[Collection]:
        """In the order given. Raises NotFoundError for the first that is missing."""
        return await self._database.read(
            lambda connection: [find(connection, tenant_id, one) for one in collection_ids]
        )

    async def page(self, tenant_id: str, after: str, size: int) -> list[Collection]:
        """Collections whose id follows `after`, ordered by id."""

        def work(connection: Connection) -> list[Collection]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM collections WHERE tenant_id = ? AND collection_id > ?"
                " ORDER BY collection_id LIMIT ?",
                (tenant_id, after, size),
            )
            return [collection_of(row) for row in rows]

        return await self._database.read(work)

    async def delete(self, tenant_id: str, collection_id: str, request: Request | None) -> str:
        """Removes the collection and all in it from the record; returns the id of its tombstone.

        The vector index learns of it through index_drops. A repeated request gets its first tombstone. Raises
        NotFoundError (COLLECTION_NOT_FOUND), FailedPreconditionError (REQUEST_ID_REUSED).
        """

        def work(connection: Connection) -> str:
            known = requests.outcome(connection, tenant_id, _DELETE, request)
            if known is not None:
                return known
            collection = find(connection, tenant_id, collection_id)
            tombstone_id = secrets.token_hex(16)
            key = collection.key
            tombstones.put(
                connection,
                tombstones.Tombstone(
                    tombstone_id,
                    tenant_id,
                    f"collections/{collection_id}",
                    key,
                    now_micros(),
                    deleted_documents=collection.documents,
                    deleted_chunks=collection.chunks,
                ),
            )
            purging.note(connection, max(1, collection.chunks))
            connection.execute(
                "INSERT INTO index_drops VALUES (?, ?, ?)", (key, collection.vectors, tombstone_id)
            )
            for table in ("embedding_queue", "index_additions", "index_removals", "vectors"):
                connection.execute(f"DELETE FROM {table} WHERE collection_key = ?", (key,))
            owned = "(SELECT key FROM documents WHERE collection_key = ?)"
            connection.execute(f"DELETE FROM chunks WHERE document_key IN {owned}", (key,))
            connection.execute(f"DELETE FROM texts WHERE document_key IN {owned}", (key,))
            connection.execute(f"DELETE FROM places WHERE document_key IN {owned}", (key,))
            connection.execute("DELETE FROM documents WHERE collection_key = ?", (key,))
            connection.execute("DELETE FROM collections WHERE key = ?", (key,))
            lexicon.drop(connection, key)
            requests.remember(connection, tenant_id, _DELETE, request, tombstone_id)
            return tombstone_id

        return await self._database.write(work, milestone="record_delete")
