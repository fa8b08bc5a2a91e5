"""A model server for tests: real HTTP on 127.0.0.1, the OpenAI protocol, a script instead of a model.

    with ModelServer(Failure(503), Answer("Paris is the capital [1].")) as server:
        ...  # OPENAI_BASE_URL=server.base_url
    # leaving the block fails when a step was not used or a request had no step

Each chat completion and each picture takes the next step of the script. Embeddings and the list of models are
always served and take no step. Every request is kept with its headers, its body and the moment its socket
closed under it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

JsonObject = dict[str, Any]

MODEL = "scripted-model"
_MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """A text, streamed piece by piece (or whole, when the request asks for no stream).

    `text` is cut into words unless it is a sequence, or made from the request's body when it is a function.
    Delays are seconds. `usage` is (input tokens, output tokens). Without a `finish` the stream ends untold;
    without `done` its end marker lacks.
    """

    text: str | Sequence[str] | Callable[[JsonObject], str]
    first_delay: float = 0.0
    delay: float = 0.0
    usage: tuple[int, int] | None = (120, 12)
    finish: str | None = "stop"
    done: bool = True


@dataclass(frozen=True)
class Calls:
    """Asks for tools: (name, arguments) each. The arguments are JSON text, or what the model takes for it."""

    calls: Sequence[tuple[str, str]] | Callable[[JsonObject], Sequence[tuple[str, str]]]
    text: str = ""
    usage: tuple[int, int] | None = (120, 12)
    finish: str = "tool_calls"


@dataclass(frozen=True)
class Refusal:
    """Declines, in the field that the protocol has for it."""

    text: str


@dataclass(frozen=True)
class Failure:
    """A status that is not 200."""

    status: int
    retry_after: str | None = None
    message: str = "scripted failure"


@dataclass(frozen=True)
class Hang:
    """Takes the request and never answers."""


@dataclass(frozen=True)
class Stall:
    """Streams its pieces and then says nothing, with the socket open."""

    text: str | Sequence[str] = ()


@dataclass(frozen=True)
class Drop:
    """Streams its pieces and then tears the socket down."""

    text: str | Sequence[str] = ()


@dataclass(frozen=True)
class Raw:
    """A 200 with this body and content type: bad JSON, a web page, an error event inside a stream."""

    body: bytes
    content_type: str = "text/event-stream"


@dataclass(frozen=True)
class Drawing:
    """A picture. usage: (input tokens, output tokens)."""

    data: bytes
    revised_prompt: str = ""
    usage: tuple[int, int] | None = None


def echo(body: JsonObject) -> str:
    """The text of the last message: shows what the model was told."""
    return str(body["messages"][-1]["content"])


BAD_JSON = Raw(b'data: {"choices": [{"delta": {"content": "half\n\n')
ERROR_EVENT = Raw(b'data: {"error": {"message": "scripted error", "type": "server_error"}}\n\n')
WEB_PAGE = Raw(b"<html><body>It works!</body></html>", "text/html")
NO_CHOICES = Raw(b'data: {"id": "x", "object": "chat.completion.chunk", "choices": []}\n\ndata: [DONE]\n\n')

Step = Answer | Calls | Refusal | Failure | Hang | Stall | Drop | Raw | Drawing


@dataclass
class Exchange:
    """A request and what became of it. Times are seconds of time.monotonic()."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: JsonObject
    received: float
    step: Step | None = None
    finished: float | None = None
    abandoned: float | None = None
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def messages(self) -> list[JsonObject]:
        """The chat messages of the request."""
        return list(self.body.get("messages", []))

    def wait_ended(self, seconds: float) -> bool:
        """Waits until the answer was sent whole or the client had left; False when neither came in time."""
        return self._ended.wait(seconds)

    def wait_abandoned(self, seconds: float) -> bool:
        """Waits until the client closed the socket before its answer was whole."""
        self._ended.wait(seconds)
        return self.abandoned is not None


class ModelServer:
    """Serves a script from a thread of its own, so that both sync and async tests can use it.

    `forever` is what every chat completion beyond the script gets, made from its body when it is a function;
    without it such a request is an error.
    """

    def __init__(
        self,
        *steps: Step,
        forever: Step | Callable[[JsonObject], Step] | None = None,
        dimension: int = 16,
        strict: bool = True,
        port: int = 0,
    ) -> None:
        self._steps = list(steps)
        self._forever = forever
        self._dimension = dimension
        self._strict = strict
        self._port = port
        self._unexpected: list[Exchange] = []
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._start_error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self.requests: list[Exchange] = []

    # -- the test's side ---------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on; the same after `close` and a new server with `port=`."""
        return self._port

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL is to be."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def chats(self) -> list[Exchange]:
        """The chat completions that were asked for, in order."""
        return [exchange for exchange in self.requests if exchange.path.endswith("/chat/completions")]

    @property
    def drawings(self) -> list[Exchange]:
        """The pictures that were asked for, in order."""
        return [exchange for exchange in self.requests if exchange.path.endswith("/images/generations")]

    def add(self, *steps: Step) -> None:
        """Lengthens the script."""
        self._steps.extend(steps)

    def wait_chats(self, count: int, seconds: float = 5.0) -> list[Exchange]:
        """Waits until `count` chat completions have come in."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.chats) >= count, seconds)
        assert arrived, f"the model server saw {len(self.chats)} requests, {count} were expected"
        return self.chats

    def verify(self) -> None:
        """Fails when a request had no step or a step had no request."""
        assert not self._unexpected, f"the model server had no step for {self._unexpected}"
        assert not self._steps, f"these steps of the model server were not used: {self._steps}"

    def close(self) -> None:
        """Stops at once; open connections are cut."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._request_stop)
            self._thread.join(5)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(5)
        if self._start_error is not None:
            raise self._start_error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None and self._strict:
            self.verify()

    # -- the server's side -------------------------------------------------------------------------------

    def _request_stop(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        connections: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                await self._converse(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # a client that leaves, or the end of the test
            finally:
                connections.discard(task)
                writer.transport.abort()

        try:
            server = await asyncio.start_server(accept, "127.0.0.1", self._port, backlog=512)
        except OSError as error:
            self._start_error = error
            self._ready.set()
            return
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            exchange = await _read_request(reader)
            if exchange is None:
                return
            with self._changed:
                self.requests.append(exchange)
                self._changed.notify_all()
            # The client sends nothing while it waits, so whatever can be read now means that it has left.
            left = asyncio.ensure_future(reader.read(1))
            answer = asyncio.ensure_future(self._answer(exchange, writer))
            try:
                await asyncio.wait({left, answer}, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    exchange.abandoned = time.monotonic()
                    return
                answer.result()
                exchange.finished = time.monotonic()
                if not left.done():
                    left.cancel()
                    await asyncio.gather(left, return_exceptions=True)
                elif left.result() == b"":
                    return
            except ConnectionError:
                exchange.abandoned = exchange.abandoned or time.monotonic()
                raise
            finally:
                for task in (left, answer):
                    task.cancel()
                await asyncio.gather(left, answer, return_exceptions=True)
                exchange._ended.set()

    async def _answer(self, exchange: Exchange, writer: asyncio.StreamWriter) -> None:
        if exchange.path.endswith("/embeddings"):
            await _send_json(writer, 200, self._embeddings(exchange.body))
        elif exchange.path.endswith("/models"):
            await _send_json(writer, 200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        elif exchange.path.endswith("/chat/completions"):
            await self._answer_chat(exchange, writer)
        elif exchange.path.endswith("/images/generations"):
            await self._answer_drawing(exchange, writer)
        else:
            await _send_json(writer, 404, {"error": {"message": f"no such path: {exchange.path}"}})

    async def _answer_drawing(self, exchange: Exchange, writer: asyncio.StreamWriter) -> None:
        """Only what fits the path is given: a step for another one is as good as none."""
        fits = self._steps and isinstance(self._steps[0], Drawing | Failure | Hang | Raw)
        step = exchange.step = self._steps.pop(0) if fits else None
        match step:
            case Drawing():
                told = {
                    "b64_json": base64.b64encode(step.data).decode(),
                    "revised_prompt": step.revised_prompt,
                }
                usage = dict(zip(("input_tokens", "output_tokens"), step.usage or (0, 0), strict=True))
                await _send_json(writer, 200, {"created": 1, "data": [told], "usage": usage})
            case Hang():
                await asyncio.Event().wait()
            case Failure(status=status, retry_after=retry_after, message=message):
                headers = {} if retry_after is None else {"Retry-After": retry_after}
                await _send_json(writer, status, {"error": {"message": message, "type": "scripted"}}, headers)
            case Raw(body=body, content_type=content_type):
                await _send(writer, 200, body, {"Content-Type": content_type})
            case _:
                self._unexpected.append(exchange)
                await _send_json(writer, 400, {"error": {"message": "no step for a picture"}})

    async def _answer_chat(self, exchange: Exchange, writer: asyncio.StreamWriter) -> None:
        beyond = self._forever(exchange.body) if callable(self._forever) else self._forever
        step = self._steps.pop(0) if self._steps else beyond
        exchange.step = step
        match step:
            case None:
                self._unexpected.append(exchange)
                await _send_json(
                    writer, 400, {"error": {"message": "the script of the model server is over"}}
                )
            case Hang():
                await asyncio.Event().wait()
            case Failure(status=status, retry_after=retry_after, message=message):
                headers = {} if retry_after is None else {"Retry-After": retry_after}
                await _send_json(writer, status, {"error": {"message": message, "type": "scripted"}}, headers)
            case Raw(body=body, content_type=content_type):
                await _send(writer, 200, body, {"Content-Type": content_type})
            case Stall(text=text):
                await _stream(writer, _chunks(_pieces(text, exchange.body), None, None), 0.0)
                await asyncio.Event().wait()
            case Drop(text=text):
                await _stream(writer, _chunks(_pieces(text, exchange.body), None, None), 0.0)
                writer.transport.abort()
            case Calls():
                await _stream(writer, _asking(step, exchange.body), 0.0, end=True, done=True)
            case Refusal(text=text):
                refused = [{"index": 0, "delta": {"refusal": text}, "finish_reason": None}]
                chunks = [_envelope("chat.completion.chunk", refused), *_chunks((), "stop", (9, 9))]
                await _stream(writer, chunks, 0.0, end=True, done=True)
            case Answer():
                await _send_answer(writer, step, exchange.body)

    def _embeddings(self, body: JsonObject) -> JsonObject:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        dimension = int(body.get("dimensions") or self._dimension)
        return {
            "object": "list",
            "model": body.get("model", MODEL),
            "data": [
                {"object": "embedding", "index": index, "embedding": unit_vector(text, dimension)}
                for index, text in enumerate(texts)
            ],
            "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)},
        }


def unit_vector(text: str, dimension: int) -> list[float]:
    """A unit vector that depends on the text alone."""
    digest = hashlib.shake_256(text.encode()).digest(dimension)
    values = [byte / 127.5 - 1.0 for byte in digest]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / length for value in values]


async def _read_request(reader: asyncio.StreamReader) -> Exchange | None:
    line = (await reader.readline()).decode("latin-1").strip()
    if not line:
        return None
    method, path, _ = line.split(" ", 2)
    headers: dict[str, str] = {}
    while header := (await reader.readline()).decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    assert length <= _MAX_BODY
    raw = await reader.readexactly(length)
    return Exchange(method, path, headers, json.loads(raw) if raw else {}, time.monotonic())


async def _send_answer(writer: asyncio.StreamWriter, step: Answer, body: JsonObject) -> None:
    pieces = _pieces(step.text, body)
    await asyncio.sleep(step.first_delay)
    if not body.get("stream"):
        message = {"role": "assistant", "content": "".join(pieces)}
        answer = _envelope(
            "chat.completion", [{"index": 0, "message": message, "finish_reason": step.finish}]
        )
        await _send_json(writer, 200, answer | {"usage": _usage(step.usage)})
        return
    await _stream(writer, _chunks(pieces, step.finish, step.usage), step.delay, end=True, done=step.done)


def _pieces(text: str | Sequence[str] | Callable[[JsonObject], str], body: JsonObject) -> list[str]:
    whole = text(body) if callable(text) else text
    if not isinstance(whole, str):
        return list(whole)
    words = whole.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]


def _chunks(pieces: Sequence[str], finish: str | None, usage: tuple[int, int] | None) -> list[JsonObject]:
    kind = "chat.completion.chunk"
    chunks = [
        _envelope(kind, [{"index": 0, "delta": {"content": piece}, "finish_reason": None}])
        for piece in pieces
    ]
    if finish is not None:
        chunks.append(_envelope(kind, [{"index": 0, "delta": {}, "finish_reason": finish}]))
    if usage is not None:
        chunks.append(_envelope(kind, []) | {"usage": _usage(usage)})
    return chunks


def _asking(step: Calls, body: JsonObject) -> list[JsonObject]:
    """The name comes first, the arguments in two parts."""
    deltas: list[JsonObject] = [{"content": step.text}] if step.text else []
    calls = step.calls(body) if callable(step.calls) else step.calls
    for index, (name, arguments) in enumerate(calls):
        half = len(arguments) // 2
        first = {"name": name, "arguments": arguments[:half]}
        deltas += [
            {"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": first}]},
            {"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]},
        ]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    return [_envelope("chat.completion.chunk", [choice]) for choice in choices] + _chunks(
        (), step.finish, step.usage
    )


def _envelope(kind: str, choices: list[JsonObject]) -> JsonObject:
    return {"id": "chatcmpl-scripted", "object": kind, "created": 1, "model": MODEL, "choices": choices}


def _usage(usage: tuple[int, int] | None) -> JsonObject | None:
    if usage is None:
        return None
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


async def _stream(
    writer: asyncio.StreamWriter,
    chunks: Sequence[JsonObject],
    delay: float,
    *,
    end: bool = False,
    done: bool = False,
) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    await writer.drain()
    async for data in _paced([f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks], delay):
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()
    if done:
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n")
    if end:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _paced(items: Sequence[bytes], delay: float) -> AsyncIterator[bytes]:
    for index, item in enumerate(items):
        if index:
            await asyncio.sleep(delay)
        yield item


async def _send_json(
    writer: asyncio.StreamWriter, status: int, body: JsonObject, headers: Mapping[str, str] | None = None
) -> None:
    await _send(
        writer, status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
    )


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body)
    await writer.drain()
