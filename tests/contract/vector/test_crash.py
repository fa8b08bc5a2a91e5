"""kill -9 at the worst moments, then a fresh process: nothing acknowledged is lost, nothing half is seen."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from services.chassis.lock import lock_directory
from tests.contract.vector.processes import launched, process
from tests.contract.vector.test_originals import read as original
from tests.contract.vector.test_reprocess import reread
from tests.contract.vector.test_upkeep import settled
from tests.contract.vector.world import Client, all_ready, eventually, running, walk
from tests.support.redis_server import free_port

pytestmark = pytest.mark.slow

BEFORE = [f"Kept text number {number} about topic{number}." for number in range(12)]
LOST = "The last text speaks of zebras.\n\n" + "And of very many other things. " * 60


async def fill(client: Client) -> dict[str, bytes]:
    """Acknowledged documents by id, all with their vectors."""
    await client.create()
    acked: dict[str, bytes] = {}
    for outcome, text in zip(
        await client.import_all([{"text": text} for text in BEFORE]), BEFORE, strict=True
    ):
        acked[outcome.document.document_id] = text.encode()
    await eventually(lambda: all_ready(client))
    return acked


async def index_ready(client: Client) -> bool:
    health = health_pb2_grpc.HealthStub(client.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service="index"), timeout=5)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def check(client: Client, acked: dict[str, bytes]) -> list[pb.Document]:
    """Every acknowledged document whole, found by word and by vector; returns all documents."""
    for document_id, text in acked.items():
        document = await client.get(document_id)
        stored = await client.text(document_id)
        assert stored == text
        assert document.extraction_sha256 == hashlib.sha256(text).hexdigest()
    await eventually(lambda: all_ready(client))
    await eventually(lambda: index_ready(client))
    for number in (0, 7, 11):
        found = await client.search(f"topic{number}", mode=pb.SEARCH_MODE_LEXICAL)
        assert [hit.text for hit in found.hits] == [BEFORE[number]]
        near = await client.search(BEFORE[number], mode=pb.SEARCH_MODE_DENSE, top_k=1)
        assert near.hits[0].text == BEFORE[number]
    return await client.list(page_size=1000)


@pytest.mark.parametrize(
    ("place", "committed"),
    [
        ("vector.before_ingest_job", False),
        ("vector.before_record_commit", True),
        ("vector.after_record_commit", True),
        ("vector.before_index_add", True),
        ("vector.after_index_add", True),
    ],
)
async def test_a_kill_at_a_crash_point_loses_nothing_and_heals(
    tmp_path: Path, place: str, committed: bool
) -> None:
    async with running(tmp_path) as client:
        acked = await fill(client)
        await eventually(lambda: index_ready(client))
    async with process(tmp_path, MELD_CRASH_AT=place) as second:
        (outcome,) = await asyncio.gather(second.client.ingest(LOST), return_exceptions=True)
        assert await second.died() == -9
        # Nobody hears of a commit that is not on disk.
        assert committed or isinstance(outcome, ServiceError)
    async with running(tmp_path) as client:
        documents = await check(client, acked)
        last = [one for one in documents if one.content_sha256 == hashlib.sha256(LOST.encode()).hexdigest()]
        found = await client.search("zebras", mode=pb.SEARCH_MODE_LEXICAL)
        if committed:
            assert [one.state for one in last] == [pb.DOCUMENT_STATE_READY]
            assert last[0].vectors == last[0].chunks > 1
            assert len(found.hits) == 1
            # Its file came with it, whole.
            assert await original(client, last[0].document_id) == LOST.encode()
            near = await client.search(LOST[:90], mode=pb.SEARCH_MODE_DENSE, top_k=1)
            assert near.hits[0].document_id == last[0].document_id
        else:
            # It had not become a job yet, so its bytes are not known.
            assert last == []
            failed = [one for one in documents if one.state == pb.DOCUMENT_STATE_FAILED]
            assert [one.error.reason for one in failed] == ["INTERRUPTED"]
            assert found.hits == []
            assert not failed[0].has_original
            assert list((tmp_path / "vector" / "spool").iterdir()) == []
            await client.ready(LOST)


# Passages of other sizes than those that there are.
FINE = {"meld_chunk_tokens": 40, "meld_chunk_max_tokens": 60}
FINE_PROCESS = {name.upper(): str(value) for name, value in FINE.items()}


def on_disk(folder: Path) -> list[tuple[int, ...]]:
    """Of the document that is read again, as the ended process left it: passages by its row and by theirs,
    vectors likewise, bytes of text and of its original.
    """
    with closing(sqlite3.connect(folder / "vector" / "record.sqlite3")) as record:
        return record.execute(
            "SELECT chunks, (SELECT count(*) FROM chunks WHERE document_key = d.key),"
            " vectors, (SELECT count(*) FROM vectors v JOIN chunks h ON h.key = v.chunk_key"
            "  WHERE h.document_key = d.key),"
            " (SELECT sum(length(piece)) FROM texts WHERE document_key = d.key),"
            " (SELECT sum(length(piece)) FROM originals WHERE document_key = d.key)"
            " FROM documents d WHERE external_id = 'lost'"
        ).fetchall()


@pytest.mark.parametrize(
    ("place", "written", "renewed"),
    [
        ("vector.before_reprocess_job", False, False),
        ("vector.after_reprocess_job", False, True),
        ("vector.before_reprocess_commit", False, True),
        ("vector.after_reprocess_commit", True, True),
        ("vector.before_index_add", True, True),
    ],
)
async def test_a_kill_while_a_document_is_read_again_leaves_the_old_text_or_the_new_one_whole(
    tmp_path: Path, place: str, written: bool, renewed: bool
) -> None:
    async with running(tmp_path) as client:
        acked = await fill(client)
        before = await client.ready(LOST, external_id="lost")
        await eventually(lambda: index_ready(client))
        await eventually(lambda: settled(client))
    async with process(tmp_path, MELD_CRASH_AT=place, **FINE_PROCESS) as second:
        (outcome,) = await asyncio.gather(reread(second.client, before.document_id), return_exceptions=True)
        assert await second.died() == -9
        assert isinstance(outcome, ServiceError) or written
    ((chunks, there, vectors, made, text, file),) = on_disk(tmp_path)
    assert (chunks, vectors, text, file) == (there, made, len(LOST), len(LOST))
    assert (chunks > before.chunks) is written
    async with running(tmp_path, **FINE) as client:
        await eventually(lambda: read_to_the_end(client))
        after = await client.get(before.document_id)
        assert (after.chunks > before.chunks) is renewed
        assert (after.state, after.vectors) == (pb.DOCUMENT_STATE_READY, after.chunks)
        assert after.create_time == before.create_time
        assert await original(client, before.document_id) == LOST.encode()
        assert len((await client.search("zebras", mode=pb.SEARCH_MODE_LEXICAL)).hits) == 1
        near = await client.search(LOST[:90], mode=pb.SEARCH_MODE_DENSE, top_k=1)
        assert near.hits[0].document_id == before.document_id
        await check(client, acked)
        await eventually(lambda: settled(client))
        assert await walk(client, every_tenant=True) == []
        assert list((tmp_path / "vector" / "spool").iterdir()) == []


async def read_to_the_end(client: Client) -> bool:
    there = await client.list(page_size=1000)
    return all(not one.reprocessing and one.state == pb.DOCUMENT_STATE_READY for one in there)


async def test_kills_at_any_time_while_all_are_read_again_leave_each_whole(tmp_path: Path) -> None:
    texts = {f"n{number}": f"Number{number} is here. " + "It says some words. " * 60 for number in range(40)}
    async with running(tmp_path) as client:
        await client.create()
        for name, text in texts.items():
            await client.ingest(text, filename=f"{name}.txt", external_id=name)
        await eventually(lambda: all_ready(client))
        before = {one.external_id: one for one in await client.list(page_size=1000)}
        await eventually(lambda: settled(client))
    for seconds in (0.2, 0.5):
        async with process(tmp_path, **FINE_PROCESS) as service:
            asked = [asyncio.create_task(reread(service.client, one.document_id)) for one in before.values()]
            await asyncio.sleep(seconds)
            await service.kill()
            await asyncio.gather(*asked, return_exceptions=True)
    async with running(tmp_path, **FINE) as client:
        await eventually(lambda: read_to_the_end(client), 60)
        await asyncio.gather(*(reread(client, one.document_id) for one in before.values()))
        await eventually(lambda: settled(client), 60)
        after = {one.external_id: one for one in await client.list(page_size=1000)}
        assert {name: one.document_id for name, one in after.items()} == {
            name: one.document_id for name, one in before.items()
        }
        for name, text in texts.items():
            assert after[name].chunks > before[name].chunks
            assert await client.text(after[name].document_id) == text.encode()
            assert await original(client, after[name].document_id) == text.encode()
            found = await client.search(f"Number{name[1:]}", mode=pb.SEARCH_MODE_LEXICAL)
            assert [hit.document_id for hit in found.hits] == [after[name].document_id]
        assert await walk(client, every_tenant=True) == []


async def test_kills_at_any_time_while_many_write_lose_nothing(tmp_path: Path) -> None:
    """Timed kills, many inside Chroma's flush: the threshold is so low that it flushes all the time."""
    acked: dict[str, bytes] = {}
    for turn in range(2):
        async with process(tmp_path, MELD_INDEX_SYNC_THRESHOLD="4") as service:
            client = service.client
            if not turn:
                await client.create()

            async def write(writer: int, client: Client = client, turn: int = turn) -> None:
                for number in range(1000):
                    text = f"Turn {turn} writer {writer} number {number}."
                    (outcome,) = await client.import_all([{"text": text, "external_id": text}])
                    acked[outcome.document.document_id] = text.encode()

            writers = [asyncio.create_task(write(writer)) for writer in range(4)]
            await eventually(lambda turn=turn: enough(acked, 40 * (turn + 1)))
            await service.kill()
            ends = await asyncio.gather(*writers, return_exceptions=True)
            assert all(isinstance(end, ServiceError) for end in ends)
    async with running(tmp_path) as client:
        await eventually(lambda: all_ready(client), 60)
        await eventually(lambda: index_ready(client), 60)
        for document_id, text in acked.items():
            assert await client.text(document_id) == text
        entries = client.application.keeper._index.count(1)
        assert entries == len(await client.list(page_size=1000)) >= len(acked)


async def enough(acked: dict[str, bytes], count: int) -> bool:
    return len(acked) >= count


async def test_a_second_service_on_the_same_data_ends_at_once_with_one_line(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        acked = await fill(client)
        with lock_directory(tmp_path / "vector"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            second = await launched(tmp_path, free_port(), module="services.vector")
            _, errors = await second.communicate()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert second.returncode == 1
        (line,) = errors.decode().strip().splitlines()
        assert f"in use by process {os.getpid()}" in line
        # Within a second on a free core: before any of the large libraries is loaded.
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.5
        await check(client, acked)
