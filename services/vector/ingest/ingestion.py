"""One file in: received, made a job, followed to its commit; then, for who wants to wait, to its vectors."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.chassis.errors import DeadlineExceededError
from services.vector.access import Caller
from services.vector.documents import Collection, Document, DocumentState, Request, Scalar
from services.vector.faults import ingest_cancelled
from services.vector.ingest.claims import Claims
from services.vector.ingest.drafting import Arrival, unparsed
from services.vector.ingest.fetching import Fetcher
from services.vector.ingest.jobs import Jobs, Stage, Step
from services.vector.ingest.progress import ProgressBoard
from services.vector.ingest.spool import Spool, spool_name
from services.vector.record.documents import Documents

_PROGRESS_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Header:
    """What a caller says of a file before its bytes. url: where they are, if not with the caller."""

    filename: str
    media_type: str
    external_id: str
    title: str
    metadata: Mapping[str, Scalar]
    request_id: str
    size: int
    content_sha256: str
    wait_ready: bool
    url: str = ""

    def fetched(self, filename: str, media_type: str) -> Header:
        """With what the host of its url calls the file, where the caller calls it nothing."""
        return replace(self, filename=self.filename or filename, media_type=self.media_type or media_type)


class Ingestion:
    """Takes files into collections."""

    def __init__(
        self,
        *,
        documents: Documents,
        spool: Spool,
        jobs: Jobs,
        claims: Claims,
        board: ProgressBoard,
        fetcher: Fetcher,
    ) -> None:
        self._documents = documents
        self._spool = spool
        self._jobs = jobs
        self._claims = claims
        self._board = board
        self._fetcher = fetcher

    async def ingest(
        self,
        caller: Caller,
        collection: Collection,
        header: Header,
        pieces: AsyncIterator[bytes] | None,
        deadline: float,
    ) -> AsyncGenerator[Step, None]:
        """Yields the stages as they are reached. pieces: None where the header has a url to fetch from.

        `deadline` is a monotonic time; a job goes on after it, and after a caller who leaves. What had not
        arrived by then leaves no trace. A document that is refused stays, FAILED, with the reason. Raises
        what the record, the spool and the fetcher raise, InvalidArgumentError or ResourceExhaustedError with
        the reason of the extraction, AbortedError (INGEST_CANCELLED).
        """
        if pieces is None:
            steps = self._fetched_steps(caller, collection, header)
        else:
            steps = self._steps(caller, collection, header, pieces)
        async with aclosing(self._reached(caller, steps, deadline, header.wait_ready)) as reached:
            async for step in reached:
                yield step

    async def reprocess(
        self,
        caller: Caller,
        collection_id: str,
        document_id: str,
        request: Request | None,
        deadline: float,
        *,
        wait_ready: bool,
    ) -> AsyncGenerator[Step, None]:
        """Has a document read again from its original; yields as `ingest` does.

        When the reading fails the document stays what it was. Raises what Jobs.reprocess raises, what an
        ingest raises, DataLossError (RECORD_DAMAGED) for an original that is damaged.
        """
        steps = await self._jobs.reprocess(caller, collection_id, document_id, request)
        async with aclosing(self._reached(caller, steps, deadline, wait_ready)) as reached:
            async for step in reached:
                yield step

    async def _reached(
        self, caller: Caller, steps: AsyncGenerator[Step, None], deadline: float, wait_ready: bool
    ) -> AsyncGenerator[Step, None]:
        document: Document | None = None
        async with aclosing(steps):
            try:
                while True:
                    async with asyncio.timeout_at(deadline):
                        step = await anext(steps, None)
                    if step is None:
                        break
                    document = step.document
                    yield step
            except TimeoutError:
                message = (
                    "the document did not arrive in time; send it again"
                    if document is None
                    else "the document was not read in time; it goes on, look at it later"
                )
                raise DeadlineExceededError(message, reason="DEADLINE") from None
        if wait_ready and document is not None:
            async for step in self._vectors(caller, document):
                yield step

    async def _fetched_steps(
        self, caller: Caller, collection: Collection, header: Header
    ) -> AsyncGenerator[Step, None]:
        async with self._fetcher.fetching(header.url) as fetched:
            named = header.fetched(fetched.filename, fetched.media_type)
            async with aclosing(self._steps(caller, collection, named, fetched.pieces)) as steps:
                async for step in steps:
                    yield step

    async def _steps(
        self, caller: Caller, collection: Collection, header: Header, pieces: AsyncIterator[bytes]
    ) -> AsyncGenerator[Step, None]:
        claim = self._claims.hold(caller.space, collection.key, header.external_id, header.request_id)
        with claim:
            row = await self._documents.receive(
                collection.key, header.external_id, header.title, header.filename, header.metadata
            )
            name = spool_name(collection.key, row.document_id)
            handed_over = False
            try:
                received = _until(self._jobs.arriving(row.document_id), pieces, row.document_id)
                async with aclosing(received):
                    spooled = await self._spool.receive(name, received, header.size, header.content_sha256)
                request = _request(collection, header, spooled.sha256)
                arrival = Arrival(
                    row.document_id,
                    header.external_id,
                    header.title,
                    header.filename,
                    spooled.size,
                    spooled.sha256,
                    header.metadata,
                    row.create_time,
                )
                known = await self._documents.recognise(
                    collection.key, caller, unparsed(arrival), request, original=self._jobs.original(row)
                )
                if known is not None:
                    yield Step(Stage.COMMITTED, known, existing=True)
                    return
                steps = await self._jobs.put(
                    row,
                    spooled.size,
                    spooled.sha256,
                    caller=caller,
                    media_type=header.media_type,
                    request=request,
                    claim=claim,
                )
                handed_over = True
            finally:
                self._jobs.arrived(row.document_id)
                if not handed_over:
                    self._spool.drop(name)
                    await asyncio.shield(self._documents.discard(row.document_id))
        async with aclosing(steps):
            async for step in steps:
                yield step

    async def _vectors(self, caller: Caller, document: Document) -> AsyncGenerator[Step, None]:
        """Steps until all vectors are there. Ends early when the document is deleted."""
        with self._board.following(document.document_id) as queue:
            while document.state is not DocumentState.READY:
                found = await self._documents.get_any(caller, [document.document_id])
                if document.document_id not in found:
                    return
                document = found[document.document_id]
                if document.state is DocumentState.READY:
                    break
                yield Step(Stage.EMBEDDING, document)
                try:
                    async with asyncio.timeout(10 * _PROGRESS_SECONDS):
                        await queue.get()
                except TimeoutError:
                    continue
        yield Step(Stage.READY, document)


async def _until(
    cancelled: asyncio.Event, pieces: AsyncIterator[bytes], document_id: str
) -> AsyncGenerator[bytes, None]:
    """The pieces, until the document is taken back: then raises AbortedError (INGEST_CANCELLED)."""
    stop = asyncio.ensure_future(cancelled.wait())
    try:
        while True:
            piece = asyncio.ensure_future(anext(pieces, None))
            try:
                await asyncio.wait({piece, stop}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not piece.done():
                    piece.cancel()
            if stop.done():
                raise ingest_cancelled(document_id)
            got = piece.result()
            if got is None:
                return
            yield got
    finally:
        stop.cancel()


def _request(collection: Collection, header: Header, content_sha256: str) -> Request | None:
    if not header.request_id:
        return None
    # What a host answers may be something else the next time, and the request is the same.
    named = [header.url] if header.url else [header.filename, header.media_type]
    brought = [] if header.url else [content_sha256]
    asked = [
        collection.key,
        *named,
        header.external_id,
        header.title,
        dict(header.metadata),
        *brought,
    ]
    return Request(header.request_id, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest())
