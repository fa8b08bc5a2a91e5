"""Vector services as processes that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.vector.v1 import vector_pb2_grpc
from tests.contract.vector.world import Client, eventually
from tests.support.redis_server import free_port

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Process:
    """A running service."""

    child: asyncio.subprocess.Process
    client: Client
    health: health_pb2_grpc.HealthStub

    async def kill(self) -> None:
        """SIGKILL, and its end."""
        if self.child.returncode is None:
            self.child.send_signal(signal.SIGKILL)
        await self.child.wait()

    async def died(self) -> int:
        """How it ended by itself."""
        async with asyncio.timeout(30):
            return await self.child.wait()

    async def serving(self, name: str = "") -> bool:
        """What its health says now."""
        try:
            answer = await self.health.Check(health_pb2.HealthCheckRequest(service=name), timeout=2)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def launched(
    folder: Path, port: int, module: str = "tests.contract.vector.word_service", **environment: str
) -> asyncio.subprocess.Process:
    """The process, which may not be up yet."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "protos" / "gen"))),
            "MELD_DATA_DIR": str(folder),
            "MELD_VECTOR_ADDRESS": f"127.0.0.1:{port}",
            "LOG_FORMAT": "text",
            **environment,
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def process(folder: Path, **environment: str) -> AsyncIterator[Process]:
    """A service that serves; killed at the end of the block if it still lives."""
    port = free_port()
    child = await launched(folder, port, **environment)
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{port}",
        options=[("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)],
    ) as channel:
        stub = vector_pb2_grpc.VectorServiceStub(channel)
        client = Client(stub, None, channel)  # type: ignore[arg-type] # the switch is in the other process
        running = Process(child, client, health_pb2_grpc.HealthStub(channel))
        try:
            await eventually(running.serving, 60)
            yield running
        finally:
            await running.kill()
