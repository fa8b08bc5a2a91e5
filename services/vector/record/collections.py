"""Collections in the record. Each has a keyword index of its own, so that its BM25 statistics depend on
nothing else.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence
from functools import partial

from services.chassis.errors import AlreadyExistsError
from services.vector.access import Caller, Grant, Role, granted
from services.vector.documents import Collection, Request
from services.vector.embedding.ports import ModelName
from services.vector.faults import access_denied, collection_not_found
from services.vector.record import (
    evaluation_rows,
    generations,
    lexicon,
    originals,
    purging,
    requests,
    tombstones,
)
from services.vector.record.database import Connection, Database
from services.vector.record.generations import GenerationState
from services.vector.record.times import from_micros, now_micros

_CREATE, _DELETE, _SET_ACCESS = "CreateCollection", "DeleteCollection", "SetCollectionAccess"
# What one transaction erases of originals: it is written twice, into the log and into the file.
_STEP_BYTES = 64 * 1024 * 1024
_MOST_STEPS = 1_000_000
_COLUMNS = (
    "c.key, c.tenant_id, c.collection_id, c.description, g.key, g.embedding_model, g.dimension, g.revision,"
    " c.documents, c.chunks, c.vectors, c.create_time, c.owner"
)
_FROM = (
    "FROM collections c JOIN generations g"
    f" ON g.collection_key = c.key AND g.state = {GenerationState.CURRENT:d}"
)
# What the caller may do with the collection `c`, a Role; takes what `bound` gives.
ROLE = (
    f"(CASE WHEN c.tenant_id <> :tenant THEN {Role.NONE:d}"
    f" WHEN :manages OR (c.owner = :subject AND c.owner <> '') THEN {Role.OWNER:d}"
    " ELSE coalesce((SELECT max(g.role) FROM grants g WHERE g.collection_key = c.key"
    f" AND g.grantee IN (SELECT value FROM json_each(:grantees))), {Role.NONE:d}) END)"
)


def bound(caller: Caller, **values: object) -> dict[str, object]:
    """The values of a statement with ROLE in it, and its own."""
    return {
        "tenant": caller.tenant_id,
        "manages": caller.manages,
        "subject": caller.subject,
        "grantees": json.dumps(caller.grantees),
        **values,
    }


def find(connection: Connection, caller: Caller, collection_id: str, needs: Role = Role.READER) -> Collection:
    """The collection, for somebody who may do what is needed.

    Raises NotFoundError (COLLECTION_NOT_FOUND) alike for one that is missing and one that the caller may not
    read; PermissionDeniedError (COLLECTION_ACCESS_DENIED).
    """
    row = connection.execute(
        f"SELECT {_COLUMNS}, {ROLE} {_FROM} WHERE c.tenant_id = :tenant AND c.collection_id = :collection_id",
        bound(caller, collection_id=collection_id),
    ).fetchone()
    return _admitted(connection, row, collection_id, needs)


def require_writer(connection: Connection, caller: Caller, key: int) -> None:
    """Raises NotFoundError when the collection went meanwhile, and what `find` raises."""
    row = connection.execute(
        f"SELECT {_COLUMNS}, {ROLE} {_FROM} WHERE c.key = :key", bound(caller, key=key)
    ).fetchone()
    _admitted(connection, row, "of this document: it was deleted", Role.WRITER)


def _admitted(
    connection: Connection, row: tuple[object, ...] | None, collection_id: str, needs: Role
) -> Collection:
    if row is None or row[-1] == Role.NONE:
        raise collection_not_found(collection_id)
    found = _collection(connection, row)
    if found.role < needs:
        raise access_denied(found.collection_id, needs.name.lower())
    return found


def _collection(connection: Connection, row: tuple[object, ...]) -> Collection:
    """From a row of `_COLUMNS` and ROLE."""
    key, tenant_id, collection_id, description, generation, model, dimension, revision, *rest = row
    documents, chunks, vectors, created, owner, role = rest
    return Collection(
        key=int(str(key)),
        tenant_id=str(tenant_id),
        collection_id=str(collection_id),
        description=str(description),
        generation_key=int(str(generation)),
        model=ModelName(str(model), int(str(dimension)), str(revision)),
        documents=int(str(documents)),
        chunks=int(str(chunks)),
        vectors=int(str(vectors)),
        create_time=from_micros(int(str(created))),
        owner=str(owner),
        role=Role(int(str(role))),
        grants=_grants(connection, int(str(key))) if role == Role.OWNER else (),
    )


def _grants(connection: Connection, key: int) -> tuple[Grant, ...]:
    rows = connection.execute(
        "SELECT grantee, role FROM grants WHERE collection_key = ? ORDER BY grantee", (key,)
    )
    return tuple(granted(str(grantee), int(role)) for grantee, role in rows)


class Collections:
    """Create, read, list, share, delete; all as a caller may."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        caller: Caller,
        collection_id: str,
        *,
        description: str,
        model: ModelName,
        request: Request | None,
    ) -> Collection:
        """An empty one that the caller owns.

        An id is taken within the tenant, also by a collection that the caller may not see: then that is all
        that is said of it. Raises AlreadyExistsError (COLLECTION_EXISTS), FailedPreconditionError
        (REQUEST_ID_REUSED).
        """

        def work(connection: Connection) -> Collection:
            if requests.outcome(connection, caller.space, _CREATE, request) is not None:
                return find(connection, caller, collection_id)
            try:
                cursor = connection.execute(
                    "INSERT INTO collections (tenant_id, collection_id, description, create_time, owner)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (caller.tenant_id, collection_id, description, now_micros(), caller.subject),
                )
            except sqlite3.IntegrityError:
                raise AlreadyExistsError(
                    f"there is a collection {collection_id} already",
                    reason="COLLECTION_EXISTS",
                    metadata={"collection_id": collection_id},
                ) from None
            key = int(cursor.lastrowid or 0)
            generations.add(connection, key, model)
            lexicon.create(connection, key)
            requests.remember(connection, caller.space, _CREATE, request, collection_id)
            return find(connection, caller, collection_id)

        return await self._database.write(work)

    async def get(self, caller: Caller, collection_id: str, needs: Role = Role.READER) -> Collection:
        """Raises what `find` raises."""
        return await self._database.read(lambda connection: find(connection, caller, collection_id, needs))

    async def get_all(self, caller: Caller, collection_ids: list[str]) -> list[Collection]:
        """In the order given. Raises NotFoundError for the first that is missing."""
        return await self._database.read(
            lambda connection: [find(connection, caller, one) for one in collection_ids]
        )

    async def page(self, caller: Caller, after: str, size: int) -> list[Collection]:
        """Collections that the caller may read and whose id follows `after`, ordered by id."""

        def work(connection: Connection) -> list[Collection]:
            rows = connection.execute(
                f"SELECT {_COLUMNS}, {ROLE} AS role {_FROM}"
                f" WHERE c.tenant_id = :tenant AND c.collection_id > :after AND role >= {Role.READER:d}"
                " ORDER BY c.collection_id LIMIT :size",
                bound(caller, after=after, size=size),
            ).fetchall()
            return [_collection(connection, row) for row in rows]

        return await self._database.read(work)

    async def set_access(
        self, caller: Caller, collection_id: str, grants: Sequence[Grant], request: Request | None
    ) -> Collection:
        """The collection with these grants and no others. grants: one per grantee.

        Raises what `find` raises, FailedPreconditionError (REQUEST_ID_REUSED).
        """

        def work(connection: Connection) -> Collection:
            collection = find(connection, caller, collection_id, Role.OWNER)
            if requests.outcome(connection, caller.space, _SET_ACCESS, request) is not None:
                return collection
            connection.execute("DELETE FROM grants WHERE collection_key = ?", (collection.key,))
            connection.executemany(
                "INSERT INTO grants VALUES (?, ?, ?)",
                ((collection.key, one.grantee, int(one.role)) for one in grants),
            )
            requests.remember(connection, caller.space, _SET_ACCESS, request, collection_id)
            return find(connection, caller, collection_id, Role.OWNER)

        return await self._database.write(work)

    async def delete(self, caller: Caller, collection_id: str, request: Request | None) -> str:
        """Removes the collection and all in it from the record; returns the id of its tombstone.

        The vector index learns of it through index_drops. Originals go ahead of the rest, some at a time: all
        of a large collection at once would hold up every writer and fill the log. A repeated request gets its
        first tombstone. Raises what `find` raises, FailedPreconditionError (REQUEST_ID_REUSED).
        """

        def begin(connection: Connection) -> int | None:
            if requests.outcome(connection, caller.space, _DELETE, request) is not None:
                return None
            return find(connection, caller, collection_id, Role.OWNER).key

        await self._erase_originals(await self._database.read(begin))

        def work(connection: Connection) -> str:
            known = requests.outcome(connection, caller.space, _DELETE, request)
            if known is not None:
                return known
            collection = find(connection, caller, collection_id, Role.OWNER)
            tombstone_id = secrets.token_hex(16)
            key = collection.key
            gone = generations.of_collection(connection, key)
            tombstones.put(
                connection,
                tombstones.Tombstone(
                    tombstone_id,
                    caller.tenant_id,
                    caller.space,
                    f"collections/{collection_id}",
                    key,
                    now_micros(),
                    deleted_documents=collection.documents,
                    deleted_chunks=collection.chunks,
                    generations=tuple(one.key for one in gone),
                    deleted_evaluations=evaluation_rows.count(connection, key),
                ),
            )
            purging.note(connection, max(1, collection.chunks))
            for one in gone:
                connection.execute(
                    "INSERT OR REPLACE INTO index_drops VALUES (?, ?, ?)",
                    (one.key, generations.count(connection, one.key), tombstone_id),
                )
                for table in ("embedding_queue", "index_additions", "index_removals", "vectors"):
                    connection.execute(f"DELETE FROM {table} WHERE generation_key = ?", (one.key,))
            for table in ("ingests", "generations", "grants"):
                connection.execute(f"DELETE FROM {table} WHERE collection_key = ?", (key,))
            owned = "(SELECT key FROM documents WHERE collection_key = ?)"
            connection.execute(f"DELETE FROM chunks WHERE document_key IN {owned}", (key,))
            connection.execute(f"DELETE FROM texts WHERE document_key IN {owned}", (key,))
            connection.execute(f"DELETE FROM places WHERE document_key IN {owned}", (key,))
            connection.execute(f"DELETE FROM originals WHERE document_key IN {owned}", (key,))
            connection.execute("DELETE FROM documents WHERE collection_key = ?", (key,))
            evaluation_rows.erase_all(connection, key)
            connection.execute("DELETE FROM collections WHERE key = ?", (key,))
            lexicon.drop(connection, key)
            requests.remember(connection, caller.space, _DELETE, request, tombstone_id)
            return tombstone_id

        return await self._database.write(work, milestone="record_delete")

    async def _erase_originals(self, collection_key: int | None) -> None:
        after = None if collection_key is None else 0
        for _ in range(_MOST_STEPS):
            if collection_key is None or after is None:
                return
            after = await self._database.write(
                partial(
                    originals.erase_some,
                    collection_key=collection_key,
                    after_key=after,
                    most_bytes=_STEP_BYTES,
                )
            )
