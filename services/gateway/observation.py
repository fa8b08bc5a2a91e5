"""What is seen of every request: its id, its span, one log line, one measurement."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace

from services.chassis import context, telemetry

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

ROUTE_KEY = "meldrag.route"

_log = logging.getLogger(__name__)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# Asked every few seconds by machines; a line for each would bury the others.
_QUIET_ROUTES = frozenset(("/livez", "/readyz", "/metrics"))


def asked_seconds(header: str | None) -> float | None:
    """The seconds of a Request-Timeout header; None when it is absent or no number above 0."""
    try:
        seconds = float(header) if header is not None and len(header) <= 20 else -1.0
    except ValueError:
        return None
    return seconds if 0 < seconds < 1e6 else None


class Observed:
    """WSGI middleware around the application, from the first byte of a request to the last of its answer."""

    def __init__(
        self,
        inner: Callable[[Environ, StartResponse], Iterable[bytes]],
        *,
        login: bool = False,
    ) -> None:
        """login: whether a request is nobody's until somebody has found out whose; the owner's otherwise."""
        self._inner = inner
        self._login = login
        meter = telemetry.meter()
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Time to answer a request, its whole body included",
            explicit_bucket_boundaries_advisory=telemetry.SECONDS,
        )
        self._active = meter.create_up_down_counter(
            "http.server.active_requests", "{request}", "Requests being answered"
        )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serves a request; the observation ends when the server closes the body."""
        watched = contextlib.ExitStack()
        try:
            observation = watched.enter_context(self._observe(environ))

            def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
                observation.status = int(status[:3])
                headers.append(("X-Request-ID", observation.request_id))
                return start_response(status, headers, exc_info)

            return _Body(self._inner(environ, start), watched)
        except BaseException:
            watched.close()
            raise

    @contextlib.contextmanager
    def _observe(self, environ: Environ) -> Iterator[_Observation]:
        started = time.monotonic()
        method = environ["REQUEST_METHOD"]
        method = method if method in _METHODS else "_OTHER"
        observation = _Observation(context.accepted_request_id(environ.get("HTTP_X_REQUEST_ID")))
        carrier = {
            name: environ[key]
            for name, key in (("traceparent", "HTTP_TRACEPARENT"), ("tracestate", "HTTP_TRACESTATE"))
            if key in environ
        }
        span = telemetry.tracer().start_span(
            method,
            context=propagate.extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "meldrag.request_id": observation.request_id},
        )
        token = otel_context.attach(trace.set_span_in_context(span))
        self._active.add(1)
        deadline = started + (asked_seconds(environ.get("HTTP_REQUEST_TIMEOUT")) or float("inf"))
        caller = context.NOBODY if self._login else context.LOCAL_OWNER
        call = context.Call(caller, observation.request_id, deadline)
        try:
            with context.entered(call):
                yield observation
                self._finish(environ, method, observation, span, time.monotonic() - started)
        finally:
            self._active.add(-1)
            otel_context.detach(token)
            span.end()

    def _finish(
        self, environ: Environ, method: str, observation: _Observation, span: trace.Span, seconds: float
    ) -> None:
        route = environ.get(ROUTE_KEY, "")
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": observation.status,
        }
        span.update_name(f"{method} {route}".rstrip())
        span.set_attributes(attributes)
        if observation.status >= 500:
            span.set_status(trace.StatusCode.ERROR)
        self._duration.record(seconds, attributes)
        level = logging.DEBUG if route in _QUIET_ROUTES else logging.INFO
        fields = {
            "method": method,
            "route": route,
            "path": environ.get("PATH_INFO", "")[:300],
            "status": observation.status,
            "milliseconds": round(seconds * 1000, 1),
            "client": environ.get("REMOTE_ADDR", ""),
        }
        _log.log(level, "request", extra={"fields": fields})


class _Observation:
    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.status = 0


class _Body:
    """The body on its way out. The server calls close once, in the thread that began the request."""

    def __init__(self, inner: Iterable[bytes], watched: contextlib.ExitStack) -> None:
        self._inner = inner
        self._pieces = iter(inner)
        self._watched = watched

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Ends the body and the observation."""
        with self._watched:
            if hasattr(self._inner, "close"):
                self._inner.close()
