"""Files are kept with the documents that were made of them, and come out again byte for byte."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from services.vector.record.originals import PIECE_BYTES
from tests.contract.vector.snapshots import exported, imported
from tests.contract.vector.test_purge import holding, purge
from tests.contract.vector.test_upkeep import FLIP, kinds, settled, sql
from tests.contract.vector.world import (
    Client,
    eventually,
    ingest_requests,
    refused,
    running,
    translated,
    walk,
)

# Of what is not in its text: a comment, and of three pieces.
CANARY = b"qzcommentvxk"
LONG = b"<html><!-- " + CANARY * 60_000 + b" --><body><p>The harbour is deep.</p></body></html>"


async def original(
    client: Client, document_id: str, start: int = 0, end: int = 0, collection_id: str = "books"
) -> list[pb.ReadDocumentOriginalResponse]:
    request = pb.ReadDocumentOriginalRequest(
        collection_id=collection_id, document_id=document_id, byte_start=start, byte_end=end
    )
    return await client.stream("ReadDocumentOriginal", request)


async def read(client: Client, document_id: str, start: int = 0, end: int = 0) -> bytes:
    return b"".join(piece.data for piece in await original(client, document_id, start, end))


async def collect(client: Client, document_id: str, got: list[bytes]) -> None:
    """Puts what comes into `got`, also where an error comes behind it."""
    request = pb.ReadDocumentOriginalRequest(collection_id="books", document_id=document_id)
    with translated():
        async for piece in client.stub.ReadDocumentOriginal(request, timeout=20, metadata=client.metadata):
            got.append(piece.data)


async def why_not(client: Client, document_id: str, *span: int) -> tuple[str, str]:
    with pytest.raises(ServiceError) as error:
        await original(client, document_id, *span)
    return refused(error.value)


NOT_KEPT = ("NOT_FOUND", "ORIGINAL_NOT_KEPT")


def pieces(folder: Path) -> list[tuple[int, int]]:
    """Document and size of each piece in the record."""
    with closing(sqlite3.connect(folder / "vector" / "record.sqlite3")) as record:
        return record.execute(
            "SELECT document_key, length(piece) FROM originals ORDER BY document_key, byte_start"
        ).fetchall()


async def test_a_file_comes_out_as_it_came_in(client: Client) -> None:
    document = await client.ready(LONG, filename="a.html")
    assert document.has_original
    assert (await client.get(document.document_id)).has_original
    assert [one.has_original for one in await client.list()] == [True]
    answer = await original(client, document.document_id)
    assert b"".join(piece.data for piece in answer) == LONG
    assert max(len(piece.data) for piece in answer) == PIECE_BYTES
    assert len(answer) == -(-len(LONG) // PIECE_BYTES) > 2
    # What is known of it comes with the first piece, and once.
    assert answer[0].document.content_sha256 == hashlib.sha256(LONG).hexdigest()
    assert [piece.HasField("document") for piece in answer[1:]] == [False] * (len(answer) - 1)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 1),
        (PIECE_BYTES - 1, PIECE_BYTES + 1),
        (PIECE_BYTES, 2 * PIECE_BYTES),
        (5, 2 * PIECE_BYTES + 7),
        (len(LONG) - 1, len(LONG)),
        (len(LONG) - 9, 0),
        (7, 7),
        (len(LONG), len(LONG)),
    ],
)
async def test_a_range_of_it(client: Client, start: int, end: int) -> None:
    document = await client.ready(LONG, filename="a.html")
    answer = await original(client, document.document_id, start, end)
    assert b"".join(piece.data for piece in answer) == LONG[start : end or None]
    assert answer[0].document.document_id == document.document_id


@pytest.mark.parametrize("span", [(-1, 4), (5, 4), (0, len(LONG) + 1), (len(LONG) + 1, 0)])
async def test_a_range_outside_is_refused(client: Client, span: tuple[int, int]) -> None:
    document = await client.ready(LONG, filename="a.html")
    assert await why_not(client, document.document_id, *span) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_a_text_that_was_imported_has_none(client: Client) -> None:
    (made,) = await client.import_all([{"text": "A text and no file."}])
    assert not made.document.has_original
    assert await why_not(client, made.document.document_id) == NOT_KEPT


async def test_what_is_missing_or_foreign_is_answered_alike(client: Client) -> None:
    document = await client.ready("The heron waits.")
    for asker, named, where in (
        (client, "0" * 32, "books"),
        (client.of("other"), document.document_id, "books"),
        (client.person("anna"), document.document_id, "books"),
    ):
        with pytest.raises(ServiceError) as error:
            await original(asker, named, collection_id=where)
        assert error.value.reason in ("DOCUMENT_NOT_FOUND", "COLLECTION_NOT_FOUND")
    # Who may read the text may read the file.
    grants = [pb.Grant(subject="anna", role=pb.COLLECTION_ROLE_READER)]
    await client.call(
        "SetCollectionAccess", pb.SetCollectionAccessRequest(collection_id="books", grants=grants)
    )
    assert await read(client.person("anna"), document.document_id) == b"The heron waits."


async def test_none_is_kept_where_it_is_said_and_what_is_there_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        first = await client.ready("The heron waits.")
    async with running(tmp_path, meld_keep_originals=False) as client:
        second = await client.ready("The stork stands.", filename="b.txt")
        assert not second.has_original
        assert await why_not(client, second.document_id) == NOT_KEPT
        assert await read(client, first.document_id) == b"The heron waits."
        # Nor of bytes that are there already.
        again = (await client.ingest("The stork stands.", filename="b.txt"))[-1]
        assert (again.existing, again.document.has_original) == (True, False)
        assert await walk(client, every_tenant=True) == []
    async with running(tmp_path) as client:
        # Sent again, the same bytes become the original of the document that they are.
        again = (await client.ingest("The stork stands.", filename="b.txt"))[-1]
        assert (again.existing, again.document.has_original) == (True, True)
        assert again.document.document_id == second.document_id
        assert await read(client, second.document_id) == b"The stork stands."
        assert len(pieces(tmp_path)) == 2
        assert await walk(client, every_tenant=True) == []


async def test_a_reader_gives_no_document_an_original(client: Client) -> None:
    """Who may not write is refused before; and another's bytes elsewhere stay what they are."""
    (made,) = await client.import_all([{"text": "The stork stands."}])
    await client.create("mine")
    other = await client.ready("The stork stands.", collection_id="mine")
    assert other.document_id != made.document.document_id
    assert not (await client.get(made.document.document_id)).has_original


async def test_another_file_takes_the_place_of_the_one_before(client: Client, tmp_path: Path) -> None:
    first = await client.ready(LONG, filename="a.html", external_id="e")
    second = await client.ready("The heron waits.", external_id="e")
    assert await read(client, second.document_id) == b"The heron waits."
    assert [size for _, size in pieces(tmp_path)] == [len("The heron waits.")]
    with pytest.raises(ServiceError) as error:
        await original(client, first.document_id)
    assert error.value.reason == "DOCUMENT_NOT_FOUND"
    # Text in the place of a file leaves no file.
    await client.import_all([{"external_id": "e", "text": "Only text."}])
    assert pieces(tmp_path) == []


async def test_a_delete_leaves_none_and_its_receipt_counts_that(client: Client, tmp_path: Path) -> None:
    document = await client.ready(LONG, filename="a.html")
    await client.ready("Another.", filename="b.txt")
    receipt = await client.delete(document.document_id)
    assert (receipt.state, receipt.record_originals) == (pb.DELETION_STATE_COMPLETE, 0)
    assert [size for _, size in pieces(tmp_path)] == [len("Another.")]
    request = pb.DeleteCollectionRequest(collection_id="books")
    receipt = (await client.call("DeleteCollection", request)).receipt
    assert (receipt.state, receipt.record_originals, receipt.deleted_documents) == (
        pb.DELETION_STATE_COMPLETE,
        0,
        1,
    )
    assert pieces(tmp_path) == []


async def test_a_large_collection_goes_some_originals_at_a_time(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.vector.record.collections._STEP_BYTES", 1)
    await client.create("others")
    other = await client.ready("Of another collection.", collection_id="others")
    for number in range(5):
        await client.ready(f"Number {number}.", filename=f"{number}.txt")
    await client.import_all([{"text": "One without a file."}])
    request = pb.DeleteCollectionRequest(collection_id="books", request_id="gone")
    receipt = (await client.call("DeleteCollection", request)).receipt
    assert (receipt.state, receipt.deleted_documents) == (pb.DELETION_STATE_COMPLETE, 6)
    assert len(pieces(tmp_path)) == 1
    # The same request is known, and leaves alone what has the name now.
    await client.create()
    new = await client.ready("Number 0.", filename="0.txt")
    again = (await client.call("DeleteCollection", request)).receipt
    assert again.tombstone_id == receipt.tombstone_id
    assert await read(client, new.document_id) == b"Number 0."
    assert (await client.get(other.document_id, "others")).has_original


async def test_who_may_not_delete_a_collection_erases_no_original(client: Client) -> None:
    document = await client.ready("The heron waits.")
    grants = [pb.Grant(subject="anna", role=pb.COLLECTION_ROLE_WRITER)]
    await client.call(
        "SetCollectionAccess", pb.SetCollectionAccessRequest(collection_id="books", grants=grants)
    )
    with pytest.raises(ServiceError) as error:
        await client.person("anna").call(
            "DeleteCollection", pb.DeleteCollectionRequest(collection_id="books")
        )
    assert error.value.reason == "COLLECTION_ACCESS_DENIED"
    assert await read(client, document.document_id) == b"The heron waits."


async def test_a_document_that_is_taken_back_leaves_none(
    client: Client, embedder: Any, tmp_path: Path
) -> None:
    embedder.gate.clear()
    document = (await client.ingest(LONG, filename="a.html"))[-1].document
    assert document.state == pb.DOCUMENT_STATE_EMBEDDING
    assert pieces(tmp_path)
    request = pb.CancelIngestRequest(collection_id="books", document_id=document.document_id)
    receipt = (await client.call("CancelIngest", request)).receipt
    embedder.gate.set()
    assert (receipt.record_originals, receipt.files) == (0, 0)
    assert pieces(tmp_path) == []


async def test_a_file_that_is_refused_is_not_kept(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ServiceError):
        await client.ingest(b"%PDF-1.7 broken", filename="a.pdf")
    (failed,) = await client.list()
    assert not failed.has_original
    assert await why_not(client, failed.document_id) == NOT_KEPT
    assert pieces(tmp_path) == []


async def test_no_byte_of_a_deleted_file_is_left_after_a_purge(client: Client, tmp_path: Path) -> None:
    document = await client.ready(LONG, filename="a.html")
    replaced = await client.ready(b"<p>One</p><!--" + CANARY + b"-->", filename="b.html", external_id="e")
    assert replaced.has_original
    await client.ready("Something else.", external_id="e")
    await eventually(lambda: settled(client))
    data = tmp_path / "vector"
    assert holding(data, CANARY)
    await client.delete(document.document_id)
    await purge(client)
    assert holding(data, CANARY) == []


DAMAGES = {
    "flipped": FLIP.format(table="originals", column="piece", where="byte_start = 0"),
    "cut": "DELETE FROM originals WHERE byte_start = (SELECT max(byte_start) FROM originals)",
    "with a gap": f"DELETE FROM originals WHERE byte_start = {PIECE_BYTES}",
    "shifted": "UPDATE originals SET byte_start = byte_start + 1, byte_end = byte_end + 1",
    "short": "UPDATE originals SET piece = substr(piece, 2) WHERE byte_start = 0",
    "of other bytes": "UPDATE documents SET content_sha256 = 'aa'",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_found_told_and_never_taken_for_the_file(
    client: Client, tmp_path: Path, damage: str
) -> None:
    document = await client.ready(LONG, filename="a.html", external_id="e")
    await eventually(lambda: settled(client))
    assert await walk(client, every_tenant=True) == []
    sql(tmp_path, DAMAGES[damage])
    (fault,) = await walk(client)
    assert kinds([fault]) == {"ORIGINAL_DAMAGED"}
    assert (fault.document_id, fault.remedy) == (document.document_id, pb.INDEX_REMEDY_REMOVE)
    # All that comes ends with an error, and is not the whole.
    got: list[bytes] = []
    with pytest.raises(ServiceError) as error:
        await collect(client, document.document_id, got)
    assert refused(error.value) == ("DATA_LOSS", "RECORD_DAMAGED")
    assert len(b"".join(got)) < len(LONG)
    # A snapshot of it could not be taken in again.
    with pytest.raises(ServiceError) as error:
        await exported(client)
    assert error.value.reason == "RECORD_DAMAGED"

    (done,) = await walk(client, "RepairIndex")
    assert (kinds([done]), done.mended) == ({"ORIGINAL_DAMAGED"}, True)
    assert await walk(client, every_tenant=True) == []
    # The text is whole, and the document is found.
    assert (await client.search("harbour")).hits[0].document_id == document.document_id
    assert await why_not(client, document.document_id) == NOT_KEPT
    await exported(client)
    # The same file, sent again, is its original again; one of another hash is another document.
    again = (await client.ingest(LONG, filename="a.html", external_id="e"))[-1]
    assert again.existing is (damage != "of other bytes")
    assert await read(client, again.document.document_id) == LONG


async def test_a_snapshot_has_the_originals(client: Client, tmp_path: Path) -> None:
    document = await client.ready(LONG, filename="a.html")
    await eventually(lambda: settled(client))
    snapshot = await exported(client)
    async with running(tmp_path / "elsewhere") as other:
        await imported(other, snapshot)
        assert await read(other, document.document_id) == LONG


async def test_a_document_that_was_set_aside_keeps_its_file(client: Client, tmp_path: Path) -> None:
    """It is what people need to send again."""
    document = await client.ready(LONG, filename="a.html")
    await eventually(lambda: settled(client))
    sql(tmp_path, FLIP.format(table="texts", column="piece", where="byte_start = 0"))
    await walk(client, "RepairIndex")
    (aside,) = await client.list()
    assert (aside.state, aside.has_original) == (pb.DOCUMENT_STATE_FAILED, True)
    assert await read(client, document.document_id) == LONG
    sent = await client.ready(LONG, filename="a.html")
    assert [one.document_id for one in await client.list()] == [sent.document_id]
    assert {size for _, size in pieces(tmp_path)} == {PIECE_BYTES, len(LONG) % PIECE_BYTES}


async def test_a_full_disk_refuses_the_whole_document(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        writer = client.application.record._database._connection
        (size,) = writer.execute("PRAGMA page_count").fetchone()
        # SQLite's own limit on the size of the file ends a write as a full disk does.
        writer.execute(f"PRAGMA max_page_count = {size + 40}")
        header = pb.IngestHeader(collection_id="books", filename="a.html")
        with pytest.raises(ServiceError) as error:
            await client.stream("IngestDocument", ingest_requests(header, LONG))
        assert refused(error.value) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
        assert pieces(tmp_path) == []
        assert await client.list() == []
        writer.execute("PRAGMA max_page_count = 1073741823")
        document = await client.ready(LONG, filename="a.html")
        assert await read(client, document.document_id) == LONG
