"""gunicorn's threaded worker with limits on slow clients and errors in JSON.

gunicorn itself waits for ever for the next byte of a header or body, and would
give a thread to each client that does so.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from typing import Any

from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from services.chassis import context
from services.gateway.body import SlowClientError
from services.gateway.problem import MEDIA_TYPE, title

_HEADER_SECONDS = 10.0
# A body may take this long, and longer only as it keeps coming at this rate.
_BODY_SECONDS = 30.0
_BODY_BYTES_PER_SECOND = 4096
# A client that takes no byte of its answer for this long has lost interest.
_SEND_SECONDS = 30


class _Connection(TConn):  # type: ignore[misc]  # gunicorn is not typed
    """A connection that knows how long its client may still take."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, idle: float) -> None:
        super().__init__(cfg, sock, client, server)
        self.idle = idle
        self.in_body = False
        self.waited = 0.0
        self.received = 0
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_SECONDS, 0))

    def init(self) -> None:
        fresh = not self.initialized
        super().init()
        if fresh:
            self.parser.unreader = _PatientUnreader(self)

    def expect(self, *, body: bool) -> None:
        """A header or a body begins."""
        self.in_body, self.waited, self.received = body, 0.0, 0

    def patience(self) -> float:
        """Seconds that the client may take for its next byte; none are left at 0."""
        allowed = _BODY_SECONDS + self.received / _BODY_BYTES_PER_SECOND if self.in_body else _HEADER_SECONDS
        return max(0.0, min(self.idle, allowed - self.waited))


class _PatientUnreader(SocketUnreader):  # type: ignore[misc]
    """Reads from the socket, but waits no longer than the connection's patience.

    Raises NoMoreData in a header, so that gunicorn closes without a word, and
    SlowClientError in a body. Only time spent waiting for the client counts.
    """

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection.sock)
        self._connection = connection

    def chunk(self, size_hint: int | None = None) -> bytes:
        connection = self._connection
        began = time.monotonic()
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        ready = poll.poll(connection.patience() * 1000)
        connection.waited += time.monotonic() - began
        if not ready:
            if connection.in_body:
                raise SlowClientError("the body comes too slowly")
            raise NoMoreData(b"")
        data: bytes = super().chunk(size_hint)
        connection.received += len(data)
        return data


class _GuardedBody:
    """A request's body as the application sees it. What breaks its framing is an OSError."""

    def __init__(self, inner: Any, connection: _Connection) -> None:
        self._inner = inner
        self._connection = connection
        # gunicorn closes a connection whose body failed.
        self.failed = False

    def read(self, size: int | None = None) -> bytes:
        try:
            data: bytes = self._inner.read(size)
        except ParseException as error:
            self.failed = True
            raise OSError(str(error)) from error
        except BaseException:
            self.failed = True
            raise
        return data

    def readline(self, size: int | None = None) -> bytes:
        line: bytes = self._inner.readline(size)
        return line

    def abandon(self) -> None:
        """Reads no more: a thread that waits in `read` wakes up, the connection closes after the answer."""
        if self._at_end():
            return
        self.failed = True
        try:
            self._connection.sock.shutdown(socket.SHUT_RD)
        except OSError:
            return

    def _at_end(self) -> bool:
        reader = getattr(self._inner, "reader", None)
        # A chunked body loses its parser at its end, a counted one its length.
        return getattr(reader, "parser", 0) is None or getattr(reader, "length", None) == 0


class BoundedWorker(ThreadWorker):  # type: ignore[misc]
    """The worker. `gateway_drain` and `gateway_grace` are set by the server on its configuration."""

    def accept(self, listener: Any) -> None:
        """Takes a connection."""
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        sock.setblocking(True)
        idle = self.app.settings.meld_client_idle_seconds
        self.enqueue_req(_Connection(self.cfg, sock, client, listener.getsockname(), idle))

    def handle(self, conn: _Connection) -> Any:
        """Serves the next request of a connection."""
        conn.expect(body=False)
        return super().handle(conn)

    def handle_request(self, req: Any, conn: _Connection) -> Any:
        """Serves a request whose header has been read."""
        conn.expect(body=True)
        req.body = _GuardedBody(req.body, conn)
        return super().handle_request(req, conn)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: streams are told to end before time is up."""
        self.app.begin_drain()
        super().handle_exit(sig, frame)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answers what is not HTTP, or breaks a limit of its header, as a problem document."""
        del req
        status = _status(exc)
        if status >= 500 and not isinstance(exc, UnsupportedTransferCoding):
            self.log.error("a connection failed", exc_info=exc)
        detail = str(exc)[:200] if status < 500 else title(status)
        self.log.debug("refused a request from %s: %s", addr[0] if addr else "", detail)
        problem = {
            "type": "urn:meldrag:problem:malformed-request",
            "title": title(status),
            "status": status,
            "detail": detail,
            "reason": "MALFORMED_REQUEST" if status < 500 else title(status).upper().replace(" ", "_"),
            "request_id": context.new_request_id(),
        }
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status} {title(status)}\r\nConnection: close\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-ID: {problem['request_id']}\r\n\r\n"
        )
        try:
            client.sendall(head.encode("ascii") + body)
        except OSError as error:
            self.log.debug("the client did not wait for the error: %s", error)


def _status(error: BaseException) -> int:
    match error:
        case LimitRequestLine():
            return 414
        case LimitRequestHeaders():
            return 431
        case UnsupportedTransferCoding():
            return 501
        case ParseException() | OSError():
            return 400
        case _:
            return 500
