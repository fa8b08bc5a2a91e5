"""Snapshots: whole and true while all goes on, and taken in wholly or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis import snapshot
from services.chassis.errors import ServiceError
from services.vector.record import copies
from tests.contract.vector.processes import process
from tests.contract.vector.snapshots import (
    all_embedded,
    answers,
    exported,
    header,
    import_requests,
    imported,
    texts,
)
from tests.contract.vector.world import Client, WordEmbedder, eventually, ingest_requests, refused, running

pytestmark = pytest.mark.slow

OLD = [f"The old shelf holds number {number} about oak{number}." for number in range(6)]
NEW = [f"The new shelf holds number {number} about elm{number}." for number in range(9)]
CANARIES = ["elm3", "The new shelf holds number 7", "shelf number"]


async def fill(client: Client, contents: list[str]) -> None:
    await client.create()
    await client.import_all([{"text": text, "external_id": text[:30]} for text in contents])
    await all_embedded(client)


async def made(folder: Path, contents: list[str], **values: Any) -> bytes:
    async with running(folder, **values) as client:
        await fill(client, contents)
        return await exported(client)


def rewritten(
    folder: Path, data: bytes, change: Callable[[sqlite3.Connection], object], **fields: object
) -> bytes:
    """The snapshot with another record in it, and with a header that is right about it."""
    folder.mkdir()
    unpacking = snapshot.Unpacking(folder, "vector", b"", 1 << 30)
    unpacking.feed(data)
    manifest = unpacking.finish()
    connection = sqlite3.connect(folder / "record.sqlite3", isolation_level=None)
    change(connection)
    connection.close()
    files = [folder / part.name for part in manifest.parts]
    values = {
        "service": manifest.service,
        "schema_version": manifest.schema_version,
        "created_time": manifest.created_time,
        "counts": manifest.counts,
        "parts": tuple(snapshot.describe(file, file.name) for file in files),
        **fields,
    }
    return b"".join(snapshot.pack(snapshot.Manifest(**values), files, b""))  # type: ignore[arg-type]


async def serving(client: Client, name: str = "") -> bool:
    request = health_pb2.HealthCheckRequest(service=name)
    answer = await health_pb2_grpc.HealthStub(client.channel).Check(request, timeout=5)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_a_snapshot_taken_while_many_write_is_whole_and_makes_an_equal_service(tmp_path: Path) -> None:
    acked: dict[str, str] = {}
    async with running(tmp_path / "one") as client:
        await client.create()
        await client.create("cellar")
        stop = asyncio.Event()

        async def write(writer: int) -> None:
            number = 0
            while not stop.is_set():
                text = f"Writer {writer} number {number} about thing{writer}x{number}. " * 20
                if writer % 2:
                    document = (await client.ingest(text))[-1].document
                else:
                    (outcome,) = await client.import_all([{"text": text}])
                    document = outcome.document
                acked[document.document_id] = hashlib.sha256(text.encode()).hexdigest()
                number += 1

        writers = [asyncio.create_task(write(writer)) for writer in range(4)]
        await eventually(lambda: _true(len(acked) >= 30), 60)
        before = dict(acked)
        data = await exported(client)
        after = len(acked)
        await eventually(lambda: _true(len(acked) > after))
        stop.set()
        await asyncio.gather(*writers)
        here = await texts(client)

    async with running(tmp_path / "two") as client:
        answer = await imported(client, data)
        there = await texts(client)
        assert before.items() <= there.items() <= here.items()
        counts = header(data)["counts"]
        assert counts["documents"] == len(there) == answer.documents
        assert counts["collections"] == answer.collections == 2
        assert (counts["chunks"], counts["vectors"]) == (answer.chunks, answer.vectors)
        documents = await client.list(page_size=1000)
        assert sum(one.chunks for one in documents) == counts["chunks"] >= len(there)
        assert all(one.state in (pb.DOCUMENT_STATE_EMBEDDING, pb.DOCUMENT_STATE_READY) for one in documents)
        await all_embedded(client)
        # It is a record as any other: it can be written to, and exported with the same content.
        assert header(await exported(client))["counts"]["documents"] == answer.documents
        await client.ready("Something more about walnuts.")
        assert len((await client.search("walnuts", mode=pb.SEARCH_MODE_LEXICAL)).hits) == 1


async def _true(value: bool) -> bool:
    return value


async def test_search_answers_equally_and_vectors_are_not_made_again(tmp_path: Path) -> None:
    settings = {"meld_exact_search_limit": 4}  # above it the index proposes
    async with running(tmp_path / "one", **settings) as client:
        await fill(client, NEW)
        await eventually(lambda: serving(client, "index"))
        expected = await answers(client, CANARIES)
        data = await exported(client)
    embedder = WordEmbedder()
    async with running(tmp_path / "two", embedder, **settings) as client:
        await imported(client, data)
        await eventually(lambda: serving(client, "index"))
        assert await answers(client, CANARIES) == expected
        assert all(hits for hits in expected)
        assert embedder.passages == []


async def test_an_import_replaces_all_that_was_there(tmp_path: Path) -> None:
    data = await made(tmp_path / "one", NEW)
    settings = {"meld_exact_search_limit": 4}
    async with running(tmp_path / "two", **settings) as client:
        await fill(client, OLD)
        await client.create("cellar")
        await eventually(lambda: serving(client, "index"))
        await answers(client, ["oak1"])  # fills the caches
        token = (
            await client.call("ListDocuments", pb.ListDocumentsRequest(collection_id="books", page_size=2))
        ).next_page_token
        await imported(client, data)
        assert sorted((await texts(client)).values()) == sorted(
            hashlib.sha256(text.encode()).hexdigest() for text in NEW
        )
        listed = await client.call("ListCollections", pb.ListCollectionsRequest())
        assert [(one.collection_id, one.documents) for one in listed.collections] == [("books", len(NEW))]
        await eventually(lambda: serving(client, "index"))
        assert (await client.search("oak1", mode=pb.SEARCH_MODE_LEXICAL)).hits == []
        near = await client.search(OLD[1], mode=pb.SEARCH_MODE_DENSE, top_k=20, similarity_threshold=-1)
        assert len(near.hits) == len(NEW)
        assert {hit.text for hit in near.hits} == set(NEW)
        with pytest.raises(ServiceError) as error:
            await client.call(
                "ListDocuments", pb.ListDocumentsRequest(collection_id="books", page_size=2, page_token=token)
            )
        assert error.value.reason == "INVALID_PAGE_TOKEN"
    async with running(tmp_path / "two", **settings) as client:
        assert len(await texts(client)) == len(NEW)
        await eventually(lambda: serving(client, "index"))
        keeper = client.application.keeper
        assert keeper._index is not None
        assert keeper._index.count(1) == len(NEW)


async def test_an_older_state_of_the_same_service_does_not_meet_the_index_of_the_newer(
    tmp_path: Path,
) -> None:
    """Keys of passages are used again after it. The old index goes as a whole."""
    settings = {"meld_exact_search_limit": 4}
    chroma = tmp_path / "vector" / "chroma"
    async with running(tmp_path, **settings) as client:
        await client.create()
        data = await exported(client)
        await client.import_all([{"text": text} for text in OLD])
        await all_embedded(client)
        await eventually(lambda: serving(client, "index"))
        old = {folder.name for folder in chroma.iterdir()}
        await imported(client, data)
        await client.import_all([{"text": text} for text in NEW[: len(OLD)]])
        await all_embedded(client)
        queue = client.application.record.index_queue

        async def fed() -> bool:
            return await serving(client, "index") and not await queue.pending()

        await eventually(fed)
        assert not old & {folder.name for folder in chroma.iterdir()}
        for text in NEW[: len(OLD)]:
            near = await client.search(text, mode=pb.SEARCH_MODE_DENSE, top_k=1)
            assert [hit.text for hit in near.hits] == [text]


async def test_what_is_no_sound_snapshot_of_ours_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    data = await made(tmp_path / "one", NEW)
    flipped = bytearray(data)
    flipped[len(data) * 2 // 3] ^= 1
    later = datetime(2027, 1, 1, tzinfo=UTC)

    def changed(name: str, statement: str, **fields: object) -> bytes:
        return rewritten(tmp_path / name, data, lambda record: record.execute(statement), **fields)

    counts = header(data)["counts"]
    cases: dict[str, tuple[bytes, str, str]] = {
        "cut": (data[:-1], "INVALID_ARGUMENT", "SNAPSHOT_INVALID"),
        "cut in the header": (data[:30], "INVALID_ARGUMENT", "SNAPSHOT_INVALID"),
        "flipped": (bytes(flipped), "INVALID_ARGUMENT", "SNAPSHOT_INVALID"),
        "longer": (data + b"x", "INVALID_ARGUMENT", "SNAPSHOT_INVALID"),
        "nothing like it": (b"hello\n" * 1000, "INVALID_ARGUMENT", "SNAPSHOT_INVALID"),
        "foreign key": (
            await made(tmp_path / "keyed", NEW, meld_snapshot_key="k" * 20),
            "FAILED_PRECONDITION",
            "SNAPSHOT_FOREIGN",
        ),
        "other service": (
            changed("session", "SELECT 1", service="session"),
            "FAILED_PRECONDITION",
            "SNAPSHOT_FOREIGN",
        ),
        "newer": (
            changed("newer", "PRAGMA user_version = 99", schema_version=99, created_time=later),
            "FAILED_PRECONDITION",
            "SNAPSHOT_NEWER",
        ),
        "false version": (
            changed("version", "PRAGMA user_version = 0"),
            "INVALID_ARGUMENT",
            "SNAPSHOT_INVALID",
        ),
        "false counts": (
            changed("counts", "SELECT 1", counts={**counts, "documents": counts["documents"] + 1}),
            "INVALID_ARGUMENT",
            "SNAPSHOT_INVALID",
        ),
        "a changed title": (
            changed("title", "UPDATE documents SET title = 'forged' WHERE key = 3"),
            "INVALID_ARGUMENT",
            "SNAPSHOT_INVALID",
        ),
        "a changed text": (
            changed("text", "UPDATE texts SET piece = CAST(replace(piece, 'new', 'odd') AS BLOB)"),
            "INVALID_ARGUMENT",
            "SNAPSHOT_INVALID",
        ),
        "a lost text": (changed("lost", "DELETE FROM texts"), "INVALID_ARGUMENT", "SNAPSHOT_INVALID"),
        "a short vector": (
            changed("vector", "UPDATE vectors SET vector = x'00' WHERE seq = 2"),
            "INVALID_ARGUMENT",
            "SNAPSHOT_INVALID",
        ),
        "words of another dimension": (
            changed("words", "INSERT INTO word_codes VALUES (2, x'00')"),
            "INVALID_ARGUMENT",
            "SNAPSHOT_INVALID",
        ),
        "a trigger": (
            changed("trigger", "CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM meta; END"),
            "INVALID_ARGUMENT",
            "SNAPSHOT_INVALID",
        ),
    }
    async with running(tmp_path / "two") as client:
        await fill(client, OLD)
        before = await texts(client)
        application = client.application
        for name, (bad, code, reason) in cases.items():
            with pytest.raises(ServiceError) as error:
                await imported(client, bad)
            assert refused(error.value) == (code, reason), name
            # Not even an exchange was begun.
            assert client.application is application, name
        assert await texts(client) == before
        assert not (tmp_path / "two" / "vector" / "incoming").exists()
        assert await imported(client, data)
        assert len(await texts(client)) == len(NEW)


async def test_with_a_key_the_same_key_takes_it(tmp_path: Path) -> None:
    data = await made(tmp_path / "one", NEW, meld_snapshot_key="k" * 20)
    async with running(tmp_path / "two", meld_snapshot_key="k" * 20) as client:
        assert (await imported(client, data)).documents == len(NEW)


async def test_a_repeat_with_the_same_request_id_answers_as_the_first_did(tmp_path: Path) -> None:
    data, other = await made(tmp_path / "one", NEW), await made(tmp_path / "three", OLD)
    async with running(tmp_path / "two") as client:
        first = await imported(client, data, "r1")
        await imported(client, other, "r2")
        application = client.application
        # In pieces of another size it is the same snapshot, and the rest of it is not needed.
        assert await imported(client, import_requests(data, "r1", 1000)[:5]) == first
        assert client.application is application
        with pytest.raises(ServiceError) as error:
            await imported(client, other, "r1")
        assert refused(error.value) == ("FAILED_PRECONDITION", "REQUEST_ID_REUSED")
    async with running(tmp_path / "two") as client:
        assert await imported(client, data, "r1") == first
        assert len(await texts(client)) == len(OLD)


async def test_a_second_import_is_aborted_and_the_first_goes_on(tmp_path: Path) -> None:
    data = await made(tmp_path / "one", NEW)
    async with running(tmp_path / "two") as client:
        begun, go = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[pb.ImportSnapshotRequest]:
            yield pb.ImportSnapshotRequest(data=data[:1000])
            begun.set()
            await go.wait()
            for request in import_requests(data[1000:]):
                yield request

        first = asyncio.ensure_future(client.stub.ImportSnapshot(slow(), timeout=60))
        await begun.wait()
        incoming = tmp_path / "two" / "vector" / "incoming"
        await eventually(lambda: _true(incoming.exists()))
        with pytest.raises(ServiceError) as error:
            await imported(client, data)
        assert refused(error.value) == ("ABORTED", "IMPORT_RUNNING")
        go.set()
        assert (await first).documents == len(NEW)


async def test_a_caller_that_leaves_before_all_is_there_leaves_nothing_behind(tmp_path: Path) -> None:
    data = await made(tmp_path / "one", NEW)
    async with running(tmp_path / "two") as client:
        await fill(client, OLD)
        incoming = tmp_path / "two" / "vector" / "incoming"
        never = asyncio.Event()

        async def half() -> AsyncIterator[pb.ImportSnapshotRequest]:
            for request in import_requests(data[: len(data) // 2]):
                yield request
            await never.wait()

        call = client.stub.ImportSnapshot(half(), timeout=60)
        task = asyncio.ensure_future(call)
        await eventually(lambda: _true(incoming.exists()))
        call.cancel()
        await asyncio.wait([task])
        await eventually(lambda: _true(not incoming.exists()))
        assert len(await texts(client)) == len(OLD)
        assert (await imported(client, data)).documents == len(NEW)


async def test_writes_under_way_are_aborted_and_never_reach_the_new_record(tmp_path: Path) -> None:
    data = await made(tmp_path / "one", NEW)
    async with running(tmp_path / "two") as client:
        await fill(client, OLD)
        never = asyncio.Event()

        async def ingest() -> AsyncIterator[pb.IngestDocumentRequest]:
            header = pb.IngestHeader(collection_id="books", filename="late.txt")
            for request in ingest_requests(header, b"Half of a text about latecomers. " * 50):
                yield request
            await never.wait()

        async def many() -> AsyncIterator[pb.ImportDocumentsRequest]:
            yield pb.ImportDocumentsRequest(collection_id="books", text="First of many latecomers.")
            await never.wait()

        ingesting = client.stub.IngestDocument(ingest(), timeout=60)
        importing = client.stub.ImportDocuments(many(), timeout=60)
        assert (await importing.read()).document.document_id
        await eventually(lambda: _received(client))
        answer = await imported(client, data)
        for stream in (ingesting, importing):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stream.read()
            assert error.value.code() is grpc.StatusCode.ABORTED
            assert "replaced" in (error.value.details() or "")
        assert answer.documents == len(NEW)
        assert len(await client.list(page_size=100)) == len(NEW)
        assert (await client.search("latecomers", mode=pb.SEARCH_MODE_LEXICAL)).hits == []
        assert list((tmp_path / "two" / "vector" / "spool").iterdir()) == []


async def _received(client: Client) -> bool:
    return bool(await client.list(states=[pb.DOCUMENT_STATE_RECEIVED]))


async def test_calls_wait_for_the_exchange_or_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange is held open: health says so and a call is refused; then all is well again."""
    data = await made(tmp_path / "one", NEW)
    held, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    adopt = copies.adopt

    def slow_adopt(*arguments: Any) -> None:
        loop.call_soon_threadsafe(held.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(60)
        adopt(*arguments)

    monkeypatch.setattr(copies, "adopt", slow_adopt)
    async with running(tmp_path / "two") as client:
        await fill(client, OLD)
        call = client.stub.ImportSnapshot(iter(import_requests(data)), timeout=60)
        task = asyncio.ensure_future(call)
        await held.wait()

        async def down() -> bool:
            return not await serving(client)

        await eventually(down)
        with pytest.raises(ServiceError) as error:
            await client.search("elm1", mode=pb.SEARCH_MODE_LEXICAL)
        assert refused(error.value) == ("UNAVAILABLE", "RECORD_RESTORING")
        assert error.value.retry_after is not None
        # The caller leaves, what was begun is finished. Who comes now waits for it.
        call.cancel()
        await asyncio.wait([task])
        waiting = asyncio.create_task(client.search("elm1", mode=pb.SEARCH_MODE_LEXICAL))
        await asyncio.sleep(0.1)
        go.set()
        assert [hit.text for hit in (await waiting).hits] == [NEW[1]]
        await eventually(lambda: serving(client))


async def test_an_exchange_that_fails_leaves_the_old_record_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await made(tmp_path / "one", NEW)
    async with running(tmp_path / "two") as client:
        await fill(client, OLD)

        def broken(*_: Any) -> None:
            raise OSError("no rename today")

        with monkeypatch.context() as patch:
            patch.setattr(copies, "adopt", broken)
            with pytest.raises(ServiceError) as error:
                await imported(client, data)
            assert error.value.reason == "INTERNAL"
        assert len(await texts(client)) == len(OLD)
        await client.ready("And it takes more about walnuts.")
        assert (await imported(client, data)).documents == len(NEW)


async def test_a_damaged_record_is_replaced_by_a_snapshot(tmp_path: Path) -> None:
    """That is when one is needed."""
    data = await made(tmp_path / "one", NEW)
    async with running(tmp_path / "two") as client:
        await fill(client, OLD)
    path = tmp_path / "two" / "vector" / "record.sqlite3"
    async with running(tmp_path / "two") as client:
        # Beyond the pages that were read at start everything is noise.
        with path.open("r+b") as file:
            for page in range(2, path.stat().st_size // 4096):
                file.seek(page * 4096)
                file.write(b"\x55" * 4096)
        with pytest.raises(ServiceError) as error:
            await exported(client)
        assert refused(error.value) == ("DATA_LOSS", "RECORD_DAMAGED")
        assert (await imported(client, data, "r1")).documents == len(NEW)
        assert len(await texts(client)) == len(NEW)


async def test_a_caller_that_leaves_in_the_middle_of_an_export_leaves_no_file(tmp_path: Path) -> None:
    outgoing = tmp_path / "vector" / "outgoing"
    async with running(tmp_path) as client:
        await client.create()
        await client.import_all([{"text": f"Word{number} " * 20_000} for number in range(20)])
        call = client.stub.ExportSnapshot(pb.ExportSnapshotRequest(), timeout=60)
        assert (await call.read()).data
        assert list(outgoing.iterdir())
        call.cancel()
        await eventually(lambda: _true(list(outgoing.iterdir()) == []))
        # Nor does one that leaves while the copy is made, or whose time is up.
        for _ in range(3):
            with pytest.raises(ServiceError) as error:
                await client.stream("ExportSnapshot", pb.ExportSnapshotRequest(), seconds=0.01)
            assert error.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await eventually(lambda: _true(list(outgoing.iterdir()) == []))
        assert header(await exported(client))["counts"]["documents"] == 20
        assert list(outgoing.iterdir()) == []


async def test_a_full_disk_is_said_and_the_living_record_keeps_its_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = await made(tmp_path / "one", NEW)
    async with running(tmp_path / "two") as client:
        await fill(client, OLD)
        monkeypatch.setattr(copies, "RESERVE_BYTES", shutil.disk_usage(tmp_path).total)
        for attempt in (exported(client), imported(client, data)):
            with pytest.raises(ServiceError) as error:
                await attempt
            assert refused(error.value) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
        assert len(await texts(client)) == len(OLD)


async def test_the_summary_is_that_of_the_answer(tmp_path: Path) -> None:
    data = await made(tmp_path / "one", NEW)
    summary = json.loads(data[-header(data)["parts"][1]["size"] :])
    async with running(tmp_path / "two") as client:
        answer = await imported(client, data)
        assert answer.content_sha256 == summary["content_sha256"]
        again = await exported(client)
        assert json.loads(again[-header(again)["parts"][1]["size"] :]) == summary
        await client.ready("One more.")
        third = await exported(client)
        assert json.loads(third[-header(third)["parts"][1]["size"] :]) != summary


@pytest.mark.parametrize(
    ("place", "new"),
    [
        ("vector.snapshot_received", False),
        ("vector.snapshot_verified", False),
        ("vector.before_snapshot_decision", False),
        ("vector.after_snapshot_decision", True),
        ("vector.before_snapshot_rename", True),
        ("vector.after_snapshot_rename", True),
    ],
)
async def test_a_kill_at_any_point_leaves_the_old_record_or_the_new(
    tmp_path: Path, place: str, new: bool
) -> None:
    data = await made(tmp_path / "one", NEW)
    async with running(tmp_path / "two") as client:
        await fill(client, OLD)
        before = await texts(client)
    async with process(tmp_path / "two", MELD_CRASH_AT=place) as service:
        await service.client.ready("Written last, and acknowledged: about herons.")
        with pytest.raises(ServiceError):
            await imported(service.client, data, "r1")
        assert await service.died() == -9
    # What a killed export left.
    left = tmp_path / "two" / "vector" / "outgoing" / "left"
    left.mkdir(parents=True)
    async with running(tmp_path / "two") as client:
        now = await texts(client)
        hits = (await client.search("herons", mode=pb.SEARCH_MODE_LEXICAL)).hits
        if new:
            assert len(now) == len(NEW)
            assert not hits
        else:
            assert before.items() < now.items()
            assert len(hits) == 1
        assert sorted(path.name for path in (tmp_path / "two" / "vector").iterdir() if path.is_dir()) == [
            "chroma",
            "spool",
        ]
        await eventually(lambda: serving(client, "index"))
        application = client.application
        # The repeat of a caller that heard nothing finds it done, or does it.
        assert (await imported(client, data, "r1")).documents == len(NEW)
        assert (client.application is application) == new
        assert len(await texts(client)) == len(NEW)
