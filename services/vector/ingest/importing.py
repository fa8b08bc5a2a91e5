"""Many texts in: committed in groups, answered one by one in their order."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from services.chassis.errors import ServiceError
from services.vector.access import Caller
from services.vector.documents import Collection, Document, Draft, Scalar
from services.vector.extraction.errors import ExtractionError
from services.vector.extraction.extractor import extract_plain
from services.vector.ingest.claims import Claims
from services.vector.ingest.drafting import Arrival, Drafter, unparsed
from services.vector.ingest.jobs import as_service_error
from services.vector.record.documents import Commit, Documents, new_document_id

# One group of texts is split while the one before is committed; no more than these are held.
_GROUP_DOCUMENTS = 64
_GROUP_CHARACTERS = 500_000
_WAITING_DOCUMENTS = 64


@dataclass(frozen=True, slots=True)
class TextItem:
    """A document that is text already. `fault` is set for one that cannot be taken as it is."""

    external_id: str
    title: str
    text: str
    metadata: Mapping[str, Scalar]
    fault: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one item: a document, or why not."""

    document: Document | None
    existing: bool
    error: ServiceError | None


class Importing:
    """Takes texts into a collection."""

    def __init__(
        self,
        documents: Documents,
        drafter: Drafter,
        executor: Executor,
        claims: Claims,
        committed: Callable[[], None],
    ) -> None:
        """committed: called after each commit."""
        self._documents = documents
        self._drafter = drafter
        self._executor = executor
        self._claims = claims
        self._committed = committed

    async def run(
        self, caller: Caller, collection: Collection, items: AsyncIterator[TextItem]
    ) -> AsyncGenerator[Imported, None]:
        """One outcome per item, in order, each after its commit. Raises what ends the whole import:

        NotFoundError when the collection goes, ResourceExhaustedError (STORAGE_FULL), and what `items`
        raises.
        """
        arriving = _Arriving(items)
        reader = asyncio.create_task(arriving.read())
        try:
            ended = False
            while not ended:
                group, ended = await arriving.next_group()
                for outcome in await self._take(caller, collection, group):
                    yield outcome
            await reader
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([reader])

    async def _take(self, caller: Caller, collection: Collection, group: list[TextItem]) -> list[Imported]:
        if not group:
            return []
        loop = asyncio.get_running_loop()
        with ExitStack() as claimed:
            faults = self._claim_all(claimed, caller, collection, group)
            arrivals = await loop.run_in_executor(self._executor, _arrivals, group, faults)
            # What an import that was broken off had taken is told without being split again.
            known = await self._documents.known(
                collection.key,
                caller,
                [unparsed(one) if isinstance(one, Arrival) else None for one in arrivals],
            )
            prepared = await loop.run_in_executor(self._executor, self._prepare, group, arrivals, known)
            drafts = [one for one in prepared if isinstance(one, Draft)]
            commits = await self._documents.commit_all(collection.key, caller, drafts) if drafts else []
        if drafts:
            self._committed()
        outcomes = iter(commits)
        return [_outcome(next(outcomes) if isinstance(one, Draft) else one) for one in prepared]

    def _claim_all(
        self, claimed: ExitStack, caller: Caller, collection: Collection, group: list[TextItem]
    ) -> list[ServiceError | None]:
        """Claims the external ids until `claimed` closes; the fault of each item that cannot be taken."""
        faults: list[ServiceError | None] = []
        held: set[str] = set()
        for item in group:
            fault = item.fault
            # The same id twice in one group is taken in order, the later replacing the earlier.
            if fault is None and item.external_id and item.external_id not in held:
                try:
                    claimed.enter_context(
                        self._claims.hold(caller.space, collection.key, item.external_id, "")
                    )
                    held.add(item.external_id)
                except ServiceError as busy:
                    fault = busy
            faults.append(fault)
        return faults

    def _prepare(
        self,
        group: list[TextItem],
        arrivals: list[Arrival | ServiceError],
        known: list[Document | None],
    ) -> list[Draft | ServiceError | Document]:
        prepared: list[Draft | ServiceError | Document] = []
        for item, arrival, document in zip(group, arrivals, known, strict=True):
            if isinstance(arrival, ServiceError):
                prepared.append(arrival)
            elif document is not None:
                prepared.append(document)
            else:
                try:
                    prepared.append(self._drafter.draft(arrival, extract_plain(item.text, item.title)))
                except ExtractionError as error:
                    prepared.append(as_service_error(error))
        return prepared


def _arrivals(group: list[TextItem], faults: list[ServiceError | None]) -> list[Arrival | ServiceError]:
    return [fault or _arrival(item) for item, fault in zip(group, faults, strict=True)]


def _arrival(item: TextItem) -> Arrival:
    data = item.text.encode()
    return Arrival(
        document_id=new_document_id(),
        external_id=item.external_id,
        title=item.title,
        filename="",
        size=len(data),
        content_sha256=hashlib.sha256(data).hexdigest(),
        metadata=item.metadata,
        create_time=datetime.now(UTC),
    )


def _outcome(one: Commit | ServiceError | Document | Draft) -> Imported:
    if isinstance(one, Commit):
        return Imported(one.document, one.existing, None)
    if isinstance(one, Document):
        return Imported(one, True, None)
    return Imported(None, False, one if isinstance(one, ServiceError) else None)


class _Arriving:
    """What has come and waits to be taken, a bounded number. The end, however it comes, needs no room."""

    def __init__(self, items: AsyncIterator[TextItem]) -> None:
        self._items = items
        self._room = asyncio.Semaphore(_WAITING_DOCUMENTS)
        self._queue: asyncio.Queue[TextItem | None] = asyncio.Queue()

    async def read(self) -> None:
        """To the end of the items. Raises what they raise."""
        try:
            async for item in self._items:
                await self._room.acquire()
                self._queue.put_nowait(item)
        finally:
            self._queue.put_nowait(None)

    async def next_group(self) -> tuple[list[TextItem], bool]:
        """What has come, at least one item unless the stream has ended; and whether it has."""
        group: list[TextItem] = []
        characters = 0
        while len(group) < _GROUP_DOCUMENTS and characters < _GROUP_CHARACTERS:
            if group and self._queue.empty():
                return group, False
            item = await self._queue.get()
            if item is None:
                return group, True
            self._room.release()
            group.append(item)
            characters += len(item.text)
        return group, False
