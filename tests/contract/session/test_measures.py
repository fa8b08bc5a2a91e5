"""What is measured of a real Redis: times and outcomes of calls, and how full it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.chassis import context
from services.chassis.errors import NotFoundError, ResourceExhaustedError, UnavailableError
from services.session.model import Lifetimes, Topic
from services.session.redis_store import RedisStore, open_redis_store
from services.session.webhooks.redis_webhooks import RedisWebhooks
from tests.support.measured import Measured
from tests.support.redis_server import RedisServer, running_redis

CALLS = "meldrag.store.call.duration"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[RedisServer, RedisStore, Measured]]:
    measured = Measured()
    with running_redis(tmp_path) as server:
        async with open_redis_store(
            server.host, server.port, "", Lifetimes(60, 60), meter=measured.meter
        ) as store:
            yield server, store, measured


async def test_calls_are_measured_by_operation_and_outcome(
    world: tuple[RedisServer, RedisStore, Measured],
) -> None:
    server, store, measured = world
    await store.create_session("local", "ses_1", Topic("t", (), {}), None)
    await store.get_session("local", "ses_1")
    with pytest.raises(NotFoundError):
        await store.get_session("local", "ses_2")
    assert measured.values(CALLS) == {"session_create ok": 1, "hmget ok": 2}
    with redis.Redis(host=server.host, port=server.port) as client:
        client.config_set("maxmemory", 1)
    with pytest.raises(ResourceExhaustedError):
        await store.create_session("local", "ses_3", Topic("t", (), {}), None)
    assert measured.values(CALLS)["session_create full"] == 1
    server.kill()
    with pytest.raises(UnavailableError):
        await store.get_session("local", "ses_1")
    assert measured.values(CALLS)["hmget unavailable"] == 1


async def test_calls_of_somebody_have_spans_and_what_the_service_does_by_itself_has_none(
    world: tuple[RedisServer, RedisStore, Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store, _ = world
    kept = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr("services.chassis.telemetry.tracer", lambda: tracers.get_tracer("test"))
    assert await RedisWebhooks(store).due_spaces() == []
    assert kept.get_finished_spans() == ()
    with context.entered(context.of_the_house(30)):
        assert await RedisWebhooks(store).due_spaces() == []
    assert [span.name for span in kept.get_finished_spans()] == ["redis webhooks_due"]


async def test_how_full_it_is_is_told_with_its_limit_where_it_has_one(
    world: tuple[RedisServer, RedisStore, Measured],
) -> None:
    server, store, measured = world
    assert measured.values("meldrag.store.memory") == {}
    await store.ping()
    assert measured.values("meldrag.store.memory").keys() == {"used"}
    assert measured.values("meldrag.store.memory")["used"] > 100_000
    with redis.Redis(host=server.host, port=server.port) as client:
        client.config_set("maxmemory", 500_000_000)
    await store.ping()
    assert measured.values("meldrag.store.memory").keys() == {"used"}, "it is not asked at every ping"
    store._memory_due = 0.0
    await store.ping()
    assert measured.values("meldrag.store.memory")["limit"] == 500_000_000
