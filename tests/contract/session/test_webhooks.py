"""Webhooks on a real Redis, to a real receiver."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import redis

from meldrag.session.v1 import identity_pb2, session_pb2, webhook_pb2, webhook_pb2_grpc
from services.chassis.reaching import allowed
from services.session.redis_store import open_redis_store
from services.session.webhooks import webhooks as rules
from services.session.webhooks.delivering import Deliveries
from services.session.webhooks.model import Outcome
from services.session.webhooks.posting import Poster
from services.session.webhooks.reaching import Reach
from services.session.webhooks.redis_webhooks import RedisWebhooks
from services.session.webhooks.schedule import Schedule
from tests.contract.session.conftest import House, event, new_run_id, refusal, running_house, settings_for
from tests.support.redis_server import RedisServer
from tests.support.webhook_receiver import Hang, Receiver, Reply
from tests.unit.session.webhooks.verification import verify

SPACE = "local"
WAITING, DELIVERED, FAILED, CANCELLED = (
    getattr(webhook_pb2, f"WEBHOOK_DELIVERY_STATE_{name}")
    for name in ("WAITING", "DELIVERED", "FAILED", "CANCELLED")
)


@dataclass
class Hooks:
    """The session service, and the same queue for workers that a test starts by itself."""

    house: House
    stub: Any
    queue: RedisWebhooks
    redis: redis.Redis

    async def hook(self, url: str, **fields: Any) -> tuple[Any, str]:
        """A new webhook and its secret."""
        made = await self.stub.CreateWebhook(webhook_pb2.CreateWebhookRequest(url=url, **fields))
        return made.webhook, made.secret

    async def get(self, webhook_id: str) -> Any:
        """A webhook."""
        return (await self.stub.GetWebhook(webhook_pb2.GetWebhookRequest(webhook_id=webhook_id))).webhook

    async def deliveries(self, webhook_id: str) -> list[Any]:
        """The messages of a webhook, newest first."""
        asked = webhook_pb2.ListWebhookDeliveriesRequest(webhook_id=webhook_id)
        return list((await self.stub.ListWebhookDeliveries(asked)).deliveries)

    async def ended(self, metadata: Any = None, answer: str = "Fourteen metres.", **fields: Any) -> str:
        """A run that has ended."""
        run_id = new_run_id()
        run = session_pb2.Run(run_id=run_id, agent_id="research", **fields)
        await self.house.stub.CreateRun(session_pb2.CreateRunRequest(run=run), metadata=metadata)
        end = end_of(run_id, answer)
        await self.house.stub.AppendRunEvents(end, metadata=metadata)
        return run_id


def end_of(run_id: str, answer: str = "Fourteen metres.") -> Any:
    """What ends a run."""
    return session_pb2.AppendRunEventsRequest(
        run_id=run_id,
        events=[event(1)],
        state=session_pb2.RUN_STATE_SUCCEEDED,
        summary=webhook_pb2.RunSummary(
            input_tokens=120, output_tokens=12, answer=answer, answer_mode="GENERATIVE"
        ),
    )


@pytest_asyncio.fixture
async def hooks(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hooks]:
    """A session service that sends nothing itself, so that the workers of a test are the only ones."""
    monkeypatch.setattr("services.session.webhooks.delivering._LOOK_SECONDS", 0.05)
    async with AsyncExitStack() as stack:
        monkeypatch.setattr("services.session.hosting.Deliveries", Idle)
        settings = settings_for(redis_server, meld_webhook_allow="127.0.0.1")
        house = await stack.enter_async_context(running_house(settings))
        store = await stack.enter_async_context(
            open_redis_store("127.0.0.1", redis_server.port, "", settings.lifetimes)
        )
        client = stack.enter_context(redis.Redis(port=redis_server.port))
        yield Hooks(house, webhook_pb2_grpc.WebhookServiceStub(house.channel), RedisWebhooks(store), client)


class Idle:
    """Stands in the service where it would send."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        yield


def worker(hooks: Hooks, *pauses: float, lease: float = 60.0, allow: str = "127.0.0.1", **more: Any) -> Any:
    """What sends, for the duration of a block. pauses: seconds between tries."""
    schedule = Schedule(pauses, disabled_after=more.pop("disabled_after", 1000.0), chance=lambda: 0.5)
    poster = Poster(connect_seconds=2.0, total_seconds=more.pop("total", 5.0))
    reach = Reach(allowed(allow))
    return Deliveries(
        hooks.queue, reach, poster, schedule, look_seconds=0.05, lease_seconds=lease, **more
    ).sending()


async def soon(true: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """What becomes true."""
    async with asyncio.timeout(seconds):
        while not (found := await true()):
            await asyncio.sleep(0.02)
        return found


async def came(receiver: Receiver, count: int = 1) -> list[Any]:
    """What a receiver got, once it is so many."""
    return await asyncio.to_thread(receiver.wait, count)


async def test_the_end_of_a_run_is_told_and_signed(hooks: Hooks) -> None:
    session = await hooks.house.session(title="The harbour")
    with Receiver() as receiver:
        hook, secret = await hooks.hook(receiver.url)
        async with worker(hooks):
            run_id = await hooks.ended(session_id=session.session_id)
            [got] = await came(receiver)
            [sent] = await soon(lambda: in_state(hooks, hook, DELIVERED))
    assert verify(secret, got.headers, got.body, now=got.time) == {
        "type": "run.finished",
        "timestamp": json.loads(got.body)["timestamp"],
        "data": {
            "agent": "research",
            "answer_mode": "GENERATIVE",
            "error_reason": None,
            "outcome": "SUCCEEDED",
            "run_id": run_id,
            "session_id": session.session_id,
            "usage": {"input_tokens": 120, "output_tokens": 12},
        },
    }
    assert (got.headers["webhook-id"], got.headers["content-type"]) == (sent.message_id, "application/json")
    assert (sent.attempts, sent.last_status, sent.last_error) == (1, 200, "")
    assert sent.event_type == "run.finished"
    assert sent.HasField("last_attempt_time")
    assert not sent.HasField("next_attempt_time")


async def in_state(hooks: Hooks, hook: Any, state: int, count: int = 1) -> list[Any]:
    """The messages of a webhook that stand so, when they are as many."""
    found = [one for one in await hooks.deliveries(hook.webhook_id) if one.state == state]
    return found if len(found) >= count else []


async def test_a_receiver_that_fails_twice_gets_the_same_message_a_third_time(hooks: Hooks) -> None:
    with Receiver(500, 503, 200) as receiver:
        hook, secret = await hooks.hook(receiver.url)
        async with worker(hooks, 0.1, 0.1):
            await hooks.ended()
            got = await came(receiver, 3)
            [sent] = await soon(lambda: in_state(hooks, hook, DELIVERED))
    assert len({one.headers["webhook-id"] for one in got}) == 1
    assert len({one.body for one in got}) == 1
    for one in got:
        verify(secret, one.headers, one.body, now=one.time)
    assert (sent.attempts, sent.last_status) == (3, 200)
    assert not (await hooks.get(hook.webhook_id)).HasField("failing_time")


async def test_a_repeated_end_of_a_run_is_told_once(hooks: Hooks) -> None:
    with Receiver() as receiver:
        hook, _ = await hooks.hook(receiver.url)
        run_id = await hooks.ended()
        await hooks.house.stub.AppendRunEvents(end_of(run_id))
        async with worker(hooks):
            await soon(lambda: in_state(hooks, hook, DELIVERED))
            await hooks.house.stub.AppendRunEvents(end_of(run_id))
            await asyncio.sleep(0.3)
    assert len(receiver.received) == 1
    assert len(await hooks.deliveries(hook.webhook_id)) == 1


async def test_the_answer_is_told_to_who_asks_for_it_and_cut(hooks: Hooks) -> None:
    with Receiver(path="/plain") as plain, Receiver(path="/all") as curious:
        await hooks.hook(plain.url)
        await hooks.hook(curious.url, include_answer=True)
        async with worker(hooks):
            await hooks.ended(answer="é" * 40_000)
            [told], [other] = await came(curious), await came(plain)
    assert json.loads(told.body)["data"]["answer"] == "é" * 32_000
    assert "answer" not in json.loads(other.body)["data"]


async def test_runs_below_another_and_runs_of_others_are_not_told(hooks: Hooks) -> None:
    with Receiver() as receiver:
        hook, _ = await hooks.hook(receiver.url)
        await hooks.ended(parent_run_id=new_run_id())
        await hooks.ended((("x-tenant", "elsewhere"),))
        mine = await hooks.ended()
        async with worker(hooks):
            await soon(lambda: in_state(hooks, hook, DELIVERED))
            await asyncio.sleep(0.2)
    assert [json.loads(one.body)["data"]["run_id"] for one in receiver.received] == [mine]


async def test_a_last_failure_is_told_to_the_owner_and_days_of_them_switch_it_off(hooks: Hooks) -> None:
    with Receiver(500) as receiver:
        hook, _ = await hooks.hook(receiver.url)
        async with worker(hooks, 0.05):
            await hooks.ended()
            [sent] = await soon(lambda: in_state(hooks, hook, FAILED))
        assert (sent.attempts, sent.last_status) == (2, 500)
        assert sent.last_error == "the receiver answered 500"
        now = await hooks.get(hook.webhook_id)
        assert now.enabled
        assert now.HasField("failing_time")

        # What happens when that has been so for longer than the schedule takes.
        async with worker(hooks, 0.05, disabled_after=0.0):
            await hooks.ended()
            await hooks.ended()
            await soon(lambda: in_state(hooks, hook, FAILED, 2))
    now = await hooks.get(hook.webhook_id)
    assert (now.enabled, now.disabled_reason) == (False, "failing")

    count = len(await hooks.deliveries(hook.webhook_id))
    await hooks.ended()
    assert len(await hooks.deliveries(hook.webhook_id)) == count
    on = webhook_pb2.UpdateWebhookRequest(webhook_id=hook.webhook_id, enabled=True)
    again = (await hooks.stub.UpdateWebhook(on)).webhook
    assert (again.enabled, again.disabled_reason) == (True, "")
    assert not again.HasField("failing_time")


async def test_410_switches_off_and_what_waits_is_cancelled(hooks: Hooks) -> None:
    with Receiver(410) as receiver:
        hook, _ = await hooks.hook(receiver.url)
        for _ in range(4):
            await hooks.ended()
        async with worker(hooks, 100):
            await soon(lambda: in_state(hooks, hook, CANCELLED, 2))
    now = await hooks.get(hook.webhook_id)
    assert (now.enabled, now.disabled_reason) == (False, "gone")
    assert len(receiver.received) == 2
    assert hooks.redis.zcard("meld:{local}:webhooks:waiting") == 0


async def test_redirects_are_not_followed(hooks: Hooks) -> None:
    with Receiver() as other, Receiver(Reply(302, {"Location": other.url})) as receiver:
        hook, _ = await hooks.hook(receiver.url)
        async with worker(hooks):
            await hooks.ended()
            [sent] = await soon(lambda: in_state(hooks, hook, FAILED))
    assert sent.last_status == 302
    assert "redirects are not followed" in sent.last_error
    assert other.received == []


async def test_a_receiver_that_hangs_is_left_and_does_not_hold_up_others(hooks: Hooks) -> None:
    with Receiver(Hang()) as hanging, Receiver() as other:
        hook, _ = await hooks.hook(hanging.url)
        metadata = (("x-tenant", "elsewhere"),)
        await hooks.stub.CreateWebhook(webhook_pb2.CreateWebhookRequest(url=other.url), metadata=metadata)
        for _ in range(3):
            await hooks.ended()
        async with worker(hooks, total=2.0):
            await came(hanging)
            await hooks.ended(metadata)
            await came(other)
            assert await hooks.deliveries(hook.webhook_id)
            [sent, *_] = await soon(lambda: in_state(hooks, hook, FAILED))
    assert (sent.last_status, sent.last_error) == (0, "no answer within 2 seconds")


async def test_retry_after_is_heeded(hooks: Hooks) -> None:
    with Receiver(Reply(429, {"Retry-After": "3600"})) as receiver:
        hook, _ = await hooks.hook(receiver.url)
        async with worker(hooks, 1.0):
            await hooks.ended()
            await came(receiver)

            async def tried() -> Any:
                [sent] = await hooks.deliveries(hook.webhook_id)
                return sent.last_status == 429 and sent

            sent = await soon(tried)
    assert sent.state == WAITING
    assert 3500 < sent.next_attempt_time.seconds - sent.last_attempt_time.seconds < 3700


async def test_what_a_dead_worker_held_is_taken_over(hooks: Hooks) -> None:
    with Receiver() as receiver:
        hook, _ = await hooks.hook(receiver.url)
        run_id = await hooks.ended()
        [held] = await hooks.queue.claim(SPACE, 10, 1.0)
        assert await hooks.queue.claim(SPACE, 10, 1.0) == []
        async with worker(hooks):
            [got] = await came(receiver)
            [sent] = await soon(lambda: in_state(hooks, hook, DELIVERED))
    assert json.loads(got.body)["data"]["run_id"] == run_id
    assert sent.attempts == 2
    assert held.message.message_id == sent.message_id


async def test_two_workers_share_the_queue_without_doubles(hooks: Hooks) -> None:
    with Receiver() as receiver:
        hook, _ = await hooks.hook(receiver.url)
        runs = {await hooks.ended() for _ in range(20)}
        async with worker(hooks), worker(hooks):
            await soon(lambda: in_state(hooks, hook, DELIVERED, 20))
    told = [json.loads(one.body)["data"]["run_id"] for one in receiver.received]
    assert sorted(told) == sorted(runs)


async def test_the_queue_of_a_person_is_bounded(hooks: Hooks) -> None:
    hook, _ = await hooks.hook("http://127.0.0.1:9/hook")
    test = webhook_pb2.TestWebhookRequest(webhook_id=hook.webhook_id)
    for _ in range(500):
        await hooks.stub.TestWebhook(test)
    assert (await refusal(hooks.stub.TestWebhook(test))).reason == "WEBHOOK_QUEUE_FULL"
    await hooks.ended()
    assert hooks.redis.zcard("meld:{local}:webhooks:waiting") == 500
    # The refused test and the run.
    assert (await hooks.get(hook.webhook_id)).dropped_messages == 2
    assert len(await hooks.deliveries(hook.webhook_id)) == 100


async def test_a_private_address_is_refused_when_a_webhook_is_made_and_when_it_sends(hooks: Hooks) -> None:
    for url in (
        "http://10.0.0.7/hook",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/hook",
        "http://[::ffff:10.0.0.7]/hook",
        "https://192.168.1.1:8443/hook",
        "http://0x0a000007/hook",
    ):
        fault = await refusal(hooks.hook(url))
        assert (fault.code.name, fault.reason) == ("PERMISSION_DENIED", "WEBHOOK_ADDRESS_REFUSED"), url
    with Receiver() as receiver:
        hook, _ = await hooks.hook(receiver.url)
        # As after a change of the setting, or of the name's address.
        async with worker(hooks, allow=""):
            await hooks.ended()
            [sent] = await soon(lambda: in_state(hooks, hook, FAILED))
    assert "webhooks do not go there" in sent.last_error
    assert receiver.received == []


@pytest.mark.parametrize(
    "fields",
    [
        {"url": ""},
        {"url": "ftp://example.com/"},
        {"url": "http://user:word@127.0.0.1/"},
        {"url": "http://127.0.0.1/a b"},
        {"url": "http://127.0.0.1/\r\nHost: evil"},
        {"url": "http://127.0.0.1:99999/"},
        {"url": "http://127.0.0.1/#part"},
        {"url": "http://127.0.0.1/" + "a" * 2000},
        {"url": "http://127.0.0.1/", "label": "a\nb"},
        {"url": "http://127.0.0.1/", "label": "a" * 101},
        {"url": "http://127.0.0.1/", "event_types": ["run.started"]},
    ],
)
async def test_what_is_malformed_is_refused(hooks: Hooks, fields: dict[str, Any]) -> None:
    fault = await refusal(hooks.hook(**fields))
    assert (fault.code.name, fault.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_a_test_message_is_tried_once_and_once_for_each_request(hooks: Hooks) -> None:
    with Receiver(500) as receiver:
        hook, secret = await hooks.hook(receiver.url)
        asked = webhook_pb2.TestWebhookRequest(webhook_id=hook.webhook_id, request_id="try")
        first = (await hooks.stub.TestWebhook(asked)).delivery
        assert (await hooks.stub.TestWebhook(asked)).delivery.message_id == first.message_id
        async with worker(hooks, 0.05, 0.05):
            [sent] = await soon(lambda: in_state(hooks, hook, FAILED))
    [got] = receiver.received
    said = verify(secret, got.headers, got.body, now=got.time)
    assert (said["type"], said["data"]) == ("webhook.test", {"webhook_id": hook.webhook_id})
    assert (first.state, sent.attempts) == (WAITING, 1)


async def test_a_new_secret_signs_beside_the_one_before_it(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        hook, before = await hooks.hook(receiver.url)
        rotate = webhook_pb2.RotateWebhookSecretRequest(webhook_id=hook.webhook_id)
        made = await hooks.stub.RotateWebhookSecret(rotate)
        assert made.secret != before
        assert made.webhook.HasField("previous_secret_expire_time")
        async with worker(hooks):
            await hooks.ended()
            [both] = await came(receiver)
            verify(before, both.headers, both.body, now=both.time)
            verify(made.secret, both.headers, both.body, now=both.time)

            monkeypatch.setattr(rules, "ROTATION_SECONDS", 0.0)
            again = await hooks.stub.RotateWebhookSecret(rotate)
            last = again.secret
            # Its time is over at once.
            assert not again.webhook.HasField("previous_secret_expire_time")
            await hooks.ended()
            one = (await came(receiver, 2))[1]
    verify(last, one.headers, one.body, now=one.time)
    with pytest.raises(ValueError, match="signature"):
        verify(made.secret, one.headers, one.body, now=one.time)
    assert not (await hooks.get(hook.webhook_id)).HasField("previous_secret_expire_time")
    assert not hooks.redis.hexists(f"meld:{{local}}:webhook:{hook.webhook_id}", "old_secret")


async def test_secrets_are_in_no_answer_after_the_first(hooks: Hooks) -> None:
    hook, secret = await hooks.hook("http://127.0.0.1:9/hook")
    change = webhook_pb2.UpdateWebhookRequest(webhook_id=hook.webhook_id, label="CI")
    said = [
        await hooks.get(hook.webhook_id),
        await hooks.stub.ListWebhooks(webhook_pb2.ListWebhooksRequest()),
        await hooks.stub.UpdateWebhook(change),
    ]
    assert secret.startswith("whsec_")
    assert len(secret) == 50
    assert all(secret.removeprefix("whsec_") not in str(one) for one in said)


async def test_webhooks_are_changed_switched_off_and_removed(hooks: Hooks) -> None:
    hook, _ = await hooks.hook("http://127.0.0.1:9/hook", label="CI")
    assert (hook.enabled, list(hook.event_types), hook.include_answer) == (
        True,
        ["document.failed", "document.ready", "run.finished"],
        False,
    )
    await hooks.ended()
    off = webhook_pb2.UpdateWebhookRequest(
        webhook_id=hook.webhook_id, enabled=False, include_answer=True, url="http://127.0.0.1:10/hook"
    )
    changed = (await hooks.stub.UpdateWebhook(off)).webhook
    assert (changed.enabled, changed.disabled_reason, changed.label) == (False, "owner", "CI")
    assert (changed.url, changed.include_answer) == ("http://127.0.0.1:10/hook", True)
    test = webhook_pb2.TestWebhookRequest(webhook_id=hook.webhook_id)
    assert (await refusal(hooks.stub.TestWebhook(test))).reason == "WEBHOOK_DISABLED"
    remove = webhook_pb2.DeleteWebhookRequest(webhook_id=hook.webhook_id)
    await hooks.stub.DeleteWebhook(remove)
    assert (await refusal(hooks.stub.DeleteWebhook(remove))).reason == "WEBHOOK_NOT_FOUND"
    assert not (await hooks.stub.ListWebhooks(webhook_pb2.ListWebhooksRequest())).webhooks
    assert of_webhooks(hooks) == []


def switch(hook: Any, enabled: bool) -> Any:
    """Asks for a webhook to be switched on or off."""
    return webhook_pb2.UpdateWebhookRequest(webhook_id=hook.webhook_id, enabled=enabled)


async def test_what_waits_while_one_is_switched_off_and_on_is_not_sent(hooks: Hooks) -> None:
    with Receiver() as receiver, Receiver(path="/other") as other:
        hook, _ = await hooks.hook(receiver.url)
        untouched, _ = await hooks.hook(other.url)
        before = await hooks.ended()
        # Nothing is switched by this.
        await hooks.stub.UpdateWebhook(switch(hook, True))
        assert len(await in_state(hooks, hook, WAITING)) == 1
        await hooks.stub.UpdateWebhook(switch(hook, False))
        [cancelled] = await hooks.deliveries(hook.webhook_id)
        assert (cancelled.state, cancelled.HasField("next_attempt_time")) == (CANCELLED, False)
        await hooks.stub.UpdateWebhook(switch(hook, True))
        after = await hooks.ended()
        async with worker(hooks):
            await soon(lambda: in_state(hooks, hook, DELIVERED))
            await soon(lambda: in_state(hooks, untouched, DELIVERED, 2))
    assert [json.loads(one.body)["data"]["run_id"] for one in receiver.received] == [after]
    told = {json.loads(one.body)["data"]["run_id"] for one in other.received}
    assert told == {before, after}


async def test_what_waits_when_the_receiver_switches_it_off_is_not_sent_later(hooks: Hooks) -> None:
    with Receiver(500, 410, 200) as receiver:
        hook, _ = await hooks.hook(receiver.url)
        async with worker(hooks, 2.0):
            first = await hooks.ended()
            await came(receiver)
            await hooks.ended()
            await came(receiver, 2)
            await soon(lambda: in_state(hooks, hook, FAILED))
            await hooks.stub.UpdateWebhook(switch(hook, True))
            assert len(await in_state(hooks, hook, CANCELLED)) == 1
            after = await hooks.ended()
            await soon(lambda: in_state(hooks, hook, DELIVERED))
            await asyncio.sleep(2.5)
    told = [json.loads(one.body)["data"]["run_id"] for one in receiver.received]
    assert (told.count(first), told.count(after), len(told)) == (1, 1, 3)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.DELIVERED, DELIVERED),
        (Outcome.AGAIN, CANCELLED),
        (Outcome.FAILED, CANCELLED),
    ],
)
async def test_one_that_is_being_sent_when_it_is_switched_off_is_as_it_went(
    hooks: Hooks, outcome: Outcome, state: int
) -> None:
    hook, _ = await hooks.hook("http://127.0.0.1:9/hook")
    await hooks.ended()
    [held] = await hooks.queue.claim(SPACE, 1, 60.0)
    for enabled in (False, True):
        await hooks.stub.UpdateWebhook(switch(hook, enabled))
    await hooks.queue.settle(held, outcome, status=204, error="", pause_seconds=0.0, disabled_after=1000.0)
    [sent] = await hooks.deliveries(hook.webhook_id)
    assert (sent.state, sent.last_status, sent.HasField("next_attempt_time")) == (state, 204, False)
    assert hooks.redis.zcard("meld:{local}:webhooks:waiting") == 0


async def test_with_the_last_webhook_goes_what_waits_and_is_listed_no_more(hooks: Hooks) -> None:
    hook, _ = await hooks.hook("http://127.0.0.1:9/hook")
    other, _ = await hooks.hook("http://127.0.0.1:9/hook")
    test = webhook_pb2.TestWebhookRequest(webhook_id=hook.webhook_id)
    # The list has the newest 100 of them.
    for _ in range(101):
        await hooks.stub.TestWebhook(test)
    for one in (hook, other):
        await hooks.stub.DeleteWebhook(webhook_pb2.DeleteWebhookRequest(webhook_id=one.webhook_id))
    assert of_webhooks(hooks) == []


def of_webhooks(hooks: Hooks) -> list[bytes]:
    """The keys that the store has for webhooks."""
    return [key for key in hooks.redis.keys("meld:*") if b"hook" in key or b":message:" in key]


OWNER = (("x-tenant", "home"), ("x-subject", "usr_owner"))


async def member(hooks: Hooks) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The id of a new user, and the metadata of their calls."""
    new = identity_pb2.CreateUserRequest(name="mary", password="the tide comes at nine", role="member")
    user_id = (await hooks.house.identity.CreateUser(new, metadata=OWNER)).user.user_id
    return user_id, (("x-tenant", "home"), ("x-subject", user_id), ("x-role", "member"))


async def test_with_a_user_go_their_webhooks_and_what_waits(hooks: Hooks) -> None:
    user_id, theirs = await member(hooks)
    for label in ("first", "second"):
        new = webhook_pb2.CreateWebhookRequest(url="http://127.0.0.1:9/hook", label=label)
        await hooks.stub.CreateWebhook(new, metadata=theirs)
    await hooks.ended(theirs)
    assert of_webhooks(hooks) != []
    assert await hooks.queue.due_spaces() == [f"home.{user_id}"]

    remove = identity_pb2.DeleteUserRequest(user_id=user_id)
    await hooks.house.identity.DeleteUser(remove, metadata=OWNER)
    # A run that was still going on tells nobody of its end.
    await hooks.ended(theirs)
    assert of_webhooks(hooks) == []
    assert await hooks.queue.due_spaces() == []


async def test_a_user_who_is_disabled_is_sent_nothing_until_enabled_again(hooks: Hooks) -> None:
    user_id, theirs = await member(hooks)
    with Receiver() as receiver:
        new = webhook_pb2.CreateWebhookRequest(url=receiver.url)
        hook = (await hooks.stub.CreateWebhook(new, metadata=theirs)).webhook
        asked = webhook_pb2.ListWebhookDeliveriesRequest(webhook_id=hook.webhook_id)

        async def cancelled() -> bool:
            found = (await hooks.stub.ListWebhookDeliveries(asked, metadata=theirs)).deliveries
            return [one.state for one in found] == [CANCELLED]

        async with worker(hooks):
            for disabled in (True, False):
                change = identity_pb2.UpdateUserRequest(user_id=user_id, disabled=disabled)
                await hooks.house.identity.UpdateUser(change, metadata=OWNER)
                run_id = await hooks.ended(theirs)
                if disabled:
                    await soon(cancelled)
            [got] = await came(receiver)
    assert json.loads(got.body)["data"]["run_id"] == run_id
    assert len(receiver.received) == 1


async def test_there_are_at_most_twenty(hooks: Hooks) -> None:
    for _ in range(20):
        await hooks.hook("http://127.0.0.1:9/hook")
    fault = await refusal(hooks.hook("http://127.0.0.1:9/hook"))
    assert (fault.code.name, fault.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_WEBHOOKS")


async def test_deliveries_come_in_pages(hooks: Hooks) -> None:
    hook, _ = await hooks.hook("http://127.0.0.1:9/hook")
    for _ in range(5):
        await hooks.ended()
    found, token = [], ""
    while True:
        page = await hooks.stub.ListWebhookDeliveries(
            webhook_pb2.ListWebhookDeliveriesRequest(
                webhook_id=hook.webhook_id, page_size=2, page_token=token
            )
        )
        found += page.deliveries
        if not (token := page.next_page_token):
            break
    moments = [one.event_time.ToNanoseconds() for one in found]
    assert len(found) == 5
    assert moments == sorted(moments, reverse=True)
    assert all(one.state == WAITING and one.HasField("next_attempt_time") for one in found)


async def test_the_service_itself_sends(redis_server: RedisServer) -> None:
    settings = settings_for(redis_server, meld_webhook_allow="127.0.0.0/8")
    with Receiver() as receiver:
        async with running_house(settings) as house:
            stub: Any = webhook_pb2_grpc.WebhookServiceStub(house.channel)
            await stub.CreateWebhook(webhook_pb2.CreateWebhookRequest(url=receiver.url))
            run_id = new_run_id()
            await house.run(run_id)
            await house.record(run_id, 1, 2, session_pb2.RUN_STATE_FAILED)
            [got] = await came(receiver)
    assert json.loads(got.body)["data"]["outcome"] == "FAILED"


async def test_a_snapshot_has_webhooks_and_no_messages(hooks: Hooks) -> None:
    with Receiver() as receiver:
        hook, secret = await hooks.hook(receiver.url, label="CI")
        await hooks.ended()
        pieces = [
            piece.data async for piece in hooks.house.stub.ExportSnapshot(session_pb2.ExportSnapshotRequest())
        ]
        await hooks.stub.DeleteWebhook(webhook_pb2.DeleteWebhookRequest(webhook_id=hook.webhook_id))
        requests = iter([session_pb2.ImportSnapshotRequest(data=piece) for piece in pieces])
        await hooks.house.stub.ImportSnapshot(requests)
        assert await hooks.get(hook.webhook_id) == hook
        assert await hooks.deliveries(hook.webhook_id) == []
        async with worker(hooks):
            run_id = await hooks.ended()
            [got] = await came(receiver)
    assert verify(secret, got.headers, got.body, now=got.time)["data"]["run_id"] == run_id
