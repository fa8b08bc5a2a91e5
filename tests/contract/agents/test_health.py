"""What a round of pings costs: no model is ever asked for being looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.channel import open_aio_channel
from tests.contract.agents.conftest import Client
from tests.support.model_server import ModelServer

UP = health_pb2.HealthCheckResponse.SERVING


async def test_no_health_check_asks_the_model_anything(open_house: Callable[..., Any]) -> None:
    with ModelServer() as server:
        house: Client = await open_house(server.base_url, health_check_interval=0.02)
        rounds = 0
        ping = house.server.health.ping

        async def counted() -> None:
            nonlocal rounds
            await ping()
            rounds += 1

        house.server.health.ping = counted  # type: ignore[method-assign]
        async with open_aio_channel(house.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            async with asyncio.timeout(20):
                while rounds < 5:
                    await stub.Check(health_pb2.HealthCheckRequest(service="model"))
                    statuses = (await stub.List(health_pb2.HealthListRequest())).statuses
                    await asyncio.sleep(0.02)
        assert statuses["model"].status == UP
        # Not a chat, nor any other request: the connection was opened and closed.
        assert server.requests == []
