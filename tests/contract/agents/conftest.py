"""The agents service over real channels, between small neighbours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import grpc.aio
import pytest

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from services.agents.adapters import session_client, vector_client
from services.agents.adapters.models import foreign_tools, open_audio, open_models, open_painter
from services.agents.assembly import House, assemble
from services.agents.chat.providers import audio, configured, images
from services.agents.ports import Sandboxed
from services.agents.roster.registry import Registry
from services.agents.routing.classifier import Examples
from services.agents.routing.features import load_concepts
from services.agents.servicer import SERVICE
from services.agents.settings import AgentsSettings
from services.chassis.channel import open_aio_channel
from services.chassis.errors import ServiceError, from_rpc_error
from services.chassis.server import Server
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted

Event = agents_pb2.RunAgentResponse
DEFAULT = "meld_rag_vectors"


@dataclass
class Client:
    """What a caller of the agents service has."""

    stub: agents_pb2_grpc.AgentServiceStub
    server: Server
    house: House
    address: str

    async def run(
        self, message: str, agent_id: str = "research", seconds: float = 20, **fields: Any
    ) -> list[Event]:
        """All events of a run. Raises the call's ServiceError."""
        request = agents_pb2.RunAgentRequest(agent_id=agent_id, message=message, **fields)
        try:
            return [event async for event in self.stub.RunAgent(request, timeout=seconds)]
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def refusal(self, message: str = "What is it?", **fields: Any) -> ServiceError:
        """The error with which the call fails."""
        with pytest.raises(ServiceError) as caught:
            await self.run(message, **fields)
        return caught.value


def result_of(events: list[Event]) -> agents_pb2.RunResult:
    """The result of a run that succeeded."""
    ended = events[-1].ended
    assert ended.outcome == agents_pb2.RUN_OUTCOME_SUCCEEDED, ended
    return ended.result


def kinds(events: list[Event]) -> list[str | None]:
    """The events' names."""
    return [event.WhichOneof("event") for event in events]


def streamed(events: list[Event]) -> str:
    """The text that a reader of the deltas has at the end."""
    text = ""
    for event in events:
        if event.HasField("text"):
            text = event.text.text if event.text.reset else text + event.text.text
    return text


@cache
def few_examples() -> Examples:
    """What the agents themselves say that they are good for: learnt in no time."""
    return Examples(
        {hosted.definition.agent_id: hosted.definition.examples for hosted in Registry()}, load_concepts()
    )


@asynccontextmanager
async def agents_house(
    vector: str,
    session: str,
    model_url: str = "",
    *,
    registry: Registry | None = None,
    examples: Examples | None = None,
    asking: Examples | None = None,
    sandbox: Sandboxed | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    """The agents service on a port of its own: that of meld_agents_address where it is given.

    registry: of other agents than the roster's. examples: for routing, a few when None. asking: those with
    questions to documents. sandbox: None where code cannot be executed.
    """
    bind = settings.get("meld_agents_address", "127.0.0.1:0")
    # A machine that runs other tests is slow; where a test is about the wait it says so.
    settings.setdefault("meld_session_wait_seconds", 5.0)
    read = AgentsSettings(openai_base_url=model_url, meld_drain_seconds=0.2, **settings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        house = await enter(
            assemble(
                read,
                await enter(open_aio_channel(vector, vector_client.SERVICE)),
                await enter(open_aio_channel(session, session_client.SERVICE)),
                await enter(open_models(configured(read), read.openai_max_tokens)),
                registry=registry,
                examples=examples or few_examples(),
                asking=asking,
                sound=await enter(open_audio(audio(read))),
                sandbox=sandbox,
                painter=await enter(open_painter(images(read))),
                foreign=foreign_tools(read),
            )
        )
        server = Server(
            name="agents",
            services=house.services,
            dependencies=house.dependencies,
            settings=read,
            bind=bind,
            max_concurrent=1000,
        )
        address = f"127.0.0.1:{await server.start()}"
        stack.push_async_callback(server.stop, 0)
        channel = await enter(open_aio_channel(address, SERVICE))
        yield Client(agents_pb2_grpc.AgentServiceStub(channel), server, house, address)


@pytest.fixture
async def vector() -> VectorNeighbour:
    """A vector service's content: a few documents in the default collection."""
    neighbour = VectorNeighbour()
    neighbour.put(
        DEFAULT,
        "Lighthouse",
        "The lighthouse of Brava was built in 1884. Its lamp burns whale oil. The keeper lives alone.",
        before="Ünïcode in front. ",
    )
    neighbour.put(
        DEFAULT,
        "Bakery",
        "The bakery opens at six. Rye bread costs four crowns. The oven was bought in Ghent in 1921.",
    )
    neighbour.put(DEFAULT, "Ferry", "The ferry to Brava leaves twice a day. Tickets are sold on board.")
    return neighbour


@pytest.fixture
async def session() -> SessionNeighbour:
    """A session service's content: nothing."""
    return SessionNeighbour()


@pytest.fixture
async def open_house(vector: VectorNeighbour, session: SessionNeighbour) -> AsyncIterator[Callable[..., Any]]:
    """Opens an agents service between the two neighbours; keyword arguments are settings."""
    async with AsyncExitStack() as stack:
        vector_address = await stack.enter_async_context(hosted("vector", vector))
        session_address = await stack.enter_async_context(hosted("session", session))

        async def open_it(model_url: str = "", **settings: Any) -> Client:
            return await stack.enter_async_context(
                agents_house(
                    settings.pop("vector_address", vector_address),
                    settings.pop("session_address", session_address),
                    model_url,
                    **settings,
                )
            )

        yield open_it
