"""One file in: received, parsed, split, committed; then, for who wants to wait, its vectors."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from services.chassis.errors import (
    DeadlineExceededError,
    InvalidArgumentError,
    ResourceExhaustedError,
    ServiceError,
)
from services.vector.access import Caller
from services.vector.documents import (
    Collection,
    Document,
    DocumentState,
    Failure,
    Request,
    Scalar,
)
from services.vector.extraction.errors import ExtractionError
from services.vector.extraction.model import Extraction, Limits
from services.vector.ingest.claims import Claims
from services.vector.ingest.drafting import Arrival, Drafter, unparsed
from services.vector.ingest.progress import ProgressBoard
from services.vector.ingest.spool import Spool, Spooled, spool_name
from services.vector.record.documents import Documents

_PROGRESS_SECONDS = 0.5
_EXHAUSTED = frozenset({"DOCUMENT_TOO_LARGE", "PARSER_LIMIT"})


class Stage(IntEnum):
    """Stages of an ingest; the numbers are those of the contract."""

    RECEIVED = 1
    PARSED = 2
    CHUNKED = 3
    COMMITTED = 4
    EMBEDDING = 5
    READY = 6


@dataclass(frozen=True, slots=True)
class Header:
    """What a caller says of a file before its bytes."""

    filename: str
    media_type: str
    external_id: str
    title: str
    metadata: Mapping[str, Scalar]
    request_id: str
    size: int
    content_sha256: str
    wait_ready: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A stage that was reached."""

    stage: Stage
    document: Document
    existing: bool = False


class Extracts(Protocol):
    """Reads files."""

    async def extract(
        self, path: Path, filename: str, claimed_media_type: str, limits: Limits, *, deadline: float | None
    ) -> Extraction:
        """The text of a file. Raises ExtractionError, TimeoutError at the deadline."""
        ...


class Ingestion:
    """Takes files into collections."""

    def __init__(
        self,
        *,
        documents: Documents,
        spool: Spool,
        extractor: Extracts,
        limits: Limits,
        drafter: Drafter,
        executor: Executor,
        claims: Claims,
        board: ProgressBoard,
        committed: Callable[[], None],
    ) -> None:
        """committed: called after each commit."""
        self._documents = documents
        self._spool = spool
        self._extractor = extractor
        self._limits = limits
        self._drafter = drafter
        self._executor = executor
        self._claims = claims
        self._board = board
        self._committed = committed

    async def ingest(
        self,
        caller: Caller,
        collection: Collection,
        header: Header,
        pieces: AsyncIterator[bytes],
        deadline: float,
    ) -> AsyncIterator[Step]:
        """Yields the stages as they are reached.

        `deadline` is a monotonic time. What was not committed when this ends leaves no trace, but for a
        document that was refused: it stays, FAILED, with the reason. Raises what the record and the spool
        raise, and InvalidArgumentError or ResourceExhaustedError with the reason of the extraction.
        """
        with self._claims.claim(caller.space, collection.key, header.external_id, header.request_id):
            row = await self._documents.receive(
                collection.key, header.external_id, header.title, header.filename, header.metadata
            )
            settled = False
            try:
                name = spool_name(collection.key, row.document_id)
                async with self._spool.received(name, pieces, header.size, header.content_sha256) as spooled:
                    document: Document | None = None
                    async for step in self._take(
                        caller, collection, header, row=row, spooled=spooled, deadline=deadline
                    ):
                        settled = step.stage >= Stage.COMMITTED
                        document = step.document
                        yield step
            except _RefusedError as refused:
                settled = True
                raise refused.error from refused.__cause__
            finally:
                if not settled:
                    await asyncio.shield(self._documents.discard(row.document_id))
        if header.wait_ready and document is not None:
            async for step in self._vectors(caller, document):
                yield step

    async def _take(
        self,
        caller: Caller,
        collection: Collection,
        header: Header,
        *,
        row: Document,
        spooled: Spooled,
        deadline: float,
    ) -> AsyncIterator[Step]:
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
        known = await self._documents.recognise(collection.key, caller, unparsed(arrival), request)
        if known is not None:
            yield Step(Stage.COMMITTED, known, existing=True)
            return
        yield Step(Stage.RECEIVED, row)
        document = await self._documents.parsing(row.document_id, spooled.size, spooled.sha256)
        try:
            extraction = await self._extractor.extract(
                spooled.path, header.filename, header.media_type, self._limits, deadline=deadline
            )
            yield Step(Stage.PARSED, document)
            loop = asyncio.get_running_loop()
            draft = await loop.run_in_executor(self._executor, self._drafter.draft, arrival, extraction)
        except ExtractionError as error:
            await self._documents.fail(row.document_id, Failure(error.reason, error.message))
            raise _RefusedError(as_service_error(error)) from error
        except TimeoutError:
            raise DeadlineExceededError("the document was not read in time", reason="DEADLINE") from None
        yield Step(Stage.CHUNKED, document)
        commit = await self._documents.commit(collection.key, caller, draft, request)
        self._committed()
        yield Step(Stage.COMMITTED, commit.document, commit.existing)

    async def _vectors(self, caller: Caller, document: Document) -> AsyncIterator[Step]:
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


class _RefusedError(Exception):
    """The document is FAILED in the record, and the call fails with `error`."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


def as_service_error(error: ExtractionError) -> ServiceError:
    """The same reason and metadata, as the status says it."""
    kind = ResourceExhaustedError if error.reason in _EXHAUSTED else InvalidArgumentError
    return kind(error.message, reason=error.reason, metadata=error.metadata)


def _request(collection: Collection, header: Header, content_sha256: str) -> Request | None:
    if not header.request_id:
        return None
    asked = [
        collection.key,
        header.filename,
        header.media_type,
        header.external_id,
        header.title,
        dict(header.metadata),
        content_sha256,
    ]
    return Request(header.request_id, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest())
