"""Texts in bulk: in order, each with its own outcome, replaced by their owner's id."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import Client, WordEmbedder, eventually, refused


async def test_outcomes_come_in_order_and_a_refused_one_does_not_end_the_stream(client: Client) -> None:
    documents = [
        {"external_id": f"e{n}", "title": f"T{n}", "text": f"Text {n} on topic{n}."} for n in range(150)
    ]
    documents[3]["text"] = "  \n "
    documents[70] = {"external_id": "x" * 513, "text": "too long an id"}
    documents[71] = {"text": "metadata", "metadata": {"a": {"b": 1}}}
    outcomes = await client.import_all(documents)
    assert [one.index for one in outcomes] == list(range(150))
    errors = {one.index: one.error.reason for one in outcomes if one.error.reason}
    assert errors == {3: "DOCUMENT_EMPTY", 70: "INVALID_FIELD", 71: "INVALID_FIELD"}
    taken = [one for one in outcomes if not one.error.reason]
    assert all(one.document.state >= pb.DOCUMENT_STATE_EMBEDDING and not one.existing for one in taken)
    document = outcomes[149].document
    assert (document.external_id, document.title, document.bytes) == (
        "e149",
        "T149",
        len("Text 149 on topic149."),
    )
    assert document.content_sha256 == hashlib.sha256(b"Text 149 on topic149.").hexdigest()
    found = await client.search("topic149", mode=pb.SEARCH_MODE_LEXICAL)
    assert [hit.external_id for hit in found.hits] == ["e149"]
    assert len(await client.list(page_size=1000)) == 147


async def test_the_same_again_changes_nothing_and_another_text_replaces(
    client: Client, embedder: WordEmbedder
) -> None:
    first = await client.import_all([{"external_id": "a", "title": "A", "text": "One."}, {"text": "No id."}])
    again = await client.import_all([{"external_id": "a", "title": "A", "text": "One."}, {"text": "No id."}])
    assert [one.existing for one in again] == [True, True]
    assert [one.document.document_id for one in again] == [one.document.document_id for one in first]
    for change in (
        {"text": "Two."},
        {"text": "Two.", "title": "B"},
        {"text": "Two.", "title": "B", "metadata": {"k": 1}},
    ):
        (outcome,) = await client.import_all([{"external_id": "a", "title": "A", **change}])
        assert not outcome.existing
    documents = {one.external_id: one for one in await client.list()}
    assert len(documents) == 2
    assert (documents["a"].title, dict(documents["a"].metadata)) == ("B", {"k": 1})


async def test_an_import_of_nothing_is_refused(client: Client) -> None:
    with pytest.raises(ServiceError) as error:
        await client.import_all([])
    assert (error.value.code.name, error.value.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_one_id_many_times_in_one_stream_ends_with_the_last(client: Client) -> None:
    outcomes = await client.import_all([{"external_id": "a", "text": f"Version {n}."} for n in range(30)])
    assert not [one for one in outcomes if one.error.reason]
    (document,) = await client.list()
    assert document.document_id == outcomes[-1].document.document_id
    assert await client.text(document.document_id) == b"Version 29."
    got = (await client.call("GetCollection", pb.GetCollectionRequest(collection_id="books"))).collection
    assert (got.documents, got.chunks) == (1, 1)
    hits = (await client.search("version", mode=pb.SEARCH_MODE_LEXICAL)).hits
    assert [hit.text for hit in hits] == ["Version 29."]


async def test_texts_of_different_owners_ids_stay_apart_though_they_are_equal(client: Client) -> None:
    await client.import_all([{"external_id": "a", "text": "Same."}, {"external_id": "b", "text": "Same."}])
    assert {one.external_id for one in await client.list()} == {"a", "b"}


async def test_a_caller_who_waits_for_each_answer_is_not_kept_waiting(client: Client) -> None:
    answered = asyncio.Semaphore(0)

    async def one_by_one() -> AsyncIterator[pb.ImportDocumentsRequest]:
        for n in range(3):
            yield pb.ImportDocumentsRequest(collection_id="books" if not n else "", text=f"Text {n}.")
            await answered.acquire()

    indexes = []
    async for outcome in client.stub.ImportDocuments(one_by_one(), timeout=20, metadata=client.metadata):
        indexes.append(outcome.index)
        answered.release()
    assert indexes == [0, 1, 2]


async def test_a_stream_to_no_collection_ends_at_once(client: Client) -> None:
    with pytest.raises(ServiceError) as error:
        await client.import_all([{"text": "x"}], "missing")
    assert refused(error.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def test_listing_pages_newest_first_and_filters_by_state(
    client: Client, embedder: WordEmbedder
) -> None:
    embedder.gate.clear()
    await client.import_all([{"external_id": f"e{n}", "text": f"Text {n}."} for n in range(7)])
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListDocumentsRequest(collection_id="books", page_size=3, page_token=token)
        page = await client.call("ListDocuments", request)
        seen += [one.external_id for one in page.documents]
        if not (token := page.next_page_token):
            break
        other = pb.ListDocumentsRequest(collection_id="books", page_token=token, external_id="e1")
        with pytest.raises(ServiceError) as error:
            await client.call("ListDocuments", other)
        assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
    assert seen == [f"e{n}" for n in reversed(range(7))]
    assert len(await client.list(states=[pb.DOCUMENT_STATE_EMBEDDING])) == 7
    assert await client.list(states=[pb.DOCUMENT_STATE_READY, pb.DOCUMENT_STATE_FAILED]) == []
    assert [one.external_id for one in await client.list(external_id="e4")] == ["e4"]
    embedder.gate.set()

    async def all_ready() -> bool:
        return len(await client.list(states=[pb.DOCUMENT_STATE_READY])) == 7

    await eventually(all_ready)
