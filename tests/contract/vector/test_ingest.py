"""Files in: stages, identity, replacement, refusal."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import (
    Client,
    WordEmbedder,
    eventually,
    ingest_requests,
    refused,
    running,
    translated,
)

TEXT = "The fox lives in the forest.\n\nIt eats berries and mice."


async def test_the_stages_come_in_order_and_the_document_says_what_it_is(client: Client) -> None:
    steps = await client.ingest(TEXT, filename="../etc/fox.txt", title="Foxes", wait_ready=True)
    stages = [step.stage for step in steps]
    assert stages[:4] == [
        pb.INGEST_STAGE_RECEIVED,
        pb.INGEST_STAGE_PARSED,
        pb.INGEST_STAGE_CHUNKED,
        pb.INGEST_STAGE_COMMITTED,
    ]
    assert stages[-1] == pb.INGEST_STAGE_READY
    document = await client.get(steps[-1].document.document_id)
    assert document == steps[-1].document
    assert document.state == pb.DOCUMENT_STATE_READY
    assert (document.filename, document.title, document.media_type) == ("fox.txt", "Foxes", "text/plain")
    assert document.bytes == len(TEXT)
    assert document.content_sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    text = await client.text(document.document_id)
    assert document.extraction_sha256 == hashlib.sha256(text).hexdigest()
    assert document.text_bytes == len(text)
    assert document.vectors == document.chunks > 0


async def test_a_committed_document_is_found_by_keyword_before_its_vectors(
    client: Client, embedder: WordEmbedder
) -> None:
    embedder.gate.clear()
    steps = await client.ingest(TEXT)
    assert steps[-1].stage == pb.INGEST_STAGE_COMMITTED
    found = await client.search("berries")
    assert found.hits[0].document_id == steps[-1].document.document_id
    assert found.hits[0].vector_score == 0
    assert found.pending_vectors == steps[-1].document.chunks
    embedder.gate.set()
    await eventually(lambda: _is_ready(client, steps[-1].document.document_id))
    assert (await client.search("berries")).pending_vectors == 0


async def test_the_same_bytes_are_the_same_document(client: Client, embedder: WordEmbedder) -> None:
    first = await client.ready(TEXT)
    again = await client.ingest(TEXT, filename="b.txt")
    assert [(step.stage, step.existing) for step in again] == [(pb.INGEST_STAGE_COMMITTED, True)]
    assert again[0].document.document_id == first.document_id
    assert len(await client.list()) == 1
    assert len(embedder.passages) == first.chunks


async def test_a_request_id_answers_as_before_and_only_for_the_same_request(client: Client) -> None:
    first = (await client.ingest(TEXT, request_id="r"))[-1].document
    again = (await client.ingest(TEXT, request_id="r"))[-1]
    assert again.existing
    assert again.document.document_id == first.document_id
    for change in ({"data": TEXT + "x"}, {"data": TEXT, "title": "Other"}):
        with pytest.raises(ServiceError) as error:
            await client.ingest(change.pop("data"), request_id="r", **change)
        assert refused(error.value) == ("FAILED_PRECONDITION", "REQUEST_ID_REUSED")
    assert len(await client.list()) == 1


async def test_an_external_id_is_replaced_as_a_whole(client: Client, embedder: WordEmbedder) -> None:
    old = await client.ready("Wolves hunt in winter.", external_id="e")
    new = await client.ready("Bears sleep in winter.", external_id="e")
    assert new.document_id != old.document_id
    assert [one.document_id for one in await client.list()] == [new.document_id]
    assert not (await client.search("wolves", mode=pb.SEARCH_MODE_LEXICAL)).hits
    hits = (await client.search("wolves hunt")).hits
    assert {hit.document_id for hit in hits} <= {new.document_id}
    with pytest.raises(ServiceError) as error:
        await client.get(old.document_id)
    assert error.value.reason == "DOCUMENT_NOT_FOUND"


async def test_passages_that_did_not_change_are_not_embedded_again(
    client: Client, embedder: WordEmbedder
) -> None:
    paragraphs = [
        f"Paragraph {number}: " + " ".join(f"word{number}x{i}" for i in range(150)) for number in range(6)
    ]
    await client.ready("\n\n".join(paragraphs), external_id="e", title="T")
    before = len(embedder.passages)
    paragraphs[-1] = "Paragraph 5: " + " ".join(f"changed{i}" for i in range(150))
    new = await client.ready("\n\n".join(paragraphs), external_id="e", title="T")
    assert new.chunks == before >= 4
    assert len(embedder.passages) == before + 1


async def test_two_writers_of_one_external_id_do_not_interleave(
    client: Client, embedder: WordEmbedder
) -> None:
    arrived = asyncio.Event()

    async def slow() -> object:
        header = pb.IngestHeader(collection_id="books", filename="a.txt", external_id="e")
        yield pb.IngestDocumentRequest(header=header)
        await arrived.wait()
        yield pb.IngestDocumentRequest(data=b"The slow text.")

    first = asyncio.create_task(client.stream("IngestDocument", slow()))
    await eventually(client.list)
    (row,) = await client.list()
    assert row.state == pb.DOCUMENT_STATE_RECEIVED
    assert not (await client.search("slow")).hits
    with pytest.raises(ServiceError) as error:
        await client.ingest("The quick text.", external_id="e")
    assert refused(error.value) == ("ABORTED", "DOCUMENT_BUSY")
    (outcome,) = await client.import_all([{"external_id": "e", "text": "The imported text."}])
    assert outcome.error.reason == "DOCUMENT_BUSY"
    arrived.set()
    document = (await first)[-1].document
    assert await client.text(document.document_id) == b"The slow text."


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bytes": 5}, "CONTENT_MISMATCH"),
        ({"content_sha256": "0" * 64}, "CONTENT_MISMATCH"),
        ({"content_sha256": "xyz"}, "INVALID_FIELD"),
        ({"bytes": -1}, "INVALID_FIELD"),
        ({"title": "x" * 1001}, "INVALID_FIELD"),
        ({"external_id": "a\nb"}, "INVALID_FIELD"),
        ({"request_id": "x" * 129}, "INVALID_FIELD"),
        ({"metadata": {"a": {"b": 1}}}, "INVALID_FIELD"),
        ({"metadata": {"a": [1]}}, "INVALID_FIELD"),
        ({"filename": "../.."}, "INVALID_FIELD"),
    ],
)
async def test_what_does_not_agree_is_refused_and_leaves_nothing(
    client: Client, fields: dict, reason: str
) -> None:
    with pytest.raises(ServiceError) as error:
        await client.ingest(TEXT, **fields)
    assert refused(error.value) == ("INVALID_ARGUMENT", reason)
    assert await client.list() == []


@pytest.mark.parametrize(
    ("data", "filename", "reason"),
    [
        (b"", "a.txt", "DOCUMENT_EMPTY"),
        (b"\xef\xbb\xbf", "a.txt", "DOCUMENT_EMPTY"),
        (b" \n\t ", "a.txt", "DOCUMENT_EMPTY"),
        (b"%PDF-1.7 broken", "a.pdf", "DOCUMENT_UNREADABLE"),
        (b"MZ\x90\x00\x03\x00\x00\x00\x04", "a.exe", "FORMAT_UNSUPPORTED"),
    ],
)
async def test_a_document_that_is_refused_stays_failed_with_its_reason(
    client: Client, data: bytes, filename: str, reason: str
) -> None:
    for _ in range(2):
        with pytest.raises(ServiceError) as error:
            await client.ingest(data, filename=filename)
        assert refused(error.value) == ("INVALID_ARGUMENT", reason)
        assert error.value.metadata["filename"] == filename
    (row,) = await client.list()
    assert row.state == pb.DOCUMENT_STATE_FAILED
    assert row.error.reason == reason
    assert row.error.message
    assert not (await client.search("anything")).hits
    got = (await client.call("GetCollection", pb.GetCollectionRequest(collection_id="books"))).collection
    assert (got.documents, got.chunks) == (0, 0)


async def test_a_file_above_the_limit_is_refused_whether_it_says_so_or_not(tmp_path: Path) -> None:
    async with running(tmp_path, meld_max_document_bytes=1_000_000) as client:
        await client.create()
        for fields in ({}, {"bytes": 1_200_000}):
            with pytest.raises(ServiceError) as error:
                await client.ingest(b"word " * 240_000, **fields)
            assert refused(error.value) == ("RESOURCE_EXHAUSTED", "DOCUMENT_TOO_LARGE")
            assert error.value.metadata == {"limit": "1000000", "unit": "bytes"}
        assert await client.list() == []
        assert list((tmp_path / "vector" / "spool").iterdir()) == []


async def test_a_caller_who_leaves_before_the_commit_leaves_nothing(client: Client, tmp_path: Path) -> None:
    async def never_ending() -> object:
        yield pb.IngestDocumentRequest(header=pb.IngestHeader(collection_id="books", filename="a.txt"))
        yield pb.IngestDocumentRequest(data=b"half a")
        await asyncio.sleep(60)

    stream = client.stub.IngestDocument(never_ending(), timeout=30, metadata=client.metadata)
    reading = asyncio.create_task(anext(aiter(stream)))
    await eventually(client.list)
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    async def nothing_left() -> bool:
        return not await client.list() and not list((tmp_path / "vector" / "spool").iterdir())

    await eventually(nothing_left)


async def test_the_first_message_must_be_a_header_and_pieces_have_a_limit(client: Client) -> None:
    header = pb.IngestHeader(collection_id="books", filename="a.txt")
    wrong: list[list[pb.IngestDocumentRequest]] = [
        [pb.IngestDocumentRequest(data=b"x")],
        [pb.IngestDocumentRequest(header=header), pb.IngestDocumentRequest(header=header)],
        [pb.IngestDocumentRequest(header=header), pb.IngestDocumentRequest(data=b"x" * (256 * 1024 + 1))],
    ]
    for requests in wrong:
        with pytest.raises(ServiceError) as error:
            await client.stream("IngestDocument", requests)
        assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert await client.list() == []


async def test_many_at_once_all_arrive(client: Client) -> None:
    texts = [f"Document number {number} speaks of topic{number}." for number in range(24)]
    answers = await asyncio.gather(
        *(client.import_all([{"text": text, "external_id": text}]) for text in texts)
    )
    assert len({answer[0].document.document_id for answer in answers}) == 24
    for number in (0, 11, 23):
        found = await client.search(f"topic{number}", mode=pb.SEARCH_MODE_LEXICAL)
        assert [hit.text for hit in found.hits] == [texts[number]]


async def test_wait_ready_streams_the_growing_count(client: Client, embedder: WordEmbedder) -> None:
    embedder.gate.clear()
    header = pb.IngestHeader(collection_id="books", filename="a.txt", wait_ready=True)
    stages: list[tuple[int, int]] = []
    with translated():
        stream = client.stub.IngestDocument(
            iter(ingest_requests(header, TEXT.encode())), timeout=30, metadata=client.metadata
        )
        async for step in stream:
            stages.append((step.stage, step.document.vectors))
            if step.stage == pb.INGEST_STAGE_EMBEDDING:
                embedder.gate.set()
    assert (pb.INGEST_STAGE_EMBEDDING, 0) in stages
    assert stages[-1] == (pb.INGEST_STAGE_READY, 1)


async def _is_ready(client: Client, document_id: str) -> bool:
    return (await client.get(document_id)).state == pb.DOCUMENT_STATE_READY
