"""A receiver of webhooks for tests: real HTTP on 127.0.0.1, a script of answers, and all that came.

with Receiver(500, 500, 200) as receiver:
    ...  # receiver.url; the last answer of the script stays
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Reply:
    """An answer with headers."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


class Hang:
    """No answer, until the receiver ends."""


@dataclass(frozen=True)
class Received:
    """A request that came. headers: names in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    time: float


class Receiver:
    """Answers by its script; the last answer stays. Each request is kept."""

    def __init__(self, *script: int | Reply | Hang, path: str = "/hook") -> None:
        self._script = list(script or (200,))
        self.received: list[Received] = []
        self._changed = threading.Condition()
        self._ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}{path}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._changed:
            self.received.append(Received(handler.path, headers, body, time.time()))
            step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
            self._changed.notify_all()
        if isinstance(step, Hang):
            self._ended.wait(_WAIT_SECONDS)
            return
        reply = Reply(step) if isinstance(step, int) else step
        handler.send_response(reply.status)
        for name, value in {"Content-Length": "0", **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()

    def wait(self, count: int = 1, seconds: float = _WAIT_SECONDS) -> list[Received]:
        """What came, once so many have."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, seconds), self.received
            return list(self.received)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
