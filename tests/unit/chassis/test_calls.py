"""What a caller meets on a real channel."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.chassis import context, telemetry
from services.chassis.channel import open_aio_channel, open_channel
from services.chassis.context import Principal
from services.chassis.errors import (
    FailedPreconditionError,
    NotFoundError,
    ServiceError,
    UnavailableError,
    from_rpc_error,
)
from services.chassis.server import Hosted, Server
from services.chassis.settings import ServiceSettings
from services.chassis.start import StartError
from tests.support.waits import promised
from tests.unit.chassis.conftest import DESCRIPTOR, ScriptedSessions, World


async def failure(call: Any) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def request(session_id: str = "s1") -> session_pb2.GetSessionRequest:
    return session_pb2.GetSessionRequest(session_id=session_id)


async def test_an_error_arrives_as_it_was_raised(world: World) -> None:
    async def act(_: Any) -> Any:
        raise NotFoundError(
            "no session s1", reason="SESSION_NOT_FOUND", metadata={"session_id": "s1"}, retry_after=1.5
        )

    world.sessions.act = act
    error = await failure(world.stub.GetSession(request()))
    assert type(error) is NotFoundError
    assert (error.message, error.reason) == ("no session s1", "SESSION_NOT_FOUND")
    assert (error.metadata, error.retry_after) == ({"session_id": "s1"}, 1.5)


async def test_a_defect_is_internal_and_tells_nothing_of_itself(world: World) -> None:
    async def act(_: Any) -> Any:
        raise RuntimeError("password=hunter22222")

    world.sessions.act = act
    error = await failure(world.stub.GetSession(request()))
    assert error.code is grpc.StatusCode.INTERNAL
    assert error.reason == "INTERNAL"
    assert "hunter2" not in error.message + str(error.metadata)


async def test_a_call_without_a_deadline_gets_the_contracts_default(world: World) -> None:
    raw = grpc.aio.insecure_channel(f"127.0.0.1:{world.port}")
    async with raw:
        await session_pb2_grpc.SessionServiceStub(raw).GetSession(request())
    assert 4 < world.sessions.seen[-1][1] <= 5


async def test_a_deadline_beyond_the_maximum_is_shortened(world: World) -> None:
    raw = grpc.aio.insecure_channel(f"127.0.0.1:{world.port}")
    async with raw:
        await session_pb2_grpc.SessionServiceStub(raw).GetSession(request(), timeout=10_000)
    assert 29 < world.sessions.seen[-1][1] <= 30


async def test_a_handler_that_does_not_end_is_ended_at_its_deadline(world: World) -> None:
    world.sessions.act = lambda _: asyncio.sleep(60)
    began = time.monotonic()
    error = await failure(world.stub.GetSession(request(), timeout=0.2))
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < promised(0.45)
    await asyncio.wait_for(world.sessions.unwound.wait(), 0.5)


async def test_a_caller_that_leaves_a_stream_unwinds_the_handler(world: World) -> None:
    call = world.stub.WatchRun(session_pb2.WatchRunRequest(run_id="r1"))
    async for _ in call:
        break
    call.cancel()
    await asyncio.wait_for(world.sessions.unwound.wait(), 0.5)


async def test_a_stream_ends_at_its_deadline(world: World) -> None:
    call = world.stub.WatchRun(session_pb2.WatchRunRequest(run_id="r1"), timeout=0.2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(world.sessions.unwound.wait(), 0.5)


async def test_the_resource_must_be_named(world: World) -> None:
    error = await failure(world.stub.GetSession(request("")))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.metadata["field"] == "session_id"
    assert world.sessions.seen == []


async def test_a_method_that_nobody_filled_is_unimplemented(world: World) -> None:
    error = await failure(world.stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id="s1")))
    assert (error.code, error.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_AVAILABLE")
    assert error.metadata == {"method": "DeleteSession"}


@pytest.mark.parametrize(("method", "streams"), [("GetSession", False), ("ImportSnapshot", True)])
async def test_bytes_that_are_no_message_are_refused_as_a_bad_request(
    world: World, method: str, streams: bool
) -> None:
    path = f"/meldrag.session.v1.SessionService/{method}"
    call = (
        world.channel.stream_unary(path)(iter([b"\xff"]))
        if streams
        else world.channel.unary_unary(path)(b"\xff")
    )
    error = await failure(call)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE")


async def test_a_scope_that_is_missing_is_refused() -> None:
    async def reader(metadata: Any) -> Principal:
        return Principal("t", "reader", frozenset({options_pb2.SCOPE_CONVERSATION_READ}))

    sessions = ScriptedSessions()
    server = Server(
        name="session",
        services=[
            Hosted(DESCRIPTOR, lambda s: session_pb2_grpc.add_SessionServiceServicer_to_server(sessions, s))
        ],
        dependencies=[],
        settings=ServiceSettings(),
        authenticator=reader,
    )
    port = await server.start()
    async with open_aio_channel(f"127.0.0.1:{port}", DESCRIPTOR) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        await stub.GetSession(request())
        error = await failure(stub.CreateRun(session_pb2.CreateRunRequest()))
    await server.stop(0)
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    assert len(sessions.seen) == 1


async def test_too_many_calls_are_refused_and_health_still_answers(world: World) -> None:
    release = asyncio.Event()

    async def act(_: Any) -> Any:
        await release.wait()
        return session_pb2.GetSessionResponse()

    world.sessions.act = act
    held = [asyncio.ensure_future(world.stub.GetSession(request())) for _ in range(4)]
    while len(world.sessions.seen) < 4:
        await asyncio.sleep(0.01)
    error = await failure(world.stub.GetSession(request()))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    answer = await health_pb2_grpc.HealthStub(world.channel).Check(
        health_pb2.HealthCheckRequest(), timeout=0.5
    )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    release.set()
    await asyncio.gather(*held)


async def test_only_repeatable_calls_are_repeated(world: World) -> None:
    attempts = 0

    async def act(_: Any) -> Any:
        nonlocal attempts
        attempts += 1
        raise UnavailableError("the store is away", reason="STORE_UNAVAILABLE")

    world.sessions.act = act
    await failure(world.stub.GetSession(request()))
    assert attempts == 3
    # Streams of requests cannot be repeated by a channel: they have no idempotency option.
    rule_free = [m.name for m in DESCRIPTOR.methods if m.GetOptions().idempotency_level == 0]
    assert rule_free == ["PutAttachment", "ImportSnapshot"]


async def test_identity_and_request_id_travel_with_the_call(world: World) -> None:
    call = context.Call(context.LOCAL_OWNER, "req-42", time.monotonic() + 2)
    with context.entered(call):
        await world.stub.GetSession(request())
    tenant, remaining, request_id = world.sessions.seen[-1]
    assert (tenant, request_id) == ("home", "req-42")
    assert remaining <= 1.95


async def test_a_hostile_request_id_is_replaced(world: World) -> None:
    await world.stub.GetSession(request(), metadata=(("x-request-id", "a b\\n"),))
    assert " " not in world.sessions.seen[-1][2]


async def test_metadata_that_is_too_large_is_refused_and_harms_nobody(world: World) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.stub.GetSession(request(), metadata=(("x-large", "a" * 20_000),))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await world.stub.GetSession(request())


async def test_streams_of_requests_work_and_are_checked(world: World) -> None:
    pieces = [session_pb2.ImportSnapshotRequest(data=b"x")] * 3
    answer = await world.stub.ImportSnapshot(iter(pieces))
    assert answer.sessions == 3


async def test_the_sync_channel_follows_the_same_rules(world: World) -> None:
    def ask() -> ServiceError | str:
        with open_channel(f"127.0.0.1:{world.port}", DESCRIPTOR) as channel:
            stub = session_pb2_grpc.SessionServiceStub(channel)
            assert stub.GetSession(request("s9")).session.session_id == "s9"
            try:
                stub.GetSession(request(""))
            except grpc.RpcError as error:
                return from_rpc_error(error)
            return "no error"

    error = await asyncio.to_thread(ask)
    assert isinstance(error, ServiceError)
    assert error.reason == "INVALID_FIELD"


async def test_a_service_that_is_away_is_unavailable_at_once() -> None:
    async with open_aio_channel("127.0.0.1:1", DESCRIPTOR) as channel:
        began = time.monotonic()
        error = await failure(session_pb2_grpc.SessionServiceStub(channel).GetSession(request()))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    assert time.monotonic() - began < promised(2)


async def test_one_trace_joins_caller_and_handler(world: World) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    seen: list[int] = []

    async def act(_: Any) -> Any:
        from opentelemetry import trace

        seen.append(trace.get_current_span().get_span_context().trace_id)
        return session_pb2.GetSessionResponse()

    world.sessions.act = act
    with provider.get_tracer("test").start_as_current_span("caller") as span:
        await world.stub.GetSession(request())
    assert seen == [span.get_span_context().trace_id]
    assert telemetry.tracer() is not None


async def test_reflection_lists_what_is_hosted(world: World) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(world.channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = [a async for a in stub.ServerReflectionInfo(iter([ask]))]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {"meldrag.session.v1.SessionService", "grpc.health.v1.Health"} <= names


async def test_a_port_in_use_is_one_clear_line(world: World) -> None:
    server = Server(
        name="session",
        services=[],
        dependencies=[],
        settings=ServiceSettings(),
        bind=f"127.0.0.1:{world.port}",
    )
    with pytest.raises(StartError, match=str(world.port)):
        await server.start()


async def test_a_failed_precondition_is_not_repeated(world: World) -> None:
    attempts = 0

    async def act(_: Any) -> Any:
        nonlocal attempts
        attempts += 1
        raise FailedPreconditionError("no", reason="RUN_ENDED")

    world.sessions.act = act
    await failure(world.stub.GetSession(request()))
    assert attempts == 1
