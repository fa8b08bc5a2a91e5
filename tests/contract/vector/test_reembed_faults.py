"""kill -9 while a collection goes over to another model: the old vectors answer, or the new ones; never both,
never half of either.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from tests.contract.vector.processes import Process, process
from tests.contract.vector.test_reembed import (
    NEW,
    TEXTS,
    best,
    change,
    cleared,
    collection,
    fill,
    ids,
    index_empty,
    reembed,
)
from tests.contract.vector.world import Client, WordEmbedder, all_ready, eventually, running, walk

pytestmark = pytest.mark.slow

# What the process is set to use; the old model is there besides.
SET_TO = {"TEST_WORD_MODEL": f"{NEW[0]}:{NEW[1]}"}
SEED = 20_260


async def one_or_the_other(folder: Path) -> None:
    """What a fresh look into the file shows: a current generation, whole, and all of one dimension."""
    with closing(sqlite3.connect(folder / "vector" / "record.sqlite3")) as record:
        current = record.execute("SELECT key, dimension FROM generations WHERE state = 1").fetchall()
        assert len(current) == 1
        key, dimension = current[0]
        lengths = record.execute(
            "SELECT DISTINCT length(vector) FROM vectors WHERE generation_key = ?", (key,)
        ).fetchall()
        assert lengths == [(4 * dimension,)]
        (chunks,) = record.execute("SELECT sum(chunks) FROM documents").fetchone()
        (vectors,) = record.execute(
            "SELECT count(*) FROM vectors WHERE generation_key = ?", (key,)
        ).fetchone()
        assert vectors == chunks


async def whole(client: Client, model: str) -> None:
    """The collection has the vectors of `model`, all of them, and everything agrees."""

    async def there() -> bool:
        shown = await collection(client)
        return shown.embedding_model == model and not shown.HasField("reembedding")

    await eventually(there, 60)
    await eventually(lambda: all_ready(client))
    await eventually(lambda: index_empty(client), 60)
    shown = await collection(client)
    assert shown.vectors == shown.chunks == len(await ids(client))
    for number in (0, 13, 29):
        assert (await best(client, TEXTS[number])).hits[0].text == TEXTS[number]
    assert await walk(client, every_tenant=True) == []


async def begun(service: Process) -> None:
    """Asks for it; the process may die meanwhile."""
    await asyncio.gather(reembed(service.client), return_exceptions=True)


async def filled(folder: Path) -> None:
    async with running(folder, WordEmbedder()) as client:
        await fill(client)


@pytest.mark.parametrize(
    ("place", "model"),
    [
        # Nobody has heard of it yet: it never began.
        ("vector.before_reembed_begin", "words"),
        ("vector.after_reembed_begin", "other"),
        ("vector.before_vectors_store", "other"),
        ("vector.after_vectors_store", "other"),
        ("vector.before_index_add", "other"),
        ("vector.after_index_add", "other"),
        ("vector.before_reembed_switch", "other"),
        ("vector.after_reembed_switch", "other"),
    ],
)
async def test_a_kill_at_a_crash_point_leaves_old_or_new_and_it_goes_on(
    tmp_path: Path, place: str, model: str
) -> None:
    await filled(tmp_path)
    async with process(tmp_path, MELD_CRASH_AT=place, **SET_TO) as service:
        await begun(service)
        assert await service.died() == -9
    await one_or_the_other(tmp_path)
    async with running(tmp_path, WordEmbedder(*NEW), others=[WordEmbedder()]) as client:
        await whole(client, model)


@pytest.mark.parametrize(
    "place", ["vector.before_generation_clear", "vector.after_generation_clear", "vector.before_index_remove"]
)
async def test_a_kill_while_the_vectors_before_are_removed_leaves_nothing_of_them(
    tmp_path: Path, place: str
) -> None:
    await filled(tmp_path)
    async with process(tmp_path, MELD_CRASH_AT=place, **SET_TO) as service:
        await reembed(service.client)
        await asyncio.gather(change(service.client, "FinishReembed"), return_exceptions=True)
        assert await service.died() == -9
    await one_or_the_other(tmp_path)
    async with running(tmp_path, WordEmbedder(*NEW), others=[WordEmbedder()]) as client:
        await eventually(lambda: cleared(tmp_path))
        await whole(client, "other")
        assert len(await client.application.keeper.collection_keys()) == 1


async def test_a_kill_while_it_goes_back_leaves_old_or_new(tmp_path: Path) -> None:
    await filled(tmp_path)
    async with process(tmp_path, MELD_CRASH_AT="vector.before_reembed_switch:2", **SET_TO) as service:
        await reembed(service.client)
        await asyncio.gather(change(service.client, "RevertReembed"), return_exceptions=True)
        assert await service.died() == -9
    await one_or_the_other(tmp_path)
    async with running(tmp_path, WordEmbedder(*NEW), others=[WordEmbedder()]) as client:
        await whole(client, "other")
        assert (await change(client, "RevertReembed")).embedding_model == "words"
        await whole(client, "words")


@pytest.mark.timeout(300)
async def test_kills_at_any_time_while_documents_come_and_go(tmp_path: Path) -> None:
    """Seeded moments, with a writer and a deleter beside the build."""
    chance = random.Random(SEED)
    await filled(tmp_path)
    came: dict[str, str] = {}
    gone: set[str] = set()
    for turn in range(3):
        async with process(tmp_path, MELD_INDEX_SYNC_THRESHOLD="4", **SET_TO) as service:
            client = service.client

            async def write(client: Client = client, turn: int = turn) -> None:
                for number in range(1000):
                    text = f"Turn {turn} number {number} came."
                    document = (await client.ingest(text))[-1].document
                    came[document.document_id] = text
                    if number % 3 == 2:
                        victim = chance.choice(sorted(came.keys() - gone))
                        receipt = await client.delete(victim)
                        gone.add(victim)
                        assert receipt.deleted_documents == 1

            target = "other" if turn % 2 == 0 else "words"
            work = [
                asyncio.create_task(write()),
                asyncio.create_task(reembed(client, embedding_model=target)),
            ]
            await asyncio.sleep(chance.uniform(0.1, 2.5))
            await service.kill()
            await asyncio.gather(*work, return_exceptions=True)
    async with running(tmp_path, WordEmbedder(*NEW), others=[WordEmbedder()]) as client:

        async def quiet() -> bool:
            return not (await collection(client)).HasField("reembedding")

        await eventually(quiet, 60)
        await whole(client, (await collection(client)).embedding_model)
        there = set(await ids(client))
        # A delete whose answer was lost may have been done, one a turn.
        assert len(came.keys() - gone - there) <= 3
        assert gone.isdisjoint(there)
        for document_id in sorted(there & came.keys())[::5]:
            found = await client.search(came[document_id], mode=pb.SEARCH_MODE_DENSE, top_k=3)
            assert came[document_id] in [hit.text for hit in found.hits]
