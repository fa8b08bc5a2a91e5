"""Asks each kind of process whether it is ready for work."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable

from services.chassis.addresses import is_every_interface
from services.chassis.certificates import Certificates
from services.local.settings import Address

Probe = Callable[[], Awaitable[bool]]
"""Answers whether the process is ready now, within two seconds."""

_SECONDS = 1.0


def redis(address: Address) -> Probe:
    """Ready when a PING is answered; a demand for the password counts as an answer."""

    async def ready() -> bool:
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = await asyncio.open_connection(address.host, address.port)
                try:
                    writer.write(b"PING\r\n")
                    answer = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
        return answer.startswith((b"+PONG", b"-NOAUTH"))

    return ready


def health(address: Address, certificates: Certificates | None = None) -> Probe:
    """Ready when grpc.health.v1 says SERVING for the whole server."""

    async def ready() -> bool:
        # Loaded here, after the processes were started: it takes a third of a second.
        import grpc.aio  # noqa: PLC0415
        from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

        if certificates is None:
            connecting = grpc.aio.insecure_channel(str(address))
        else:
            from services.chassis.channel import credentials, named  # noqa: PLC0415

            connecting = grpc.aio.secure_channel(str(address), credentials(certificates), named(certificates))
        async with connecting as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return ready


def http_ready(address: Address) -> Probe:
    """Ready when GET /readyz answers 200."""

    def ask() -> bool:
        connection = http.client.HTTPConnection(reachable(address.host), address.port, timeout=_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    async def ready() -> bool:
        return await asyncio.to_thread(ask)

    return ready


def reachable(host: str) -> str:
    """The address under which this machine reaches a server that listens on `host`."""
    return "127.0.0.1" if is_every_interface(host) else host
