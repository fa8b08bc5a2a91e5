"""The service without its door: every part made, joined and ended in one place."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from services.chassis import context
from services.chassis.errors import InvalidArgumentError
from services.chassis.health import Dependency
from services.chassis.reaching import Reach
from services.chassis.start import StartError
from services.vector.citations import Citations
from services.vector.deletion import Deletion
from services.vector.embedding.ports import (
    Embedder,
    EmbedderError,
    EmbedderTextError,
    Vectors,
    name_of,
)
from services.vector.embedding.roster import Roster
from services.vector.evaluation.evaluating import Evaluating
from services.vector.extraction.extractor import Extractor
from services.vector.extraction.model import Limits
from services.vector.extraction.recognition import Recogniser
from services.vector.faults import embedder_unavailable
from services.vector.index.folder import EmbeddedStore, RemoteStore
from services.vector.index.keeper import IndexKeeper, IndexStore
from services.vector.ingest.claims import Claims
from services.vector.ingest.drafting import Drafter
from services.vector.ingest.embedding_worker import EMBEDDINGS_AT_ONCE, EmbeddingWorker
from services.vector.ingest.fetching import Fetcher
from services.vector.ingest.importing import Importing
from services.vector.ingest.ingestion import Ingestion
from services.vector.ingest.jobs import SLOTS, Jobs
from services.vector.ingest.progress import ProgressBoard
from services.vector.ingest.spool import Spool
from services.vector.ingest.turns import Turns
from services.vector.measures import Places, StorageSampler, watch_cache
from services.vector.models import ConfiguredModel
from services.vector.paging import PageTokens
from services.vector.record.record import FILE, Record, opened
from services.vector.reembed.building import Building
from services.vector.search.comparing import Comparing
from services.vector.search.dense import DenseSearch
from services.vector.search.matrix import VectorCache
from services.vector.search.searching import Searching
from services.vector.settings import VectorSettings
from services.vector.snapshots.exchange import settle
from services.vector.upkeep.checking import Checking, Repairing
from services.vector.upkeep.purging import Purging
from services.vector.upkeep.walking import Walking

_log = logging.getLogger(__name__)

_PING_SECONDS = 0.9
_MARGIN_SECONDS = 0.1


@dataclass(frozen=True)
class Application:
    """What the servicer calls."""

    record: Record
    roster: Roster
    ingestion: Ingestion
    jobs: Jobs
    importing: Importing
    searching: Searching
    comparing: Comparing
    evaluating: Evaluating
    deletion: Deletion
    checking: Checking
    repairing: Repairing
    purging: Purging
    walking: Walking
    building: Building
    citations: Citations
    page_tokens: PageTokens
    keeper: IndexKeeper
    questions: ThreadPoolExecutor
    default_hits: int
    default_threshold: float

    @property
    def embedder(self) -> Embedder:
        """The configured embedding model."""
        return self.roster.configured

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """(len(texts), dimension). Raises UnavailableError (EMBEDDER_UNAVAILABLE), InvalidArgumentError."""
        deadline = time.monotonic() + min(context.remaining(), 300.0) - _MARGIN_SECONDS
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self.questions, lambda: self.embedder.embed_texts(texts, deadline=deadline)
            )
        except EmbedderTextError as error:
            raise InvalidArgumentError(
                str(error), reason="INVALID_FIELD", metadata={"field": "texts", "value": ""}
            ) from error
        except EmbedderError as error:
            # Its key and its settings are not the caller's.
            raise embedder_unavailable(self.embedder.model, str(error)) from error

    async def ping_embedder(self) -> None:
        """Raises when the model cannot be expected to answer."""
        deadline = time.monotonic() + _PING_SECONDS
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.questions, lambda: self.embedder.ping(deadline=deadline))

    def dependencies(self) -> tuple[Dependency, ...]:
        """Without the record nothing works; without the others search is by keyword."""
        return (
            Dependency("record", self.record.ping),
            Dependency("index", self.keeper.ping, required=False),
            Dependency("embedder", self.ping_embedder, required=False),
        )


@asynccontextmanager
async def started(settings: VectorSettings, model: ConfiguredModel) -> AsyncIterator[Application]:
    """The application in its data directory, which the caller holds for it. Raises StartError."""
    roster = Roster(model.embedder, model.others)
    async with AsyncExitStack() as stack:
        try:
            settle(settings.folder)
        except OSError as error:
            raise StartError(f"a restored record cannot be put in place: {error}") from error
        record = stack.enter_context(opened(settings.folder / FILE))
        await record.documents.interrupt_all()
        executor = ThreadPoolExecutor(4, "vector-work")
        stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        # Questions never wait behind the splitting of a long document.
        questions = ThreadPoolExecutor(4, "vector-question")
        stack.callback(questions.shutdown, wait=False, cancel_futures=True)
        spool = Spool(settings.folder / "spool", settings.meld_max_document_bytes, executor)

        keeper = IndexKeeper(record.index_queue, _store(settings))
        stack.push_async_callback(keeper.close)
        cache = VectorCache(record.vectors, settings.meld_vector_cache_bytes)
        board, claims = ProgressBoard(), Claims()

        def to_embed() -> None:
            for worker in workers:
                worker.wake()

        def queued() -> None:
            to_embed()
            keeper.wake()

        building = Building(record, roster, questions, queued=queued, forget=cache.forget)

        def stored() -> None:
            keeper.wake()
            building.stored()

        workers = []
        for embedder in roster.all:
            # One that hangs does not hold up the others.
            passages = ThreadPoolExecutor(EMBEDDINGS_AT_ONCE, "vector-embed")
            stack.callback(passages.shutdown, wait=False, cancel_futures=True)
            workers.append(EmbeddingWorker(record.vectors, embedder, passages, board, stored))
        drafter = Drafter(
            settings.meld_chunk_tokens,
            settings.meld_chunk_max_tokens,
            model.count_tokens,
            model.passage_tokens,
        )

        loop = asyncio.get_running_loop()
        record.documents.follow(
            lambda collection_key, removed: _in_loop(loop, cache.remove, collection_key, removed)
        )
        limits = Limits(file_bytes=settings.meld_max_document_bytes)
        documents = record.documents
        jobs = Jobs(
            documents=documents,
            ingests=record.ingests,
            vectors=record.vectors,
            spool=spool,
            extractor=Extractor(children=SLOTS, recogniser=Recogniser.installed()),
            limits=limits,
            drafter=drafter,
            executor=executor,
            claims=claims,
            turns=Turns(SLOTS),
            keep_originals=settings.meld_keep_originals,
            committed=queued,
            renew_words=record.mending.rebuild_lexicon,
            embedding_rates=lambda: {
                name_of(embedder): worker.rate for embedder, worker in zip(roster.all, workers, strict=True)
            },
        )
        dense = DenseSearch(
            roster,
            questions,
            record.vectors,
            cache,
            index=keeper,
            exact_limit=settings.meld_exact_search_limit,
        )
        searching, citations = (
            Searching(record.passages, record.postings, dense, roster),
            Citations(documents),
        )
        walking = Walking(record.inspection, keeper, spool.strays)
        application = Application(
            record=record,
            roster=roster,
            ingestion=Ingestion(
                documents=documents,
                spool=spool,
                jobs=jobs,
                claims=claims,
                board=board,
                fetcher=Fetcher(Reach(settings.fetch_allow)),
            ),
            jobs=jobs,
            importing=Importing(documents, drafter, executor, claims, queued),
            searching=searching,
            comparing=Comparing(record.passages, dense, roster, questions),
            evaluating=Evaluating(
                find=record.collections.get,
                named=record.evaluations.named,
                read=documents.text,
                searching=searching,
                citations=citations,
            ),
            deletion=Deletion(record, keeper, jobs.forgotten, spool.left),
            checking=Checking(walking),
            repairing=Repairing(
                walking,
                record.mending,
                forget=cache.drop,
                to_embed=to_embed,
                to_index=keeper.wake,
            ),
            purging=Purging(record.purging, keeper, spool.strays),
            walking=walking,
            building=building,
            citations=citations,
            page_tokens=PageTokens(await record.page_key()),
            keeper=keeper,
            questions=questions,
            default_hits=settings.max_results,
            default_threshold=settings.similarity_threshold,
        )
        watch_cache(
            "vector",
            "Searches that found a collection's vectors in memory, and those that had to read some",
            cache,
            settings.meld_vector_cache_bytes,
        )
        watch_cache(
            "word",
            "Questions to a keyword index whose words were in memory, and those that had to read some",
            record.postings,
            record.postings.limit_bytes,
        )
        sampler = StorageSampler(record.figures, _places(settings))
        sampler.watch()
        lives = [keeper.run(), building.run(), jobs.run(), *(worker.run() for worker in workers)]
        for life in (*lives, *([sampler.run()] if settings.metrics_enabled else [])):
            stack.push_async_callback(_ended, _watched(life))
        stack.push_async_callback(jobs.close)
        await jobs.start()
        yield application


def _watched(life: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """What goes on until the end. When it does not, that is told at once, and not only then."""

    def tell(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s has ended with an error", task.get_name(), exc_info=error)

    task = asyncio.create_task(life, name=getattr(life, "__qualname__", None))
    task.add_done_callback(tell)
    return task


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _in_loop(loop: asyncio.AbstractEventLoop, work: Callable[..., None], *arguments: object) -> None:
    """Calls from another thread; at the very end of the process there may be nobody left to call."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(work, *arguments)


def _places(settings: VectorSettings) -> Places:
    record = settings.folder / "record.sqlite3"
    parts = {"record": [record, record.with_name(f"{record.name}-wal")]}
    if not settings.chromadb_host:
        parts["index"] = [settings.index_folder]
    return Places(parts, settings.folder)


def _store(settings: VectorSettings) -> IndexStore:
    if settings.chromadb_host:
        return RemoteStore(settings.chromadb_host, settings.chromadb_port, settings.meld_index_sync_threshold)
    return EmbeddedStore(settings.index_folder, settings.meld_index_sync_threshold)
