"""The session service over a real channel, on a real Redis."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
import redis

from meldrag.session.v1 import identity_pb2_grpc, session_pb2, session_pb2_grpc
from services.chassis import roles
from services.chassis.context import LOCAL_OWNER, Principal
from services.chassis.errors import ServiceError, from_rpc_error
from services.chassis.server import Server
from services.session.hosting import session_server
from services.session.settings import SessionSettings
from tests.support.redis_server import RedisServer, running_redis


async def tenant_of_call(metadata: Mapping[str, str]) -> Principal:
    """The tenant and the person that a test writes into the metadata of its call, and in which role."""
    role = metadata.get("x-role", roles.OWNER)
    subject = metadata.get("x-subject", LOCAL_OWNER.subject)
    return Principal(
        metadata.get("x-tenant", LOCAL_OWNER.tenant_id), subject, roles.scopes_of(role), role=role
    )


@dataclass
class House:
    """A running session service and stubs that talk to it."""

    server: Server
    stub: Any
    identity: Any
    health: Any
    channel: grpc.aio.Channel

    async def session(self, **fields: Any) -> Any:
        """A new session."""
        reply = await self.stub.CreateSession(session_pb2.CreateSessionRequest(**fields))
        return reply.session

    async def append(self, session_id: str, *texts: str, request_id: str) -> Any:
        """Appends a user's messages."""
        messages = [session_pb2.Message(role=session_pb2.ROLE_USER, text=text) for text in texts]
        return await self.stub.AppendMessage(
            session_pb2.AppendMessageRequest(session_id=session_id, messages=messages, request_id=request_id)
        )

    async def texts(self, session_id: str) -> list[str]:
        """What was said in a session; fails when the sequences have a gap."""
        texts, token = [], ""
        while True:
            page = await self.stub.ListMessages(
                session_pb2.ListMessagesRequest(session_id=session_id, page_size=1000, page_token=token)
            )
            for message in page.messages:
                texts.append(message.text)
                assert message.sequence == len(texts)
            token = page.next_page_token
            if not token:
                return texts

    async def run(self, run_id: str, **fields: Any) -> Any:
        """A new run."""
        run = session_pb2.Run(run_id=run_id, agent_id=fields.pop("agent_id", "research"), **fields)
        return (await self.stub.CreateRun(session_pb2.CreateRunRequest(run=run))).run

    async def record(
        self, run_id: str, first: int, last: int, state: int = session_pb2.RUN_STATE_UNSPECIFIED
    ) -> int:
        """Appends the events `first` to `last`, whose payloads are made from their sequences."""
        request = session_pb2.AppendRunEventsRequest(
            run_id=run_id, events=[event(n) for n in range(first, last + 1)], state=state
        )
        return int((await self.stub.AppendRunEvents(request)).last_sequence)

    async def watched(
        self, run_id: str, after: int = 0, seconds: float = 20, metadata: Any = None
    ) -> tuple[list[int], int]:
        """The sequences that a watcher sees until the stream ends, and the last state."""
        sequences: list[int] = []
        state = 0
        request = session_pb2.WatchRunRequest(run_id=run_id, after_sequence=after)
        async for response in self.stub.WatchRun(request, timeout=seconds, metadata=metadata):
            for seen in response.events:
                assert seen.payload.value == payload(seen.sequence)
                sequences.append(seen.sequence)
            state = response.state
        return sequences, state

    async def watched_now(self, run_id: str) -> list[int]:
        """The sequences that are recorded of a run that goes on."""
        last = (await self.stub.GetRun(session_pb2.GetRunRequest(run_id=run_id))).run.last_sequence
        sequences: list[int] = []
        stream = self.stub.WatchRun(session_pb2.WatchRunRequest(run_id=run_id), timeout=20)
        async for response in stream:
            sequences += [seen.sequence for seen in response.events]
            if sequences[-1] >= last:
                stream.cancel()
                return sequences
        raise AssertionError("the stream of a run that goes on has ended")


_runs = itertools.count(1)


def new_run_id() -> str:
    """A well-formed run id that no test had before."""
    return f"run_{next(_runs):026d}"


def payload(sequence: int) -> bytes:
    """The payload of an event."""
    return b"event %d" % sequence


def event(sequence: int) -> Any:
    """An event to append."""
    made = session_pb2.RunEvent(sequence=sequence)
    made.payload.type_url = "type.googleapis.com/test.Event"
    made.payload.value = payload(sequence)
    made.event_time.FromNanoseconds(1_700_000_000_000_000_000 + sequence)
    return made


async def refusal(call: Awaitable[Any]) -> ServiceError:
    """The error that a call ends with. Fails when it succeeds."""
    try:
        await call
    except grpc.RpcError as error:
        return from_rpc_error(error)
    raise AssertionError("the call succeeded")


def settings_for(server: RedisServer | Any, **fields: Any) -> SessionSettings:
    """Settings for a service on this Redis, whatever the environment says."""
    return SessionSettings(
        **{
            "redis_host": "127.0.0.1",
            "redis_port": server.port,
            "redis_password": getattr(server, "password", ""),
            "session_redis_host": "",
            "session_redis_port": None,
            "session_redis_password": "",
            **fields,
        }
    )


@asynccontextmanager
async def running_house(settings: SessionSettings) -> AsyncIterator[House]:
    """A session service in this process, and a channel without retries to it."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            session_server(settings, "127.0.0.1:0", authenticator=tenant_of_call)
        )
        port = await server.start()
        stack.push_async_callback(server.stop, 0)
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_retries", 0)])
        )
        yield House(
            server,
            session_pb2_grpc.SessionServiceStub(channel),
            identity_pb2_grpc.IdentityServiceStub(channel),
            health_stub(channel),
            channel,
        )


def health_stub(channel: grpc.aio.Channel) -> Any:
    """The health service of the same server."""
    from grpc_health.v1 import health_pb2_grpc

    return health_pb2_grpc.HealthStub(channel)


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests that do it no harm."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(redis_process: RedisServer) -> RedisServer:
    """That Redis, empty."""
    with redis.Redis(port=redis_process.port) as client:
        client.flushall()
    return redis_process


@pytest.fixture
def own_redis(tmp_path: Any) -> Iterator[RedisServer]:
    """A Redis for a test that stops, kills or fills it."""
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def house_on(redis_server: RedisServer) -> Callable[..., Any]:
    """Starts a house on the shared Redis with other settings."""
    return lambda **fields: running_house(settings_for(redis_server, **fields))


@pytest.fixture
async def house(redis_server: RedisServer) -> AsyncIterator[House]:
    """A house on the shared Redis."""
    async with running_house(settings_for(redis_server)) as running:
        yield running
