"""The background worker: order, refusal, patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import numpy as np

from services.vector.documents import DocumentState
from services.vector.embedding.ports import (
    EmbedderRejectedError,
    EmbedderTextError,
    EmbedderUnavailableError,
    ModelName,
)
from services.vector.embedding.ports import Vectors as Array
from services.vector.ingest.embedding_worker import EmbeddingWorker
from services.vector.ingest.progress import ProgressBoard
from services.vector.record.vectors import Made, Progress, Waiting


class Queue:
    """The record's queue in memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.waiting_texts = dict(enumerate(texts))
        self.stored: dict[int, Array] = {}
        self.postponed: list[int] = []

    async def waiting(self, model: ModelName, limit: int) -> list[Waiting]:
        left = [key for key in self.waiting_texts if key not in self.stored and key not in self.postponed]
        return [Waiting(key, 1, "", (), self.waiting_texts[key]) for key in left[:limit]]

    async def store(self, vectors: Sequence[Made]) -> list[Progress]:
        self.stored |= {made.chunk_key: made.vector for made in vectors}
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
            raise EmbedderTextError("never")
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
    queue, model = Queue(["x" * (n * 37 % 200 + 1) for n in range(2000)]), Model()
    async with working(queue, model):
        await until(lambda: len(queue.stored) == 2000)
    assert all(queue.stored[key][0] == len(text) for key, text in queue.waiting_texts.items())
    # Lengths are 1 to 200 in each window; 64 drawn blindly would be 190 apart.
    spreads = [len(call[-1]) - len(call[0]) for call in model.calls]
    assert sum(spreads) / len(spreads) < 80
    # Two calls are under way at once, and none had another's passages.
    assert sum(map(len, model.calls)) == 2000


class TwoPeople(Queue):
    """Many passages of one, and after them one of another; in turns, as the record gives them."""

    async def waiting(self, model: ModelName, limit: int) -> list[Waiting]:
        left = await super().waiting(model, 10**6)
        spaced = [replace(one, space="b" if one.body == "other" else "a") for one in left]
        mine = [one for one in spaced if one.space == "a"]
        others = [one for one in spaced if one.space == "b"]
        return [*mine[:1], *others, *mine[1:]][:limit]


async def test_the_only_passage_of_one_does_not_wait_behind_all_of_another() -> None:
    queue, model = TwoPeople([*("x" * (n % 500 + 10) for n in range(3000)), "other"]), Model()
    async with working(queue, model):
        await until(lambda: any("other" in call for call in model.calls))
    before = next(number for number, call in enumerate(model.calls) if "other" in call)
    assert before <= 2


async def test_its_speed_is_known_once_it_worked_without_pause() -> None:
    queue, model = Queue(["x"] * 400), Model()
    with ThreadPoolExecutor(1) as executor:
        worker = EmbeddingWorker(queue, model, executor, ProgressBoard(), lambda: None)  # type: ignore[arg-type]
        assert worker.rate is None
        task = asyncio.create_task(worker.run())
        await until(lambda: len(queue.stored) == 400)
        await until(lambda: worker.rate is not None)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert worker.rate is not None
    assert worker.rate > 0


async def test_a_text_that_the_model_refuses_holds_up_nobody() -> None:
    queue, model = Queue([*("good " * n for n in range(1, 40)), "bad", "bad too"]), Model()
    async with working(queue, model):
        await until(lambda: len(queue.stored) == 39)
    assert sorted(queue.postponed) == [39, 40]


class WithoutKey(Model):
    """Refuses everything, whatever the text; then is given its key."""

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Array:
        if len(self.calls) < 2:
            self.calls.append(list(texts))
            raise EmbedderRejectedError("401 (invalid_api_key)")
        return super().embed_passages(texts, deadline=deadline)


async def test_a_wrong_key_is_not_taken_for_texts_that_are_refused() -> None:
    queue, model = Queue(["x" * n for n in range(1, 65)]), WithoutKey()
    async with working(queue, model):
        await until(lambda: len(queue.stored) == 64)
    assert queue.postponed == []
    # Two refusals, and the batch.
    assert len(model.calls) == 3


class Defective(Model):
    """Raises what no model should, once."""

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Array:
        if not self.calls:
            self.calls.append(list(texts))
            raise ZeroDivisionError
        return super().embed_passages(texts, deadline=deadline)


async def test_a_defect_does_not_end_the_worker() -> None:
    queue, model = Queue(["a", "b"]), Defective()
    async with working(queue, model):
        await until(lambda: len(queue.stored) == 2)


async def test_a_model_that_is_down_is_asked_again() -> None:
    queue, model = Queue(["a", "b"]), Model(failures=1)
    async with working(queue, model):
        await until(lambda: len(queue.stored) == 2)
    assert len(model.calls) == 2
