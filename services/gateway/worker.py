"""gunicorn's threaded worker with limits on slow clients and errors in JSON.

gunicorn itself waits for ever for the next byte of a header or body, and would
give a thread to each client that does so.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import select
import selectors
import socket
import struct
import time
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.parser import _DRAIN_MAX_BYTES
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from services.chassis import context
from services.gateway.body import SlowClientError
from services.gateway.problem import MEDIA_TYPE, title

# A body may take this many times the patience for a head, and longer only as it keeps coming at this rate.
_BODY_SHARE = 3
_BODY_BYTES_PER_SECOND = 4096
# A client that takes no byte of its answer for this long has lost interest.
_SEND_SECONDS = 30
# What is kept of a head for which no thread is there yet; gunicorn's parser judges a longer one.
_MAX_HEAD_BYTES = 64 * 1024
# A client gets this long to read the end of its answer before the connection closes.
_LINGER_SECONDS = 2.0
# What it still sends meanwhile is thrown away: closing on unread bytes takes the answer from it.
_LINGER_BYTES = math.inf
_END_OF_HEAD = b"\r\n\r\n"
_ALIVE = b"GET /livez "
_BUSY = json.dumps(
    {
        "type": "urn:meldrag:problem:too-many-requests",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "more requests wait already than this worker has threads",
        "reason": "TOO_MANY_REQUESTS",
        "retry_after": 1,
    }
).encode()


class _Connection(TConn):  # type: ignore[misc]  # gunicorn is not typed
    """A connection that knows how long its client may still take.

    patience: seconds for a whole head, and between two pieces of a body.
    """

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, patience: float) -> None:
        super().__init__(cfg, sock, client, server)
        self.patience = patience
        self.head = bytearray()
        self.in_body = False
        self.waited = 0.0
        self.received = 0
        # TConn would let a thread wait for the first byte; here the head is complete by then.
        self.data_ready = True
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_SECONDS, 0))

    def init(self) -> None:
        """Prepares the parser, and gives it what has been read of the head."""
        if not self.initialized:
            super().init()
            self.parser.unreader = _PatientUnreader(self)
        if self.head:
            self.parser.unreader.unread(bytes(self.head))
            self.head.clear()
        self.in_body, self.waited, self.received = False, 0.0, 0

    def left(self) -> float:
        """Seconds that the client may take for its next byte; none are left at 0."""
        if not self.in_body:
            return max(0.0, self.patience - self.waited)
        allowed = self.patience * _BODY_SHARE + self.received / _BODY_BYTES_PER_SECOND
        return max(0.0, min(self.patience, allowed - self.waited))


class _PatientUnreader(SocketUnreader):  # type: ignore[misc]
    """Reads from the socket, but waits no longer than the client may take.

    Raises NoMoreData in a head, on which gunicorn closes without a word, and
    SlowClientError in a body. Only time spent waiting for the client counts: a
    service that takes its time is not the client's fault.
    """

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection.sock)
        self._connection = connection

    def chunk(self, size_hint: int | None = None) -> bytes:
        connection = self._connection
        began = time.monotonic()
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        # gunicorn sets a timeout while it drains a body that nobody read.
        limit = self.sock.gettimeout()
        seconds = connection.left() if limit is None else min(limit, connection.left())
        ready = poll.poll(seconds * 1000)
        connection.waited += time.monotonic() - began
        if not ready:
            if not connection.in_body:
                raise NoMoreData(b"")
            raise SlowClientError("the body comes too slowly")
        data: bytes = super().chunk(size_hint)
        connection.received += len(data)
        return data


class _PromptBody:
    """A request's body that gives what has come; gunicorn's own waits until all that was asked for is there.

    What breaks its framing is an OSError.
    """

    def __init__(self, inner: Any, connection: _Connection) -> None:
        self._reader = inner.reader
        self._connection = connection
        # gunicorn closes a connection whose body failed.
        self.failed = False

    def read(self, size: int) -> bytes:
        """Between 1 and `size` bytes; none at the end. Waits only for the first."""
        try:
            if isinstance(self._reader, LengthReader):
                return self._counted(size)
            if isinstance(self._reader, ChunkedReader):
                return self._chunked(size)
            data: bytes = self._reader.read(size)
        except ParseException as error:
            self.failed = True
            raise OSError(str(error)) from error
        except BaseException:
            self.failed = True
            raise
        return data

    def _counted(self, size: int) -> bytes:
        wanted = min(size, self._reader.length)
        if wanted == 0:
            return b""
        unreader = self._reader.unreader
        data: bytes = unreader.read(None, read_ahead=wanted)
        if len(data) > wanted:
            # The rest belongs to a later piece, or to the next request.
            unreader.unread(data[wanted:])
            data = data[:wanted]
        self._reader.length -= len(data)
        return data

    def _chunked(self, size: int) -> bytes:
        reader = self._reader
        rest: bytes = reader.buf.getvalue()
        while not rest and reader.parser is not None:
            try:
                rest = next(reader.parser)
            except StopIteration:
                reader.parser = None
        reader.buf = io.BytesIO()
        reader.buf.write(rest[size:])
        return rest[:size]

    def discardable(self) -> bool:
        """Whether gunicorn can read the rest away, so that the next request may come on this connection."""
        if isinstance(self._reader, LengthReader):
            return bool(self._reader.length < _DRAIN_MAX_BYTES)
        return getattr(self._reader, "parser", None) is None

    def abandon(self) -> None:
        """Reads no more: a thread that waits in `read` wakes up, the connection closes after the answer."""
        if getattr(self._reader, "parser", 0) is None or getattr(self._reader, "length", None) == 0:
            return
        self.failed = True
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RD)


class BoundedWorker(ThreadWorker):  # type: ignore[misc]
    """The worker. A connection gets a thread when the head of its request is complete, not before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Requests that have a thread or wait for one.
        self.busy = 0

    def accept(self, listener: Any) -> None:
        """Takes a connection."""
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        patience = self.app.settings.meld_client_idle_seconds
        self._await_head(_Connection(self.cfg, sock, client, listener.getsockname(), patience))

    def _await_head(self, conn: _Connection) -> None:
        """Reads on whenever something comes; `murder_pending` closes what takes too long."""
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + conn.patience
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read_head, conn))

    def _read_head(self, conn: _Connection, sock: socket.socket) -> None:
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        # The end may be split over two pieces.
        known = max(0, len(conn.head) - len(_END_OF_HEAD))
        conn.head += data
        if data and conn.head.find(_END_OF_HEAD, known) < 0 and len(conn.head) < _MAX_HEAD_BYTES:
            return
        self.poller.unregister(sock)
        self.pending_conns.remove(conn)
        if not data:
            self.nr_conns -= 1
            conn.close()
        elif self.busy >= self.cfg.threads and conn.head.startswith(_ALIVE):
            # The process lives, however busy its threads are.
            self._answer_at_once(conn, b"200 OK", b"application/json", b'{"status":"ok"}')
        elif self.busy >= 2 * self.cfg.threads:
            self._answer_at_once(
                conn, b"503 Service Unavailable\r\nRetry-After: 1", MEDIA_TYPE.encode(), _BUSY
            )
        else:
            self.enqueue_req(conn)

    def enqueue_req(self, conn: _Connection) -> None:
        """Gives a request to the threads."""
        self.busy += 1
        super().enqueue_req(conn)

    def _answer_at_once(self, conn: _Connection, status: bytes, kind: bytes, body: bytes) -> None:
        """Answers without a thread, then waits a moment for the client to close."""
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        # So short an answer always fits into the socket's empty buffer.
        with contextlib.suppress(OSError):
            conn.sock.send(head % (status, kind, len(body)) + body)
            conn.sock.shutdown(socket.SHUT_WR)
        conn.timeout = time.monotonic() + _LINGER_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._see_off, conn))

    def _see_off(self, conn: _Connection, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if sock.recv(65536):
                return
        self.poller.unregister(sock)
        self.pending_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()

    def on_client_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """A connection that was kept alive begins its next request."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_head(conn)

    def handle_request(self, req: Any, conn: _Connection) -> Any:
        """Serves a request whose head has been read."""
        conn.in_body = True
        req.body = _PromptBody(req.body, conn)
        ends = req.should_close

        def should_close() -> Any:
            # gunicorn closes a connection whose body it cannot read away, but only after its answer has
            # promised to keep it.
            if not req.body.discardable():
                req.force_close()
            return ends()

        req.should_close = should_close
        return super().handle_request(req, conn)

    def finish_request(self, conn: _Connection, fs: Any) -> None:
        """Ends or keeps a connection; a client that is slow to close does not hold up the others."""
        self.busy -= 1
        if fs.cancelled() or fs.exception() is not None or not fs.result():
            self.nr_conns -= 1
            self.tpool.submit(util.close_graceful, conn.sock, _LINGER_SECONDS, _LINGER_BYTES)
            return
        super().finish_request(conn, fs)

    def _cap_keepalive(self, deadline: float) -> None:
        """At the end idle connections, and those that only began a request, close by `deadline`."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

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
