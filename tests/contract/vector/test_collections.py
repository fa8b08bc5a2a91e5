"""Collections: made once, counted, listed in pages, owned by one tenant."""

from __future__ import annotations

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import Client, refused


async def test_a_collection_remembers_its_model_and_counts_what_is_in_it(client: Client) -> None:
    await client.ready("One small text about foxes.")
    got = (await client.call("GetCollection", pb.GetCollectionRequest(collection_id="books"))).collection
    assert (got.embedding_model, got.dimension) == ("words", 64)
    assert (got.documents, got.chunks, got.vectors) == (1, 1, 1)
    assert got.create_time.seconds > 0


async def test_a_second_collection_of_the_same_id_is_refused_and_a_repeated_request_is_not(
    client: Client,
) -> None:
    first = await client.create("maps", description="Old maps", request_id="r1")
    assert await client.create("maps", description="Old maps", request_id="r1") == first
    with pytest.raises(ServiceError) as error:
        await client.create("maps")
    assert refused(error.value) == ("ALREADY_EXISTS", "COLLECTION_EXISTS")
    with pytest.raises(ServiceError) as error:
        await client.create("other", request_id="r1")
    assert refused(error.value) == ("FAILED_PRECONDITION", "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    "name", ["", "a", "ab", "..", "../etc", "a" * 64, "-ab", "ab-", "bücher", "a b", "a..b", "a\x00b"]
)
async def test_ids_that_are_not_ids_are_refused(client: Client, name: str) -> None:
    with pytest.raises(ServiceError) as error:
        await client.create(name)
    assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert error.value.metadata["field"] == "collection_id"


async def test_pages_hold_every_collection_once_and_their_tokens_are_bound(client: Client) -> None:
    for number in range(5):
        await client.create(f"c-{number}")
    seen: list[str] = []
    token = ""
    while True:
        page = await client.call("ListCollections", pb.ListCollectionsRequest(page_size=2, page_token=token))
        seen += [one.collection_id for one in page.collections]
        if not (token := page.next_page_token):
            break
        last = token
    assert seen == ["books", "c-0", "c-1", "c-2", "c-3", "c-4"]
    for forged in (last[:-4] + "AAAA", "x", "é", last + last):
        with pytest.raises(ServiceError) as error:
            await client.call("ListCollections", pb.ListCollectionsRequest(page_token=forged))
        assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
    with pytest.raises(ServiceError) as error:
        await client.of("other").call("ListCollections", pb.ListCollectionsRequest(page_token=last))
    assert error.value.reason == "INVALID_PAGE_TOKEN"
    for size in (-1, 1001):
        with pytest.raises(ServiceError) as error:
            await client.call("ListCollections", pb.ListCollectionsRequest(page_size=size))
        assert error.value.reason == "INVALID_FIELD"
