"""Generations of vectors in the record."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from services.chassis.context import LOCAL_OWNER
from services.vector.access import Caller
from services.vector.documents import DocumentState, Draft, Passage
from services.vector.embedding.ports import ModelName
from services.vector.record.database import Connection
from services.vector.record.documents import Commit
from services.vector.record.generations import GenerationState
from services.vector.record.record import Record, opened
from services.vector.record.reembedding import Stage
from services.vector.record.vectors import Made, Turns

OWNER = Caller.of(LOCAL_OWNER)
OLD, NEW = ModelName("old", 2), ModelName("new", 3)


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Record]:
    """Ten documents of a passage each, with vectors of the old model that the index knows."""
    with opened(tmp_path / "r.sqlite3") as record:
        await record.collections.create(OWNER, "books", description="", model=OLD, request=None)
        for number in range(10):
            await take(record, number)
        await embed(record, OLD)
        yield record


async def take(record: Record, number: int) -> str:
    collection = await record.collections.get(OWNER, "books")
    text = f"Text number {number}.".encode()
    sha256 = hashlib.sha256(text).hexdigest()
    draft = Draft(
        document_id=f"{number:032x}",
        external_id="",
        title="",
        filename="",
        size=len(text),
        media_type="text/plain",
        content_sha256=sha256,
        extraction_sha256=sha256,
        text=text,
        pages=0,
        metadata={},
        create_time=datetime(2026, 1, 1, tzinfo=UTC),
        passages=[Passage(0, len(text), 0, (), text.decode())],
    )
    (taken,) = await record.documents.commit_all(collection.key, OWNER, [draft])
    assert isinstance(taken, Commit)
    return taken.document.document_id


async def embed(record: Record, model: ModelName, most: int = 1000, *, indexed: bool = True) -> int:
    """As the worker and the keeper do; how many were made."""
    waiting = await record.vectors.waiting(model, most)
    unit = np.eye(1, model.dimension, dtype=np.float32)[0]
    await record.vectors.store([Made(one.generation_key, one.chunk_key, unit) for one in waiting])
    while indexed and (batch := await record.index_queue.additions(100)):
        await record.index_queue.added(batch[0], batch[1].keys.tolist())
    return len(waiting)


async def progress(record: Record) -> object:
    collection = await record.collections.get(OWNER, "books")
    changes = await record.reembedding.changes([collection.key])
    return changes[collection.key].building if collection.key in changes else None


async def test_a_build_may_answer_when_it_has_everything_and_the_index_knows_it(record: Record) -> None:
    key = await record.reembedding.begin(OWNER, "books", NEW, 0)
    assert await embed(record, NEW, 9) == 9
    assert not await record.reembedding.switch(key)
    assert await embed(record, NEW, indexed=False) == 1
    assert not await record.reembedding.switch(key)
    found = await progress(record)
    assert (found.stage, found.chunks, found.vectors) == (Stage.INDEXING, 10, 10)  # type: ignore[attr-defined]
    await embed(record, NEW)
    assert await record.reembedding.switch(key)
    collection = await record.collections.get(OWNER, "books")
    assert (collection.model, collection.generation_key, collection.vectors) == (NEW, key, 10)
    assert not await record.reembedding.switch(key)


async def test_what_neither_has_yet_does_not_hold_it_up_and_is_counted_as_missing(record: Record) -> None:
    key = await record.reembedding.begin(OWNER, "books", NEW, 0)
    await embed(record, NEW)
    late = await take(record, 10)
    assert await record.reembedding.switch(key)
    collection = await record.collections.get(OWNER, "books")
    assert (collection.chunks, collection.vectors) == (11, 10)
    assert (await record.documents.get(OWNER, "books", late)).state is DocumentState.EMBEDDING
    await embed(record, NEW)
    assert (await record.documents.get(OWNER, "books", late)).state is DocumentState.READY


async def test_a_build_has_its_turns_while_much_else_waits(record: Record) -> None:
    same = ModelName("old", 2, "again")
    key = await record.reembedding.begin(OWNER, "books", same, 0)
    for number in range(10, 30):
        await take(record, number)
    # The name of a model whose revision is not known makes both.
    waiting = await record.vectors.waiting(OLD, 8)
    assert [one.generation_key == key for one in waiting] == [True, False] * 4
    assert [one.generation_key == key for one in await record.vectors.waiting(same, 50)] == (
        [True, False] * 20 + [True] * 5
    )


async def test_a_generation_that_is_retired_is_gone_from_everything(record: Record) -> None:
    key = await record.reembedding.begin(OWNER, "books", NEW, 0)
    await embed(record, NEW, 5)
    await record.reembedding.cancel(OWNER, "books")
    assert await record.vectors.waiting(NEW, 10) == []
    assert await record.index_queue.drops() == [key]
    (retired,) = await record.reembedding.retired()
    assert retired == key
    assert not await record.reembedding.clear(key)
    assert await record.reembedding.retired() == []
    assert await record.reembedding.state(key) is None
    # Deleting a document asks the index for nothing of it.
    await record.index_queue.dropped(key)
    await record.documents.delete(OWNER, "books", f"{3:032x}", None)
    assert (await record.index_queue.removals(10))[0] == 1  # type: ignore[index]


async def test_going_back_builds_only_what_came_since(record: Record) -> None:
    key = await record.reembedding.begin(OWNER, "books", NEW, 0)
    await embed(record, NEW)
    await record.reembedding.switch(key)
    await take(record, 10)
    await embed(record, NEW)
    await record.documents.delete(OWNER, "books", f"{3:032x}", None)
    assert (await record.reembedding.revert(OWNER, "books", None)).model == NEW
    assert await record.reembedding.state(1) is GenerationState.BUILDING
    assert await embed(record, OLD) == 1
    assert await record.reembedding.switch(1)
    collection = await record.collections.get(OWNER, "books")
    assert (collection.model, collection.chunks, collection.vectors) == (OLD, 10, 10)


async def test_going_back_can_be_given_up_and_is_still_possible(record: Record) -> None:
    key = await record.reembedding.begin(OWNER, "books", NEW, 0)
    await embed(record, NEW)
    await record.reembedding.switch(key)
    await take(record, 10)
    await embed(record, NEW)
    await record.reembedding.revert(OWNER, "books", None)
    await record.reembedding.cancel(OWNER, "books")
    assert await record.reembedding.state(1) is GenerationState.PREVIOUS
    assert await record.vectors.waiting(OLD, 10) == []
    await record.reembedding.revert(OWNER, "books", None)
    assert await embed(record, OLD) == 1
    assert await record.reembedding.switch(1)


async def waiting_of(record: Record, generation_key: int) -> int:
    def work(connection: Connection) -> int:
        (count,) = connection.execute(
            "SELECT count(*) FROM embedding_queue WHERE generation_key = ?", (generation_key,)
        ).fetchone()
        return int(count)

    return await record._database.read(work)


async def test_nothing_waits_for_vectors_of_a_generation_that_was_replaced(record: Record) -> None:
    key = await record.reembedding.begin(OWNER, "books", NEW, 0)
    await embed(record, NEW)
    await take(record, 10)
    assert await waiting_of(record, 1) == 1
    assert await record.reembedding.switch(key)
    assert await waiting_of(record, 1) == 0
    # Who goes back makes it after all.
    await embed(record, NEW)
    await record.reembedding.revert(OWNER, "books", None)
    assert await waiting_of(record, 1) == 1


async def test_a_place_counts_only_what_its_own_model_is_asked_for_now(record: Record) -> None:
    for number in range(10, 14):
        await take(record, number)
    keys = [one.chunk_key for one in await record.vectors.waiting(OLD, 10)]
    last = await record.documents.get(OWNER, "books", f"{13:032x}")
    assert await record.vectors.places(OLD, [last.key]) == {last.key: Turns(4, 4)}
    # Fourteen passages wait for another model, and nobody has that.
    await record.reembedding.begin(OWNER, "books", NEW, 0)
    assert await record.vectors.places(OLD, [last.key]) == {last.key: Turns(4, 4)}
    assert await record.vectors.places(NEW, [last.key]) == {}
    await record.vectors.postpone(1, keys[0], 3600)
    assert await record.vectors.places(OLD, [last.key]) == {last.key: Turns(3, 3)}
    await record.vectors.postpone(1, keys[3], 3600)
    assert await record.vectors.places(OLD, [last.key]) == {}


async def test_builds_that_wait_for_ever_hold_up_no_other(record: Record) -> None:
    for number in range(70):
        await record.collections.create(OWNER, f"c{number:02}", description="", model=OLD, request=None)
        await record.reembedding.begin(OWNER, f"c{number:02}", NEW, 0)
    assert len(await record.reembedding.building()) == 70


async def test_whether_anything_is_under_way(record: Record) -> None:
    assert not await record.reembedding.under_way(1)
    await record.reembedding.begin(OWNER, "books", NEW, 0)
    assert await record.reembedding.under_way(1)
    await record.reembedding.cancel(OWNER, "books")
    assert not await record.reembedding.under_way(1)


async def test_a_document_that_neither_model_has_yet_is_not_told_at_the_switch(record: Record) -> None:
    key = await record.reembedding.begin(OWNER, "books", NEW, 0)
    await embed(record, NEW)
    arrived = await take(record, 99)
    assert await record.reembedding.switch(key)

    async def told() -> list[str]:
        read = await record.happenings.after(OWNER, 0, None, 99)
        return [one.document_id for one in read.happenings]

    assert (await record.documents.get(OWNER, "books", arrived)).state is DocumentState.EMBEDDING
    assert arrived not in await told()
    await embed(record, NEW)
    assert (await record.documents.get(OWNER, "books", arrived)).state is DocumentState.READY
    assert (await told()).count(arrived) == 1


async def test_damaged_text_does_not_keep_others_from_their_vectors(record: Record) -> None:
    for number in (98, 99):
        await take(record, number)
    damage = "UPDATE texts SET piece = x'61ff61' WHERE document_key = (SELECT max(key) - 1 FROM documents)"
    await record._database.write(lambda connection: connection.execute(damage).rowcount)
    assert [one.body for one in await record.vectors.waiting(OLD, 9)] == ["a\ufffda", "Text number 99."]
