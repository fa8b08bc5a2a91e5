"""Ingests as jobs: places in the queue, turns, cancel, retry, and jobs whose worker has died."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.context import LOCAL_OWNER
from services.chassis.errors import ServiceError, UnavailableError
from services.vector.access import Caller
from services.vector.embedding.ports import EmbedderTextError, Vectors, name_of
from services.vector.ingest.ingestion import Header
from tests.contract.vector.test_originals import read as original
from tests.contract.vector.world import (
    Client,
    WordEmbedder,
    eventually,
    ingest_requests,
    refused,
    running,
    walk,
)

TEXT = "The heron stands in the shallow water and waits."
IN_QUEUE = (pb.DOCUMENT_STATE_RECEIVED, pb.DOCUMENT_STATE_PARSING)


@asynccontextmanager
async def nobody_reads(client: Client) -> AsyncIterator[None]:
    """Holds all turns for the block: what arrives waits."""
    turns = client.application.jobs._turns
    async with AsyncExitStack() as held:
        for number in range(turns.slots):
            await held.enter_async_context(turns.turn("the test", f"slot {number}"))
        yield


async def begun(client: Client, text: str, **fields: Any) -> asyncio.Task[list[Any]]:
    """An upload whose bytes have arrived and which waits for its turn."""
    before = len(client.application.jobs._turns.places())
    task = asyncio.create_task(client.ingest(text, **fields))
    await eventually(lambda: _waits(client, before))
    return task


async def _waits(client: Client, before: int) -> bool:
    return len(client.application.jobs._turns.places()) > before


async def cancel(client: Client, document_id: str, **fields: Any) -> pb.DeletionReceipt:
    request = pb.CancelIngestRequest(collection_id="books", document_id=document_id, **fields)
    return (await client.call("CancelIngest", request)).receipt


async def retry(client: Client, document_id: str, **fields: Any) -> pb.Document:
    request = pb.RetryIngestRequest(collection_id="books", document_id=document_id, **fields)
    return (await client.call("RetryIngest", request)).document


async def becomes(client: Client, document_id: str, state: int) -> pb.Document:
    async def there() -> pb.Document | None:
        document = await client.get(document_id)
        return document if document.state == state else None

    return await eventually(there)


def nothing_left(receipt: pb.DeletionReceipt) -> bool:
    return receipt.state == pb.DELETION_STATE_COMPLETE and not (
        receipt.record_documents
        or receipt.record_chunks
        or receipt.lexical_entries
        or receipt.vector_entries
        or receipt.files
    )


def spooled(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "vector" / "spool").iterdir())


# -- places ------------------------------------------------------------------------------------------


async def test_what_waits_to_be_read_says_its_place_and_an_estimate_once_there_is_one(client: Client) -> None:
    async with nobody_reads(client):
        uploads = [await begun(client, f"Waiting text {number}.") for number in range(3)]
        rows = list(reversed(await client.list()))
        assert [(one.state, one.queue.position) for one in rows] == [
            (pb.DOCUMENT_STATE_RECEIVED, place) for place in (1, 2, 3)
        ]
        assert (await client.get(rows[2].document_id)).queue.position == 3
        # Nothing was read yet, so nothing is known of the speed.
        assert not any(one.queue.HasField("remaining") for one in rows)
    for upload in uploads:
        assert (await upload)[-1].stage == pb.INGEST_STAGE_COMMITTED
    async with nobody_reads(client):
        upload = await begun(client, "One more text.")
        (row,) = await client.list(states=[pb.DOCUMENT_STATE_RECEIVED])
        assert row.queue.remaining.ToMilliseconds() > 0
    await upload
    assert not (await becomes(client, row.document_id, pb.DOCUMENT_STATE_READY)).HasField("queue")


async def test_what_waits_for_vectors_says_its_place_among_all_passages(
    client: Client, embedder: WordEmbedder
) -> None:
    embedder.gate.clear()
    await client.import_all([{"external_id": f"e{n}", "text": f"Text number {n}."} for n in range(200)])
    places = {one.external_id: one.queue.position for one in await client.list(page_size=1000)}
    assert [places[f"e{n}"] for n in range(200)] == list(range(1, 201))
    other = client.person("bob", role="member")
    await other.create("notes")
    await other.import_all([{"text": "Bob's only text."}], "notes")
    (theirs,) = await other.list("notes")
    # The first of each comes before the second of any.
    assert theirs.queue.position == 1
    assert (await client.list(external_id="e1"))[0].queue.position == 3
    embedder.gate.set()
    await eventually(lambda: _all_ready(client))
    assert not any(one.HasField("queue") for one in await client.list(page_size=1000))


async def _all_ready(client: Client, collection_id: str = "books") -> bool:
    rows = await client.list(collection_id, page_size=1000)
    return all(one.state == pb.DOCUMENT_STATE_READY for one in rows)


# -- turns -------------------------------------------------------------------------------------------


async def test_thousands_of_one_person_do_not_hold_up_the_upload_of_another(
    client: Client, embedder: WordEmbedder
) -> None:
    embedder.gate.clear()
    await client.import_all([{"text": f"Many texts, this one is number {n}."} for n in range(2_000)])
    bob = client.of("bobs")
    await bob.create()
    committed = (await bob.ingest("Bob has a single text."))[-1]
    assert committed.stage == pb.INGEST_STAGE_COMMITTED
    embedder.gate.set()
    await becomes(bob, committed.document.document_id, pb.DOCUMENT_STATE_READY)
    # Two batches were under way when it came, and it had the turn after the next.
    assert next(n for n, text in enumerate(embedder.passages) if "single text" in text) < 64 * 5


async def test_uploads_are_read_in_turns(client: Client) -> None:
    bob = client.of("bobs")
    await bob.create()
    async with nobody_reads(client):
        mine = [await begun(client, f"Mine, number {number}.") for number in range(12)]
        theirs = await begun(bob, "Bob's.")
        (row,) = await bob.list()
        assert row.queue.position == 2
    await asyncio.gather(*mine, theirs)


# -- whoever waits -----------------------------------------------------------------------------------


async def test_a_caller_who_leaves_once_all_has_arrived_loses_nothing(client: Client, tmp_path: Path) -> None:
    async with nobody_reads(client):
        header = pb.IngestHeader(collection_id="books", filename="a.txt")
        stream = client.stub.IngestDocument(
            iter(ingest_requests(header, TEXT.encode())), timeout=30, metadata=client.metadata
        )
        first = await anext(aiter(stream))
        assert first.stage == pb.INGEST_STAGE_RECEIVED
        stream.cancel()
    document = await becomes(client, first.document.document_id, pb.DOCUMENT_STATE_READY)
    assert await client.text(document.document_id) == TEXT.encode()
    await eventually(lambda: _no_files(tmp_path))


async def _no_files(folder: Path) -> bool:
    return spooled(folder) == []


# -- cancel ------------------------------------------------------------------------------------------


async def test_cancelled_while_it_arrives(client: Client, tmp_path: Path) -> None:
    async def slow() -> AsyncIterator[pb.IngestDocumentRequest]:
        yield pb.IngestDocumentRequest(header=pb.IngestHeader(collection_id="books", filename="a.txt"))
        yield pb.IngestDocumentRequest(data=b"half of it")
        await asyncio.sleep(60)

    upload = asyncio.create_task(client.stream("IngestDocument", slow()))
    (row,) = await eventually(client.list)
    receipt = await cancel(client, row.document_id)
    assert nothing_left(receipt)
    with pytest.raises(ServiceError) as error:
        await upload
    assert refused(error.value) == ("ABORTED", "INGEST_CANCELLED")
    assert await client.list() == []
    assert spooled(tmp_path) == []


async def test_cancelled_while_it_waits_and_again_it_is_the_same_receipt(
    client: Client, tmp_path: Path
) -> None:
    async with nobody_reads(client):
        upload = await begun(client, TEXT, external_id="heron")
        (row,) = await client.list()
        receipt = await cancel(client, row.document_id)
        assert nothing_left(receipt)
        assert receipt.resource == f"collections/books/documents/{row.document_id}"
        with pytest.raises(ServiceError) as error:
            await upload
        assert refused(error.value) == ("ABORTED", "INGEST_CANCELLED")
        assert await cancel(client, row.document_id) == receipt
        assert client.application.jobs._turns.places() == {}
    assert spooled(tmp_path) == []
    assert await client.list() == []
    # The id and the turns are free again.
    again = await client.ready(TEXT, external_id="heron")
    assert again.document_id != row.document_id
    assert await walk(client, every_tenant=True) == []


async def test_cancelled_while_it_is_read_the_parser_ends(client: Client, tmp_path: Path) -> None:
    reading, ended = asyncio.Event(), asyncio.Event()

    class Hanging:
        async def extract(self, *_: Any, **__: Any) -> Any:
            reading.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    client.application.jobs._extractor = Hanging()
    upload = asyncio.create_task(client.ingest(TEXT))
    await reading.wait()
    (row,) = await client.list()
    assert row.state == pb.DOCUMENT_STATE_PARSING
    assert nothing_left(await cancel(client, row.document_id))
    assert ended.is_set()
    with pytest.raises(ServiceError) as error:
        await upload
    assert refused(error.value) == ("ABORTED", "INGEST_CANCELLED")
    assert spooled(tmp_path) == []


async def test_cancelled_while_vectors_are_made(client: Client, embedder: WordEmbedder) -> None:
    embedder.gate.clear()
    paragraphs = "\n\n".join(f"Paragraph {n}: " + "words and words " * 60 for n in range(20))
    document = (await client.ingest(paragraphs))[-1].document
    assert document.chunks > 5
    receipt = await cancel(client, document.document_id, request_id="c")
    assert nothing_left(receipt)
    assert receipt.deleted_chunks == document.chunks
    embedder.gate.set()
    other = await client.ready("Another text.")
    assert [one.document_id for one in await client.list()] == [other.document_id]
    assert not (await client.search("paragraph words", mode=pb.SEARCH_MODE_LEXICAL)).hits
    assert await walk(client, every_tenant=True) == []
    assert (await cancel(client, document.document_id, request_id="c")).tombstone_id == receipt.tombstone_id


async def test_what_is_done_or_missing_cannot_be_cancelled(client: Client) -> None:
    ready = await client.ready(TEXT)
    with pytest.raises(ServiceError):
        await client.ingest(b"", filename="empty.txt")
    failed = next(one for one in await client.list() if one.state == pb.DOCUMENT_STATE_FAILED)
    for document, state in ((ready, "READY"), (failed, "FAILED")):
        with pytest.raises(ServiceError) as error:
            await cancel(client, document.document_id)
        assert refused(error.value) == ("FAILED_PRECONDITION", "INGEST_STATE")
        assert error.value.metadata["state"] == state
    for wrong in ("0" * 32, "no id"):
        with pytest.raises(ServiceError) as error:
            await cancel(client, wrong)
        assert refused(error.value) == ("NOT_FOUND", "DOCUMENT_NOT_FOUND")
    assert len(await client.list()) == 2


async def test_who_may_only_read_cancels_and_retries_nothing(client: Client) -> None:
    grant = pb.Grant(subject="eve", role=pb.COLLECTION_ROLE_READER)
    await client.call(
        "SetCollectionAccess", pb.SetCollectionAccessRequest(collection_id="books", grants=[grant])
    )
    eve = client.person("eve", role="member")
    async with nobody_reads(client):
        upload = await begun(client, TEXT)
        (row,) = await client.list()
        for act in (cancel, retry):
            with pytest.raises(ServiceError) as error:
                await act(eve, row.document_id)
            assert refused(error.value) == ("PERMISSION_DENIED", "COLLECTION_ACCESS_DENIED")
    assert (await upload)[-1].stage == pb.INGEST_STAGE_COMMITTED


# -- retry -------------------------------------------------------------------------------------------


async def fail_for_time(client: Client, text: str = TEXT, **fields: Any) -> pb.Document:
    """A document whose parser was too slow."""
    jobs = client.application.jobs
    limits, jobs._limits = jobs._limits, replace(jobs._limits, seconds=0.001)
    with pytest.raises(ServiceError) as error:
        await client.ingest(text, **fields)
    jobs._limits = limits
    assert refused(error.value) == ("RESOURCE_EXHAUSTED", "PARSER_LIMIT")
    return next(one for one in await client.list() if one.state == pb.DOCUMENT_STATE_FAILED)


async def test_what_failed_for_want_of_time_is_tried_again_under_its_id(
    client: Client, tmp_path: Path
) -> None:
    failed = await fail_for_time(client, external_id="heron", title="Heron")
    assert len(spooled(tmp_path)) == 1
    assert await walk(client, every_tenant=True) == []
    again = await retry(client, failed.document_id, request_id="again")
    assert again.document_id == failed.document_id
    assert again.state in IN_QUEUE
    assert not again.HasField("error")
    ready = await becomes(client, failed.document_id, pb.DOCUMENT_STATE_READY)
    assert (ready.title, ready.external_id) == ("Heron", "heron")
    assert await client.text(ready.document_id) == TEXT.encode()
    assert (failed.has_original, ready.has_original) == (False, True)
    assert await original(client, ready.document_id) == TEXT.encode()
    await eventually(lambda: _no_files(tmp_path))
    # The same request again answers with the document and does nothing.
    assert (await retry(client, failed.document_id, request_id="again")).state == pb.DOCUMENT_STATE_READY
    with pytest.raises(ServiceError) as error:
        await retry(client, failed.document_id)
    assert refused(error.value) == ("FAILED_PRECONDITION", "INGEST_STATE")


async def test_bytes_of_a_failure_go_with_it(client: Client, tmp_path: Path) -> None:
    first = await fail_for_time(client)
    assert nothing_left(await client.delete(first.document_id))
    assert spooled(tmp_path) == []
    await fail_for_time(client)
    # The same bytes, taken, make the failure forgotten.
    await client.ready(TEXT)
    await client.application.jobs.look()
    assert spooled(tmp_path) == []
    await fail_for_time(client, "Yet another text.")
    request = pb.DeleteCollectionRequest(collection_id="books")
    assert nothing_left((await client.call("DeleteCollection", request)).receipt)
    assert spooled(tmp_path) == []
    assert await walk(client, every_tenant=True) == []


async def test_only_the_newest_failures_are_kept(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.vector.ingest.jobs._KEPT_BYTES", 150)
    old = await fail_for_time(client, "x" * 100)
    await fail_for_time(client, "y" * 100)
    assert len(spooled(tmp_path)) == 1
    with pytest.raises(ServiceError) as error:
        await retry(client, old.document_id)
    assert refused(error.value) == ("FAILED_PRECONDITION", "ORIGINAL_GONE")


async def test_a_file_that_stays_wrong_is_not_kept(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ServiceError):
        await client.ingest(b"%PDF-1.7 broken", filename="a.pdf")
    (failed,) = await client.list()
    assert spooled(tmp_path) == []
    with pytest.raises(ServiceError) as error:
        await retry(client, failed.document_id)
    assert refused(error.value) == ("FAILED_PRECONDITION", "ORIGINAL_GONE")


class Choosy(WordEmbedder):
    """Refuses texts with a certain word, for as long as it likes."""

    choosy = True
    refusals = 0

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        if self.choosy and any("nonsense" in text for text in texts):
            self.refusals += 1
            raise EmbedderTextError("no nonsense")
        return super().embed_passages(texts, deadline=deadline)


async def test_passages_that_the_model_refused_are_asked_for_again(tmp_path: Path) -> None:
    model = Choosy()
    async with running(tmp_path, model) as client:
        await client.create()
        document = (await client.ingest("This is nonsense."))[-1].document

        async def refused_once() -> bool:
            return model.refusals == 1

        await eventually(refused_once)
        model.choosy = False
        # It is put behind all others right after the refusal.
        await eventually(lambda: _postponed(client))
        again = await retry(client, document.document_id)
        assert again.state == pb.DOCUMENT_STATE_EMBEDDING
        await becomes(client, document.document_id, pb.DOCUMENT_STATE_READY)


async def _postponed(client: Client) -> bool:
    model = name_of(client.application.roster.configured)
    return not await client.application.record.vectors.waiting(model, 10)


# -- workers that died -------------------------------------------------------------------------------


async def test_jobs_go_on_in_the_next_process(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        async with nobody_reads(client):
            uploads = [
                await begun(client, f"{TEXT} {n}", external_id=f"e{n}", title=f"T{n}") for n in range(4)
            ]
            rows = {one.document_id: one for one in await client.list()}
            await client.application.jobs.close()
            for upload in uploads:
                with pytest.raises(ServiceError) as error:
                    await upload
                assert refused(error.value) == ("UNAVAILABLE", "RECORD_BUSY")
    assert len(spooled(tmp_path)) == 4
    async with running(tmp_path) as client:
        await eventually(lambda: _all_ready(client))
        after = {one.document_id: one for one in await client.list()}
        assert after.keys() == rows.keys()
        assert {one.external_id: one.title for one in after.values()} == {f"e{n}": f"T{n}" for n in range(4)}
        assert spooled(tmp_path) == []
        assert await walk(client, every_tenant=True) == []


async def test_a_job_that_its_worker_left_is_found_by_its_heartbeat(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        jobs = client.application.jobs
        async with nobody_reads(client):
            upload = await begun(client, TEXT)
            (row,) = await client.list()
            # As if the task had vanished: nobody names the job any more.
            live = jobs._live[row.document_id]
            assert live.task is not None
            live.task.cancel()
            with pytest.raises(ServiceError):
                await upload
        await jobs.look()
        assert (await client.get(row.document_id)).state in IN_QUEUE
        assert jobs._live == {}
        jobs_of = client.application.record.ingests
        assert [one.document.document_id for one in await jobs_of.abandoned(jobs._worker, 0.0)] == [
            row.document_id
        ]
        await jobs_of.beat("a worker that died", [row.document_id])
        await jobs.look()
        await becomes(client, row.document_id, pb.DOCUMENT_STATE_READY)


async def test_a_document_that_ends_the_service_each_time_fails_with_a_reason_and_can_be_retried(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as client:
        await client.create()
        async with nobody_reads(client):
            upload = await begun(client, TEXT)
            (row,) = await client.list()
            for _ in range(3):
                await client.application.record.ingests.begin(row.document_id, "a worker that died")
            await client.application.jobs.close()
            with pytest.raises(ServiceError):
                await upload
    async with running(tmp_path) as client:
        failed = await client.get(row.document_id)
        assert (failed.state, failed.error.reason) == (pb.DOCUMENT_STATE_FAILED, "INTERRUPTED")
        assert "3 times" in failed.error.message
        await retry(client, row.document_id)
        ready = await becomes(client, row.document_id, pb.DOCUMENT_STATE_READY)
        assert ready.content_sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


async def test_a_job_whose_bytes_are_lost_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        async with nobody_reads(client):
            upload = await begun(client, TEXT)
            await client.application.jobs.close()
            with pytest.raises(ServiceError):
                await upload
    for path in (tmp_path / "vector" / "spool").iterdir():
        path.unlink()
    async with running(tmp_path) as client:
        (row,) = await client.list()
        assert (row.state, row.error.reason) == (pb.DOCUMENT_STATE_FAILED, "INTERRUPTED")
        assert "send it again" in row.error.message
        with pytest.raises(ServiceError) as error:
            await retry(client, row.document_id)
        assert refused(error.value) == ("FAILED_PRECONDITION", "ORIGINAL_GONE")


# -- what goes wrong in between ----------------------------------------------------------------------


async def record_down(*_: Any, **__: Any) -> Any:
    raise UnavailableError("the record takes nothing", reason="RECORD_BUSY")


async def test_an_upload_that_could_not_be_made_a_job_gives_its_id_free(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(client.application.record.ingests, "put", record_down)
        with pytest.raises(ServiceError) as error:
            await client.ingest(TEXT, external_id="heron", request_id="first")
    assert refused(error.value) == ("UNAVAILABLE", "RECORD_BUSY")
    assert spooled(tmp_path) == []
    assert (await client.ready(TEXT, external_id="heron", request_id="first")).external_id == "heron"


async def test_a_retry_while_old_failures_are_cleared_away_keeps_its_bytes(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = await fail_for_time(client)
    jobs = client.application.jobs
    monkeypatch.setattr("services.vector.ingest.jobs._KEPT_BYTES", 1)
    kept = jobs._ingests.kept

    async def overtaken() -> Any:
        found = await kept()
        await retry(client, failed.document_id)
        return found

    async with nobody_reads(client):
        with monkeypatch.context() as patch:
            patch.setattr(jobs._ingests, "kept", overtaken)
            await jobs._trim()
    await becomes(client, failed.document_id, pb.DOCUMENT_STATE_READY)


async def test_a_job_that_waits_for_another_of_its_id_leaves_no_file_when_it_is_cancelled(
    client: Client, tmp_path: Path
) -> None:
    jobs = client.application.jobs
    async with nobody_reads(client):
        upload = await begun(client, TEXT, external_id="heron")
        (row,) = await client.list()
        live = jobs._live[row.document_id]
        assert live.task is not None
        live.task.cancel()
        with pytest.raises(ServiceError):
            await upload
        await client.application.record.ingests.beat("a worker that died", [row.document_id])
        with jobs._claims.hold(LOCAL_OWNER.space, live.job.document.collection_key, "heron", ""):
            await jobs.look()
            assert jobs._live == {}
            assert nothing_left(await cancel(client, row.document_id))
    assert spooled(tmp_path) == []
    assert await walk(client, every_tenant=True) == []


async def test_a_refusal_that_the_record_does_not_take_is_said_later(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(client.application.record.documents, "fail", record_down)
        with pytest.raises(ServiceError) as error:
            await client.ingest(b"%PDF-1.7 broken", filename="a.pdf")
    assert refused(error.value) == ("INVALID_ARGUMENT", "DOCUMENT_UNREADABLE")
    (row,) = await client.list()
    assert row.state == pb.DOCUMENT_STATE_PARSING
    await client.application.record.ingests.beat("a worker that died", [row.document_id])
    await client.application.jobs.look()
    failed = await becomes(client, row.document_id, pb.DOCUMENT_STATE_FAILED)
    assert failed.error.reason == "DOCUMENT_UNREADABLE"


async def test_a_document_that_has_not_arrived_in_time_is_not_said_to_go_on(client: Client) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"half of it"
        await asyncio.Event().wait()

    caller = Caller.of(LOCAL_OWNER)
    books = await client.application.record.collections.get(caller, "books")
    header = Header("a.txt", "", "", "", {}, "", 0, "", wait_ready=False)
    steps = client.application.ingestion.ingest(caller, books, header, never(), time.monotonic() + 0.5)
    with pytest.raises(ServiceError) as error:
        await anext(steps)
    assert refused(error.value) == ("DEADLINE_EXCEEDED", "DEADLINE")
    assert "send it again" in error.value.message
    assert await client.list() == []
