"""AgentService on the wire: translates, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from services.agents import validation, wire
from services.agents.pipeline import AUTO
from services.agents.ports import RunRecords
from services.agents.roster.registry import Hosted, Registry
from services.agents.routing.triage import Triage
from services.agents.runs import Runs
from services.chassis import context
from services.chassis.errors import NotFoundError

SERVICE = agents_pb2.DESCRIPTOR.services_by_name["AgentService"]


class AgentServicer(agents_pb2_grpc.AgentServiceServicer):
    """The contract's methods; the chassis refuses those that come in a later release."""

    def __init__(self, *, registry: Registry, triage: Triage, runs: Runs, records: RunRecords) -> None:
        self._registry = registry
        self._triage = triage
        self._runs = runs
        self._records = records

    async def ListAgents(
        self, request: agents_pb2.ListAgentsRequest, rpc: Any
    ) -> agents_pb2.ListAgentsResponse:
        """The agents, page by page."""
        del rpc
        ids, following = validation.page(request.page_size, request.page_token, self._registry.ids())
        agents = [_agent(self._registry.get(agent_id)) for agent_id in ids]
        return agents_pb2.ListAgentsResponse(agents=agents, next_page_token=following)

    async def GetAgent(self, request: agents_pb2.GetAgentRequest, rpc: Any) -> agents_pb2.GetAgentResponse:
        """One agent."""
        del rpc
        return agents_pb2.GetAgentResponse(agent=_agent(self._registry.get(request.agent_id)))

    async def RouteTask(self, request: agents_pb2.RouteTaskRequest, rpc: Any) -> agents_pb2.RouteTaskResponse:
        """The agent for a message."""
        del rpc
        validation.check_message(request.message)
        return wire.route(await self._triage.route(request.message))

    async def RunAgent(
        self, request: agents_pb2.RunAgentRequest, rpc: Any
    ) -> AsyncGenerator[agents_pb2.RunAgentResponse]:
        """The events of a run."""
        del rpc
        validation.check_run(request)
        if request.agent_id != AUTO:
            hosted = self._registry.get(request.agent_id)
            self._registry.parse_inputs(hosted, json_format.MessageToDict(request.inputs))
        async with aclosing(self._runs.follow(request)) as events:
            async for event in events:
                yield event

    async def CancelRun(self, request: agents_pb2.CancelRunRequest, rpc: Any) -> agents_pb2.CancelRunResponse:
        """Stops a run that is at work here."""
        del rpc
        cancelled = self._runs.cancel(context.principal().tenant_id, request.run_id)
        if not cancelled and not await self._records.known(request.run_id):
            raise NotFoundError(
                "there is no run of that id",
                reason="RUN_NOT_FOUND",
                metadata={"run_id": request.run_id[:100]},
            )
        return agents_pb2.CancelRunResponse(cancelled=cancelled)


def _agent(hosted: Hosted) -> agents_pb2.Agent:
    definition = hosted.definition
    agent = agents_pb2.Agent(
        agent_id=definition.agent_id,
        display_name=definition.display_name,
        purpose=definition.purpose,
        tools=definition.tools,
        examples=definition.examples,
    )
    agent.input_schema.update(hosted.input_schema)
    agent.result_schema.update(hosted.result_schema)
    return agent
