"""Documents in the record: arrival, commit, replacement, deletion, reading."""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.chassis.errors import ServiceError
from services.vector.access import Caller, Role
from services.vector.documents import (
    Document,
    DocumentState,
    Draft,
    Failure,
    Passage,
    Request,
    Scalar,
    text_hash,
)
from services.vector.faults import (
    collection_not_found,
    document_busy,
    document_not_found,
    ingest_cancelled,
    ingest_state,
)
from services.vector.record import generations, lexicon, originals, places, purging, requests, tombstones
from services.vector.record.collections import ROLE, bound, find, require_writer
from services.vector.record.database import Connection, Database
from services.vector.record.generations import LIVE, Generation, GenerationState
from services.vector.record.noting import NEVER_READY, WAS_READY_BEFORE
from services.vector.record.places import Where
from services.vector.record.soundness import Damage, StoredDocument, examined
from services.vector.record.texts import Text, pieces, read_text
from services.vector.record.times import from_micros, now_micros, to_micros
from services.vector.record.vectors import copy as copy_vector

INGEST, DELETE, CANCEL = "IngestDocument", "DeleteDocument", "CancelIngest"
REPROCESS = "ReprocessDocument"

# Readers of a range touch the pieces that it overlaps, and no more of a long text.
_PIECE_BYTES = 64 * 1024

_COLUMNS = (
    "d.key, d.document_id, d.collection_key, c.collection_id, d.external_id, d.title, d.filename, d.state,"
    " d.error_reason, d.error_message, d.bytes, d.media_type, d.content_sha256, d.extraction_sha256,"
    " d.text_bytes,"
    f" d.pages, d.metadata, d.create_time, d.chunks, d.vectors, d.warnings, {originals.KEPT},"
    " EXISTS (SELECT 1 FROM ingests i WHERE i.document_id = d.document_id)"
)
_FROM = "FROM documents d JOIN collections c ON c.key = d.collection_key"
_UNCOMMITTED = f"state NOT IN ({int(DocumentState.EMBEDDING)}, {int(DocumentState.READY)})"
_COMMITTED = f"state IN ({int(DocumentState.EMBEDDING)}, {int(DocumentState.READY)})"


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit did. `removed` are keys of chunks that went, with the document or the text that was
    replaced. words_left: the keyword index still has entries of them, because their words were damaged.
    """

    document: Document
    existing: bool
    removed: list[int] = field(default_factory=list)
    words_left: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """What a delete did. `removed` is empty for a repeated request."""

    tombstone_id: str
    collection_key: int
    chunk_keys: list[int]


class Documents:
    """Everything is found as a caller may read it; all else is as if it were not there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followers: list[Callable[[int, list[int]], None]] = []

    def follow(self, removed: Callable[[int, list[int]], None]) -> None:
        """`removed` is called, in the writer's thread, with a collection's key and keys of passages that
        went.
        """
        self._followers.append(removed)

    def _tell(self, collection_key: int, chunk_keys: list[int]) -> None:
        for removed in self._followers if chunk_keys else ():
            removed(collection_key, chunk_keys)

    async def receive(
        self, collection_key: int, external_id: str, title: str, filename: str, metadata: Mapping[str, Scalar]
    ) -> Document:
        """A row for a document whose bytes are arriving; seen by get and list, not by search.

        A caller who is cancelled leaves none.
        """
        document_id = new_document_id()

        def work(connection: Connection) -> Document:
            _require_collection(connection, collection_key)
            connection.execute(
                "INSERT INTO documents (document_id, collection_key, external_id, title, filename, state,"
                " metadata,"
                " create_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    document_id,
                    collection_key,
                    external_id,
                    title,
                    filename,
                    DocumentState.RECEIVED,
                    _dumped(metadata),
                    now_micros(),
                ),
            )
            return document_by_id(connection, document_id)

        try:
            return await self._database.write(work)
        except asyncio.CancelledError:
            # It may be in the commit that is under way. This comes after that.
            await asyncio.shield(self.discard(document_id))
            raise

    async def fail(self, document_id: str, failure: Failure, *, again: bool = False) -> Document:
        """Keeps the reason; takes the place of earlier failures of the same bytes.

        again: the job that it was is kept, for another try.
        """

        def work(connection: Connection) -> Document:
            connection.execute(
                f"UPDATE documents SET state = ?, error_reason = ?, error_message = ? WHERE document_id = ?"
                f" AND {_UNCOMMITTED}",
                (DocumentState.FAILED, failure.reason, failure.message, document_id),
            )
            document = document_by_id(connection, document_id)
            if not again:
                connection.execute("DELETE FROM ingests WHERE document_id = ?", (document_id,))
            _forget_failures(connection, document.collection_key, document.content_sha256, document.key)
            return document

        return await self._database.write(work)

    async def discard(self, document_id: str) -> None:
        """Removes a document that was never committed; does nothing to one that was."""

        await self._database.write(lambda connection: _forget_arrival(connection, document_id))

    async def interrupt_all(self) -> int:
        """At start: what had not wholly arrived when the process ended has FAILED. Returns how many."""

        def work(connection: Connection) -> int:
            cursor = connection.execute(
                "UPDATE documents SET state = ?, error_reason = 'INTERRUPTED',"
                " error_message = 'the service stopped before the document was taken; send it again'"
                " WHERE state IN (?, ?) AND document_id NOT IN (SELECT document_id FROM ingests)",
                (DocumentState.FAILED, DocumentState.RECEIVED, DocumentState.PARSING),
            )
            return cursor.rowcount

        return await self._database.write(work)

    async def recognise(
        self,
        collection_key: int,
        caller: Caller,
        draft: Draft,
        request: Request | None,
        *,
        original: Path | None = None,
    ) -> Document | None:
        """The committed document that this request or these bytes already made, if there is one.

        Then the request is noted and the arriving row of the draft is gone. Only the fields of `draft` that
        are known before parsing count. original: a file of these bytes, which becomes that of a document that
        has none. Raises FailedPreconditionError (REQUEST_ID_REUSED), NotFoundError when the request made a
        document that was deleted since, ResourceExhaustedError (STORAGE_FULL).
        """
        return await self._database.write(
            lambda connection: _recognise(
                connection, collection_key, caller, draft, request, original=original
            )
        )

    async def known(
        self, collection_key: int, caller: Caller, drafts: Sequence[Draft | None]
    ) -> list[Document | None]:
        """For drafts that are to be committed in this order: the document that one would change nothing of.

        None for one that must be committed, and where that is not sure yet: when a draft before it may take
        that document's place. Only the fields that are known before parsing count. Raises as a commit does
        for a caller who may not write.
        """

        def work(connection: Connection) -> list[Document | None]:
            require_writer(connection, caller, collection_key)
            found: list[Document | None] = []
            replacing = False
            for draft in drafts:
                held = None if draft is None or replacing else _held(connection, collection_key, draft)
                replacing = replacing or (draft is not None and held is None and bool(draft.external_id))
                found.append(held)
            return found

        return await self._database.read(work)

    async def commit(
        self,
        collection_key: int,
        caller: Caller,
        draft: Draft,
        request: Request | None,
        *,
        original: Path | None = None,
    ) -> Commit:
        """Makes the document durable and found by keyword, whole, in one transaction.

        original: the file that it was made of, where that is kept too. It must stay until this returns. A
        committed document of the same external id goes in the same transaction. Raises what `recognise`
        raises, NotFoundError (COLLECTION_NOT_FOUND), AbortedError (INGEST_CANCELLED) when its row has gone,
        ResourceExhaustedError (STORAGE_FULL).
        """

        def work(connection: Connection) -> Commit:
            require_writer(connection, caller, collection_key)
            arrived = connection.execute(
                "SELECT 1 FROM documents WHERE document_id = ?", (draft.document_id,)
            ).fetchone()
            if arrived is None:
                raise ingest_cancelled(draft.document_id)
            return _commit(connection, collection_key, caller, draft, request, original=original)

        return await self._database.write(
            work,
            milestone="record_commit",
            committed=lambda commit: self._tell(collection_key, commit.removed),
        )

    async def renew(
        self, collection_key: int, caller: Caller, draft: Draft, request: Request | None
    ) -> Commit:
        """Lets a draft take the place of the text of the document whose original it was made of.

        The document keeps its id, and its original. All in one transaction, which also ends its job. Where
        the text and all passages are what they were, nothing is written, and `existing` says so. Raises
        AbortedError (INGEST_CANCELLED) when it is not to be read again any more, FailedPreconditionError
        (INGEST_STATE) where another has taken its place, and else what `commit` raises.
        """

        def work(connection: Connection) -> Commit:
            require_writer(connection, caller, collection_key)
            job = connection.execute(
                "SELECT 1 FROM ingests WHERE document_id = ?", (draft.document_id,)
            ).fetchone()
            if job is None:
                raise ingest_cancelled(draft.document_id)
            return _renew(connection, collection_key, caller, draft, request)

        return await self._database.write(
            work,
            milestone="reprocess_commit",
            committed=lambda commit: self._tell(collection_key, commit.removed),
        )

    async def commit_all(
        self, collection_key: int, caller: Caller, drafts: Sequence[Draft]
    ) -> list[Commit | ServiceError]:
        """Many documents in one transaction, in order; one that is refused does not undo the others."""

        def work(connection: Connection) -> list[Commit | ServiceError]:
            require_writer(connection, caller, collection_key)
            outcomes: list[Commit | ServiceError] = []
            for draft in drafts:
                connection.execute("SAVEPOINT draft")
                try:
                    outcomes.append(_commit(connection, collection_key, caller, draft, None))
                except ServiceError as error:
                    connection.execute("ROLLBACK TO draft")
                    outcomes.append(error)
                connection.execute("RELEASE draft")
            return outcomes

        def committed(outcomes: list[Commit | ServiceError]) -> None:
            done = [one for one in outcomes if isinstance(one, Commit)]
            self._tell(collection_key, [key for one in done for key in one.removed])

        return await self._database.write(work, milestone="record_commit", committed=committed)

    async def get(self, caller: Caller, collection_id: str, document_id: str) -> Document:
        """Raises NotFoundError (COLLECTION_NOT_FOUND or DOCUMENT_NOT_FOUND)."""
        return await self._database.read(
            lambda connection: find_document(connection, caller, collection_id, document_id)
        )

    async def get_any(self, caller: Caller, document_ids: Iterable[str]) -> dict[str, Document]:
        """Committed documents by id that the caller may read, whatever their collection."""

        def work(connection: Connection) -> dict[str, Document]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE {ROLE} >= {Role.READER:d} AND d.{_COMMITTED}"
                " AND d.document_id IN (SELECT value FROM json_each(:ids))",
                bound(caller, ids=json.dumps(list(document_ids))),
            )
            return {document.document_id: document for document in map(_document, rows)}

        return await self._database.read(work)

    async def page(
        self,
        caller: Caller,
        collection_id: str,
        *,
        before_key: int,
        size: int,
        states: Sequence[DocumentState],
        external_id: str,
        content_sha256: str = "",
    ) -> list[Document]:
        """Newest first, those older than `before_key`. Raises NotFoundError (COLLECTION_NOT_FOUND)."""

        def work(connection: Connection) -> list[Document]:
            key = find(connection, caller, collection_id).key
            where = ["d.collection_key = ?", "d.key < ?"]
            values: list[object] = [key, before_key]
            if states:
                where.append("d.state IN (SELECT value FROM json_each(?))")
                values.append(json.dumps([int(state) for state in states]))
            if external_id:
                where.append("d.external_id <> '' AND d.external_id = ?")
                values.append(external_id)
            if content_sha256:
                where.append("d.content_sha256 = ?")
                values.append(content_sha256)
            rows = connection.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE {' AND '.join(where)} ORDER BY d.key DESC LIMIT ?",
                (*values, size),
            )
            return [_document(row) for row in rows]

        return await self._database.read(work)

    async def text(self, document_key: int, byte_start: int, byte_end: int) -> Text:
        """The range widened to whole characters; empty where the document has gone."""
        return await self._database.read(
            lambda connection: read_text(connection, document_key, byte_start, byte_end)
        )

    async def there(self, document_key: int) -> bool:
        """Whether there still is such a document."""
        return await self._database.read(
            lambda connection: (
                connection.execute("SELECT 1 FROM documents WHERE key = ?", (document_key,)).fetchone()
                is not None
            )
        )

    async def renewed(self, document: Document) -> Document | None:
        """The document as it is when it was read again since it was looked at; None when it was not."""

        def work(connection: Connection) -> Document | None:
            row = connection.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE d.document_id = ? AND d.collection_key = ? AND d.key > ?",
                (document.document_id, document.collection_key, document.key),
            ).fetchone()
            return None if row is None else _document(row)

        return await self._database.read(work)

    async def original(self, document_key: int, byte_start: int, byte_end: int) -> bytes:
        """The first bytes of the range, a piece at most; empty where they are not there."""
        return await self._database.read(
            lambda connection: originals.read_original(connection, document_key, byte_start, byte_end)
        )

    async def locate(self, document_key: int, byte_start: int, byte_end: int) -> Where:
        """Where these bytes of the text stand in the original."""
        return await self._database.read(
            lambda connection: places.locate(connection, document_key, byte_start, byte_end)
        )

    async def delete(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> Removal:
        """Takes the document out of the record and the keyword index; the vector index learns of it in its
        queue.

        Raises NotFoundError (COLLECTION_NOT_FOUND, DOCUMENT_NOT_FOUND), FailedPreconditionError
        (REQUEST_ID_REUSED), AbortedError (DOCUMENT_BUSY) for a document that is still arriving.
        """

        def work(connection: Connection) -> Removal:
            known = requests.outcome(connection, caller.space, DELETE, request)
            if known is not None:
                return Removal(known, 0, [])
            document = find_document(connection, caller, collection_id, document_id, Role.WRITER)
            if document.state in (DocumentState.RECEIVED, DocumentState.PARSING):
                raise document_busy(document.external_id)
            removal = _buried(connection, caller, document, cancelled=False)
            requests.remember(connection, caller.space, DELETE, request, removal.tombstone_id)
            return removal

        return await self._database.write(
            work,
            milestone="record_delete",
            committed=lambda removal: self._tell(removal.collection_key, removal.chunk_keys),
        )

    async def cancel(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> Removal:
        """Takes back a document that is on its way in, as `delete` does one that is there.

        A repeat by the same person finds the first one's tombstone. Raises what `delete` raises but
        DOCUMENT_BUSY, and FailedPreconditionError (INGEST_STATE) for a document that is READY or FAILED.
        """

        def work(connection: Connection) -> Removal:
            known = requests.outcome(connection, caller.space, CANCEL, request)
            if known is not None:
                return Removal(known, 0, [])
            collection = find(connection, caller, collection_id, Role.WRITER)
            before = tombstones.of_cancelled(
                connection, caller.space, collection.key, _resource(collection_id, document_id)
            )
            if before is not None:
                return Removal(before, 0, [])
            document = find_document(connection, caller, collection_id, document_id, Role.WRITER)
            if document.state in (DocumentState.READY, DocumentState.FAILED):
                raise ingest_state(
                    document_id, document.state.name, "RECEIVED, PARSING or EMBEDDING", "delete it instead"
                )
            if _was_ready(connection, document.key):
                remedy = "it was READY before, so it is deleted instead"
                raise ingest_state(document_id, document.state.name, "never READY before", remedy)
            removal = _buried(connection, caller, document, cancelled=True)
            requests.remember(connection, caller.space, CANCEL, request, removal.tombstone_id)
            return removal

        return await self._database.write(
            work,
            milestone="record_delete",
            committed=lambda removal: self._tell(removal.collection_key, removal.chunk_keys),
        )


def new_document_id() -> str:
    """A fresh id: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def _document(row: tuple[object, ...]) -> Document:
    (
        key,
        document_id,
        collection_key,
        collection_id,
        external_id,
        title,
        filename,
        state,
        reason,
        message,
        *rest,
    ) = row
    size, media_type, content, extraction, text_bytes, pages, metadata, created, *counted = rest
    chunks, vectors, warnings, has_original, has_job = counted
    return Document(
        key=int(str(key)),
        document_id=str(document_id),
        collection_key=int(str(collection_key)),
        collection_id=str(collection_id),
        external_id=str(external_id),
        title=str(title),
        filename=str(filename),
        state=DocumentState(int(str(state))),
        failure=Failure(str(reason), str(message)) if reason else None,
        size=int(str(size)),
        media_type=str(media_type),
        content_sha256=str(content),
        extraction_sha256=str(extraction),
        text_bytes=int(str(text_bytes)),
        pages=int(str(pages)),
        metadata=json.loads(str(metadata)),
        create_time=from_micros(int(str(created))),
        chunks=int(str(chunks)),
        vectors=int(str(vectors)),
        warnings=tuple(json.loads(str(warnings))),
        has_original=bool(has_original),
        # Who is on the way in has no original yet, nor has who FAILED then.
        reprocessing=bool(has_original and has_job),
    )


def _resource(collection_id: str, document_id: str) -> str:
    return f"collections/{collection_id}/documents/{document_id}"


def _buried(connection: Connection, caller: Caller, document: Document, *, cancelled: bool) -> Removal:
    """Erases a document and puts up its tombstone."""
    tombstone_id = secrets.token_hex(16)
    chunk_keys, _ = _erase(connection, document, tombstone_id)
    tombstones.put(
        connection,
        tombstones.Tombstone(
            tombstone_id,
            caller.tenant_id,
            caller.space,
            _resource(document.collection_id, document.document_id),
            document.collection_key,
            now_micros(),
            deleted_documents=1,
            deleted_chunks=document.chunks,
            # Keys that were given in one transaction have no others between them.
            first_chunk=min(chunk_keys, default=0),
            last_chunk=max(chunk_keys, default=-1),
            generations=tuple(generations.keys(connection, document.collection_key)),
            cancelled=cancelled,
        ),
    )
    return Removal(tombstone_id, document.collection_key, chunk_keys)


def _dumped(metadata: Mapping[str, Scalar]) -> str:
    return json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False)


def _require_collection(connection: Connection, collection_key: int) -> None:
    if connection.execute("SELECT 1 FROM collections WHERE key = ?", (collection_key,)).fetchone() is None:
        raise collection_not_found("of this document: it was deleted")


def document_by_id(connection: Connection, document_id: str) -> Document:
    """Whoever asks. Raises NotFoundError (DOCUMENT_NOT_FOUND)."""
    row = connection.execute(f"SELECT {_COLUMNS} {_FROM} WHERE d.document_id = ?", (document_id,)).fetchone()
    if row is None:
        raise document_not_found(document_id)
    return _document(row)


def find_document(
    connection: Connection, caller: Caller, collection_id: str, document_id: str, needs: Role = Role.READER
) -> Document:
    """For a caller who may do what is needed.

    Raises NotFoundError (COLLECTION_NOT_FOUND, DOCUMENT_NOT_FOUND), PermissionDeniedError.
    """
    key = find(connection, caller, collection_id, needs).key
    row = connection.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE d.document_id = ? AND d.collection_key = ?", (document_id, key)
    ).fetchone()
    if row is None:
        raise document_not_found(document_id)
    return _document(row)


def require_newest(connection: Connection, document: Document) -> None:
    """Raises FailedPreconditionError (INGEST_STATE) for a FAILED document when a younger one of its external
    id is there, or one that took the place of that.
    """
    newer = connection.execute(
        "SELECT 1 FROM documents WHERE collection_key = ? AND external_id = ? AND external_id <> ''"
        f" AND create_time > ? AND {_COMMITTED}",
        (document.collection_key, document.external_id, to_micros(document.create_time)),
    ).fetchone()
    if newer is not None:
        raise ingest_state(
            document.document_id,
            document.state.name,
            "FAILED, and no newer document of the same external id",
            "a newer one has taken its place, so this one may only be deleted",
        )


def _was_ready(connection: Connection, document_key: int) -> bool:
    """Whether it was READY once, with this text or another."""
    (was_ready,) = connection.execute(
        "SELECT was_ready FROM documents WHERE key = ?", (document_key,)
    ).fetchone()
    return bool(was_ready != NEVER_READY)


def _forget_failures(connection: Connection, collection_key: int, content_sha256: str, but_key: int) -> None:
    if not content_sha256:
        return
    failed = "collection_key = ? AND content_sha256 = ? AND state = ? AND key <> ?"
    values = (collection_key, content_sha256, DocumentState.FAILED, but_key)
    # One that was set aside still has what is left of its text.
    for table in ("texts", "places", "originals"):
        connection.execute(
            f"DELETE FROM {table} WHERE document_key IN (SELECT key FROM documents WHERE {failed})", values
        )
    connection.execute(
        f"DELETE FROM ingests WHERE document_id IN (SELECT document_id FROM documents WHERE {failed})", values
    )
    connection.execute(f"DELETE FROM documents WHERE {failed}", values)


def _forget_arrival(connection: Connection, document_id: str) -> None:
    """The row of a document that was never committed goes, with the job that it is."""
    gone = connection.execute(
        f"DELETE FROM documents WHERE document_id = ? AND {_UNCOMMITTED}", (document_id,)
    ).rowcount
    if gone:
        connection.execute("DELETE FROM ingests WHERE document_id = ?", (document_id,))


def _recognise(
    connection: Connection,
    collection_key: int,
    caller: Caller,
    draft: Draft,
    request: Request | None,
    *,
    original: Path | None = None,
) -> Document | None:
    made = requests.outcome(connection, caller.space, INGEST, request)
    held = (
        document_by_id(connection, made)
        if made is not None
        else _committed_with(connection, collection_key, draft)
    )
    if held is None or not (made is not None or _same(held, draft)):
        return None
    _forget_arrival(connection, draft.document_id)
    if made is None:
        requests.remember(connection, caller.space, INGEST, request, held.document_id)
    # What an address gives may have changed since the request of that id.
    if original is None or held.has_original or held.content_sha256 != draft.content_sha256:
        return held
    require_writer(connection, caller, held.collection_key)
    originals.keep(connection, held.key, original, held.content_sha256)
    return replace(held, has_original=True)


def _committed_with(connection: Connection, collection_key: int, draft: Draft) -> Document | None:
    """What the draft repeats or replaces: committed, of the same external id, else of the same bytes."""
    # An index serves a statement that repeats its condition. The + is there because SQLite would rather read
    # the whole collection in the right order.
    by, value = (
        ("d.external_id <> '' AND d.external_id", draft.external_id)
        if draft.external_id
        else ("d.content_sha256", draft.content_sha256)
    )
    row = connection.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE d.collection_key = ? AND {by} = ? AND d.{_COMMITTED}"
        " ORDER BY +d.key",
        (collection_key, value),
    ).fetchone()
    return None if row is None else _document(row)


def _held(connection: Connection, collection_key: int, draft: Draft) -> Document | None:
    """The document that the draft repeats, if it would change nothing."""
    held = _committed_with(connection, collection_key, draft)
    return held if held is not None and _same(held, draft) else None


def _same(held: Document, draft: Draft) -> bool:
    """Whether the draft would change nothing. Bytes without an external id are the document that holds"
    " them."""
    if held.content_sha256 != draft.content_sha256:
        return False
    if not draft.external_id:
        return True
    return held.title == (draft.title or held.title) and dict(held.metadata) == dict(draft.metadata)


def _commit(
    connection: Connection,
    collection_key: int,
    caller: Caller,
    draft: Draft,
    request: Request | None,
    *,
    original: Path | None = None,
) -> Commit:
    require_writer(connection, caller, collection_key)
    known = _recognise(connection, collection_key, caller, draft, request, original=original)
    if known is not None:
        return Commit(known, existing=True)
    held = _committed_with(connection, collection_key, draft) if draft.external_id else None
    requests.remember(connection, caller.space, INGEST, request, draft.document_id)
    return _put_in(connection, collection_key, caller, draft, before=held, original=original)


def _renew(
    connection: Connection, collection_key: int, caller: Caller, draft: Draft, request: Request | None
) -> Commit:
    held = document_by_id(connection, draft.document_id)
    requests.remember(connection, caller.space, REPROCESS, request, draft.document_id)
    if _unchanged(connection, held, draft):
        connection.execute("DELETE FROM ingests WHERE document_id = ?", (held.document_id,))
        return Commit(replace(held, reprocessing=False), existing=True)
    if not held.state.committed:
        require_newest(connection, held)
    return _put_in(connection, collection_key, caller, draft, before=held)


def _unchanged(connection: Connection, held: Document, draft: Draft) -> bool:
    """Whether a draft is what the record has of a document, and the record is sound."""
    known = (held.title, held.media_type, held.extraction_sha256, held.pages, held.warnings)
    said = (draft.title, draft.media_type, draft.extraction_sha256, draft.pages, tuple(draft.warnings))
    if known != said or not isinstance(examined(connection, held.key), StoredDocument):
        return False
    passages = connection.execute(
        "SELECT byte_start, byte_end, page, headings, embedded_sha256 FROM chunks WHERE document_key = ?"
        " ORDER BY ordinal",
        (held.key,),
    ).fetchall()
    return passages == [_as_row(passage, draft.title) for passage in draft.passages] and places.are(
        connection, held.key, draft.places
    )


def _put_in(
    connection: Connection,
    collection_key: int,
    caller: Caller,
    draft: Draft,
    *,
    before: Document | None,
    original: Path | None = None,
) -> Commit:
    """Makes a draft a committed document. before: what it takes the place of.

    That may be the document itself as it was, which then keeps its original. It has a new key all the same:
    what an index or a cache knows under the old one is of the old text.
    """
    was_ready = NEVER_READY
    if before is not None and before.document_id == draft.document_id:
        was_ready = WAS_READY_BEFORE if _was_ready(connection, before.key) else NEVER_READY
        # For a moment both are there, and an id names one.
        connection.execute(
            "UPDATE documents SET document_id = ? WHERE key = ?", (new_document_id(), before.key)
        )
    # The new passages come first: those that did not change take their vectors from the old ones. Until the
    # old document has gone the new row is not in a committed state, since external ids are unique among
    # those.
    key = _insert(connection, collection_key, draft)
    if original is not None:
        originals.keep(connection, key, original, draft.content_sha256)
    elif before is not None and before.document_id == draft.document_id:
        originals.move(connection, before.key, key)
    vectors = _insert_passages(connection, collection_key, caller, key, draft)
    removed, words_left = ([], False) if before is None else _erase(connection, before, "")
    _forget_failures(connection, collection_key, draft.content_sha256, key)
    chunks = len(draft.passages)
    connection.execute(
        "UPDATE documents SET state = ?, chunks = ?, vectors = ?, was_ready = ? WHERE key = ?",
        (
            DocumentState.READY if vectors == chunks else DocumentState.EMBEDDING,
            chunks,
            vectors,
            was_ready,
            key,
        ),
    )
    connection.execute(
        "UPDATE collections SET documents = documents + 1, chunks = chunks + ?, vectors = vectors + ?"
        " WHERE key = ?",
        (chunks, vectors, collection_key),
    )
    return Commit(document_by_id(connection, draft.document_id), False, removed, words_left)


def _insert(connection: Connection, collection_key: int, draft: Draft) -> int:
    """The document's row, still uncommitted, and its text; returns its key."""
    _forget_arrival(connection, draft.document_id)
    cursor = connection.execute(
        "INSERT INTO documents (document_id, collection_key, external_id, title, filename, state, bytes,"
        " media_type,"
        " content_sha256, extraction_sha256, text_bytes, pages, metadata, create_time,"
        " warnings)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            draft.document_id,
            collection_key,
            draft.external_id,
            draft.title,
            draft.filename,
            DocumentState.PARSING,
            draft.size,
            draft.media_type,
            draft.content_sha256,
            draft.extraction_sha256,
            len(draft.text),
            draft.pages,
            _dumped(draft.metadata),
            to_micros(draft.create_time),
            json.dumps(list(draft.warnings), ensure_ascii=False),
        ),
    )
    key = int(cursor.lastrowid or 0)
    connection.executemany(
        "INSERT INTO texts (document_key, byte_start, byte_end, piece) VALUES (?, ?, ?, ?)",
        ((key, start, end, draft.text[start:end]) for start, end in pieces(draft.text, _PIECE_BYTES)),
    )
    places.add(connection, key, draft.places)
    return key


def _insert_passages(
    connection: Connection, collection_key: int, caller: Caller, document_key: int, draft: Draft
) -> int:
    """Chunks, keyword entries and queue entries; returns how many vectors were known already.

    One that is being built gets the passage too. One that is kept gets it when somebody goes back to it.
    """
    taking = [
        one
        for one in generations.of_collection(connection, collection_key)
        if one.state in (GenerationState.CURRENT, GenerationState.BUILDING)
    ]
    vectors = 0
    entries: list[lexicon.Entry] = []
    for ordinal, passage in enumerate(draft.passages):
        row = _as_row(passage, draft.title)
        digest = row[-1]
        cursor = connection.execute(
            "INSERT INTO chunks (document_key, ordinal, byte_start, byte_end, page, headings,"
            " embedded_sha256)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (document_key, ordinal, *row),
        )
        chunk_key = int(cursor.lastrowid or 0)
        entries.append(lexicon.Entry(chunk_key, lexicon.headings_text(passage.headings), passage.body))
        for generation in taking:
            if _copy_known(connection, caller, generation, chunk_key, digest):
                connection.execute(
                    "INSERT INTO index_additions (chunk_key, generation_key) VALUES (?, ?)",
                    (chunk_key, generation.key),
                )
                vectors += generation.state is GenerationState.CURRENT
            else:
                # What is built beside is the house's own work: nobody's document waits twice for it.
                space = caller.space if generation.state is GenerationState.CURRENT else ""
                connection.execute(
                    "INSERT INTO embedding_queue (chunk_key, generation_key, space) VALUES (?, ?, ?)",
                    (chunk_key, generation.key, space),
                )
    lexicon.add(
        connection,
        collection_key,
        document_key,
        title=draft.title,
        filename=draft.filename,
        text=draft.text.decode(),
        entries=entries,
    )
    return vectors


def _as_row(passage: Passage, title: str) -> tuple[int, int, int, str, bytes]:
    """As the record has it: span, page, headings, hash of what is embedded."""
    headings = json.dumps(passage.headings, ensure_ascii=False)
    digest = text_hash(passage.embedded_text(title))
    return passage.byte_start, passage.byte_end, passage.page, headings, digest


def _copy_known(
    connection: Connection, caller: Caller, generation: Generation, chunk_key: int, digest: bytes
) -> int:
    """Gives a passage the vector that the same model made of the same text; 0 where there is none.

    Only texts that the caller may read: what another has must not show in how fast this one is ready.
    """
    model = generation.model
    known = connection.execute(
        "SELECT v.seq"
        " FROM chunks h JOIN vectors v ON v.chunk_key = h.key"
        " JOIN generations g ON g.key = v.generation_key JOIN collections c ON c.key = g.collection_key"
        " WHERE h.embedded_sha256 = :digest AND g.embedding_model = :model AND g.dimension = :dimension"
        f" AND g.revision = :revision AND {ROLE} >= {Role.READER:d} LIMIT 1",
        bound(
            caller,
            digest=digest,
            model=model.name,
            dimension=model.dimension,
            revision=model.revision,
        ),
    ).fetchone()
    if known is None:
        return 0
    copy_vector(connection, known[0], generation.key, chunk_key)
    return 1


def _erase(connection: Connection, document: Document, tombstone_id: str) -> tuple[list[int], bool]:
    """Takes a document out of the record and the keyword index; returns the keys of its chunks, and whether
    the keyword index still has entries of them.

    It can be told to forget only the very words that it was told. When those are damaged its entries stay
    behind, found by nobody, until it is made again.
    """
    keys = [
        key
        for (key,) in connection.execute(
            "SELECT key FROM chunks WHERE document_key = ? ORDER BY key", (document.key,)
        )
    ]
    held = examined(connection, document.key)
    if isinstance(held, StoredDocument):
        lexicon.remove(
            connection,
            document.collection_key,
            document.key,
            title=held.title,
            filename=held.filename,
            text=held.text,
            entries=held.entries(),
        )
    erase_passages(connection, document.key, tombstone_id)
    connection.execute("DELETE FROM texts WHERE document_key = ?", (document.key,))
    connection.execute("DELETE FROM places WHERE document_key = ?", (document.key,))
    originals.erase(connection, document.key)
    connection.execute("DELETE FROM ingests WHERE document_id = ?", (document.document_id,))
    connection.execute("DELETE FROM documents WHERE key = ?", (document.key,))
    if document.state.committed:
        connection.execute(
            "UPDATE collections SET documents = documents - 1, chunks = chunks - ?, vectors = vectors - ?"
            " WHERE key = ?",
            (document.chunks, document.vectors, document.collection_key),
        )
    purging.note(connection, max(1, len(keys)))
    return keys, isinstance(held, Damage)


def erase_passages(connection: Connection, document_key: int, tombstone_id: str) -> None:
    """Removes a document's passages with their vectors of all generations; the vector index learns of it in
    its queue.
    """
    owned = "chunk_key IN (SELECT key FROM chunks WHERE document_key = ?)"
    connection.execute(
        "INSERT OR IGNORE INTO index_removals (chunk_key, generation_key, tombstone_id)"
        f" SELECT chunk_key, generation_key, ? FROM vectors WHERE {owned} AND {LIVE}",
        (tombstone_id, document_key),
    )
    for table in ("embedding_queue", "index_additions", "vectors"):
        connection.execute(f"DELETE FROM {table} WHERE {owned}", (document_key,))
    connection.execute("DELETE FROM chunks WHERE document_key = ?", (document_key,))
