"""Evaluations in the record. What was measured is kept as bytes that services.vector.evaluation.kept makes.

Who may read a collection may read its evaluations.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.vector.access import Caller, Role
from services.vector.documents import Collection, Request
from services.vector.faults import access_denied, collection_not_found, evaluation_not_found, evaluations_full
from services.vector.record import evaluation_rows, requests
from services.vector.record.collections import find
from services.vector.record.database import Connection, Database

MOST_KEPT = 500

_RUN, _DELETE = "RunEvaluation", "DeleteEvaluation"
_PAGE_BYTES = 2 << 20
# The columns that may name a document.
_NAMES = {"document_id": "document_id", "external_id": "external_id", "title": "title"}


@dataclass(frozen=True, slots=True)
class NamedDocument:
    """A committed document, and the length of its text."""

    key: int
    document_id: str
    text_bytes: int


@dataclass(frozen=True, slots=True)
class Page:
    """What was kept, each behind its place. more: whether others follow.

    It ends early where it would be too large for a message, but holds one at least.
    """

    kept: list[tuple[int, bytes]]
    more: bool


class Evaluations:
    """Keep, read, list, delete; and the documents that a golden set names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def named(
        self, collection_key: int, by: str, names: Sequence[str]
    ) -> dict[str, list[NamedDocument]]:
        """The committed documents of a collection with these names; a title may be that of several."""
        column = _NAMES[by]

        def work(connection: Connection) -> dict[str, list[NamedDocument]]:
            found: dict[str, list[NamedDocument]] = {}
            rows = connection.execute(
                f"SELECT {column}, key, document_id, text_bytes FROM documents"
                " WHERE collection_key = ? AND state IN (3, 4)"
                f" AND {column} IN (SELECT value FROM json_each(?)) ORDER BY key",
                (collection_key, json.dumps([*names])),
            )
            for name, *document in rows:
                found.setdefault(name, []).append(NamedDocument(*document))
            return found

        return await self._database.read(work)

    async def made(self, caller: Caller, request: Request | None) -> str | None:
        """The evaluation that an earlier call with this request id made.

        Raises FailedPreconditionError (REQUEST_ID_REUSED).
        """
        return await self._database.read(
            lambda connection: requests.outcome(connection, caller.space, _RUN, request)
        )

    async def require_room(self, collection_key: int) -> None:
        """Raises ResourceExhaustedError (EVALUATIONS_FULL)."""
        await self._database.read(lambda connection: _require_room(connection, collection_key))

    async def add(
        self,
        caller: Caller,
        collection: Collection,
        *,
        evaluation_id: str,
        report: bytes,
        outcomes: Sequence[bytes],
        request: Request | None,
    ) -> None:
        """Keeps an evaluation with its queries, in order.

        Raises NotFoundError (COLLECTION_NOT_FOUND) when the collection went meanwhile, also when another took
        its id, and ResourceExhaustedError (EVALUATIONS_FULL, STORAGE_FULL).
        """

        def work(connection: Connection) -> None:
            if find(connection, caller, collection.collection_id).key != collection.key:
                raise collection_not_found(collection.collection_id)
            _require_room(connection, collection.key)
            cursor = connection.execute(
                "INSERT INTO evaluations (evaluation_id, collection_key, subject, report)"
                " VALUES (?, ?, ?, ?)",
                (evaluation_id, collection.key, caller.subject, report),
            )
            connection.executemany(
                "INSERT INTO evaluated_queries VALUES (?, ?, ?)",
                ((cursor.lastrowid, position, outcome) for position, outcome in enumerate(outcomes)),
            )
            requests.remember(connection, caller.space, _RUN, request, evaluation_id)

        await self._database.write(work)

    async def get(self, caller: Caller, collection_id: str, evaluation_id: str) -> bytes:
        """What was kept. Raises NotFoundError (COLLECTION_NOT_FOUND, EVALUATION_NOT_FOUND)."""

        def work(connection: Connection) -> bytes:
            _, report, _ = _find(connection, find(connection, caller, collection_id).key, evaluation_id)
            return report

        return await self._database.read(work)

    async def page(self, caller: Caller, collection_id: str, before_key: int, size: int) -> Page:
        """Evaluations older than `before_key`, newest first, by key. Raises what `find` raises."""

        def work(connection: Connection) -> Page:
            key = find(connection, caller, collection_id).key
            rows = connection.execute(
                "SELECT key, report FROM evaluations WHERE collection_key = ? AND key < ?"
                " ORDER BY key DESC LIMIT ?",
                (key, before_key, size + 1),
            )
            return _bounded(rows, size)

        return await self._database.read(work)

    async def queries(
        self, caller: Caller, collection_id: str, evaluation_id: str, after: int, size: int
    ) -> Page:
        """Queries behind position `after`, in order, by position.

        Raises NotFoundError (COLLECTION_NOT_FOUND, EVALUATION_NOT_FOUND).
        """

        def work(connection: Connection) -> Page:
            key, _, _ = _find(connection, find(connection, caller, collection_id).key, evaluation_id)
            rows = connection.execute(
                "SELECT position, outcome FROM evaluated_queries WHERE evaluation_key = ? AND position > ?"
                " ORDER BY position LIMIT ?",
                (key, after, size + 1),
            )
            return _bounded(rows, size)

        return await self._database.read(work)

    async def delete(
        self, caller: Caller, collection_id: str, evaluation_id: str, request: Request | None
    ) -> None:
        """Removes an evaluation that the caller ran, or one of a collection that the caller may write to.

        Raises NotFoundError (COLLECTION_NOT_FOUND, EVALUATION_NOT_FOUND), PermissionDeniedError
        (COLLECTION_ACCESS_DENIED), FailedPreconditionError (REQUEST_ID_REUSED).
        """

        def work(connection: Connection) -> None:
            collection = find(connection, caller, collection_id)
            if requests.outcome(connection, caller.space, _DELETE, request) is not None:
                return
            key, _, subject = _find(connection, collection.key, evaluation_id)
            if subject != caller.subject and collection.role < Role.WRITER:
                raise access_denied(collection_id, Role.WRITER.name.lower())
            connection.execute("DELETE FROM evaluated_queries WHERE evaluation_key = ?", (key,))
            connection.execute("DELETE FROM evaluations WHERE key = ?", (key,))
            requests.remember(connection, caller.space, _DELETE, request, evaluation_id)

        await self._database.write(work)


def _find(connection: Connection, collection_key: int, evaluation_id: str) -> tuple[int, bytes, str]:
    row = connection.execute(
        "SELECT key, report, subject FROM evaluations WHERE collection_key = ? AND evaluation_id = ?",
        (collection_key, evaluation_id),
    ).fetchone()
    if row is None:
        raise evaluation_not_found(evaluation_id)
    return row[0], row[1], row[2]


def _require_room(connection: Connection, collection_key: int) -> None:
    if evaluation_rows.count(connection, collection_key) >= MOST_KEPT:
        raise evaluations_full(MOST_KEPT)


def _bounded(rows: Iterable[tuple[int, bytes]], size: int) -> Page:
    found: list[tuple[int, bytes]] = []
    room = _PAGE_BYTES
    for place, data in rows:
        room -= len(data)
        if found and (room < 0 or len(found) == size):
            return Page(found, more=True)
        found.append((place, data))
    return Page(found, more=False)
