"""Calls to the services that end when the client goes, when time is up, or when the process stops."""

from __future__ import annotations

import contextlib
import contextvars
import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import grpc
from flask import Request, request
from google.protobuf.message import Message

from meldrag.vector.v1 import vector_pb2
from services.chassis import context
from services.chassis.access import rules
from services.chassis.errors import CancelledError, ServiceError, UnavailableError, from_rpc_error
from services.gateway.clients import AGENTS, IDENTITY, SESSION, VECTOR, WEBHOOK
from services.gateway.door import door
from services.gateway.observation import asked_seconds
from services.gateway.outlasting import LastingImport
from services.gateway.problem import ProblemError

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)
Metadata = tuple[tuple[str, str], ...]

# How often a waiting request looks whether its client is still there.
_LOOK_SECONDS = 0.2
# A service that is being replaced is asked again this soon.
_AGAIN_SECONDS = 0.2
# A stream that never left this process, for want of a connection, is begun anew for this long.
_UNSENT_SECONDS = 1.0
# How gRPC says that there was no connection to send a call by.
_UNSENT = ("failed to connect to all addresses", "connections to all backends failing")
# Messages that wait for a client slower than the service; then the service waits.
_WAITING_MESSAGES = 64

# Each method has a request message of its own, so the message names the method's rule.
_RULES = {
    method.input_type.full_name: rule
    for service in (AGENTS, SESSION, IDENTITY, WEBHOOK, VECTOR)
    for method, rule in zip(service.methods, rules([service]).values(), strict=True)
}

_TRANSPORT_WORDS = {
    "UPSTREAM_UNAVAILABLE": "cannot be reached",
    "UPSTREAM_DEADLINE": "did not answer in time",
    "METHOD_UNKNOWN": "does not know this call",
    "TRANSPORT": "broke the connection off",
}


class Client:
    """The socket of the HTTP client, to see that it has gone."""

    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection

    @classmethod
    def of(cls, http: Request) -> Client:
        """The client of a request; one without a socket (in a test) never goes."""
        return cls(http.environ.get("gunicorn.socket"))

    def gone(self) -> bool:
        """Whether the client closed its side. Never waits."""
        if self._connection is None:
            return False
        try:
            poll = select.poll()
            poll.register(self._connection, select.POLLIN)
            events = poll.poll(0)
            if not events:
                return False
            if events[0][1] & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
                return True
            # Bytes are the client's next request, or a body that is not read yet.
            return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            # Another thread, which reads the body, was faster.
            return False
        except (OSError, ValueError):
            return True


def timeout_of(kind: type[Message]) -> float:
    """Seconds that a call with this request message gets: the contract's, or what the client asked for.

    The channel shortens them to what is left of the client's time.
    """
    asked = asked_timeout(request)
    return _RULES[kind.DESCRIPTOR.full_name].timeout(asked)


def asked_timeout(http: Request) -> float | None:
    """The Request-Timeout header in seconds, None when absent. Raises ProblemError 400."""
    header = http.headers.get("Request-Timeout")
    seconds = asked_seconds(header)
    if header is not None and seconds is None:
        detail = "Request-Timeout must be a number of seconds above 0"
        raise ProblemError(400, "INVALID_REQUEST_TIMEOUT", detail)
    return seconds


def unary(method: grpc.UnaryUnaryMultiCallable[Req, Res], message: Req, metadata: Metadata = ()) -> Res:
    """The answer to one message. Raises ServiceError; CancelledError when the client has gone.

    A call that may be repeated waits for a service that has just gone, as it does while it is replaced.
    """
    rule = _RULES[message.DESCRIPTOR.full_name]
    client, patience, service = Client.of(request), door().patience, rule.path.split(".")[1]
    while True:
        try:
            answer = _unary_once(method, message, metadata, client)
        except UnavailableError as error:
            if error.reason != "UPSTREAM_UNAVAILABLE":
                patience.found(service)
                raise
            if not patience.lost(service) or not rule.idempotent:
                raise
            time.sleep(min(_AGAIN_SECONDS, max(0.0, context.remaining())))
            if client.gone():
                raise client_gone() from None
        else:
            patience.found(service)
            return answer


def upload(method: grpc.StreamUnaryMultiCallable[Req, Res], kind: type[Req], messages: Iterator[Req]) -> Res:
    """The answer to a stream of messages, which gRPC's own thread draws. Never repeated.

    Raises ServiceError; CancelledError when the client has gone.
    """
    call = method.future(messages, timeout=timeout_of(kind))
    answer: Res = _answered(call, kind, Client.of(request))
    return answer


def _unary_once(
    method: grpc.UnaryUnaryMultiCallable[Req, Res], message: Req, metadata: Metadata, client: Client
) -> Res:
    call = method.future(message, timeout=timeout_of(type(message)), metadata=metadata)
    answer: Res = _answered(call, type(message), client)
    return answer


def waited(
    method: grpc.UnaryUnaryMultiCallable[Req, Res], message: Req, client: Client
) -> Iterator[Res | None]:
    """None each moment in which there is no answer yet, and then the answer. Raises as `unary` does.

    Nothing is repeated here. When it is left early the call is cancelled.
    """
    call = method.future(message, timeout=timeout_of(type(message)))
    yield from _looks(call, type(message), client)


def _answered(call: Any, kind: type[Message], client: Client) -> Any:
    return next(answer for answer in _looks(call, kind, client) if answer is not None)


def _looks(call: Any, kind: type[Message], client: Client) -> Iterator[Any]:
    done = threading.Event()
    call.add_done_callback(lambda _: done.set())
    try:
        while not done.wait(_LOOK_SECONDS):
            if client.gone():
                raise client_gone()
            yield None
    except BaseException:
        call.cancel()
        raise
    yield _result(call, kind)


def _result(call: Any, kind: type[Message]) -> Any:
    try:
        return call.result()
    except grpc.RpcError as error:
        raise failure(error, kind) from None
    except grpc.FutureCancelledError:
        raise client_gone() from None


def failure(error: grpc.RpcError, kind: type[Message]) -> ServiceError:
    """What a call with this request message failed with; the transport's words name the service instead."""
    said = from_rpc_error(error)
    if said.reason == "CANCELLED":
        # Nobody here gave it up: so a service that stops ends what it has not answered.
        said = UnavailableError(said.message, reason="UPSTREAM_UNAVAILABLE")
    if (words := _TRANSPORT_WORDS.get(said.reason)) is None:
        return said
    service = _RULES[kind.DESCRIPTOR.full_name].path.split(".")[1]
    return type(said)(f"the {service} service {words}", reason=said.reason, metadata={"service": service})


def client_gone() -> CancelledError:
    """The error of a call whose client has left."""
    return CancelledError("the client closed the connection", reason="CLIENT_GONE")


class EndOfStreamError(Exception):
    """A stream of answers has come to its regular end."""


@dataclass(frozen=True)
class End:
    """The end of a stream, with what broke it."""

    error: grpc.RpcError | None


class Waiting(Protocol[Res]):
    """Where answers wait for their reader.

    After `timeout` seconds put raises queue.Full and get queue.Empty.
    """

    def put(self, item: Res | End, block: bool = True, timeout: float | None = None) -> None:
        """Appends an item."""

    def get(self, block: bool = True, timeout: float | None = None) -> Res | End:
        """Takes the oldest item."""


class Upstream(Generic[Res]):
    """A stream of answers, read by a thread of its own so that waiting for the next can be bounded.

    After the last message `poll` and `wait` raise EndOfStreamError; when the call
    failed they raise its ServiceError first. again: begins a call that was never sent anew.
    """

    def __init__(
        self,
        call: Any,
        kind: type[Message],
        waiting: Waiting[Res] | None = None,
        again: Callable[[], Any] | None = None,
    ) -> None:
        self._call = call
        self._again = again
        self._kind = kind
        self._queue: Waiting[Res] = queue.Queue(_WAITING_MESSAGES) if waiting is None else waiting
        self._closed = threading.Event()
        self._ended = False
        threading.Thread(target=self._pump, name="upstream", daemon=True).start()

    def _pump(self) -> None:
        end = End(None)
        until = time.monotonic() + _UNSENT_SECONDS
        while True:
            try:
                for answer in self._call:
                    if not self._put(answer):
                        return
            except grpc.RpcError as error:
                if self._again and _unsent(error) and time.monotonic() < until and not self._closed.is_set():
                    time.sleep(_AGAIN_SECONDS)
                    self._call = self._again()
                    if self._closed.is_set():
                        self._call.cancel()
                    continue
                end = End(error)
            break
        self._put(end)

    def _put(self, item: Res | End) -> bool:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_LOOK_SECONDS)
                return True
        return False

    def poll(self, seconds: float) -> Res | None:
        """The next message, or None when none came within `seconds`."""
        if self._ended:
            raise EndOfStreamError
        try:
            item = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if not isinstance(item, End):
            return item
        self._ended = True
        if item.error is None:
            raise EndOfStreamError
        raise failure(item.error, self._kind)

    def wait(self, client: Client) -> Res:
        """The next message. Raises CancelledError, and cancels the call, when the client goes."""
        while not client.gone():
            answer = self.poll(_LOOK_SECONDS)
            if answer is not None:
                return answer
        self.close()
        raise client_gone()

    def first(self, client: Client) -> Res:
        """The first message of a stream that has at least one. Raises ProblemError when it has none."""
        try:
            return self.wait(client)
        except EndOfStreamError:
            raise ProblemError(502, "NO_ANSWER", "a service ended its answer before it began") from None

    def close(self) -> None:
        """Cancels the call if it still runs. May be called twice, from any thread."""
        self._closed.set()
        self._call.cancel()


def stream(method: grpc.UnaryStreamMultiCallable[Req, Res], message: Req) -> Upstream[Res]:
    """Begins a call whose answers come as a stream."""
    seconds = timeout_of(type(message))

    def begin() -> Any:
        return method(message, timeout=seconds)

    # Who calls, and for how long, is known to this thread and not to the one that reads.
    caller = contextvars.copy_context()
    return Upstream(begin(), type(message), again=lambda: caller.run(begin))


def _unsent(error: grpc.RpcError) -> bool:
    """Whether a call failed before it left: nobody can have begun to answer it."""
    said: Any = error
    return said.code() is grpc.StatusCode.UNAVAILABLE and (said.details() or "").startswith(_UNSENT)


def duplex(
    method: grpc.StreamStreamMultiCallable[Req, Res],
    kind: type[Req],
    messages: Iterator[Req],
    waiting: Waiting[Res] | None = None,
) -> Upstream[Res]:
    """Begins a call with a stream each way; `messages` is drawn from by gRPC's own thread."""
    return Upstream(method(messages, timeout=timeout_of(kind)), kind, waiting)


def lasting_import(
    messages: Iterator[vector_pb2.ImportDocumentsRequest],
    waiting: Waiting[vector_pb2.ImportDocumentsResponse],
) -> Upstream[vector_pb2.ImportDocumentsResponse]:
    """Begins an import that goes on when the service dies and comes back; see LastingImport."""
    kind = vector_pb2.ImportDocumentsRequest
    end = time.monotonic() + timeout_of(kind)
    method = door().clients.vector.ImportDocuments
    # Who calls, and for how long, is known to this thread and not to the one that begins it again.
    caller = contextvars.copy_context()

    def begin(lines: Iterator[vector_pb2.ImportDocumentsRequest]) -> Any:
        return caller.run(lambda: method(lines, timeout=max(0.0, end - time.monotonic())))

    return Upstream(LastingImport(begin, messages), kind, waiting)
