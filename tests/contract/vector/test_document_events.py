"""Who follows what happens to documents hears of all that they may read, in order, and of nothing else."""

from __future__ import annotations

import pytest
from google.protobuf import timestamp_pb2

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.snapshots import exported, imported
from tests.contract.vector.world import Client, all_ready, eventually


async def news(client: Client, token: str = "", **fields: object) -> pb.ListDocumentEventsResponse:
    request = pb.ListDocumentEventsRequest(page_token=token, **fields)
    return await client.call("ListDocumentEvents", request)


def told(page: pb.ListDocumentEventsResponse) -> list[tuple[str, str]]:
    return [(pb.DocumentState.Name(one.state)[15:], one.document_id) for one in page.events]


async def share(client: Client, *subjects: str) -> None:
    grants = [pb.Grant(subject=subject, role=pb.COLLECTION_ROLE_READER) for subject in subjects]
    await client.call(
        "SetCollectionAccess", pb.SetCollectionAccessRequest(collection_id="books", grants=grants)
    )


async def test_what_is_ready_and_what_failed_is_told_once_in_its_order(client: Client) -> None:
    empty = await news(client)
    assert (told(empty), empty.next_page_token != "") == ([], True)
    first = await client.ready("The lamp is lit at dusk.", title="Lamps", filename="lamps.txt")
    with pytest.raises(ServiceError) as refused:
        await client.ingest(b"%PDF-1.7 broken", filename="broken.pdf")
    page = await news(client, empty.next_page_token)
    (ready, failed) = page.events
    assert (ready.document_id, ready.collection_id, ready.title, ready.filename) == (
        first.document_id,
        "books",
        "Lamps",
        "lamps.txt",
    )
    assert (ready.state, ready.error_reason, ready.warning_count) == (pb.DOCUMENT_STATE_READY, "", 0)
    assert (failed.state, failed.error_reason) == (pb.DOCUMENT_STATE_FAILED, refused.value.reason)
    assert ready.event_time.ToNanoseconds() <= failed.event_time.ToNanoseconds()
    again = await news(client, page.next_page_token)
    assert (told(again), again.next_page_token) == ([], page.next_page_token)
    later = timestamp_pb2.Timestamp(seconds=failed.event_time.seconds + 1)
    assert told(await news(client, start_time=later)) == []


async def test_an_import_is_told_a_page_at_a_time(client: Client) -> None:
    await client.import_all([{"text": f"Text number {number}."} for number in range(25)])
    await eventually(lambda: all_ready(client))
    token, seen = "", []
    for expected in (10, 10, 5, 0):
        page = await news(client, token, page_size=10)
        assert len(page.events) == expected
        seen += [one.document_id for one in page.events]
        token = page.next_page_token
    assert sorted(seen) == sorted(one.document_id for one in await client.list(page_size=100))


async def test_only_who_may_read_a_collection_now_is_told(client: Client) -> None:
    anna, ben = client.person("anna"), client.person("ben", groups="cooks")
    stranger = client.of("other")
    await share(client, "anna")
    first = await client.ready("The lamp is lit at dusk.")
    before = await news(anna)
    assert told(before) == [("READY", first.document_id)]
    for nobody in (ben, stranger):
        page = await news(nobody)
        assert told(page) == []
        # What one was passed over with is not made up for by a right that comes later.
        assert told(await news(nobody, page.next_page_token)) == []
    await share(client)
    await client.ready("The other lamp is lit at dawn.")
    assert told(await news(anna, before.next_page_token)) == []
    assert told(await news(anna)) == []


async def test_a_token_is_of_use_for_whom_it_was_made(client: Client) -> None:
    token = (await news(client)).next_page_token
    for other in (client.person("anna"), client.of("other")):
        with pytest.raises(ServiceError) as refused:
            await news(other, token)
        assert refused.value.reason == "INVALID_PAGE_TOKEN"


async def test_when_a_snapshot_is_taken_in_it_all_begins_anew(client: Client) -> None:
    await client.ready("The lamp is lit at dusk.")
    token = (await news(client)).next_page_token
    await imported(client, await exported(client))
    with pytest.raises(ServiceError) as refused:
        await news(client, token)
    assert refused.value.reason == "INVALID_PAGE_TOKEN"
    assert told(await news(client)) == []
    later = await client.ready("The other lamp is lit at dawn.")
    assert told(await news(client)) == [("READY", later.document_id)]


async def test_a_deleted_document_is_told_of_no_more(client: Client) -> None:
    document = await client.ready("The lamp is lit at dusk.")
    await client.delete(document.document_id)
    assert told(await news(client)) == []
