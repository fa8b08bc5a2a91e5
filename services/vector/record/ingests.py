"""Jobs: files that wait to be read or are read now, and failed ones whose bytes are kept for another try.

A job of a document that has an original is one to read it again: its file is that, and none is in the spool.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.vector.access import Caller, Role
from services.vector.documents import Document, DocumentState, Failure, Request
from services.vector.faults import (
    document_busy,
    document_not_found,
    ingest_state,
    original_gone,
    original_not_kept,
    request_id_reused,
)
from services.vector.record import originals, requests
from services.vector.record.database import Connection, Database
from services.vector.record.documents import REPROCESS, document_by_id, find_document, require_newest
from services.vector.record.times import now_micros

RETRY, CANCEL_REPROCESS = "RetryIngest", "CancelReprocess"

_UNREAD = f"state IN ({DocumentState.RECEIVED:d}, {DocumentState.PARSING:d})"
_COMMITTED = f"state IN ({DocumentState.EMBEDDING:d}, {DocumentState.READY:d})"


@dataclass(frozen=True, slots=True)
class Job:
    """A file on its way in, or one to be read again. caller: on whose behalf. media_type: as it was claimed,
    or found before.

    attempts: how often it was begun to be read.
    """

    document: Document
    caller: Caller
    media_type: str
    request: Request | None
    attempts: int = 0

    @property
    def rereads(self) -> bool:
        """Whether the document is there already, and is read again from its original."""
        return self.document.has_original


@dataclass(frozen=True, slots=True)
class KeptFile:
    """The bytes of a document that has a job: a FAILED one that may be tried again, or one on its way in."""

    document_id: str
    collection_key: int
    size: int
    failed: bool


@dataclass(frozen=True, slots=True)
class Retry:
    """What is tried again: a file, or where `job` is None the refused passages of the document."""

    document: Document
    job: Job | None


@dataclass(frozen=True, slots=True)
class Reprocess:
    """A document to be read again by `job`. None where it is: `done`, by the same request, or under way."""

    document: Document
    job: Job | None
    done: bool = False


class Ingests:
    """Each is named by its document; its bytes are in the spool, or are the original of the document."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(
        self,
        document_id: str,
        size: int,
        content_sha256: str,
        *,
        caller: Caller,
        media_type: str,
        request: Request | None,
        worker: str,
    ) -> Job:
        """Makes a job of a document whose bytes are all there. Raises NotFoundError when it has gone."""

        def work(connection: Connection) -> Job:
            connection.execute(
                "UPDATE documents SET bytes = ?, content_sha256 = ? WHERE document_id = ?",
                (size, content_sha256, document_id),
            )
            document = document_by_id(connection, document_id)
            return _put(connection, Job(document, caller, media_type, request), worker)

        return await self._database.write(work, milestone="ingest_job")

    async def begin(self, document_id: str, worker: str) -> Document:
        """It is read now, by `worker`, once more. Raises NotFoundError when it has gone."""

        def work(connection: Connection) -> Document:
            begun = connection.execute(
                "UPDATE ingests SET attempts = attempts + 1, worker = ?, heartbeat = ? WHERE document_id = ?",
                (worker, now_micros(), document_id),
            ).rowcount
            if not begun:
                raise document_not_found(document_id)
            connection.execute(
                f"UPDATE documents SET state = ? WHERE document_id = ? AND {_UNREAD}",
                (DocumentState.PARSING, document_id),
            )
            return document_by_id(connection, document_id)

        return await self._database.write(work)

    async def beat(self, worker: str, document_ids: Iterable[str]) -> None:
        """The worker lives, and has these."""

        def work(connection: Connection) -> None:
            connection.execute(
                "UPDATE ingests SET worker = ?, heartbeat = ?"
                " WHERE document_id IN (SELECT value FROM json_each(?))",
                (worker, now_micros(), json.dumps(list(document_ids))),
            )

        await self._database.write(work)

    async def abandoned(self, worker: str, seconds: float) -> list[Job]:
        """Jobs that nobody has, in the order of their arrival.

        They are those of other workers, and those of this one that it has not named for so long.
        """

        def work(connection: Connection) -> list[Job]:
            rows = connection.execute(
                "SELECT i.document_id, i.caller, i.media_type, i.request_id, i.fingerprint, i.attempts"
                " FROM ingests i JOIN documents d ON d.document_id = i.document_id"
                f" WHERE (d.{_UNREAD} OR {originals.KEPT}) AND (i.worker <> ? OR i.heartbeat < ?)"
                " ORDER BY d.key",
                (worker, now_micros() - int(seconds * 1e6)),
            ).fetchall()
            return [_job(connection, row) for row in rows]

        return await self._database.read(work)

    async def kept(self) -> list[KeptFile]:
        """The files that are kept in the spool, those of the newest documents first."""

        def work(connection: Connection) -> list[KeptFile]:
            rows = connection.execute(
                "SELECT d.document_id, d.collection_key, d.bytes, d.state = ?"
                " FROM ingests i JOIN documents d ON d.document_id = i.document_id"
                f" WHERE NOT {originals.KEPT} ORDER BY d.key DESC",
                (DocumentState.FAILED,),
            )
            return [
                KeptFile(document_id, collection_key, size, bool(failed))
                for document_id, collection_key, size, failed in rows
            ]

        return await self._database.read(work)

    async def forget(self, document_ids: Sequence[str]) -> frozenset[str]:
        """The bytes of those of these documents that are FAILED are not kept any more; which they are."""

        def work(connection: Connection) -> frozenset[str]:
            rows = connection.execute(
                "DELETE FROM ingests WHERE document_id IN (SELECT value FROM json_each(?))"
                " AND document_id IN (SELECT document_id FROM documents WHERE state = ?)"
                " RETURNING document_id",
                (json.dumps(list(document_ids)), DocumentState.FAILED),
            )
            return frozenset(document_id for (document_id,) in rows)

        return await self._database.write(work)

    async def retry(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None, worker: str
    ) -> Retry:
        """Puts a failed document back into the queue, on the caller's behalf.

        Or, of one that is EMBEDDING, the passages that the model refused. Raises NotFoundError,
        PermissionDeniedError, FailedPreconditionError (REQUEST_ID_REUSED, INGEST_STATE, ORIGINAL_GONE).
        """

        def work(connection: Connection) -> Retry:
            known = requests.outcome(connection, caller.space, RETRY, request)
            document = find_document(connection, caller, collection_id, document_id, Role.WRITER)
            if known is not None:
                return Retry(document, None)
            if document.state is DocumentState.FAILED:
                job = _again(connection, caller, document, worker)
            else:
                job = None
                _ask_again(connection, document)
            requests.remember(connection, caller.space, RETRY, request, document_id)
            return Retry(document_by_id(connection, document_id), job)

        return await self._database.write(work)

    async def reprocess(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None, worker: str
    ) -> Reprocess:
        """Puts a document into the queue to be read again from its original, on the caller's behalf.

        Raises NotFoundError (ORIGINAL_NOT_KEPT among others), PermissionDeniedError, FailedPreconditionError
        (REQUEST_ID_REUSED, INGEST_STATE), AbortedError (DOCUMENT_BUSY) for one on its way in, and for one
        that another request has put there.
        """

        def work(connection: Connection) -> Reprocess:
            known = requests.outcome(connection, caller.space, REPROCESS, request)
            document = find_document(connection, caller, collection_id, document_id, Role.WRITER)
            if known is not None:
                return Reprocess(document, None, done=True)
            if document.reprocessing:
                if not _asked_for(connection, caller, document_id, request):
                    raise document_busy(document.external_id)
                return Reprocess(document, None)
            _require_readable(connection, document)
            connection.execute(
                f"UPDATE documents SET error_reason = '', error_message = '' WHERE key = ? AND {_COMMITTED}",
                (document.key,),
            )
            # What it was found to be tells it from another format as what was claimed did.
            job = _put(connection, Job(document, caller, document.media_type, request), worker)
            return Reprocess(job.document, job)

        return await self._database.write(work, milestone="reprocess_job")

    async def cancel_reprocess(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> Document:
        """The document is not to be read again any more, and stays what it was.

        Raises NotFoundError, PermissionDeniedError, FailedPreconditionError (REQUEST_ID_REUSED,
        INGEST_STATE).
        """

        def work(connection: Connection) -> Document:
            known = requests.outcome(connection, caller.space, CANCEL_REPROCESS, request)
            document = find_document(connection, caller, collection_id, document_id, Role.WRITER)
            if known is not None:
                return document
            if not document.reprocessing:
                raise ingest_state(
                    document_id, document.state.name, "one that is read again", "it is not being read again"
                )
            connection.execute("DELETE FROM ingests WHERE document_id = ?", (document_id,))
            requests.remember(connection, caller.space, CANCEL_REPROCESS, request, document_id)
            return document_by_id(connection, document_id)

        return await self._database.write(work)

    async def give_up(self, document_id: str, failure: Failure) -> None:
        """A document could not be read again, and stays what it was, but for the reason."""

        def work(connection: Connection) -> None:
            gone = connection.execute("DELETE FROM ingests WHERE document_id = ?", (document_id,)).rowcount
            # Why one that was set aside is so is still true.
            connection.execute(
                "UPDATE documents SET error_reason = ?, error_message = ?"
                f" WHERE ? AND document_id = ? AND {_COMMITTED}",
                (failure.reason, failure.message, gone, document_id),
            )

        await self._database.write(work)


def _put(connection: Connection, job: Job, worker: str) -> Job:
    """Keeps a new job; returns it with its document as it is then."""
    document, request = job.document, job.request
    connection.execute(
        "INSERT INTO ingests (document_id, collection_key, caller, media_type, request_id,"
        " fingerprint, worker, heartbeat) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            document.document_id,
            document.collection_key,
            _dumped(job.caller),
            job.media_type,
            request.request_id if request else "",
            request.fingerprint if request else "",
            worker,
            now_micros(),
        ),
    )
    return replace(job, document=document_by_id(connection, document.document_id))


def _require_readable(connection: Connection, document: Document) -> None:
    """Whether a document may be read again. Raises what `Ingests.reprocess` raises."""
    if document.state in (DocumentState.RECEIVED, DocumentState.PARSING):
        raise document_busy(document.external_id)
    if document.state is DocumentState.FAILED:
        if not document.has_original:
            needs = "READY or EMBEDDING, or set aside with its original"
            remedy = "it has no text that could be read again: try it again, or send the file again"
            raise ingest_state(document.document_id, document.state.name, needs, remedy)
        require_newest(connection, document)
    if not document.has_original:
        raise original_not_kept(document.document_id)


def _asked_for(connection: Connection, caller: Caller, document_id: str, request: Request | None) -> bool:
    """Whether the job of a document is that of this very request."""
    if request is None:
        return False
    held, request_id, fingerprint = connection.execute(
        "SELECT caller, request_id, fingerprint FROM ingests WHERE document_id = ?", (document_id,)
    ).fetchone()
    if _loaded(held).space != caller.space or request_id != request.request_id:
        return False
    if fingerprint != request.fingerprint:
        raise request_id_reused(request_id)
    return True


def _again(connection: Connection, caller: Caller, document: Document, worker: str) -> Job:
    if document.has_original:
        remedy = "it was set aside, and may be read again from its original"
        raise ingest_state(document.document_id, document.state.name, "FAILED while it was taken in", remedy)
    row = connection.execute(
        "SELECT document_id, caller, media_type, request_id, fingerprint, attempts FROM ingests"
        " WHERE document_id = ?",
        (document.document_id,),
    ).fetchone()
    if row is None:
        raise original_gone(document.document_id)
    require_newest(connection, document)
    connection.execute(
        "UPDATE documents SET state = ?, error_reason = '', error_message = '' WHERE key = ?",
        (DocumentState.RECEIVED, document.key),
    )
    connection.execute(
        "UPDATE ingests SET caller = ?, attempts = 0, worker = ?, heartbeat = ? WHERE document_id = ?",
        (_dumped(caller), worker, now_micros(), document.document_id),
    )
    first = _job(connection, row)
    # The id of the request that brought it belongs to who sent that.
    request = first.request if first.caller.space == caller.space else None
    return Job(first.document, caller, first.media_type, request)


def _ask_again(connection: Connection, document: Document) -> None:
    refused = 0
    if document.state is DocumentState.EMBEDDING:
        refused = connection.execute(
            "UPDATE embedding_queue SET not_before = 0"
            " WHERE chunk_key IN (SELECT key FROM chunks WHERE document_key = ?) AND not_before > ?",
            (document.key, now_micros()),
        ).rowcount
    if not refused:
        raise ingest_state(
            document.document_id,
            document.state.name,
            "FAILED, or EMBEDDING with passages that the model refused",
            "there is nothing to be tried again",
        )


def _job(connection: Connection, row: tuple[str, str, str, str, str, int]) -> Job:
    document_id, caller, media_type, request_id, fingerprint, attempts = row
    return Job(
        document_by_id(connection, document_id),
        _loaded(caller),
        media_type,
        Request(request_id, fingerprint) if request_id else None,
        attempts,
    )


def _dumped(caller: Caller) -> str:
    return json.dumps(
        {
            "tenant_id": caller.tenant_id,
            "space": caller.space,
            "subject": caller.subject,
            "groups": sorted(caller.groups),
            "manages": caller.manages,
        },
        ensure_ascii=False,
    )


def _loaded(text: str) -> Caller:
    values = json.loads(text)
    return Caller(
        str(values["tenant_id"]),
        str(values["space"]),
        str(values["subject"]),
        frozenset(map(str, values["groups"])),
        bool(values["manages"]),
    )
