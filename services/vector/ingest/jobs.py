"""Files that have arrived are jobs: read in turns, whoever waits for them, and across the service's end.

A job is a row of the record and a file in the spool. What reads it is a task of this process, which says in
the record every few seconds that it has the job. A job that nobody has is taken up; one whose reading ended
the process three times has FAILED. Bytes of a failure that another try may not meet are kept for that.

A document that is read again is such a job too. Its file is written out of the record when its turn comes;
and whatever becomes of the reading, the document is what it was until its new text is committed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import NoReturn, Protocol

from services.chassis.errors import (
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    ServiceError,
    UnavailableError,
)
from services.vector import reading
from services.vector.access import Caller
from services.vector.documents import Document, DocumentState, Failure, QueuePlace, Request
from services.vector.embedding.ports import ModelName
from services.vector.extraction.errors import ExtractionError
from services.vector.extraction.model import Extraction, Limits
from services.vector.faults import document_busy, ingest_cancelled, original_gone
from services.vector.ingest.claims import Claims
from services.vector.ingest.drafting import Arrival, Drafter
from services.vector.ingest.spool import Spool, Spooled, is_whole, spool_name
from services.vector.ingest.turns import Turns
from services.vector.record.documents import Documents, Removal
from services.vector.record.ingests import Ingests, Job, KeptFile
from services.vector.record.vectors import Vectors

_log = logging.getLogger(__name__)

SLOTS = 2
_BEAT_SECONDS = 10.0
_LEASE_SECONDS = 60.0
_ATTEMPTS = 3
# A parser has 30 s, reading of pictures some minutes, splitting of the longest text one.
_ATTEMPT_SECONDS = 900.0
# Of failures that may be tried again, so much is kept, the newest.
_KEPT_BYTES = 512 * 1024 * 1024
# How much the newest measurement counts.
_WEIGHT = 0.2

_EXHAUSTED = frozenset({"DOCUMENT_TOO_LARGE", "PARSER_LIMIT"})
# Depends on how busy the machine is; whatever else is wrong with a file stays wrong.
_WORTH_ANOTHER_TRY = frozenset({"PARSER_LIMIT"})
_INTERRUPTED = "INTERRUPTED"
_LOST = "the bytes of the document were lost before it was read; send it again"


class Stage(IntEnum):
    """Stages of an ingest; the numbers are those of the contract."""

    RECEIVED = 1
    PARSED = 2
    CHUNKED = 3
    COMMITTED = 4
    EMBEDDING = 5
    READY = 6


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


class _BytesLostError(ExtractionError):
    """The file is no longer what arrived."""

    reason = _INTERRUPTED


@dataclass(eq=False)
class _Live:
    """A job that this process has. left: its file was left by an ended process, or by a failed try.
    followers: who are told of its steps; the last is a ServiceError or None.
    """

    job: Job
    claim: ExitStack
    left: bool
    task: asyncio.Task[None] | None = None
    cancelled: bool = False
    followers: list[asyncio.Queue[Step | ServiceError | None]] = field(default_factory=list)

    def tell(self, step: Step | ServiceError | None) -> None:
        for queue in self.followers:
            queue.put_nowait(step)


class Jobs:
    """Begun by `start`, ended by `close`; `run` is its heart. One event loop."""

    def __init__(
        self,
        *,
        documents: Documents,
        ingests: Ingests,
        vectors: Vectors,
        spool: Spool,
        extractor: Extracts,
        limits: Limits,
        drafter: Drafter,
        executor: Executor,
        claims: Claims,
        turns: Turns,
        keep_originals: bool,
        committed: Callable[[], None],
        renew_words: Callable[[int], Awaitable[None]],
        embedding_rates: Callable[[], Mapping[ModelName, float | None]],
    ) -> None:
        """committed: called after each commit. renew_words: makes the keyword index of a collection anew.
        embedding_rates: by model that can be asked, passages a second; None while unknown.
        """
        self._documents = documents
        self._ingests = ingests
        self._vectors = vectors
        self._spool = spool
        self._extractor = extractor
        self._limits = limits
        self._drafter = drafter
        self._executor = executor
        self._claims = claims
        self._turns = turns
        self._keep_originals = keep_originals
        self._committed = committed
        self._renew_words = renew_words
        self._embedding_rates = embedding_rates
        self._worker = secrets.token_hex(8)
        self._live: dict[str, _Live] = {}
        self._arriving: dict[str, asyncio.Event] = {}
        # Seconds that reading one file took lately.
        self._reading: float | None = None

    async def start(self) -> None:
        """Takes up what an ended process left. Blocks on the disk, before anybody is served."""
        left = await self._ingests.abandoned(self._worker, 0.0)
        kept = await self._ingests.kept()
        self._spool.clear({*(_name(job.document) for job in left if not job.rereads), *map(_name, kept)})
        for one in kept:
            if not one.failed:
                continue
            if self._spool.path(_name(one)).exists():
                self._spool.keep(_name(one))
            else:
                await self._ingests.forget([one.document_id])
        for job in left:
            await self._take_up(job)
        await self._trim()

    async def run(self) -> NoReturn:
        """Says that the jobs are alive, and looks for those that nobody has, until cancelled."""
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            try:
                await self.look()
            except ServiceError as error:
                _log.warning("the jobs could not be looked after: %s", error.message)

    async def look(self) -> None:
        """Once: names the jobs that this process has, and takes up those that nobody has."""
        if self._live:
            await self._ingests.beat(self._worker, list(self._live))
        for job in await self._ingests.abandoned(self._worker, _LEASE_SECONDS):
            if job.document.document_id not in self._live:
                await self._take_up(job)
        await self._trim()

    async def close(self) -> None:
        """Ends the tasks; the jobs stay, for the next process."""
        tasks = [live.task for live in self._live.values() if live.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def arriving(self, document_id: str) -> asyncio.Event:
        """Is set when the document is taken back while its bytes still come. Ended by `arrived`."""
        return self._arriving.setdefault(document_id, asyncio.Event())

    def arrived(self, document_id: str) -> None:
        """No bytes come any more."""
        self._arriving.pop(document_id, None)

    async def put(
        self,
        document: Document,
        size: int,
        sha256: str,
        *,
        caller: Caller,
        media_type: str,
        request: Request | None,
        claim: ExitStack,
    ) -> AsyncGenerator[Step, None]:
        """Makes a job of a file in the spool; the claim and the file are the job's when this returns.

        Whoever calls closes the claim where it raises. Returns its steps, to the commit; they raise
        ServiceError with the reason when there is none. Raises NotFoundError when the document was taken
        back.
        """
        job = await self._ingests.put(
            document.document_id,
            size,
            sha256,
            caller=caller,
            media_type=media_type,
            request=request,
            worker=self._worker,
        )
        steps: asyncio.Queue[Step | ServiceError | None] = asyncio.Queue()
        live = self._begin(job, claim.pop_all(), left=False)
        live.followers.append(steps)
        return _followed(live, steps, Step(Stage.RECEIVED, job.document))

    def original(self, document: Document) -> Path | None:
        """The file of a document on its way in, if it shall be kept with it."""
        return self._spool.path(_name(document)) if self._keep_originals else None

    async def cancel(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> Removal:
        """Takes a document on its way in back out of record and spool. Raises what Documents.cancel does."""
        removal = await self._documents.cancel(caller, collection_id, document_id, request)
        if (event := self._arriving.get(document_id)) is not None:
            event.set()
        live = self._live.get(document_id)
        if live is not None and live.task is not None:
            live.cancelled = True
            live.task.cancel()
            await asyncio.wait([live.task])
        return removal

    async def retry(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> Document:
        """Puts what failed into the queue again. Raises what Ingests.retry raises, and AbortedError
        (DOCUMENT_BUSY).
        """
        known = await self._documents.get(caller, collection_id, document_id)
        claim = self._claims.hold(caller.space, known.collection_key, known.external_id, "")
        with claim:
            live = self._live.get(document_id)
            if known.state is DocumentState.FAILED and live is not None and live.task is not None:
                # It failed a moment ago, and its end is still being noted.
                await asyncio.wait([live.task])
            retried = await self._ingests.retry(caller, collection_id, document_id, request, self._worker)
            job = retried.job
            if job is None:
                self._committed()
            elif not self._spool.path(_name(job.document)).exists():
                await self._fail(job, Failure(_INTERRUPTED, _LOST), again=False)
                raise original_gone(document_id)
            else:
                self._spool.use(_name(job.document))
                self._begin(job, claim.pop_all(), left=True)
        return retried.document

    async def reprocess(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> AsyncGenerator[Step, None]:
        """Puts a document into the queue to be read again from its original.

        Returns its steps, as `put` does; of a request that is known those that follow. Raises what
        Ingests.reprocess raises. No claim is held: whoever sends the same document meanwhile goes first.
        """
        asked = await self._ingests.reprocess(caller, collection_id, document_id, request, self._worker)
        if asked.done:
            return _told(Step(Stage.COMMITTED, asked.document, existing=True))
        live = self._live.get(document_id)
        if asked.job is not None:
            if live is not None and live.task is not None:
                # It was taken in, or read, a moment ago; the end of that, with its file, is still to come.
                await asyncio.wait([live.task])
            live = self._begin(asked.job, ExitStack(), left=False)
        elif live is None or not live.job.rereads:
            # Its row is there, and nobody in this process has it (yet).
            raise document_busy(asked.document.external_id)
        steps: asyncio.Queue[Step | ServiceError | None] = asyncio.Queue()
        live.followers.append(steps)
        return _followed(live, steps, Step(Stage.RECEIVED, asked.document))

    async def cancel_reprocess(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> Document:
        """Ends the reading again of a document. Raises what Ingests.cancel_reprocess raises."""
        document = await self._ingests.cancel_reprocess(caller, collection_id, document_id, request)
        live = self._live.get(document_id)
        if live is not None and live.job.rereads and live.task is not None:
            live.cancelled = True
            live.task.cancel()
            await asyncio.wait([live.task])
        return document

    def forgotten(self, prefix: str) -> None:
        """Documents whose files' names begin so were deleted: the bytes kept of them go too, and those that
        are read again are not any more.
        """
        self._spool.drop_kept(prefix)
        for live in self._live.values():
            if live.job.rereads and live.task is not None and _name(live.job.document).startswith(prefix):
                live.cancelled = True
                live.task.cancel()

    async def places(self, documents: Sequence[Document]) -> dict[str, QueuePlace]:
        """By document id, for those that wait for something now."""
        turns = self._turns.places()
        places = {
            one.document_id: QueuePlace(turns[one.document_id], self._until_read(turns[one.document_id]))
            for one in documents
            if one.document_id in turns
        }
        embedding = [one for one in documents if one.state is DocumentState.EMBEDDING]
        for model, rate in self._embedding_rates().items() if embedding else ():
            found = await self._vectors.places(model, [one.key for one in embedding])
            for one in embedding:
                if (turn := found.get(one.key)) is not None:
                    seconds = turn.last / rate if rate else None
                    places.setdefault(one.document_id, QueuePlace(turn.first, seconds))
        return places

    def _until_read(self, turn: int) -> float | None:
        if self._reading is None:
            return None
        return (turn / self._turns.slots + 1) * self._reading

    async def _take_up(self, job: Job) -> None:
        document = job.document
        if job.attempts >= _ATTEMPTS:
            message = f"the service ended {_ATTEMPTS} times while it read this document"
            await self._fail(job, Failure(_INTERRUPTED, message), again=True)
            return
        if job.rereads:
            _log.info("a job is taken up", extra={"fields": {"document": document.document_id}})
            self._begin(job, ExitStack(), left=True)
            return
        if not self._spool.path(_name(document)).exists():
            await self._fail(job, Failure(_INTERRUPTED, _LOST), again=False)
            return
        try:
            claim = self._claims.hold(job.caller.space, document.collection_key, document.external_id, "")
        except ServiceError as busy:
            # Another upload under the same id came first; it is looked at again when that has ended.
            _log.info("a job waits: %s", busy.message)
            self._spool.keep(_name(document))
            return
        self._spool.use(_name(document))
        _log.info("a job is taken up", extra={"fields": {"document": document.document_id}})
        self._begin(job, claim, left=True)

    def _begin(self, job: Job, claim: ExitStack, *, left: bool) -> _Live:
        live = _Live(job, claim, left)
        self._live[job.document.document_id] = live
        live.task = asyncio.create_task(self._work(live), name="ingest")
        return live

    async def _work(self, live: _Live) -> None:
        document_id, name = live.job.document.document_id, _name(live.job.document)
        end: ServiceError | None = None
        # A file that was written for the reading goes with that.
        keep = live.job.rereads
        try:
            try:
                await self._read(live)
            except ExtractionError as error:
                end = as_service_error(error)
                keep |= await self._refused(live.job, error)
            except Exception as error:
                end = self._fault(error, document_id)
                keep |= await self._broken(live, end)
        except asyncio.CancelledError:
            if not live.cancelled:
                # The process ends, or lets the record go, perhaps while a failure was being noted: file and
                # row stay as they are.
                keep = True
                end = UnavailableError(
                    "the service stops; the document goes on after it", reason="RECORD_BUSY"
                )
                raise
            end = ingest_cancelled(document_id)
        finally:
            if self._live.get(document_id) is live:
                del self._live[document_id]
            live.claim.close()
            if not keep:
                self._spool.drop(name)
            live.tell(end)

    async def _read(self, live: _Live) -> None:
        job = live.job
        document = job.document
        arrival = Arrival(
            document.document_id,
            document.external_id,
            document.title,
            document.filename,
            document.size,
            document.content_sha256,
            document.metadata,
            document.create_time,
        )
        async with (
            self._turns.turn(job.caller.space, document.document_id),
            asyncio.timeout(_ATTEMPT_SECONDS),
        ):
            begun = time.monotonic()
            document = await self._ingests.begin(document.document_id, self._worker)
            async with self._file(live, document) as path:
                extraction = await self._extractor.extract(
                    path, document.filename, job.media_type, self._limits, deadline=None
                )
            live.tell(Step(Stage.PARSED, document))
            draft = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._drafter.draft, arrival, extraction
            )
            live.tell(Step(Stage.CHUNKED, document))
            self._measure(time.monotonic() - begun)
        if job.rereads:
            commit = await self._documents.renew(document.collection_key, job.caller, draft, job.request)
        else:
            original = self.original(document)
            commit = await self._documents.commit(
                document.collection_key, job.caller, draft, job.request, original=original
            )
        self._committed()
        live.tell(Step(Stage.COMMITTED, commit.document, commit.existing))
        if commit.words_left:
            await self._forget_words(document.collection_key)

    @asynccontextmanager
    async def _file(self, live: _Live, document: Document) -> AsyncIterator[Path]:
        """The file of a job for the block, whole. Raises ExtractionError when it is not what arrived, and for
        an original what `reading.original` and `Spool.receive` raise.
        """
        name = _name(document)
        if not live.job.rereads:
            if live.left:
                await self._require_whole(document)
            yield self._spool.path(name)
            return
        pieces = reading.original(self._documents, document, 0, 0)
        try:
            async with aclosing(pieces):
                await self._spool.receive(name, pieces, document.size, document.content_sha256)
            yield self._spool.path(name)
        finally:
            self._spool.drop(name)

    async def _forget_words(self, collection_key: int) -> None:
        """Takes out of the keyword index what it could not be told to forget, by making it anew."""
        try:
            await self._renew_words(collection_key)
        except ServiceError as error:
            # Found by nobody, and by a check, which a repair follows.
            _log.warning("a keyword index could not be made anew: %s", error.message)

    async def _require_whole(self, document: Document) -> None:
        """Raises ExtractionError when the file is no longer what arrived, as after a power cut."""
        spooled = Spooled(self._spool.path(_name(document)), document.size, document.content_sha256)
        if not await asyncio.get_running_loop().run_in_executor(self._executor, is_whole, spooled):
            raise _BytesLostError(_LOST, {})

    def _measure(self, seconds: float) -> None:
        before = self._reading
        self._reading = seconds if before is None else before + _WEIGHT * (seconds - before)

    def _fault(self, error: Exception, document_id: str) -> ServiceError:
        if isinstance(error, ServiceError):
            return error
        _log.error("an ingest failed", exc_info=error, extra={"fields": {"document": document_id}})
        return InternalError("the document could not be read", reason="INTERNAL")

    async def _refused(self, job: Job, error: ExtractionError) -> bool:
        """Says in the document why its file was not taken. Returns whether the bytes are kept."""
        again = error.reason in _WORTH_ANOTHER_TRY
        try:
            await self._fail(job, Failure(error.reason, error.message), again=again)
        except ServiceError as second:
            return self._unnoted(job, second)
        return again

    async def _broken(self, live: _Live, error: ServiceError) -> bool:
        """After a failure that is not the file's: whoever waits hears of it, and nothing is left. Where
        nobody does, the document says it. Returns whether the bytes are kept.
        """
        document_id = live.job.document.document_id
        try:
            if live.job.rereads:
                await self._ingests.give_up(document_id, Failure(error.reason, error.message))
                return False
            if live.followers or isinstance(error, NotFoundError):
                await self._documents.discard(document_id)
                return False
            failure = Failure(_INTERRUPTED, f"it could not be taken: {error.message}")
            await self._fail(live.job, failure, again=True)
        except ServiceError as second:
            return self._unnoted(live.job, second)
        return True

    def _unnoted(self, job: Job, error: ServiceError) -> bool:
        """The record does not take the end of a job, which is found again once its lease is over."""
        _log.warning("the end of an ingest could not be noted: %s", error.message)
        if not job.rereads:
            self._spool.keep(_name(job.document))
        return True

    async def _fail(self, job: Job, failure: Failure, *, again: bool) -> None:
        if job.rereads:
            await self._ingests.give_up(job.document.document_id, failure)
            return
        with suppress(NotFoundError):
            await self._documents.fail(job.document.document_id, failure, again=again)
        if again:
            self._spool.keep(_name(job.document))
            await self._trim()

    async def _trim(self) -> None:
        """Drops bytes of failures that nobody can try again, and those beyond what is kept."""
        before = self._spool.kept
        if not before:
            return
        total, beyond, names = 0, dict[str, str](), set[str]()
        for one in await self._ingests.kept():
            total += one.size if one.failed else 0
            if one.failed and total > _KEPT_BYTES:
                beyond[one.document_id] = _name(one)
            else:
                names.add(_name(one))
        if beyond:
            forgotten = await self._ingests.forget(list(beyond))
            # The rest was put into the queue again meanwhile.
            names |= {name for document_id, name in beyond.items() if document_id not in forgotten}
        for name in (before & self._spool.kept) - names:
            self._spool.drop(name)


def _name(one: Document | KeptFile) -> str:
    return spool_name(one.collection_key, one.document_id)


async def _told(step: Step) -> AsyncGenerator[Step, None]:
    yield step


async def _followed(
    live: _Live, steps: asyncio.Queue[Step | ServiceError | None], first: Step
) -> AsyncGenerator[Step, None]:
    try:
        yield first
        while (step := await steps.get()) is not None:
            if isinstance(step, ServiceError):
                raise step
            yield step
    finally:
        live.followers.remove(steps)


def as_service_error(error: ExtractionError) -> ServiceError:
    """The same reason and metadata, as the status says it."""
    kind = ResourceExhaustedError if error.reason in _EXHAUSTED else InvalidArgumentError
    return kind(error.message, reason=error.reason, metadata=error.metadata)
