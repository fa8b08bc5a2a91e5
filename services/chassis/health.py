"""grpc.health.v1 that tells the truth: statuses follow pings of the dependencies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_log = logging.getLogger(__name__)

# The name whose status says that the process answers and nothing else. It stays SERVING while a dependency
# is down and while calls drain: no reason to kill a process.
LIVENESS = "liveness"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

# A dependency that does not answer is asked again this soon, whatever the interval.
_RETRY_SECONDS = 1.0
_PING_SECONDS = 1.0


@dataclass(frozen=True)
class Dependency:
    """Something a service works with. `ping` raises when it is down.

    A service whose required dependency is down is NOT_SERVING; it works on
    without one that is not required.
    """

    name: str
    ping: Callable[[], Awaitable[None]]
    required: bool = True


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # the package has no types
    """Check, Watch and List over the service's own names and one name per dependency.

    "" and each service's full name are SERVING while every required dependency
    answers. Before the first round of pings all is NOT_SERVING. LIVENESS is
    SERVING as long as somebody is there to say so; List, which is about work,
    leaves it out.
    """

    def __init__(
        self, service_names: Sequence[str], dependencies: Sequence[Dependency], interval_seconds: float
    ) -> None:
        self._own = ("", *service_names)
        self._dependencies = dependencies
        self._interval = interval_seconds
        self._statuses = dict.fromkeys((*self._own, *(d.name for d in dependencies)), _NOT_SERVING)
        self._changed = asyncio.Event()
        self._refresh = asyncio.Event()
        self._draining = False

    async def follow(self) -> None:
        """Pings until cancelled."""
        while True:
            await self.ping()
            all_well = all(self._statuses[dependency.name] == _SERVING for dependency in self._dependencies)
            gap = self._interval if all_well else min(self._interval, _RETRY_SECONDS)
            self._refresh.clear()
            try:
                async with asyncio.timeout(gap):
                    await self._refresh.wait()
            except TimeoutError:
                continue

    def refresh(self) -> None:
        """Asks for a round of pings now: something is known to have changed."""
        self._refresh.set()

    async def ping(self) -> None:
        """One round of pings, all at once."""
        answers = await asyncio.gather(*map(self._answers, self._dependencies))
        if self._draining:
            return
        required = all(up for up, d in zip(answers, self._dependencies, strict=True) if d.required)
        statuses = dict.fromkeys(self._own, _SERVING if required else _NOT_SERVING)
        for up, dependency in zip(answers, self._dependencies, strict=True):
            statuses[dependency.name] = _SERVING if up else _NOT_SERVING
        self._set(statuses)

    def drain(self) -> None:
        """NOT_SERVING from now on."""
        self._draining = True
        self._set(dict.fromkeys(self._statuses, _NOT_SERVING))

    async def _answers(self, dependency: Dependency) -> bool:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await dependency.ping()
        except Exception as error:
            if self._statuses[dependency.name] == _SERVING:
                _log.warning("%s is down: %s", dependency.name, error or type(error).__name__)
            return False
        if self._statuses[dependency.name] != _SERVING:
            _log.info("%s is up", dependency.name)
        return True

    def _status(self, name: str) -> Any:
        """None for a name that is not known."""
        return _SERVING if name == LIVENESS else self._statuses.get(name)

    def _set(self, statuses: dict[str, Any]) -> None:
        if statuses != self._statuses:
            self._statuses = statuses
            # Watchers hold the old event; each new change has a new one.
            self._changed.set()
            self._changed = asyncio.Event()

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:
        """The status of a name; NOT_FOUND for one that is not known."""
        status = self._status(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
        return health_pb2.HealthCheckResponse(status=status)

    async def List(self, request: Any, context: Any) -> health_pb2.HealthListResponse:
        """All names and their statuses."""
        del request, context
        return health_pb2.HealthListResponse(
            statuses={name: health_pb2.HealthCheckResponse(status=s) for name, s in self._statuses.items()}
        )

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status of a name now and at each change."""
        del context
        last = None
        while True:
            changed = self._changed
            status = self._status(request.service)
            if status is None:
                status = _SERVICE_UNKNOWN
            if status != last:
                last = status
                yield health_pb2.HealthCheckResponse(status=status)
            await changed.wait()
