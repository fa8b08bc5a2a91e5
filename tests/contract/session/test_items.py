"""Small things are put against the revision that is known, listed by name, and come back from a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from meldrag.session.v1 import session_pb2
from services.session import validation
from tests.contract.session.conftest import House, refusal
from tests.contract.session.test_snapshots import exported, house_at, imported
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.slow

OTHER = [("x-tenant", "other")]


async def put(house: House, name: str, value: bytes, previous: int = 0, **fields: Any) -> Any:
    metadata = fields.pop("metadata", None)
    item = session_pb2.Item(kind=fields.pop("kind", "workflow"), name=name)
    item.payload.type_url, item.payload.value = "type.googleapis.com/test.Thing", value
    request = session_pb2.PutItemRequest(item=item, previous_revision=previous, **fields)
    return (await house.stub.PutItem(request, metadata=metadata)).item


async def listed(house: House, kind: str = "workflow", name: str = "", **fields: Any) -> list[Any]:
    found, token = [], ""
    metadata = fields.pop("metadata", None)
    while True:
        request = session_pb2.ListItemsRequest(kind=kind, name=name, page_token=token, **fields)
        page = await house.stub.ListItems(request, metadata=metadata)
        found += page.items
        token = page.next_page_token
        if not token:
            return found


async def delete(house: House, name: str, kind: str = "workflow", metadata: Any = None) -> None:
    await house.stub.DeleteItem(session_pb2.DeleteItemRequest(kind=kind, name=name), metadata=metadata)


async def test_a_thing_is_kept_changed_and_deleted(house: House) -> None:
    first = await put(house, "plan-1", b"\0one")
    assert (first.kind, first.name, first.revision) == ("workflow", "plan-1", 1)
    assert first.create_time == first.update_time
    second = await put(house, "plan-1", b"two", previous=1)
    assert second.revision == 2
    assert second.create_time == first.create_time
    assert second.update_time.ToMicroseconds() > first.update_time.ToMicroseconds()
    whatever = await put(house, "plan-1", b"three", previous=-1)
    assert await listed(house, name="plan-1") == [whatever]
    assert whatever.payload.value == b"three"
    assert whatever.payload.type_url == "type.googleapis.com/test.Thing"
    await delete(house, "plan-1")
    assert await listed(house) == []
    assert (await refusal(delete(house, "plan-1"))).reason == "ITEM_NOT_FOUND"
    assert (await put(house, "plan-1", b"again")).revision == 1


async def test_only_who_knows_the_revision_changes_a_thing(house: House) -> None:
    await put(house, "plan", b"one")
    error = await refusal(put(house, "plan", b"other"))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ITEM_EXISTS")
    await put(house, "plan", b"two", previous=1)
    error = await refusal(put(house, "plan", b"other", previous=1))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "ITEM_CHANGED")
    assert error.metadata == {"kind": "workflow", "name": "plan", "revision": "2"}
    error = await refusal(put(house, "none", b"other", previous=1))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ITEM_NOT_FOUND")
    [kept] = await listed(house)
    assert (kept.payload.value, kept.revision) == (b"two", 2)


async def test_of_those_who_change_at_once_one_does(house: House) -> None:
    await put(house, "plan", b"0")
    tries = [put(house, "plan", b"%d" % number, previous=1) for number in range(20)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    [done] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert await listed(house) == [done]
    assert done.revision == 2


async def test_a_repeated_request_answers_as_the_first_did(house: House) -> None:
    first = await put(house, "plan", b"one", request_id="r 1")
    await put(house, "plan", b"two", previous=1)
    assert await put(house, "plan", b"one", request_id="r 1") == first
    [kept] = await listed(house)
    assert kept.payload.value == b"two"
    error = await refusal(put(house, "plan", b"other", request_id="r 1"))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_a_kind_has_as_many_as_it_may(house: House) -> None:
    for name in ("a", "b"):
        await put(house, name, b"", kind_limit=2)
    error = await refusal(put(house, "c", b"", kind_limit=2))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_ITEMS")
    assert error.metadata == {"kind": "workflow", "limit": "2"}
    # What is there may be changed, and another kind has its own.
    await put(house, "a", b"more", previous=1, kind_limit=2)
    await put(house, "c", b"", kind="other_kind", kind_limit=2)
    await delete(house, "b")
    await put(house, "c", b"", kind_limit=2)
    assert [item.name for item in await listed(house)] == ["a", "c"]


async def test_lists_go_by_name_in_pages_however_large(house: House) -> None:
    names = [f"n-{number:02}" for number in range(12)]
    for name in reversed(names):
        await put(house, name, b"x" * validation.MAX_ITEM_BYTES)
    assert [item.name for item in await listed(house)] == names
    assert [item.name for item in await listed(house, page_size=5)] == names
    page = await house.stub.ListItems(session_pb2.ListItemsRequest(kind="workflow", page_size=1))
    other = session_pb2.ListItemsRequest(kind="other", page_size=1, page_token=page.next_page_token)
    assert (await refusal(house.stub.ListItems(other))).reason == "INVALID_PAGE_TOKEN"


async def test_what_belongs_to_another_tenant_is_not_there(house: House) -> None:
    await put(house, "plan", b"ours")
    assert await listed(house, metadata=OTHER) == []
    assert await listed(house, name="plan", metadata=OTHER) == []
    assert (await refusal(delete(house, "plan", metadata=OTHER))).reason == "ITEM_NOT_FOUND"
    theirs = await put(house, "plan", b"theirs", metadata=OTHER)
    assert theirs.revision == 1
    [ours] = await listed(house)
    assert ours.payload.value == b"ours"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": ""}, "item.kind"),
        ({"kind": "Workflow"}, "item.kind"),
        ({"kind": "a:b"}, "item.kind"),
        ({"name": ""}, "item.name"),
        ({"name": "a/b"}, "item.name"),
        ({"name": "x" * 65}, "item.name"),
        ({"value": b"x" * (validation.MAX_ITEM_BYTES + 1)}, "item.payload"),
        ({"previous": -2}, "previous_revision"),
        ({"kind_limit": 1001}, "kind_limit"),
        ({"request_id": "x" * 129}, "request_id"),
    ],
)
async def test_what_is_malformed_is_refused(house: House, fields: dict[str, Any], field: str) -> None:
    error = await refusal(put(house, **{"name": "plan", "value": b"", **fields}))
    assert (error.reason, error.metadata["field"]) == ("INVALID_FIELD", field)
    assert await listed(house) == []


async def test_things_do_not_expire_with_what_does(house_on: Callable[..., Any]) -> None:
    async with house_on(permanent_session_lifetime=1) as house:
        await put(house, "plan", b"one", request_id="r")
        session = await house.session()
        gone = session_pb2.GetSessionRequest(session_id=session.session_id)
        while not await _missing(house.stub.GetSession(gone)):
            await asyncio.sleep(0.2)
        [kept] = await listed(house)
        assert kept.payload.value == b"one"


async def _missing(call: Any) -> bool:
    try:
        await call
    except grpc.RpcError:
        return True
    return False


async def test_a_snapshot_brings_things_back_and_takes_others_away(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with house_at(redis_server, tmp_path) as house:
        await put(house, "large", b"x" * validation.MAX_ITEM_BYTES)
        await put(house, "plan", b"one")
        await put(house, "plan", b"two", previous=1)
        await put(house, "plan", b"theirs", metadata=OTHER)
        before = await listed(house)
        snapshot = await exported(house.stub)
        await put(house, "plan", b"three", previous=2)
        await put(house, "later", b"")
        await delete(house, "large")
        await imported(house.stub, snapshot)
        assert await listed(house) == before
        [theirs] = await listed(house, metadata=OTHER)
        assert theirs.payload.value == b"theirs"
        # They go on from where they were, and are counted.
        assert (await put(house, "plan", b"four", previous=2, kind_limit=2)).revision == 3
        assert (await refusal(put(house, "more", b"", kind_limit=2))).reason == "TOO_MANY_ITEMS"
