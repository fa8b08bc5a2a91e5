"""A gateway that answers from a script, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What is answered once. length: another than the body has."""

    body: Any = None
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None

    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def problem(status: int, reason: str, detail: str, **more: Any) -> Answer:
    """An error as the gateway sends it."""
    body = {"reason": reason, "detail": detail, "status": status, "request_id": "r1", **more}
    return Answer(body, status, "application/problem+json")


def events(*told: tuple[str, dict[str, Any]]) -> Answer:
    """A stream of server-sent events."""
    lines = (f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n" for name, data in told)
    return Answer("".join(lines).encode(), content_type="text/event-stream")


@dataclass
class Scripted:
    """answers: by "METHOD /path", in the order in which they are given; the last one again and again.

    requests: method, path with its query, headers and body of what came. ahead: of its clock, in
    seconds.
    """

    answers: dict[str, list[Answer]]
    url: str = ""
    ahead: float = 0.0
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def next(self, method: str, path: str) -> Answer:
        waiting = self.answers.get(f"{method} {path.partition('?')[0]}")
        if not waiting:
            return problem(404, "NOT_SCRIPTED", f"{method} {path}")
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def scripted(answers: dict[str, Answer | list[Answer]]) -> Iterator[Scripted]:
    """A server for the duration of the block."""
    script = Scripted({key: value if isinstance(value, list) else [value] for key, value in answers.items()})

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.requests.append((self.command, self.path, dict(self.headers), body))
            answer = script.next(self.command, self.path)
            content = answer.bytes()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content) if answer.length is None else answer.length))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + script.ahead)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as script.url:
        yield script


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server for the duration of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
