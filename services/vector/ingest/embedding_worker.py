"""Gives committed passages their vectors, in the background; people take turns, and each one's come in the
order of their commit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from services.chassis.errors import ServiceError
from services.vector import late
from services.vector.documents import embedded_text
from services.vector.embedding.ports import (
    Embedder,
    EmbedderError,
    EmbedderTextError,
    Vectors,
    WordsEmbedder,
    name_of,
)
from services.vector.ingest.progress import ProgressBoard
from services.vector.record.vectors import Cursor, Made, Progress, Waiting
from services.vector.record.vectors import Vectors as StoredVectors

_log = logging.getLogger(__name__)

# What is looked at for passages of like length, and what of it is embedded and committed at once: about two
# seconds of work, so that progress shows and a crash repeats little. EMBEDDINGS_AT_ONCE is how many calls the
# executor must allow.
_WINDOW = 256
_BATCH = 64
_UNDER_WAY = 2
EMBEDDINGS_AT_ONCE = _UNDER_WAY
# How much the newest measurement of the speed counts.
_WEIGHT = 0.2
_BATCH_SECONDS = 120.0
_IDLE_SECONDS = 30.0
_BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_REFUSED_SECONDS = 3600.0


class EmbeddingWorker:
    """`run` is its life. The record's queue is its only memory: a new process goes on where this one"
    " ended."""

    def __init__(
        self,
        vectors: StoredVectors,
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
        self._space = ""
        self._rate: float | None = None
        self._measured_at: float | None = None
        # How far the vectors of older releases were looked through.
        self._caught_up: Cursor = (0, 0)

    def wake(self) -> None:
        """There are new passages in the queue."""
        self._work.set()

    @property
    def rate(self) -> float | None:
        """Passages a second, as measured lately; None before any was."""
        return self._rate

    async def run(self) -> None:
        """Embeds until cancelled. A model or a record that fails is tried again, ever less often."""
        failures = 0
        while True:
            self._work.clear()
            try:
                busy = await self._until_empty() or await self._catch_up()
            except Exception as error:
                delay = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
                failures += 1
                _log.warning(
                    "embedding waits %.0f s: %s",
                    delay,
                    error,
                    # Another kind is a defect. The passages of all others are not to wait for its end.
                    exc_info=None if isinstance(error, EmbedderError | ServiceError) else error,
                )
                await asyncio.sleep(delay)
                continue
            failures = 0
            if not busy:
                await self._rest()

    async def _until_empty(self) -> bool:
        """Two batches are under way at any time: while one is written the model has the other.

        Returns whether there was anything. The queue is read anew for each batch, so that what has come
        meanwhile gets its turn.
        """
        under_way: dict[asyncio.Task[None], frozenset[tuple[int, int]]] = {}
        busy = False
        try:
            while True:
                taken: frozenset[tuple[int, int]] = frozenset().union(*under_way.values())
                waiting = await self._vectors.waiting(name_of(self._embedder), _WINDOW + len(taken))
                window = [one for one in waiting if one.place not in taken]
                if window:
                    busy = True
                    batch = self._batch(window)
                    under_way[asyncio.create_task(self._measured(batch))] = frozenset(
                        one.place for one in batch
                    )
                if not under_way:
                    return busy
                if len(under_way) >= _UNDER_WAY or not window:
                    done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        del under_way[task]
                        task.result()
        finally:
            for task in under_way:
                task.cancel()
            if under_way:
                await asyncio.wait(under_way)
            # A pause is no measure of speed.
            self._measured_at = None

    def _batch(self, window: Sequence[Waiting]) -> list[Waiting]:
        """Those of the window that are as long as the one whose turn it is: little of a batch is padding."""
        spaces = sorted({one.space for one in window})
        self._space = next((space for space in spaces if space > self._space), spaces[0])
        first = next(one for one in window if one.space == self._space)
        by_length = sorted(window, key=lambda passage: len(passage.body))
        start = by_length.index(first) - _BATCH // 2
        start = max(0, min(start, len(by_length) - _BATCH))
        return by_length[start : start + _BATCH]

    async def _measured(self, passages: Sequence[Waiting]) -> None:
        await self._embed(passages)
        now = time.monotonic()
        if self._measured_at is not None and now > self._measured_at:
            rate = len(passages) / (now - self._measured_at)
            self._rate = rate if self._rate is None else self._rate + _WEIGHT * (rate - self._rate)
        self._measured_at = now

    async def _embed(self, passages: Sequence[Waiting]) -> None:
        try:
            made = await self._made(passages)
        except EmbedderTextError as error:
            await self._refused(passages, error)
            return
        steps: list[Progress] = await self._vectors.store(made)
        self._board.publish(steps)
        self._stored()

    async def _catch_up(self) -> bool:
        """Makes what is kept of the words of a batch of passages that an older release embedded.

        Whether there were any. Their vectors are there and answer meanwhile.
        """
        if not isinstance(self._embedder, WordsEmbedder):
            return False
        passages, upto = await self._vectors.without_codes(name_of(self._embedder), self._caught_up, _BATCH)
        if passages:
            try:
                await self._vectors.add_codes(await self._made(passages))
            except EmbedderTextError as error:
                _log.error("passages that the model took once are refused now: %s", error)
        self._caught_up = upto
        return bool(passages)

    async def _made(self, passages: Sequence[Waiting]) -> list[Made]:
        texts = [embedded_text(one.title, one.headings, one.body) for one in passages]
        deadline = time.monotonic() + _BATCH_SECONDS
        loop = asyncio.get_running_loop()
        vectors, codes = await loop.run_in_executor(
            self._executor, lambda: _embedded(self._embedder, texts, deadline)
        )
        return [
            Made(one.generation_key, one.chunk_key, vector, kept)
            for one, vector, kept in zip(passages, vectors, codes, strict=True)
        ]

    async def _refused(self, passages: Sequence[Waiting], error: EmbedderTextError) -> None:
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


def _embedded(
    embedder: Embedder, texts: Sequence[str], deadline: float
) -> tuple[Vectors, Sequence[bytes | None]]:
    """Vectors, and what is kept of words; None where the model does not tell of them."""
    if not isinstance(embedder, WordsEmbedder):
        return embedder.embed_passages(texts, deadline=deadline), [None] * len(texts)
    vectors, words = embedder.embed_passage_words(texts, deadline=deadline)
    return vectors, [late.codes(text, some) for text, some in zip(texts, words, strict=True)]
