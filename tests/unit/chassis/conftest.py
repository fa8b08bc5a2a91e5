"""A scripted session service behind the real chassis, on a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.chassis import context
from services.chassis.channel import open_aio_channel
from services.chassis.server import Dependency, Hosted, Server
from services.chassis.settings import ServiceSettings

DESCRIPTOR = session_pb2.DESCRIPTOR.services_by_name["SessionService"]


class ScriptedSessions(session_pb2_grpc.SessionServiceServicer):
    """GetSession, WatchRun and CreateRun do what the test says and note what they saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float, str]] = []
        self.unwound = asyncio.Event()
        self.act: Callable[[Any], Awaitable[Any]] = self._answer

    async def _answer(self, request: Any) -> session_pb2.GetSessionResponse:
        return session_pb2.GetSessionResponse(session=session_pb2.Session(session_id=request.session_id))

    def _note(self) -> None:
        self.seen.append((context.principal().tenant_id, context.remaining(), context.request_id()))

    async def GetSession(self, request: Any, rpc: Any) -> Any:
        self._note()
        try:
            return await self.act(request)
        finally:
            self.unwound.set()

    async def CreateRun(self, request: Any, rpc: Any) -> Any:
        self._note()
        return session_pb2.CreateRunResponse(run=request.run)

    async def AppendMessage(self, request: Any, rpc: Any) -> Any:
        self._note()
        return await self.act(request)

    async def ImportSnapshot(self, requests: Any, rpc: Any) -> Any:
        self._note()
        return session_pb2.ImportSnapshotResponse(sessions=len([1 async for _ in requests]))

    async def WatchRun(self, request: Any, rpc: Any) -> AsyncIterator[Any]:
        self._note()
        try:
            for sequence in range(1, 1_000_000):
                yield session_pb2.WatchRunResponse(events=[session_pb2.RunEvent(sequence=sequence)])
                await asyncio.sleep(0.01)
        finally:
            self.unwound.set()


@dataclass
class World:
    """The running server and a stub that talks to it."""

    server: Server
    sessions: ScriptedSessions
    port: int
    stub: Any
    channel: Any
    down: set[str] = field(default_factory=set)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    sessions = ScriptedSessions()
    down: set[str] = set()

    def pinger(name: str) -> Callable[[], Awaitable[None]]:
        async def ping() -> None:
            if name in down:
                raise ConnectionError(f"{name} refused")

        return ping

    server = Server(
        name="session",
        services=[
            Hosted(DESCRIPTOR, lambda s: session_pb2_grpc.add_SessionServiceServicer_to_server(sessions, s))
        ],
        dependencies=[
            Dependency("store", pinger("store")),
            Dependency("cache", pinger("cache"), required=False),
        ],
        settings=ServiceSettings(health_check_interval=0.05, meld_drain_seconds=1),
        max_concurrent=4,
    )
    port = await server.start()
    channel = open_aio_channel(f"127.0.0.1:{port}", DESCRIPTOR)
    async with channel:
        yield World(server, sessions, port, session_pb2_grpc.SessionServiceStub(channel), channel, down)
    await server.stop(0)
