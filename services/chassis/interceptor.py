"""What happens around every handler: identity, access, deadline, span, errors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from opentelemetry import propagate, trace

from meldrag.options.v1 import options_pb2
from services.chassis import context, telemetry
from services.chassis.access import Authenticator, MethodRule
from services.chassis.errors import (
    DETAILS_KEY,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    ResourceExhaustedError,
    ServiceError,
    UnauthenticatedError,
    UnimplementedError,
    to_status,
)

_log = logging.getLogger(__name__)

# Health and reflection describe the process, not anybody's data.
_OPEN_PREFIXES = ("/grpc.health.v1.", "/grpc.reflection.")


# Stands for bytes that are no message of the method: gRPC parses before there is a call that can be refused.
_UNREADABLE = object()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of a server.

    Each call gets a caller, a finite deadline and a span; a call that lacks the
    scope, or comes when `max_concurrent` calls run, is refused; what a handler
    raises becomes a google.rpc.Status. Health and reflection pass untouched, so
    they answer however busy the server is.
    """

    def __init__(
        self, rules: Mapping[str, MethodRule], authenticator: Authenticator, domain: str, max_concurrent: int
    ) -> None:
        self._rules = rules
        self._authenticator = authenticator
        self._domain = domain
        self._max_concurrent = max_concurrent
        self._running = 0
        # To ask for it costs half as much as a span.
        self._tracer = telemetry.tracer()
        meter = telemetry.meter()
        self._duration = meter.create_histogram(
            "rpc.server.duration",
            "s",
            "Time to serve a call",
            explicit_bucket_boundaries_advisory=telemetry.SECONDS,
        )
        self._active = meter.create_up_down_counter("rpc.server.active", "1", "Calls being served")

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the handler of a method; called by gRPC."""
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        if handler is None or path.startswith(_OPEN_PREFIXES):
            return handler
        rule = self._rules[path]
        metadata = {
            key: value
            for key, value in handler_call_details.invocation_metadata or ()
            if isinstance(value, str)
        }
        return self._wrapped(handler, rule, metadata)

    def _wrapped(
        self, handler: Any, rule: MethodRule, metadata: Mapping[str, str]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        codec = {
            "request_deserializer": _reading(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }

        async def respond_once(request: Any, rpc: Any) -> Any:
            inner = handler.stream_unary if handler.request_streaming else handler.unary_unary

            async def work() -> Any:
                return await inner(self._checked(request, rule, handler.request_streaming), rpc)

            return await self._serve(work, rule, metadata, rpc)

        async def respond_in_pieces(request: Any, rpc: Any) -> None:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream

            async def work() -> None:
                responses = inner(self._checked(request, rule, handler.request_streaming), rpc)
                try:
                    async for response in responses:
                        await rpc.write(response)
                finally:
                    # Runs the handler's own clean-up now, not when it is collected.
                    await responses.aclose()

            await self._serve(work, rule, metadata, rpc)

        match handler.request_streaming, handler.response_streaming:
            case False, False:
                return grpc.unary_unary_rpc_method_handler(respond_once, **codec)
            case True, False:
                return grpc.stream_unary_rpc_method_handler(respond_once, **codec)
            case False, True:
                return grpc.unary_stream_rpc_method_handler(respond_in_pieces, **codec)
            case _:
                return grpc.stream_stream_rpc_method_handler(respond_in_pieces, **codec)

    @staticmethod
    def _checked(request: Any, rule: MethodRule, streaming: bool) -> Any:
        """The request, or the stream of them, whose first message names the tenant's resource."""
        if not streaming:
            _check_readable(request)
            rule.check_request(context.principal(), request)
            return request

        async def messages() -> AsyncIterator[Message]:
            first = True
            async for message in request:
                _check_readable(message)
                if first:
                    rule.check_request(context.principal(), message)
                    first = False
                yield message

        return messages()

    async def _serve(
        self, work: Callable[[], Awaitable[Any]], rule: MethodRule, metadata: Mapping[str, str], rpc: Any
    ) -> Any:
        started = time.monotonic()
        asked = rpc.time_remaining()
        limit = rule.timeout(asked)
        request_id = context.accepted_request_id(metadata.get(context.REQUEST_ID_KEY))
        attributes: dict[str, str] = {"rpc.method": rule.path}
        self._running += 1
        self._active.add(1, attributes)
        status = grpc.StatusCode.OK
        with self._tracer.start_as_current_span(
            rule.path.lstrip("/"),
            context=propagate.extract(metadata),
            kind=trace.SpanKind.SERVER,
            attributes={**attributes, "meldrag.request_id": request_id},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                principal = await self._admit(rule, metadata)
                with context.entered(context.Call(principal, request_id, started + limit)):
                    async with asyncio.timeout(limit) as scope:
                        return await work()
            except asyncio.CancelledError:
                status = grpc.StatusCode.CANCELLED
                raise
            except grpc.aio.AbortError:
                status = rpc.code() or grpc.StatusCode.UNKNOWN
                raise
            except ServiceError as error:
                status = error.code
                await self._refuse(rpc, error, span)
            except TimeoutError:
                if not scope.expired():
                    raise
                status = grpc.StatusCode.DEADLINE_EXCEEDED
                await self._refuse(
                    rpc,
                    DeadlineExceededError(
                        f"not done within {limit:.3g} s",
                        reason="DEADLINE",
                        metadata={"seconds": f"{limit:.3g}"},
                    ),
                    span,
                )
            except NotImplementedError:
                # What the generated base does for a method that the servicer lacks.
                status = grpc.StatusCode.UNIMPLEMENTED
                method = rule.path.rpartition("/")[2]
                await self._refuse(
                    rpc,
                    UnimplementedError(
                        f"{method} is declared, and comes in a later release",
                        reason="METHOD_NOT_AVAILABLE",
                        metadata={"method": method},
                    ),
                    span,
                )
            except Exception as error:
                status = grpc.StatusCode.INTERNAL
                _log.exception(
                    "a handler failed", extra={"fields": {"method": rule.path, "kind": type(error).__name__}}
                )
                await self._refuse(
                    rpc,
                    InternalError(
                        "an internal error; the log has it under this request id",
                        reason="INTERNAL",
                        metadata={"request_id": request_id},
                    ),
                    span,
                )
            finally:
                self._running -= 1
                self._active.add(-1, attributes)
                self._duration.record(time.monotonic() - started, {**attributes, "rpc.status": status.name})

    async def _admit(self, rule: MethodRule, metadata: Mapping[str, str]) -> context.Principal:
        if self._running > self._max_concurrent:
            raise ResourceExhaustedError(
                "too many calls at once",
                reason="TOO_MANY_CALLS",
                metadata={"limit": str(self._max_concurrent)},
                retry_after=1.0,
            )
        try:
            principal = await self._authenticator(metadata)
        except UnauthenticatedError as error:
            # Whoever signs in has nothing to show yet. What is shown and false is refused here as well.
            if rule.scope != options_pb2.SCOPE_PUBLIC or error.reason != "PASS_MISSING":
                raise
            return context.NOBODY
        rule.check_scope(principal)
        return principal

    async def _refuse(self, rpc: Any, error: ServiceError, span: trace.Span) -> None:
        span.set_status(trace.StatusCode.ERROR, error.reason)
        status = to_status(error, self._domain)
        await rpc.abort(error.code, status.message, ((DETAILS_KEY, status.SerializeToString()),))


def _reading(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return _UNREADABLE

    return read


def _check_readable(message: Any) -> None:
    if message is _UNREADABLE:
        raise InvalidArgumentError("the bytes are no message of this method", reason="INVALID_MESSAGE")
