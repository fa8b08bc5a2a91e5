"""Gives committed passages their vectors, in the background, in the order of their commit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from services.chassis.errors import ServiceError
from services.vector.documents import embedded_text
from services.vector.embedding.ports import (
    Embedder,
    EmbedderRejectedError,
    EmbedderUnavailableError,
    name_of,
)
from services.vector.ingest.progress import ProgressBoard
from services.vector.record.vectors import Progress, Vectors, Waiting

_log = logging.getLogger(__name__)

# What is read at once, and what of it is embedded and committed at once: about two seconds of work, so that
# progress shows and a crash repeats little.
_WINDOW = 256
_BATCH = 64
_BATCH_SECONDS = 120.0
_IDLE_SECONDS = 30.0
_BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_REFUSED_SECONDS = 3600.0


class EmbeddingWorker:
    """`run` is its life. The record's queue is its only memory: a new process goes on where this one"
    " ended."""

    def __init__(
        self,
        vectors: Vectors,
        embedder: Embedder,
        executor: Executor,
        board: ProgressBoard,
        stored: Callable[[], None],
    ) -> None:
        """stored: called when there are new vectors in the record."""
        self._vectors = vectors
        self._embedder = embedder
        self._executor = executor
        self._board = board
        self._stored = stored
        self._work = asyncio.Event()

    def wake(self) -> None:
        """There are new passages in the queue."""
        self._work.set()

    async def run(self) -> None:
        """Embeds until cancelled. A model or a record that fails is tried again, ever less often."""
        failures = 0
        while True:
            self._work.clear()
            try:
                busy = await self._window()
            except (EmbedderUnavailableError, ServiceError) as error:
                delay = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
                failures += 1
                _log.warning("embedding waits %.0f s: %s", delay, error)
                await asyncio.sleep(delay)
                continue
            failures = 0
            if not busy:
                await self._rest()

    async def _window(self) -> bool:
        waiting = await self._vectors.waiting(name_of(self._embedder), _WINDOW)
        # Texts of like length together: little of a batch is padding.
        waiting.sort(key=lambda passage: len(passage.body))
        for start in range(0, len(waiting), _BATCH):
            await self._embed(waiting[start : start + _BATCH])
        return bool(waiting)

    async def _embed(self, passages: Sequence[Waiting]) -> None:
        texts = [embedded_text(one.title, one.headings, one.body) for one in passages]
        deadline = time.monotonic() + _BATCH_SECONDS
        loop = asyncio.get_running_loop()
        try:
            vectors = await loop.run_in_executor(
                self._executor, lambda: self._embedder.embed_passages(texts, deadline=deadline)
            )
        except EmbedderRejectedError as error:
            await self._refused(passages, error)
            return
        steps: list[Progress] = await self._vectors.store(
            [
                (one.generation_key, one.chunk_key, vector)
                for one, vector in zip(passages, vectors, strict=True)
            ]
        )
        self._board.publish(steps)
        self._stored()

    async def _refused(self, passages: Sequence[Waiting], error: EmbedderRejectedError) -> None:
        """Finds the text that the model does not take, and puts it behind all others."""
        if len(passages) == 1:
            _log.error("a passage cannot be embedded now: %s", error)
            await self._vectors.postpone(passages[0].generation_key, passages[0].chunk_key, _REFUSED_SECONDS)
            return
        middle = len(passages) // 2
        await self._embed(passages[:middle])
        await self._embed(passages[middle:])

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._work.wait()
        except TimeoutError:
            return
