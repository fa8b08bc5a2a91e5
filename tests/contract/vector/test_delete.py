"""Deletes: gone at once everywhere, proven by the receipt, repeatable by request id."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import Client, WordEmbedder, eventually, refused, running


async def test_a_deleted_document_is_nowhere(client: Client) -> None:
    keep = await client.ready("The badger digs.")
    gone = await client.ready("The heron fishes.\n\n" + "Long text. " * 400)
    receipt = await client.delete(gone.document_id)
    assert receipt.state == pb.DELETION_STATE_COMPLETE
    assert receipt.resource == f"collections/books/documents/{gone.document_id}"
    assert (receipt.deleted_documents, receipt.deleted_chunks) == (1, gone.chunks)
    left = (receipt.record_documents, receipt.record_chunks, receipt.lexical_entries, receipt.vector_entries)
    assert left == (0, 0, 0, 0)
    assert receipt.tombstone_id
    for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID):
        found = await client.search("heron fishes", mode=mode, similarity_threshold=-1, top_k=100)
        assert {hit.document_id for hit in found.hits} <= {keep.document_id}
    with pytest.raises(ServiceError) as error:
        await client.delete(gone.document_id)
    assert refused(error.value) == ("NOT_FOUND", "DOCUMENT_NOT_FOUND")
    assert [one.document_id for one in await client.list()] == [keep.document_id]
    got = (await client.call("GetCollection", pb.GetCollectionRequest(collection_id="books"))).collection
    assert (got.documents, got.chunks, got.vectors) == (1, keep.chunks, keep.chunks)


async def test_the_index_itself_has_lost_the_entries(client: Client) -> None:
    documents = [await client.ready(f"Animal number {number} of the zoo.") for number in range(3)]
    keeper, queue = client.application.keeper, client.application.record.index_queue

    async def fed() -> bool:
        return await queue.pending() == 0 and keeper.state.name == "READY"

    await eventually(fed)
    index = keeper._index
    assert index is not None
    (key,) = index.collection_keys()
    assert index.count(key) == 3
    await client.delete(documents[0].document_id)
    assert index.count(key) == 2
    await client.call("DeleteCollection", pb.DeleteCollectionRequest(collection_id="books"))
    assert index.collection_keys() == []


async def test_a_repeated_delete_gives_the_same_receipt(client: Client) -> None:
    document = await client.ready("The otter swims.")
    request = pb.DeleteDocumentRequest(
        collection_id="books", document_id=document.document_id, request_id="d1"
    )
    first = (await client.call("DeleteDocument", request)).receipt
    assert (await client.call("DeleteDocument", request)).receipt == first
    other = pb.DeleteDocumentRequest(collection_id="books", document_id="0" * 32, request_id="d1")
    with pytest.raises(ServiceError) as error:
        await client.call("DeleteDocument", other)
    assert error.value.reason == "REQUEST_ID_REUSED"


async def test_a_deleted_collection_takes_all_with_it_and_its_id_can_be_used_again(client: Client) -> None:
    for number in range(4):
        await client.ready(f"Sheet {number} of the atlas.")
    request = pb.DeleteCollectionRequest(collection_id="books", request_id="d")
    receipt = (await client.call("DeleteCollection", request)).receipt
    assert receipt.state == pb.DELETION_STATE_COMPLETE
    assert (receipt.deleted_documents, receipt.deleted_chunks) == (4, 4)
    assert (receipt.record_documents, receipt.record_chunks, receipt.vector_entries) == (0, 0, 0)
    assert (await client.call("DeleteCollection", request)).receipt == receipt
    with pytest.raises(ServiceError) as error:
        await client.search("atlas")
    assert error.value.reason == "COLLECTION_NOT_FOUND"
    await client.create()
    assert (await client.search("atlas")).hits == []
    await client.ready("A new atlas.")
    assert [hit.text for hit in (await client.search("atlas")).hits] == ["A new atlas."]


async def test_a_failed_document_can_be_deleted(client: Client) -> None:
    with pytest.raises(ServiceError):
        await client.ingest(b"", filename="empty.txt")
    (row,) = await client.list()
    receipt = await client.delete(row.document_id)
    assert receipt.state == pb.DELETION_STATE_COMPLETE
    assert await client.list() == []


async def test_a_document_deleted_while_its_vectors_are_made_stays_deleted(
    client: Client, embedder: WordEmbedder
) -> None:
    embedder.gate.clear()
    document = (await client.ingest("The lynx waits."))[-1].document
    receipt = await client.delete(document.document_id)
    assert receipt.state == pb.DELETION_STATE_COMPLETE
    embedder.gate.set()
    other = await client.ready("The stork stands.")
    assert [one.document_id for one in await client.list()] == [other.document_id]
    assert not (await client.search("lynx", mode=pb.SEARCH_MODE_LEXICAL)).hits


async def test_what_the_index_could_not_delete_is_pending_and_converges(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        document = await client.ready("The marten climbs.")
        keeper, queue = client.application.keeper, client.application.record.index_queue

        async def fed() -> bool:
            return await queue.pending() == 0 and keeper.state.name == "READY"

        await eventually(fed)
        hold = _Hold(keeper._index)
        keeper._index = hold
        request = pb.DeleteDocumentRequest(
            collection_id="books", document_id=document.document_id, request_id="d"
        )
        receipt = (await client.call("DeleteDocument", request, seconds=2.0)).receipt
        assert receipt.state == pb.DELETION_STATE_PENDING
        assert receipt.vector_entries == 1
        assert not (await client.search("marten", mode=pb.SEARCH_MODE_LEXICAL)).hits
        hold.released = True

        async def complete() -> bool:
            again = (await client.call("DeleteDocument", request)).receipt
            return again.state == pb.DELETION_STATE_COMPLETE and again.vector_entries == 0

        await eventually(complete)


class _Hold:
    """An index whose removals wait."""

    def __init__(self, index: object) -> None:
        self._inner = index
        self.released = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def remove(self, *arguments: object) -> None:
        while not self.released:
            time.sleep(0.02)
        self._inner.remove(*arguments)
