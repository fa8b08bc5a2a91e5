"""The life of a service process: start, serve, drain, close."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.chassis import telemetry
from services.chassis.access import Authenticator, local_owner, rules
from services.chassis.health import Dependency, Health
from services.chassis.interceptor import CallInterceptor
from services.chassis.profiler import Profiler
from services.chassis.scraping import ScrapeDoor
from services.chassis.settings import ServiceSettings
from services.chassis.start import StartError

_log = logging.getLogger(__name__)

# A load balancer needs a moment to see NOT_SERVING before the port closes.
_NOTICE_SECONDS = 0.2

_OPTIONS = (
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Clients look for new replicas when a connection ends.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 3_600_000),
    # Two servers on one port would share its calls at random.
    ("grpc.so_reuseport", 0),
)


@dataclass(frozen=True)
class Hosted:
    """A gRPC service and the call that adds its servicer to a server."""

    descriptor: ServiceDescriptor
    add: Callable[[grpc.aio.Server], None]


class Server:
    """A gRPC server with health, reflection, access rules, measurements and a clean end."""

    def __init__(
        self,
        *,
        name: str,
        services: Sequence[Hosted],
        dependencies: Sequence[Dependency],
        settings: ServiceSettings,
        authenticator: Authenticator = local_owner,
        bind: str = "127.0.0.1:0",
        max_concurrent: int = 256,
    ) -> None:
        """name: as in "vector"; its errors have the domain "vector.meldrag". Needs a running event loop."""
        self._name = name
        self._bind = bind
        self._certificates = settings.certificates
        self._grace = settings.meld_drain_seconds
        names = [hosted.descriptor.full_name for hosted in services]
        self.health = Health(names, dependencies, settings.health_check_interval)
        self.health.measure(name)
        interceptor = CallInterceptor(
            rules(hosted.descriptor for hosted in services), authenticator, f"{name}.meldrag", max_concurrent
        )
        self._server = grpc.aio.server(interceptors=[interceptor], options=_OPTIONS)
        for hosted in services:
            hosted.add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        reflection.enable_server_reflection((*names, health_name, reflection.SERVICE_NAME), self._server)
        self._pings: asyncio.Task[None] | None = None
        self._door: ScrapeDoor | None = None
        if settings.metrics_enabled and settings.meld_metrics_port:
            self._door = ScrapeDoor(
                settings.meld_bind_host,
                settings.meld_metrics_port,
                telemetry.prometheus_text,
                Profiler() if settings.profiling_enabled else None,
            )

    async def start(self) -> int:
        """Listens and returns the port. Raises StartError when a port cannot be had."""
        try:
            port = self._listen()
        except RuntimeError as error:
            raise StartError(f"{self._bind} is in use or cannot be bound") from error
        if self._door is not None:
            self._door.open()
        await self.health.ping()
        await self._server.start()
        self._pings = asyncio.create_task(self.health.follow(), name="health")
        _log.info("serving", extra={"fields": {"address": self._bind, "port": port}})
        return port

    def _listen(self) -> int:
        """With certificates only who shows one of the same house is heard. Raises RuntimeError."""
        if self._certificates is None:
            return self._server.add_insecure_port(self._bind)
        known = grpc.ssl_server_credentials(
            [(self._certificates.key, self._certificates.certificate)],
            self._certificates.authority,
            require_client_auth=True,
        )
        return self._server.add_secure_port(self._bind, known)

    async def stop(self, grace: float | None = None) -> None:
        """Says NOT_SERVING, lets calls end for `grace` seconds (the setting when None), closes."""
        self.health.drain()
        grace = self._grace if grace is None else grace
        if grace:
            await asyncio.sleep(min(_NOTICE_SECONDS, grace))
        if self._pings is not None:
            self._pings.cancel()
        await self._server.stop(grace)
        if self._door is not None:
            # Last: what happens while calls end is measured as well.
            await asyncio.to_thread(self._door.close)
        _log.info("stopped")

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT; the first signal drains, a second one closes at once."""
        loop = asyncio.get_running_loop()
        asked, hurried = asyncio.Event(), asyncio.Event()

        def on_signal() -> None:
            (hurried if asked.is_set() else asked).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await self.start()
        await asked.wait()
        stopping = asyncio.create_task(self.stop())
        hurry = asyncio.create_task(hurried.wait())
        await asyncio.wait((stopping, hurry), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not stopping.done():
            await self._server.stop(0)
        await stopping
