"""The background worker: order, refusal, patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

import numpy as np

from services.vector.documents import DocumentState
from services.vector.embedding.ports import EmbedderRejectedError, EmbedderUnavailableError, ModelName
from services.vector.embedding.ports import Vectors as Array
from services.vector.ingest.embedding_worker import EmbeddingWorker
from services.vector.ingest.progress import ProgressBoard
from services.vector.record.vectors import Progress, Waiting


class Queue:
    """The record's queue in memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.waiting_texts = dict(enumerate(texts))
        self.stored: dict[int, Array] = {}
        self.postponed: list[int] = []

    async def waiting(self, model: ModelName, limit: int) -> list[Waiting]:
        left = [key for key in self.waiting_texts if key not in self.stored and key not in self.postponed]
        return [Waiting(key, 1, "", (), self.waiting_texts[key]) for key in left[:limit]]

    async def store(self, vectors: Sequence[tuple[int, int, Array]]) -> list[Progress]:
        self.stored |= {key: vector for _, key, vector in vectors}
        return [Progress("d", DocumentState.EMBEDDING, len(self.waiting_texts), len(self.stored))]

    async def postpone(self, generation_key: int, chunk_key: int, delay_seconds: float) -> None:
        self.postponed.append(chunk_key)


class Model:
    """Vectors are the length of the text; refuses `bad`, fails `failures` times."""

    model, dimension, revision = "m", 1, ""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.calls: list[list[str]] = []

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Array:
        self.calls.append(list(texts))
        if self.failures:
            self.failures -= 1
            raise EmbedderUnavailableError("down")
        if any("bad" in text for text in texts):
            raise EmbedderRejectedError("never")
        return np.array([[len(text)] for text in texts], dtype=np.float32)

    embed_queries = embed_passages

    def ping(self, *, deadline: float) -> None:
        return None


@asynccontextmanager
async def working(queue: Queue, model: Model) -> AsyncIterator[None]:
    with ThreadPoolExecutor(1) as executor:
        worker = EmbeddingWorker(queue, model, executor, ProgressBoard(), lambda: None)  # type: ignore[arg-type]
        task = asyncio.create_task(worker.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: object) -> None:
    async with asyncio.timeout(15):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_every_passage_gets_its_own_vector_and_lengths_go_together() -> None:
    queue, model = Queue(["x" * (n * 37 % 200 + 1) for n in range(300)]), Model()
    async with working(queue, model):
        await until(lambda: len(queue.stored) == 300)
    assert all(queue.stored[key][0] == len(text) for key, text in queue.waiting_texts.items())
    first_window = [len(text) for call in model.calls[:4] for text in call]
    assert first_window == sorted(first_window)


async def test_a_text_that_the_model_refuses_holds_up_nobody() -> None:
    queue, model = Queue([*("good " * n for n in range(1, 40)), "bad", "bad too"]), Model()
    async with working(queue, model):
        await until(lambda: len(queue.stored) == 39)
    assert sorted(queue.postponed) == [39, 40]


async def test_a_model_that_is_down_is_asked_again() -> None:
    queue, model = Queue(["a", "b"]), Model(failures=1)
    async with working(queue, model):
        await until(lambda: len(queue.stored) == 2)
    assert len(model.calls) == 2
