"""Whether the process lives, whether what it needs is there, and what it measured."""

from __future__ import annotations

import time
from typing import Any

import grpc
from flask import Blueprint, Response
from grpc_health.v1 import health_pb2

from services.chassis import context
from services.gateway.door import answer, door
from services.gateway.openapi.operation import Answer, json, operation
from services.gateway.openapi.resources import TEXT
from services.gateway.openapi.schema import record
from services.gateway.problem import ProblemError

blueprint = Blueprint("health", __name__)

_READY_SECONDS = 1.5
_SERVING = health_pb2.HealthCheckResponse.SERVING


@blueprint.get("/livez")
@operation(answers={200: json(record({"status": TEXT}))}, public=True)
def live() -> Response:
    """The process answers."""
    return answer({"status": "ok"})


@blueprint.get("/readyz")
@operation(answers={200: json("Readiness"), 503: json("Readiness")}, public=True)
def ready() -> Response:
    """Whether every service can do its work; 503 names what is down."""
    state = _told(_readiness())
    return answer(state, 503 if state["down"] else 200)


@blueprint.get("/health")
@operation(answers={200: json("Readiness"), 503: json("Readiness")})
def health() -> Response:
    """Both, for people."""
    state = _told(_readiness())
    return answer({"live": True, **state}, 503 if state["down"] else 200)


@blueprint.get("/metrics")
@operation(answers={200: Answer({"text/plain": TEXT})}, problems=(404,), house_wide=True)
def metrics() -> Response:
    """The measurements of all workers as Prometheus text."""
    if not door().settings.metrics_enabled:
        raise ProblemError(404, "NOT_FOUND", "METRICS_ENABLED is off")
    return Response(door().metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _told(state: dict[str, Any]) -> dict[str, Any]:
    """What the caller is told: who nobody knows gets no list of the services and what is behind them."""
    if context.principal() != context.NOBODY:
        return state
    return {name: value for name, value in state.items() if name != "services"}


def _readiness() -> dict[str, Any]:
    """All three services asked at once; what does not answer in time is down.

    A service says by itself whether it can work; a dependency that is down while
    its service works only degrades.
    """
    calls = {
        name: stub.List.future(health_pb2.HealthListRequest(), timeout=_READY_SECONDS)
        for name, stub in door().clients.health().items()
    }
    end = time.monotonic() + _READY_SECONDS + 0.1
    services: dict[str, Any] = {}
    down: list[str] = []
    degraded: list[str] = []
    for name, call in calls.items():
        try:
            statuses = call.result(timeout=max(0.0, end - time.monotonic())).statuses
        except (grpc.RpcError, grpc.FutureTimeoutError, grpc.FutureCancelledError):
            call.cancel()
            services[name] = {"status": "unreachable", "dependencies": {}}
            down.append(name)
            continue
        dependencies = {
            dependency: status.status == _SERVING
            for dependency, status in sorted(statuses.items())
            if dependency and "." not in dependency
        }
        lost = [dependency for dependency, up in dependencies.items() if not up]
        serving = statuses[""].status == _SERVING if "" in statuses else False
        (degraded if serving else down).extend(lost if serving else [name, *lost])
        services[name] = {
            "status": "down" if not serving else "degraded" if lost else "ready",
            "dependencies": {dependency: "up" if up else "down" for dependency, up in dependencies.items()},
        }
    status = "unavailable" if down else "degraded" if degraded else "ready"
    down = list(dict.fromkeys(down))
    return {
        "status": status,
        "services": services,
        "down": down,
        "degraded": [name for name in dict.fromkeys(degraded) if name not in down],
    }
