"""A small HTTP door for a process that has no other: its metrics, and a profile where that is allowed.

It has threads of its own and few of them. Whatever a scraper does, the event loop
does not wait for it and the service goes on.
"""

from __future__ import annotations

import logging
import math
import socket
import socketserver
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from services.chassis.addresses import is_own_address
from services.chassis.profiler import MAX_SECONDS, Profiler, ProfilerBusyError
from services.chassis.start import StartError

_log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
# A client that says or takes nothing for this long is cut off.
_IDLE_SECONDS = 5.0
_MAX_CONNECTIONS = 8
_POLL_SECONDS = 0.1
_DEFAULT_PROFILE_SECONDS = 5.0


class ScrapeDoor:
    """Answers GET /metrics with `exposition`, and POST /profile to this machine where there is a profiler.

    host, port: where to listen; port 0 takes a free one.
    """

    def __init__(
        self, host: str, port: int, exposition: Callable[[], bytes], profiler: Profiler | None = None
    ) -> None:
        self._address = (host.strip("[]"), port)
        self._exposition = exposition
        self._profiler = profiler
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> int:
        """Listens and returns the port. Raises StartError when it cannot be had."""
        kind: type[_Server] = _Server6 if ":" in self._address[0] else _Server
        try:
            self._server = kind(self._address, self._exposition, self._profiler)
        except OSError as error:
            host, port = self._address
            raise StartError(f"{host}:{port}, for metrics, cannot be bound: {error.strerror}") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listens no more; blocks for a moment. Answers under way are not waited for."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, address: tuple[str, int], exposition: Callable[[], bytes], profiler: Profiler | None
    ) -> None:
        self.exposition = exposition
        self.profiler = profiler
        self._room = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for a connection, while there is room; else it is closed."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the machine gives no thread
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that leaves in the middle is no news."""
        del request
        _log.debug("a scrape failed", exc_info=True, extra={"fields": {"client": str(client_address)}})


class _Server6(_Server):
    """The same for an address like ::1."""

    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _IDLE_SECONDS
    server_version = "meldrag"
    sys_version = ""

    def do_GET(self) -> None:
        """The metrics."""
        if urlsplit(self.path).path != "/metrics":
            self._say(HTTPStatus.NOT_FOUND, "there is /metrics here")
            return
        try:
            text = self.server.exposition()
        except Exception:
            _log.exception("the metrics could not be written")
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, "the metrics could not be written; see the log")
            return
        self._answer(HTTPStatus.OK, CONTENT_TYPE, text)

    def do_POST(self) -> None:
        """A profile of this process, for those on the same machine."""
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        if path != "/profile":
            self._say(HTTPStatus.NOT_FOUND, "there is nothing to post to here")
        elif self.server.profiler is None:
            self._say(HTTPStatus.NOT_FOUND, "PROFILING_ENABLED is off")
        elif not is_own_address(self.client_address[0]) or "Origin" in self.headers:
            # A browser names the page that asks as the origin; no page has to know this.
            self._say(HTTPStatus.FORBIDDEN, "profiles are for programs on the same machine")
        else:
            self._profile(query)

    def _profile(self, query: str) -> None:
        asked = parse_qs(query).get("seconds", [str(_DEFAULT_PROFILE_SECONDS)])[0]
        seconds = profile_seconds(asked)
        profiler = self.server.profiler
        if seconds is None or profiler is None:
            self._say(HTTPStatus.BAD_REQUEST, f"seconds must be above 0 and at most {MAX_SECONDS:.0f}")
            return
        try:
            text = profiler.profile(seconds)
        except ProfilerBusyError as error:
            self._say(HTTPStatus.CONFLICT, str(error))
            return
        self._answer(HTTPStatus.OK, _PLAIN, text.encode())

    def _say(self, status: HTTPStatus, words: str) -> None:
        self._answer(status, _PLAIN, f"{words}\n".encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes come every few seconds; a line for each would bury the others."""
        _log.debug(format, *args)


def profile_seconds(asked: str) -> float | None:
    """The length of a profile, in seconds; None when it is none that is made."""
    try:
        seconds = float(asked) if len(asked) <= 20 else math.nan
    except ValueError:
        return None
    return seconds if 0 < seconds <= MAX_SECONDS else None
