"""Server-sent events and line streams that stay alive, notice a lost client, and end exactly once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from flask import Request, Response, request
from google.protobuf.message import Message

from services.chassis.errors import ServiceError
from services.gateway.calls import Client, EndOfStreamError, Upstream
from services.gateway.door import dumps
from services.gateway.identity import standing
from services.gateway.identity.standing import Standing
from services.gateway.limits import Drain
from services.gateway.problem import ProblemError, from_service_error

Res = TypeVar("Res", bound=Message)
Exc = TypeVar("Exc", bound=Exception)

EVENT_STREAM = "text/event-stream"
NDJSON = "application/x-ndjson"

_LOOK_SECONDS = 0.2
HEARTBEAT = b": still here\n\n"
_EVENT_ID = re.compile(r"[0-9]{1,19}")


def _nothing() -> None:
    return None


def sse(event: str, data: Any, event_id: int | None = None) -> bytes:
    """One event. JSON has no raw line break, so one data line holds it."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {event}\ndata: {dumps(data)}\n\n".encode()


def error_event(problem: ProblemError) -> bytes:
    """The last event of a stream that cannot go on; it has no id, so a client resumes before it."""
    return sse("error", problem.document())


def wants_events(http: Request) -> bool:
    """Whether the client prefers server-sent events to JSON."""
    accepted = http.accept_mimetypes
    return EVENT_STREAM in accepted.values() and accepted[EVENT_STREAM] >= accepted["application/json"]


def last_event_id(http: Request, after: int | None) -> int:
    """The sequence after which to go on: Last-Event-ID, else `after`, else 0. Raises ProblemError 400."""
    given = http.headers.get("Last-Event-ID")
    if not given:
        return after or 0
    if not _EVENT_ID.fullmatch(given) or int(given) >= 2**63:
        detail = "Last-Event-ID must be the id of an event of this run"
        raise ProblemError(400, "INVALID_LAST_EVENT_ID", detail)
    return int(given)


class BrokenOffError(Exception):
    """A body without room for an error cannot be completed: the server cuts the connection, so it shows."""


def break_off(problem: ProblemError) -> bytes:
    """Raises BrokenOffError."""
    raise BrokenOffError(f"{problem.reason}: {problem.detail}")


def cut_off(
    pieces: Iterator[bytes], drain: Drain, kind: type[Exc], problem_of: Callable[[Exc], ProblemError]
) -> Iterator[bytes]:
    """The pieces. What cannot be completed is cut off, so that nobody takes a part of it for all: by an error
    of this kind, by the end of this process, or of who asked.
    """
    caller = standing.current()
    try:
        for piece in pieces:
            yield piece
            if drain.due():
                break_off(draining())
            if caller is not None and (problem := caller.problem()):
                break_off(problem)
    except kind as error:
        break_off(problem_of(error))


@dataclass(frozen=True)
class Stream(Generic[Res]):
    """What a response needs to pass a service's stream on.

    heartbeat: seconds of silence after which a comment is sent.
    render: the bytes of a message; may be empty. tail: what ends a complete
    stream. fail: what ends one that cannot go on. silent: send no comments.
    standing: of who asked; the stream ends soon after it does.
    """

    upstream: Upstream[Res]
    client: Client
    drain: Drain
    heartbeat: float
    render: Callable[[Res], bytes]
    tail: Callable[[], bytes] = bytes
    fail: Callable[[ProblemError], bytes] = error_event
    silent: bool = False
    standing: Standing | None = field(default_factory=standing.current)

    def chunks(self, first: Res | None) -> Iterator[bytes]:
        """The body: `first`, which has come already, and all that follows."""
        try:
            if first is not None:
                yield self.render(first)
            yield from self._rest()
        finally:
            self.upstream.close()

    def _rest(self) -> Iterator[bytes]:
        sent = time.monotonic()
        while True:
            try:
                answer = self.upstream.poll(_LOOK_SECONDS)
            except EndOfStreamError:
                yield self.tail()
                return
            except ServiceError as error:
                yield self.fail(from_service_error(error))
                return
            if answer is not None:
                if piece := self.render(answer):
                    yield piece
                    sent = time.monotonic()
            elif self.client.gone():
                return
            elif not self.silent and time.monotonic() - sent >= self.heartbeat:
                yield HEARTBEAT
                sent = time.monotonic()
            if self.drain.due():
                yield self.fail(draining())
                return
            if self.standing is not None and (problem := self.standing.problem()):
                yield self.fail(problem)
                return


def draining() -> ProblemError:
    """What a stream is told when the process stops."""
    return ProblemError(
        503, "SHUTTING_DOWN", "the gateway is stopping; go on from the last event", retry_after=1.0
    )


def event_response(body: Iterator[bytes], on_close: Callable[[], None]) -> Response:
    """A response of server-sent events that no proxy may hold back. `on_close` runs once, even unread."""
    return streamed(body, EVENT_STREAM, on_close, {"X-Accel-Buffering": "no"})


def streamed(
    body: Iterator[bytes],
    media_type: str,
    on_close: Callable[[], None],
    headers: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    """A response whose body is made while it is sent. HEAD gets its headers alone."""
    if request.method == "HEAD":
        on_close()
        body, on_close = iter(()), _nothing
    response = Response(body, status=status, content_type=media_type)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    response.call_on_close(on_close)
    return response
