"""After a purge no byte of what was deleted is in any file of the data directory."""

from __future__ import annotations

import asyncio
import io
import logging
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from services.vector.index.chroma import ChromaIndex
from tests.contract.vector.processes import process
from tests.contract.vector.snapshots import exported
from tests.contract.vector.test_upkeep import settled
from tests.contract.vector.world import Client, WordEmbedder, eventually, ingest_requests, running, walk

SECRET = "qzcanaryvxk"
# The keyword index keeps the stem of a word, and of that what differs from the word before.
PART = SECRET[2:]
NEEDLES = [
    form
    for word in (SECRET, PART, SECRET.upper(), "ｑｚｃａｎａｒｙｖｘｋ")
    for form in (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be"), word.encode()[::-1])
]
# A threshold this low lets Chroma write its vectors into files all the time.
SETTINGS = {"meld_index_sync_threshold": 4}
OTHERS = [f"Other text number {number} about topic{number} and of nothing secret." for number in range(40)]


def holding(folder: Path, *needles: bytes) -> list[str]:
    """Files below the folder with one of these in their bytes or names."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and any(needle in path.read_bytes() or needle in path.name.encode() for needle in needles)
    ]


def secrets() -> dict[str, bytes]:
    """Files in which the secret stands: long, compressed, in a title, in headings and metadata."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", f"In an archive {SECRET} stands. " * 50)
    return {
        f"{SECRET}.txt": "\n\n".join(f"Part {n} of {SECRET} and word{n}. " * 6 for n in range(80)).encode(),
        "notes.md": f"# About {SECRET}\n\nSomething of {SECRET}.\n\n## More {SECRET}\n\nEnd.".encode(),
        "wide.txt": f"Wide {SECRET} text.".encode("utf-16"),
        "packed.zip": packed.getvalue(),
    }


@pytest.fixture
async def client(tmp_path: Path, embedder: WordEmbedder) -> AsyncIterator[Client]:
    async with running(tmp_path, embedder, **SETTINGS) as client:
        await client.create()
        await client.import_all([{"external_id": str(n), "text": text} for n, text in enumerate(OTHERS)])
        yield client


async def purge(client: Client) -> pb.PurgeDeletedResponse:
    return await client.call("PurgeDeleted", pb.PurgeDeletedRequest(), seconds=120)


async def test_no_byte_of_a_deleted_text_is_left(
    client: Client, embedder: WordEmbedder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    documents = [
        await client.ready(
            data,
            filename=name,
            title=f"Title {SECRET}",
            external_id=f"{SECRET}-{name}",
            metadata={"about": SECRET},
        )
        for name, data in secrets().items()
    ]
    replaced = {"external_id": "r", "title": SECRET, "text": f"Replaced {SECRET} text."}
    await client.import_all([replaced])
    await client.import_all([replaced | {"title": "", "text": "A text in its place."}])
    with pytest.raises(ServiceError):
        await client.ingest(b"", filename=f"{SECRET}-refused.txt")
    await eventually(lambda: settled(client))
    vectors = [
        vector.tobytes()
        for vector in embedder.embed_queries(
            [text for text in embedder.passages if SECRET in text], deadline=0
        )
    ]
    assert len(vectors) > 10
    data = tmp_path / "vector"
    assert holding(data, *NEEDLES)
    assert holding(data, *vectors)

    for document in documents:
        receipt = await client.delete(document.document_id)
        assert receipt.state == pb.DELETION_STATE_COMPLETE
        assert not receipt.HasField("purge_time")
    for document in await client.list(states=[pb.DOCUMENT_STATE_FAILED]):
        await client.delete(document.document_id)
    await eventually(lambda: settled(client))
    # What a delete alone leaves, and why there is a purge.
    assert holding(data, *NEEDLES)
    assert any("chroma" in name for name in holding(data, *vectors))

    done = await purge(client)
    assert done.index_files_renewed
    assert done.purged_chunks >= len(vectors)
    assert holding(data, *NEEDLES) == []
    assert holding(data, *vectors) == []
    assert SECRET not in caplog.text
    asked = pb.GetDeletionRequest(tombstone_id=receipt.tombstone_id)
    receipt = (await client.call("GetDeletion", asked)).receipt
    assert receipt.purge_time.ToDatetime() > receipt.delete_time.ToDatetime()

    async def complete() -> bool:
        told = await client.call("GetDeletion", asked)
        return bool(told.receipt.state == pb.DELETION_STATE_COMPLETE)

    # While the vector index is made anew it cannot be asked.
    await eventually(complete)

    # A backup that is made now has nothing of it either.
    backup = await exported(client)
    assert not any(needle in backup for needle in NEEDLES)
    await eventually(lambda: settled(client))
    assert await walk(client, every_tenant=True) == []
    assert holding(data, *NEEDLES, *vectors) == []
    for number in (0, 17, 39):
        for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE):
            hits = (await client.search(OTHERS[number], mode=mode, top_k=1)).hits
            assert [hit.external_id for hit in hits] == [str(number)]


async def test_no_byte_of_a_deleted_collection_is_left(client: Client, tmp_path: Path) -> None:
    await client.create("secrets", description="of others")
    for name, data in secrets().items():
        await client.ready(data, filename=name, collection_id="secrets")
    await eventually(lambda: settled(client))
    request = pb.DeleteCollectionRequest(collection_id="secrets")
    receipt = (await client.call("DeleteCollection", request)).receipt
    assert (receipt.state, receipt.files) == (pb.DELETION_STATE_COMPLETE, 0)
    await purge(client)
    assert holding(tmp_path / "vector", *NEEDLES) == []
    await eventually(lambda: settled(client))
    assert await walk(client, every_tenant=True) == []


async def test_the_check_says_what_is_to_be_purged(client: Client) -> None:
    document = await client.ready("Part one.\n\nPart two.")
    await client.delete(document.document_id)

    async def unpurged() -> int:
        answer = await client.call("CheckIndex", pb.CheckIndexRequest(every_tenant=True), seconds=60)
        while answer.next_page_token:
            request = pb.CheckIndexRequest(every_tenant=True, page_token=answer.next_page_token)
            answer = await client.call("CheckIndex", request, seconds=60)
        return int(answer.unpurged_chunks)

    assert await unpurged() == document.chunks
    assert (await purge(client)).purged_chunks == document.chunks
    assert await unpurged() == 0


async def test_an_index_set_aside_and_a_file_left_behind_go_too(client: Client, tmp_path: Path) -> None:
    await eventually(lambda: settled(client))
    root = tmp_path / "vector" / "chroma"
    (root / "broken").mkdir()
    (root / "broken" / "old").write_text(SECRET)
    (tmp_path / "vector" / "spool" / "left").write_text(SECRET)
    assert (await purge(client)).removed_files == 2
    assert holding(tmp_path, *NEEDLES) == []
    assert [path.name for path in root.iterdir()] == ["g000002"]


async def test_writers_and_readers_go_on_beside_a_purge(client: Client) -> None:
    async def write() -> list[str]:
        return [(await client.ready(f"Written beside number{n}.")).document_id for n in range(8)]

    written, done = await asyncio.gather(write(), purge(client))
    assert done.record_bytes_after > 0
    await eventually(lambda: settled(client))
    assert set(written) <= {one.document_id for one in await client.list(page_size=1000)}
    assert (await client.search("number7", mode=pb.SEARCH_MODE_LEXICAL)).hits
    assert await walk(client, every_tenant=True) == []


async def test_an_upload_under_way_is_counted_as_a_file_of_its_collection(
    client: Client, tmp_path: Path
) -> None:
    await client.create("arriving")
    header = pb.IngestHeader(collection_id="arriving", filename="a.txt")
    requests = ingest_requests(header, f"{SECRET} ".encode() * 100)
    call = client.stub.IngestDocument(timeout=30, metadata=client.metadata)
    await call.write(requests[0])
    await call.write(requests[1])

    async def arrived() -> bool:
        return bool(holding(tmp_path / "vector" / "spool", NEEDLES[0]))

    async def written() -> bool:
        return any((tmp_path / "vector" / "spool").iterdir())

    await eventually(written)
    request = pb.DeleteCollectionRequest(collection_id="arriving")
    receipt = (await client.call("DeleteCollection", request, seconds=1)).receipt
    assert (receipt.state, receipt.files) == (pb.DELETION_STATE_PENDING, 1)
    await call.done_writing()
    asked = pb.GetDeletionRequest(tombstone_id=receipt.tombstone_id)

    async def complete() -> bool:
        after = (await client.call("GetDeletion", asked)).receipt
        return after.state == pb.DELETION_STATE_COMPLETE and after.files == 0

    await eventually(complete)
    call.cancel()


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        "vector.before_record_rewrite",
        "vector.after_record_rewrite",
        "vector.before_index_renewal",
        "vector.after_index_renewal",
    ],
)
async def test_a_purge_that_is_killed_loses_nothing_and_can_be_repeated(tmp_path: Path, place: str) -> None:
    async with running(tmp_path, **SETTINGS) as client:
        await client.create()
        await client.import_all([{"external_id": str(n), "text": text} for n, text in enumerate(OTHERS)])
        document = await client.ready("\n\n".join(f"Part {n} of {SECRET}." for n in range(30)))
        await eventually(lambda: settled(client))
        await client.delete(document.document_id)
    async with process(tmp_path, MELD_CRASH_AT=place, MELD_INDEX_SYNC_THRESHOLD="4") as second:
        await eventually(lambda: second.serving("index"), 60)
        with pytest.raises(ServiceError):
            await purge(second.client)
        assert await second.died() == -9
    async with running(tmp_path, **SETTINGS) as client:
        await eventually(lambda: settled(client), 60)
        assert await walk(client, every_tenant=True) == []
        await purge(client)
        assert holding(tmp_path / "vector", *NEEDLES) == []
        await eventually(lambda: settled(client))
        near = await client.search(OTHERS[17], mode=pb.SEARCH_MODE_DENSE, top_k=1)
        assert near.hits[0].external_id == "17"


def test_chroma_keeps_vectors_of_what_was_removed(tmp_path: Path) -> None:
    """Why a purge makes the index anew; when this fails, it need not any more."""
    index = ChromaIndex.embedded(tmp_path, "p", 4)
    vectors = np.eye(16, dtype=np.float32) + np.float32(0.01)
    index.add(1, list(range(16)), vectors)
    index.remove(1, list(range(8)))
    index.add(1, list(range(20, 36)), np.flip(vectors, 0).copy())
    kept = vectors[3] / np.linalg.norm(vectors[3])
    index.close()
    assert holding(tmp_path, kept.astype("<f4").tobytes(), vectors[3].tobytes())
