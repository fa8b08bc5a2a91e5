"""The three services with login required, on real stores, and people who call them with their passes."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import argon2
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from meldrag.agents.v1 import agents_pb2, replicas_pb2
from meldrag.session.v1 import identity_pb2, session_pb2, webhook_pb2
from meldrag.vector.v1 import vector_pb2
from services.agents.adapters import quota_client, session_client, vector_client
from services.agents.assembly import assemble
from services.agents.settings import AgentsSettings
from services.chassis import passes
from services.chassis.channel import open_aio_channel
from services.chassis.context import Principal
from services.chassis.errors import from_rpc_error
from services.chassis.passes import Passes
from services.chassis.roles import OWNER, scopes_of
from services.chassis.server import Server
from services.session.hosting import session_server
from services.session.settings import SessionSettings
from services.vector.hosting import vector_server
from services.vector.models import ConfiguredModel
from services.vector.settings import VectorSettings
from tests.contract.agents.conftest import few_examples
from tests.contract.vector.world import TellingEmbedder, count_words
from tests.support.plain_sandbox import PlainSandbox
from tests.support.redis_server import running_redis

FILES = (vector_pb2, session_pb2, identity_pb2, webhook_pb2, agents_pb2, replicas_pb2)
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


MARK_KEY = "x-attack"
_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """All that somebody hears of a call."""

    code: str
    reason: str = ""
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    responses: tuple[Message, ...] = ()


@dataclass(frozen=True)
class House:
    """The running services. channels, addresses: by the package of a contract. secret: JWT_SECRET_KEY."""

    channels: Mapping[str, grpc.aio.Channel]
    passes: Passes
    addresses: Mapping[str, str]
    secret: str

    def person(self, tenant: str, subject: str, role: str, groups: frozenset[str] = frozenset()) -> Person:
        """Somebody who is signed in."""
        return Person(self, Principal(tenant, subject, scopes_of(role), groups, role))


@dataclass(frozen=True)
class Person:
    """Somebody who calls. shown: the metadata instead of a pass; None for a pass of one's own."""

    house: House
    principal: Principal
    shown: tuple[tuple[str, str], ...] | None = None

    def another(self) -> Person:
        """Somebody like this one who has nothing yet: of the same tenant, but in a new one for its owner."""
        mark, principal = secrets.token_hex(6), self.principal
        tenant = f"{principal.tenant_id}-{mark}" if principal.role == OWNER else principal.tenant_id
        return replace(self, principal=replace(principal, tenant_id=tenant, subject=f"s{mark}x"))

    async def call(self, path: str, *requests: Message, marked: bool = False) -> Answer:
        """What a call of any kind ends with. marked: tells tests that spoil the house which call it is."""
        for _ in range(3):
            answer = await self._call(METHODS[path], requests, ((MARK_KEY, "yes"),) if marked else ())
            # grpc.aio's client loses a status now and then, see tests.contract.vector.world.
            if answer.message != "Internal error from Core":
                return answer
        raise AssertionError("the channel lost three statuses in a row")

    async def ask(self, path: str, *requests: Message) -> Any:
        """The answer of a call that must succeed; the last one of a stream."""
        answer = await self.call(path, *requests)
        assert answer.code == "OK", (path, answer)
        return answer.responses[-1]

    def stream(self, path: str, request: Message) -> Any:
        """An open stream of answers."""
        return self._made(METHODS[path])(request, metadata=self._metadata(), timeout=120)

    async def _call(
        self, method: MethodDescriptor, requests: tuple[Message, ...], more: tuple[tuple[str, str], ...]
    ) -> Answer:
        given = iter(requests) if method.client_streaming else requests[0]
        call = self._made(method)(given, metadata=(*self._metadata(), *more), timeout=_SECONDS)
        heard: list[Message] = []
        try:
            if method.server_streaming:
                async for one in call:
                    heard.append(one)
            else:
                heard.append(await call)
        except grpc.aio.AioRpcError as error:
            fault = from_rpc_error(error)
            return Answer(fault.code.name, fault.reason, fault.message, fault.metadata, tuple(heard))
        return Answer("OK", responses=tuple(heard))

    def _made(self, method: MethodDescriptor) -> Any:
        channel = self.house.channels[method.containing_service.file.package]
        make = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }[method.client_streaming, method.server_streaming]
        return make(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self.shown is not None:
            return self.shown
        return ((passes.METADATA_KEY, self.house.passes.issue(self.principal)),)


@asynccontextmanager
async def running_house(folder: Path) -> AsyncIterator[House]:
    """The services on ports of their own, until the block ends."""
    login: dict[str, Any] = {"meld_login": "required", "jwt_secret_key": secrets.token_hex(32)}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        (folder / "redis").mkdir()
        store = stack.enter_context(running_redis(folder / "redis"))

        async def started(server: Server) -> str:
            address = f"127.0.0.1:{await server.start()}"
            stack.push_async_callback(server.stop, 0)
            return address

        vector_settings = VectorSettings(meld_data_dir=folder / "vector", **login)
        model = ConfiguredModel(TellingEmbedder(), count_words)
        vector, _ = await enter(vector_server(vector_settings, model, "127.0.0.1:0"))
        vector_address = await started(vector)
        session_settings = SessionSettings(
            redis_host=store.host,
            redis_port=store.port,
            meld_data_dir=folder / "session",
            meld_webhook_allow="127.0.0.1",
            # A fast machine tries more in a minute than people ask for.
            meld_rate_limit_per_minute=1_000_000,
            **login,
        )
        # Somebody new for each attack: with the hashes of a real house, that is a quarter of all its work.
        hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        session_address = await started(
            await enter(session_server(session_settings, "127.0.0.1:0", hasher=hasher))
        )
        settings = AgentsSettings(meld_drain_seconds=0.2, **login)
        identity = passes.identity(settings)
        agents = await enter(
            assemble(
                settings,
                await enter(open_aio_channel(vector_address, vector_client.SERVICE, identity=identity)),
                await enter(
                    open_aio_channel(
                        session_address, session_client.SERVICE, quota_client.SERVICE, identity=identity
                    )
                ),
                None,
                examples=few_examples(),
                # Agents that read files of others refuse them all where there is none.
                sandbox=PlainSandbox(),
            )
        )
        agents_address = await started(
            Server(
                name="agents",
                services=agents.services,
                dependencies=agents.dependencies,
                settings=settings,
                authenticator=passes.authenticator(settings),
                bind="127.0.0.1:0",
                max_concurrent=1000,
            )
        )
        addresses = {
            "meldrag.vector.v1": vector_address,
            "meldrag.session.v1": session_address,
            "meldrag.agents.v1": agents_address,
        }
        channels = {
            package: await enter(grpc.aio.insecure_channel(address, [("grpc.enable_retries", 0)]))
            for package, address in addresses.items()
        }
        yield House(channels, Passes(passes.key_of(settings)), addresses, login["jwt_secret_key"])
