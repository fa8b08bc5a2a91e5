"""One HTTP request of MCP's transport, served by the official package in the thread that the request has.

The package is asynchronous and the gateway is not. Each request gets an event loop of its own, which runs
while the server waits for the next piece of the answer. What the package calls may therefore wait as every
other route does, nothing is shared between requests, and no worker knows of another's clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from flask import Request, Response

from services.gateway.calls import Client

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

_LOOK_SECONDS = 0.2
# What an application gets to clean up once it is told to stop.
_STOP_SECONDS = 5.0
# Of one connection and no property of the answer: the server decides.
_HOP = frozenset(("connection", "content-length", "keep-alive", "transfer-encoding"))


class Exchange:
    """An ASGI application at work on one request.

    Used by one thread at a time; closed exactly once, whatever happened.
    """

    def __init__(self, app: App, scope: Scope, body: bytes, client: Client) -> None:
        self._client = client
        self._unread: bytes | None = body
        self._said: asyncio.Queue[Message | None] = asyncio.Queue()
        self._ended = False
        self._loop = asyncio.new_event_loop()
        # It takes along who asks, and for how long, from the context of this thread.
        self._task = self._loop.create_task(self._serve(app, scope))

    async def _serve(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            self._said.put_nowait(None)

    async def _receive(self) -> Message:
        """The body, then the news that the client has gone, whenever it goes."""
        if self._unread is not None:
            body, self._unread = self._unread, None
            return {"type": "http.request", "body": body, "more_body": False}
        # A socket that closes wakes nobody here: the loop has no part in it.
        while not self._client.gone():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self._said.put_nowait(message)

    def next(self) -> Message | None:
        """What the application says next; None at its end. Raises what it raised."""
        if self._ended:
            return None
        said = self._loop.run_until_complete(self._said.get())
        if said is None:
            self._ended = True
            self._loop.run_until_complete(self._task)
        return said

    def pieces(self, first: Message) -> Iterator[bytes]:
        """The body of the answer from its first message on."""
        said: Message | None = first
        while said is not None:
            if piece := said.get("body", b""):
                yield piece
            said = self.next() if said.get("more_body") else None

    def close(self) -> None:
        """Stops the application if it still works, with all that it has begun."""
        if self._loop.is_closed():
            return
        try:
            if not self._task.done():
                self._task.cancel()
                self._loop.run_until_complete(asyncio.wait([self._task], timeout=_STOP_SECONDS))
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=_STOP_SECONDS))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


def respond(app: App, http: Request, body: bytes) -> Response:
    """The application's answer to a request whose body has been read: whole, or as it is made."""
    exchange = Exchange(app, _scope(http), body, Client.of(http))
    try:
        start = exchange.next()
        first = exchange.next()
        if start is None or first is None:
            raise RuntimeError("the MCP application ended without an answer")
        whole = not first.get("more_body")
        body_out: Any = first.get("body", b"") if whole else exchange.pieces(first)
        response = Response(body_out, status=int(start["status"]))
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
        del response.headers["Content-Type"]
        for name, value in headers:
            if name.lower() not in _HOP:
                response.headers.add(name, value)
    except BaseException:
        exchange.close()
        raise
    if whole:
        exchange.close()
    else:
        response.call_on_close(exchange.close)
    return response


def _scope(http: Request) -> Scope:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in http.headers]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": http.method,
        "scheme": http.scheme,
        "path": http.path,
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "extensions": {},
    }
