"""With a JWT_SECRET_KEY neither Redis nor a snapshot has the secret of a webhook; another key uses none."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis

from meldrag.session.v1 import session_pb2, webhook_pb2, webhook_pb2_grpc
from tests.contract.session.conftest import House, event, new_run_id, refusal, running_house, settings_for
from tests.contract.session.test_webhooks import came, soon
from tests.support.redis_server import RedisServer
from tests.support.webhook_receiver import Receiver
from tests.unit.session.webhooks.verification import verify

KEY = "w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU"
OTHER = "Hm4-xT8q.Vz/Re2bYc+UkPs61gDwLaNj"


@asynccontextmanager
async def serving(server: RedisServer, key: str) -> AsyncIterator[tuple[House, Any]]:
    """A session service with this key, which sends."""
    settings = settings_for(server, meld_webhook_allow="127.0.0.1", jwt_secret_key=key or None)
    async with running_house(settings) as house:
        yield house, webhook_pb2_grpc.WebhookServiceStub(house.channel)


async def ended(house: House) -> None:
    run = session_pb2.Run(run_id=new_run_id(), agent_id="research")
    await house.stub.CreateRun(session_pb2.CreateRunRequest(run=run))
    await house.stub.AppendRunEvents(
        session_pb2.AppendRunEventsRequest(
            run_id=run.run_id, events=[event(1)], state=session_pb2.RUN_STATE_SUCCEEDED
        )
    )


async def exported(house: House) -> bytes:
    stream = house.stub.ExportSnapshot(session_pb2.ExportSnapshotRequest(), timeout=60)
    return b"".join([piece.data async for piece in stream])


async def imported(house: House, snapshot: bytes) -> None:
    size = 200_000
    requests = [
        session_pb2.ImportSnapshotRequest(data=snapshot[at : at + size])
        for at in range(0, len(snapshot), size)
    ]
    await house.stub.ImportSnapshot(iter(requests), timeout=60)


def everything(server: RedisServer) -> bytes:
    """All that Redis holds of webhooks."""
    with redis.Redis(port=server.port) as client:
        found = [
            client.hgetall(key) for key in client.scan_iter("*webhook:whk_*") if client.type(key) == b"hash"
        ]
    assert found
    return repr(found).encode()


async def test_the_secret_is_nowhere_and_signs_all_the_same(redis_server: RedisServer) -> None:
    with Receiver() as receiver:
        async with serving(redis_server, KEY) as (house, stub):
            made = await stub.CreateWebhook(webhook_pb2.CreateWebhookRequest(url=receiver.url))
            rotated = await stub.RotateWebhookSecret(
                webhook_pb2.RotateWebhookSecretRequest(webhook_id=made.webhook.webhook_id)
            )
            snapshot = await exported(house)
        # A restart, as another replica.
        async with serving(redis_server, KEY) as (house, _):
            await ended(house)
            [got] = await came(receiver)
    for secret in (made.secret, rotated.secret):
        verify(secret, got.headers, got.body, now=got.time)
        bare = secret.removeprefix("whsec_")
        for form in (bare.encode(), base64.b64encode(secret.encode()), base64.b64decode(bare)):
            assert form not in everything(redis_server)
            assert form not in snapshot


async def test_with_another_key_nothing_is_sent_and_its_owner_learns_why(redis_server: RedisServer) -> None:
    with Receiver() as receiver:
        async with serving(redis_server, KEY) as (house, stub):
            made = await stub.CreateWebhook(webhook_pb2.CreateWebhookRequest(url=receiver.url))
            snapshot = await exported(house)
        name = webhook_pb2.GetWebhookRequest(webhook_id=made.webhook.webhook_id)
        async with serving(redis_server, OTHER) as (house, stub):
            await imported(house, snapshot)
            await ended(house)

            async def off() -> Any:
                webhook = (await stub.GetWebhook(name)).webhook
                return None if webhook.enabled else webhook

            webhook = await soon(off)
            assert (webhook.disabled_reason, webhook.HasField("failing_time")) == ("key", False)
            asked = webhook_pb2.ListWebhookDeliveriesRequest(webhook_id=webhook.webhook_id)
            [delivery] = (await stub.ListWebhookDeliveries(asked)).deliveries
            assert delivery.state == webhook_pb2.WEBHOOK_DELIVERY_STATE_FAILED
            assert "another key" in delivery.last_error
            test = webhook_pb2.TestWebhookRequest(webhook_id=webhook.webhook_id)
            assert (await refusal(stub.TestWebhook(test))).reason == "WEBHOOK_DISABLED"
            assert receiver.received == []

            # Another secret, by the key that there is.
            rotate = webhook_pb2.RotateWebhookSecretRequest(webhook_id=webhook.webhook_id)
            secret = (await stub.RotateWebhookSecret(rotate)).secret
            on = webhook_pb2.UpdateWebhookRequest(webhook_id=webhook.webhook_id, enabled=True)
            assert (await stub.UpdateWebhook(on)).webhook.disabled_reason == ""
            await ended(house)
            [got] = await came(receiver)
    verify(secret, got.headers, got.body, now=got.time)
    assert len(got.headers["webhook-signature"].split()) == 1


async def test_secrets_from_before_there_was_a_key_go_on(redis_server: RedisServer) -> None:
    with Receiver() as receiver:
        async with serving(redis_server, "") as (_, stub):
            made = await stub.CreateWebhook(webhook_pb2.CreateWebhookRequest(url=receiver.url))
        async with serving(redis_server, KEY) as (house, _):
            await ended(house)
            [got] = await came(receiver)
    verify(made.secret, got.headers, got.body, now=got.time)
