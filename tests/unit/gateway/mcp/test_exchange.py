"""An asynchronous application over the gateway's own threads."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, request

from services.gateway.calls import Client
from services.gateway.mcp.exchange import Exchange, respond

NAME = contextvars.ContextVar[str]("name")
START = {
    "type": "http.response.start",
    "status": 201,
    "headers": [(b"content-type", b"text/x"), (b"a", b"b")],
}


def body(data: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.fixture
def app() -> Iterator[Flask]:
    flask = Flask("t")
    with flask.test_request_context("/mcp", method="POST", headers={"Accept": "x", "Mcp-Name": "n"}):
        yield flask


def test_an_answer_in_one_piece_is_whole_and_ends_the_work(app: Flask) -> None:
    ended: list[str] = []

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        asked = await receive()
        await send(START)
        await send(body(asked["body"] + dict(scope["headers"])[b"mcp-name"]))
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    answer = respond(serve, request, b"sent ")
    assert (answer.status_code, answer.content_type, answer.headers["a"]) == (201, "text/x", "b")
    assert "connection" not in answer.headers
    assert answer.get_data() == b"sent n"
    assert ended == ["ended"]


def test_pieces_come_as_they_are_made_and_the_work_ends_with_the_answer(app: Flask) -> None:
    said: list[str] = []

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for piece in (b"one", b"two", b"three"):
            await send(body(piece, more=piece != b"three"))
            said.append(piece.decode())
            await asyncio.sleep(0.01)

    answer = respond(serve, request, b"")
    pieces = iter(answer.response)
    assert next(pieces) == b"one"
    assert said == ["one"]
    assert list(pieces) == [b"two", b"three"]
    answer.close()


def test_a_reader_who_leaves_stops_the_work_and_all_that_it_began(app: Flask) -> None:
    stopped: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(name)

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        background = asyncio.create_task(wait("background"))
        await send(START)
        await send(body(b"one", more=True))
        await asyncio.gather(wait("work"), background)

    answer = respond(serve, request, b"")
    assert next(iter(answer.response)) == b"one"
    answer.close()
    assert sorted(stopped) == ["background", "work"]


def test_who_asks_is_known_to_the_work_after_the_route_has_returned(app: Flask) -> None:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"-", more=True))
        await asyncio.sleep(0)
        await send(body(f"{NAME.get()} {request.path}".encode()))

    token = NAME.set("asker")
    answer = respond(serve, request, b"")
    NAME.reset(token)
    assert b"".join(answer.response) == b"-asker /mcp"
    answer.close()


def test_an_error_is_raised_and_nothing_is_left(app: Flask) -> None:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    before = threading.active_count()
    with pytest.raises(ValueError, match="broken"):
        respond(serve, request, b"")
    assert threading.active_count() == before


def test_silence_is_an_error(app: Flask) -> None:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        """Says nothing."""

    with pytest.raises(RuntimeError, match="without an answer"):
        respond(serve, request, b"")


def test_a_client_that_goes_is_told_to_the_work() -> None:
    ours, theirs = socket.socketpair()
    heard: list[str] = []

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        theirs.close()
        heard.append((await receive())["type"])
        await send(body(b""))

    exchange = Exchange(serve, {}, b"", Client(ours))
    assert exchange.next() is not None
    exchange.close()
    exchange.close()
    ours.close()
    assert heard == ["http.disconnect"]
