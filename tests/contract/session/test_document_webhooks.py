"""Webhooks of those who want to know what happens to documents, on a real Redis."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import timestamp_pb2

from meldrag.session.v1 import identity_pb2, webhook_pb2
from tests.contract.session.conftest import refusal
from tests.contract.session.test_webhooks import (
    DELIVERED,
    Hooks,
    came,
    hooks,
    in_state,
    soon,
    switch,
    worker,
)
from tests.support.webhook_receiver import Receiver
from tests.unit.session.webhooks.verification import verify

__all__ = ["hooks"]

URL = "http://127.0.0.1:9/hook"
HEARD = "meld:{local}:webhooks:heard"


def ready(document_id: str, **fields: Any) -> Any:
    """A document that is ready."""
    fields = {"event_type": "document.ready", "collection_id": "books", "title": "Harbour", **fields}
    moment = timestamp_pb2.Timestamp(seconds=1_750_000_000)
    return webhook_pb2.ToldDocument(
        document_id=document_id, filename="harbour.pdf", event_time=moment, **fields
    )


async def put(hooks: Hooks, previous: str, cursor: str, *events: Any, metadata: Any = None) -> None:
    request = webhook_pb2.PutDocumentEventsRequest(previous_cursor=previous, cursor=cursor, events=events)
    await hooks.stub.PutDocumentEvents(request, metadata=metadata)


async def listeners(hooks: Hooks, **fields: Any) -> list[Any]:
    request = webhook_pb2.ListDocumentListenersRequest(**fields)
    return list((await hooks.stub.ListDocumentListeners(request)).listeners)


async def test_a_document_is_told_signed_and_without_its_text(hooks: Hooks) -> None:
    with Receiver() as receiver:
        hook, secret = await hooks.hook(receiver.url)
        broken = ready("d2", title="", error_reason="PARSER_LIMIT", warning_count=2)
        broken.event_type = "document.failed"
        await put(hooks, "", "1", ready("d1"), broken)
        async with worker(hooks):
            got = await came(receiver, 2)
            await soon(lambda: in_state(hooks, hook, DELIVERED, 2))
    said = {one["type"]: one for one in (verify(secret, x.headers, x.body, now=x.time) for x in got)}
    assert said["document.ready"] == {
        "type": "document.ready",
        "timestamp": "2025-06-15T15:06:40.000Z",
        "data": {
            "again": False,
            "collection_id": "books",
            "document_id": "d1",
            "error_reason": None,
            "filename": "harbour.pdf",
            "state": "READY",
            "title": "Harbour",
            "warnings": 0,
        },
    }
    failed = said["document.failed"]["data"]
    assert (failed["state"], failed["error_reason"], failed["warnings"]) == ("FAILED", "PARSER_LIMIT", 2)


async def test_what_is_put_twice_is_told_once(hooks: Hooks) -> None:
    hook, _ = await hooks.hook(URL)
    await put(hooks, "", "1", ready("d1"))
    # As whoever was killed before it heard the answer, and as another replica.
    for previous, cursor in (("", "1"), ("", "2"), ("2", "3")):
        assert (await refusal(put(hooks, previous, cursor, ready("d1")))).reason == "CURSOR_MOVED"
    # A record that was replaced by an older one tells it anew, under the same name.
    [before] = await hooks.deliveries(hook.webhook_id)
    await put(hooks, "1", "", ready("d1"))
    assert [one.message_id for one in await hooks.deliveries(hook.webhook_id)] == [before.message_id]
    # One may fail twice.
    failed = ready("d2", error_reason="PARSER_LIMIT")
    failed.event_type = "document.failed"
    later = webhook_pb2.ToldDocument()
    later.CopyFrom(failed)
    later.event_time.seconds += 60
    await put(hooks, "", "4", failed, later)
    assert len(await hooks.deliveries(hook.webhook_id)) == 3
    # And be READY as often as it was read again.
    again = ready("d1", again=True)
    later.CopyFrom(again)
    later.event_time.seconds += 60
    await put(hooks, "4", "5", again, later)
    assert len(await hooks.deliveries(hook.webhook_id)) == 5


async def test_only_webhooks_that_listen_are_told(hooks: Hooks) -> None:
    runs, _ = await hooks.hook(URL, event_types=["run.finished"])
    assert await listeners(hooks) == []
    assert not hooks.redis.exists(HEARD)
    assert (await refusal(put(hooks, "", "1", ready("d1")))).reason == "CURSOR_MOVED"

    some, _ = await hooks.hook(URL, event_types=["document.ready"])
    off, _ = await hooks.hook(URL)
    await hooks.stub.UpdateWebhook(switch(off, False))
    await put(hooks, "", "1", ready("d1"))
    counts = [len(await hooks.deliveries(one.webhook_id)) for one in (runs, some, off)]
    assert counts == [0, 1, 0]


async def test_who_listens_is_asked_for_by_the_house_alone(hooks: Hooks) -> None:
    await hooks.hook(URL)
    for metadata, reason in (
        ((("x-tenant", "elsewhere"),), "NOT_OF_THE_HOUSE"),
        ((("x-subject", "somebody"), ("x-role", "member")), "SCOPE_MISSING"),
    ):
        asked = hooks.stub.ListDocumentListeners(
            webhook_pb2.ListDocumentListenersRequest(), metadata=metadata
        )
        assert (await refusal(asked)).reason == reason
    [owner] = await listeners(hooks)
    assert (owner.tenant_id, owner.subject, owner.role, owner.cursor) == ("home", "owner", "owner", "")


async def test_listeners_come_with_the_role_and_the_groups_that_they_have_now(hooks: Hooks) -> None:
    home = (("x-tenant", "home"), ("x-subject", "root"))
    made = []
    for name in ("anna", "ben", "carla"):
        request = identity_pb2.CreateUserRequest(
            name=name, password="correct horse battery", role="member", groups=["cooks"]
        )
        user = (await hooks.house.identity.CreateUser(request, metadata=home)).user
        made.append(user.user_id)
        own = (("x-tenant", "home"), ("x-subject", user.user_id))
        await hooks.stub.CreateWebhook(webhook_pb2.CreateWebhookRequest(url=URL), metadata=own)
    service = (("x-tenant", "home"), ("x-subject", "service"))
    await hooks.stub.CreateWebhook(webhook_pb2.CreateWebhookRequest(url=URL), metadata=service)
    anna, ben, carla = made
    change = identity_pb2.UpdateUserRequest(user_id=anna, role="viewer")
    change.groups.names.append("sailors")
    await hooks.house.identity.UpdateUser(change, metadata=home)
    disable = identity_pb2.UpdateUserRequest(user_id=ben, disabled=True)
    await hooks.house.identity.UpdateUser(disable, metadata=home)

    found: list[Any] = []
    token = ""
    while True:
        page = await hooks.stub.ListDocumentListeners(
            webhook_pb2.ListDocumentListenersRequest(page_size=1, page_token=token), metadata=service
        )
        found += page.listeners
        token = page.next_page_token
        if not token:
            break
    assert sorted((one.subject, one.role, list(one.groups)) for one in found) == sorted(
        [(anna, "viewer", ["sailors"]), (carla, "member", ["cooks"]), ("service", "owner", [])]
    )
    # Who is disabled begins anew afterwards.
    assert not hooks.redis.exists(f"meld:{{home.{ben}}}:webhooks:heard")
    await hooks.house.identity.DeleteUser(identity_pb2.DeleteUserRequest(user_id=anna), metadata=home)
    assert not hooks.redis.exists(f"meld:{{home.{anna}}}:webhooks:heard")


async def test_what_happened_before_one_listened_does_not_count(hooks: Hooks) -> None:
    hook, _ = await hooks.hook(URL)
    [first] = await listeners(hooks)
    assert first.start_time.ToMicroseconds() >= hook.create_time.ToMicroseconds()
    await put(hooks, "", "1")
    await hooks.hook(URL)
    [same] = await listeners(hooks)
    assert (same.cursor, same.start_time) == ("1", first.start_time)
    await hooks.stub.UpdateWebhook(switch(hook, False))
    [still] = await listeners(hooks)
    assert still == same
    [other] = [one for one in await all_hooks(hooks) if one.webhook_id != hook.webhook_id]
    await hooks.stub.DeleteWebhook(webhook_pb2.DeleteWebhookRequest(webhook_id=other.webhook_id))
    assert not hooks.redis.exists(HEARD)
    await hooks.stub.UpdateWebhook(switch(hook, True))
    [anew] = await listeners(hooks)
    assert anew.cursor == ""
    assert anew.start_time.ToMicroseconds() > first.start_time.ToMicroseconds()


async def all_hooks(hooks: Hooks) -> list[Any]:
    return list((await hooks.stub.ListWebhooks(webhook_pb2.ListWebhooksRequest())).webhooks)


async def test_an_import_leaves_room_in_the_queue_and_waits_where_it_is_listed(hooks: Hooks) -> None:
    hook, _ = await hooks.hook(URL)
    cursor = ""
    for page in range(25):
        events = [ready(f"d{page}-{number}") for number in range(10)]
        await put(hooks, cursor, str(page), *events)
        cursor = str(page)
    assert (await refusal(put(hooks, cursor, "25", ready("one")))).reason == "WEBHOOK_QUEUE_FULL"
    [owner] = await listeners(hooks)
    # Nothing was done, so it is not lost; and runs are still told.
    assert owner.cursor == cursor
    await hooks.ended()
    now = await hooks.get(hook.webhook_id)
    assert (hooks.redis.zcard("meld:{local}:webhooks:waiting"), now.dropped_messages) == (251, 0)
    # Those who hear nothing new go on all the same.
    await put(hooks, cursor, "26")


@pytest.mark.parametrize(
    "fields",
    [
        {"event_type": "document.read"},
        {"event_type": "run.finished"},
        {"document_id": ""},
        {"document_id": "d1 d2"},
        {"title": "t" * 1_001},
        {"event_time": timestamp_pb2.Timestamp(seconds=-1)},
    ],
)
async def test_what_is_malformed_is_not_told(hooks: Hooks, fields: dict[str, Any]) -> None:
    hook, _ = await hooks.hook(URL)
    event = ready("d1")
    event.MergeFrom(webhook_pb2.ToldDocument(**fields))
    if fields.get("document_id") == "":
        event.ClearField("document_id")
    fault = await refusal(put(hooks, "", "1", event))
    assert (fault.code.name, fault.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    for previous, cursor, count in (("", "c" * 501, 1), ("c" * 501, "", 1), ("", "1", 11)):
        fault = await refusal(put(hooks, previous, cursor, *[ready("d1")] * count))
        assert fault.reason == "INVALID_FIELD"
    assert await hooks.deliveries(hook.webhook_id) == []


async def test_bodies_hold_what_titles_hold(hooks: Hooks) -> None:
    title = 'Größe "1/2" \u2028 \U0001f6a2'
    await hooks.hook(URL)
    await put(hooks, "", "1", ready("d1", title=title))
    [claimed] = await hooks.queue.claim("local", 1, 60.0)
    assert json.loads(json.dumps(claimed.data))["title"] == title
