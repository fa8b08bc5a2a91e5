"""Health tells the truth, and a stop is clean."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.session.v1 import session_pb2
from services.chassis.health import LIVENESS
from tests.unit.chassis.conftest import World

UP = health_pb2.HealthCheckResponse.SERVING
DOWN = health_pb2.HealthCheckResponse.NOT_SERVING
NAME = "meldrag.session.v1.SessionService"


def check(name: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=name)


async def statuses(world: World) -> dict[str, int]:
    answer = await health_pb2_grpc.HealthStub(world.channel).List(health_pb2.HealthListRequest())
    return {name: status.status for name, status in answer.statuses.items()}


async def until(condition: Any, seconds: float = 2) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it did not become true"
        await asyncio.sleep(0.02)


async def test_a_required_dependency_decides(world: World) -> None:
    assert await statuses(world) == {"": UP, NAME: UP, "store": UP, "cache": UP}
    world.down.add("store")

    async def is_down() -> bool:
        return await statuses(world) == {"": DOWN, NAME: DOWN, "store": DOWN, "cache": UP}

    await until(is_down)
    world.down.clear()

    async def is_up() -> bool:
        return set((await statuses(world)).values()) == {UP}

    await until(is_up)


async def test_liveness_says_only_that_the_process_answers(world: World) -> None:
    health = health_pb2_grpc.HealthStub(world.channel)
    world.down.add("store")

    async def is_down() -> bool:
        return (await health.Check(check(""))).status == DOWN

    await until(is_down)
    assert (await health.Check(check(LIVENESS))).status == UP
    watched = health.Watch(check(LIVENESS), timeout=10)
    assert (await anext(aiter(watched))).status == UP
    watched.cancel()
    # Calls that drain are no reason to kill the process either.
    world.server.health.drain()
    assert (await health.Check(check(LIVENESS))).status == UP
    assert LIVENESS not in await statuses(world)


async def test_an_optional_dependency_is_named_and_no_more(world: World) -> None:
    world.down.add("cache")

    async def is_named() -> bool:
        return await statuses(world) == {"": UP, NAME: UP, "store": UP, "cache": DOWN}

    await until(is_named)


async def test_watch_tells_each_change(world: World) -> None:
    call = health_pb2_grpc.HealthStub(world.channel).Watch(check(""), timeout=5)
    seen = [(await call.read()).status]
    world.down.add("store")
    seen.append((await call.read()).status)
    world.down.clear()
    seen.append((await call.read()).status)
    assert seen == [UP, DOWN, UP]


async def test_an_unknown_name(world: World) -> None:
    stub = health_pb2_grpc.HealthStub(world.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(check("nobody"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watched = await stub.Watch(check("nobody"), timeout=2).read()
    assert watched.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_a_stop_says_not_serving_and_lets_calls_end(world: World) -> None:
    async def act(_: Any) -> Any:
        await asyncio.sleep(0.3)
        return session_pb2.GetSessionResponse()

    world.sessions.act = act
    watch = health_pb2_grpc.HealthStub(world.channel).Watch(check(""), timeout=5)
    assert (await watch.read()).status == UP
    in_flight = asyncio.ensure_future(
        world.stub.GetSession(session_pb2.GetSessionRequest(session_id="s"), timeout=3)
    )
    while not world.sessions.seen:
        await asyncio.sleep(0.01)
    stopping = asyncio.create_task(world.server.stop())
    assert (await watch.read()).status == DOWN
    await in_flight
    await asyncio.wait_for(stopping, 2)
