"""The three services as real gRPC servers whose answers a test writes."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace

from meldrag.agents.v1 import agents_pb2_grpc
from meldrag.session.v1 import identity_pb2_grpc, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2_grpc
from services.chassis import context, passes
from services.chassis.errors import UnimplementedError
from services.chassis.health import Dependency
from services.chassis.server import Hosted, Server
from services.chassis.settings import ServiceSettings
from services.gateway.clients import AGENTS, IDENTITY, SESSION, VECTOR, Addresses

_Part = tuple[Any, Callable[[Any, Any], None]]
_SERVICES: dict[str, tuple[tuple[_Part, ...], str]] = {
    "agents": (((AGENTS, agents_pb2_grpc.add_AgentServiceServicer_to_server),), "model"),
    "session": (
        (
            (SESSION, session_pb2_grpc.add_SessionServiceServicer_to_server),
            (IDENTITY, identity_pb2_grpc.add_IdentityServiceServicer_to_server),
        ),
        "redis",
    ),
    "vector": (((VECTOR, vector_pb2_grpc.add_VectorServiceServicer_to_server),), "embedder"),
}


class ScriptedServices:
    """Servers on 127.0.0.1 that answer what was put into `script`, and keep what they were asked.

    A script entry is a message, an exception, a list of these for a stream, or an
    async function of the request (or of the request iterator) that returns or
    yields messages. Methods are named without their service.
    """

    def __init__(self, settings: ServiceSettings | None = None) -> None:
        self._settings = settings or ServiceSettings(health_check_interval=60)
        self.script: dict[str, Any] = {}
        # Who called, and what came with the call, by method.
        self.callers: dict[str, list[context.Principal]] = defaultdict(list)
        self.metadata: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.request_ids: list[str] = []
        self.remaining: list[float] = []
        self.trace_ids: list[str] = []
        self.cancelled: dict[str, threading.Event] = defaultdict(threading.Event)
        self.down: set[str] = set()
        self.ports: dict[str, int] = {}
        self._servers: dict[str, Server] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def addresses(self) -> Addresses:
        return Addresses(**{name: f"127.0.0.1:{port}" for name, port in self.ports.items()})

    def reset(self) -> None:
        self.script.clear()
        self.requests.clear()
        self.callers.clear()
        self.metadata.clear()
        self.request_ids.clear()
        self.remaining.clear()
        self.trace_ids.clear()
        self.cancelled.clear()
        self.down.clear()
        self.refresh()

    def start(self) -> None:
        self._thread.start()
        for name in _SERVICES:
            self.start_one(name)

    def start_one(self, name: str) -> None:
        self.ports[name] = self._run(self._start(name))

    def stop_one(self, name: str) -> None:
        self._run(self._servers.pop(name).stop(0))

    def refresh(self) -> None:
        """Lets the services see now which of their dependencies are in `down`."""
        for server in self._servers.values():
            self._run(server.health.ping())

    def stop(self) -> None:
        for name in list(self._servers):
            self.stop_one(name)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self, name: str) -> int:
        parts, required = _SERVICES[name]
        server = Server(
            name=name,
            services=[self._hosted(descriptor, add) for descriptor, add in parts],
            dependencies=[self._dependency(required, True), self._dependency(f"{name}_extra", False)],
            settings=self._settings,
            authenticator=passes.authenticator(self._settings),
            bind=f"127.0.0.1:{self.ports.get(name, 0)}",
        )
        self._servers[name] = server
        return await server.start()

    def _hosted(self, descriptor: Any, add: Callable[[Any, Any], None]) -> Hosted:
        return Hosted(descriptor, lambda grpc_server: add(_Servicer(self, descriptor), grpc_server))

    def _dependency(self, name: str, required: bool) -> Dependency:
        async def ping() -> None:
            if name in self.down:
                raise ConnectionError(name)

        return Dependency(name, ping, required)

    async def unary(self, method: str, request: Any, rpc: Any) -> Any:
        with self._noted(method, request, rpc):
            scripted = self._scripted(method)
            if hasattr(request, "__aiter__") and not inspect.iscoroutinefunction(scripted):
                self.requests[method][-1] = [message async for message in request]
            return await _answer(scripted, request)

    async def stream(self, method: str, request: Any, rpc: Any) -> AsyncIterator[Any]:
        with self._noted(method, request, rpc):
            scripted = self._scripted(method)
            if inspect.isasyncgenfunction(scripted):
                async for answer in scripted(request):
                    yield answer
                return
            if hasattr(request, "__aiter__"):
                self.requests[method][-1] = [message async for message in request]
            for item in scripted if isinstance(scripted, list) else [scripted]:
                yield await _answer(item, request)

    def _scripted(self, method: str) -> Any:
        try:
            return self.script[method]
        except KeyError:
            raise UnimplementedError(f"no script for {method}", reason="NOT_SCRIPTED") from None

    @contextmanager
    def _noted(self, method: str, request: Any, rpc: Any) -> Iterator[None]:
        self.requests[method].append(request)
        self.callers[method].append(context.principal())
        self.metadata[method].append(dict(rpc.invocation_metadata() or ()))
        self.request_ids.append(context.request_id())
        self.remaining.append(context.remaining())
        self.trace_ids.append(trace.format_trace_id(trace.get_current_span().get_span_context().trace_id))
        cancelled = self.cancelled[method]
        try:
            yield
        except asyncio.CancelledError:
            cancelled.set()
            raise


async def _answer(scripted: Any, request: Any) -> Any:
    if inspect.iscoroutinefunction(scripted):
        scripted = await scripted(request)
    if isinstance(scripted, BaseException):
        raise scripted
    return scripted


class _Servicer:
    def __init__(self, services: ScriptedServices, descriptor: Any) -> None:
        for method in descriptor.methods:
            setattr(self, method.name, _handler(services, method))


def _handler(services: ScriptedServices, method: Any) -> Any:
    if not method.server_streaming:

        async def once(request: Any, rpc: Any) -> Any:
            return await services.unary(method.name, request, rpc)

        return once

    async def many(request: Any, rpc: Any) -> AsyncIterator[Any]:
        async for answer in services.stream(method.name, request, rpc):
            yield answer

    return many


@contextmanager
def running_services(settings: ServiceSettings | None = None) -> Iterator[ScriptedServices]:
    """The services for the duration of the block; without login unless the settings say so."""
    services = ScriptedServices(settings)
    services.start()
    try:
        yield services
    finally:
        services.stop()


async def for_ever_stream(_: Any) -> AsyncIterator[Any]:
    """A script entry of a stream that never says anything."""
    await asyncio.Event().wait()
    yield None


async def for_ever(_: Any) -> Any:
    """A script entry that never answers."""
    await asyncio.Event().wait()
