"""What the routes of one application work with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from flask import Response, current_app

from services.chassis import telemetry
from services.chassis.profiler import Profiler
from services.gateway.clients import Clients
from services.gateway.identity.external import ExternalLogin
from services.gateway.limits import Drain, Patience, StreamSlots
from services.gateway.settings import GatewaySettings
from services.gateway.spool import Spool

EXTENSION = "meldrag"
_RESERVED_THREADS = 8


@dataclass(frozen=True)
class Door:
    """Settings, services and limits. metrics gives all workers' measurements as Prometheus text."""

    settings: GatewaySettings
    clients: Clients
    slots: StreamSlots
    drain: Drain = field(default_factory=Drain)
    patience: Patience = field(default_factory=lambda: Patience(0))
    metrics: Callable[[], bytes] = telemetry.prometheus_text
    profiler: Profiler = field(default_factory=Profiler)
    # None where people sign in by name and password alone.
    external: ExternalLogin | None = None
    spool: Spool = field(default_factory=lambda: Spool(Path(tempfile.gettempdir()) / "meldrag-spool"))


def slots_for(threads: int) -> StreamSlots:
    """As many streams as threads, less those that keep short requests moving."""
    return StreamSlots(max(1, threads - _RESERVED_THREADS, threads // 2))


def door() -> Door:
    """The door of the application that serves this request."""
    return cast(Door, current_app.extensions[EXTENSION])


def dumps(value: Any) -> str:
    """Compact JSON in one line. Raises ValueError for NaN and infinities, which are not JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response."""
    response = Response(dumps(value), status=status, content_type="application/json")
    response.headers.update(headers or {})
    return response
