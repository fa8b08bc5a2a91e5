"""AgentService on the wire: translates, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc, replicas_pb2, replicas_pb2_grpc, results_pb2
from services.agents import ledger, validation, wire
from services.agents.pipeline import AUTO
from services.agents.ports import Decision
from services.agents.replay import Replays
from services.agents.roster.registry import Hosted, Registry
from services.agents.routing.triage import Triage
from services.agents.runs import Runs
from services.agents.workflow import graph
from services.agents.workflow.conductor import executor_request, steps_of
from services.agents.workflow.library import Library
from services.chassis import context
from services.chassis import server as chassis

SERVICE = agents_pb2.DESCRIPTOR.services_by_name["AgentService"]
REPLICAS = replicas_pb2.DESCRIPTOR.services_by_name["ReplicaService"]


class AgentServicer(agents_pb2_grpc.AgentServiceServicer):
    """The contract's methods; the chassis refuses those that come in a later release."""

    def __init__(
        self,
        *,
        registry: Registry,
        triage: Triage,
        runs: Runs,
        replays: Replays,
        library: Library,
        calls_tools: bool = False,
    ) -> None:
        """calls_tools: whether a model is configured that asks for tools."""
        self._registry = registry
        self._triage = triage
        self._runs = runs
        self._replays = replays
        self._library = library
        self._calls_tools = calls_tools

    async def ListAgents(
        self, request: agents_pb2.ListAgentsRequest, rpc: Any
    ) -> agents_pb2.ListAgentsResponse:
        """The agents, page by page."""
        del rpc
        ids, following = validation.page(request.page_size, request.page_token, self._registry.ids())
        agents = [self._agent(agent_id) for agent_id in ids]
        return agents_pb2.ListAgentsResponse(agents=agents, next_page_token=following)

    async def GetAgent(self, request: agents_pb2.GetAgentRequest, rpc: Any) -> agents_pb2.GetAgentResponse:
        """One agent."""
        del rpc
        return agents_pb2.GetAgentResponse(agent=self._agent(request.agent_id))

    def _agent(self, agent_id: str) -> agents_pb2.Agent:
        hosted = self._registry.get(agent_id)
        agent = _agent(hosted)
        agent.passes_tools = hosted.definition.passes_tools and self._calls_tools
        return agent

    async def RouteTask(self, request: agents_pb2.RouteTaskRequest, rpc: Any) -> agents_pb2.RouteTaskResponse:
        """The agent for a message."""
        del rpc
        validation.check_message(request.message)
        return wire.route(await self._triage.route(request.message))

    async def RunAgent(
        self, request: agents_pb2.RunAgentRequest, rpc: Any
    ) -> AsyncGenerator[agents_pb2.RunAgentResponse]:
        """The events of a run."""
        validation.check_run(request)
        if request.agent_id != AUTO:
            hosted = self._registry.get(request.agent_id)
            self._registry.parse_inputs(hosted, json_format.MessageToDict(request.inputs))
        async with aclosing(self._runs.follow(request, _left(rpc))) as events:
            async for event in events:
                yield event

    async def RunWorkflow(
        self, request: agents_pb2.RunWorkflowRequest, rpc: Any
    ) -> AsyncGenerator[agents_pb2.RunWorkflowResponse]:
        """The events of a run of the executor, and of the runs below it."""
        asked = executor_request(request)
        validation.check_run(asked)
        steps = await steps_of(
            results_pb2.ExecutorInputs(steps=request.steps, workflow_id=request.workflow_id), self._library
        )
        if steps:
            graph.validate(steps, self._registry)
        async with aclosing(self._runs.follow_with_steps(asked, _left(rpc))) as events:
            async for step_id, event in events:
                yield agents_pb2.RunWorkflowResponse(step_id=step_id, event=event)

    async def DecideStep(
        self, request: agents_pb2.DecideStepRequest, rpc: Any
    ) -> agents_pb2.DecideStepResponse:
        """Decides an approval step, wherever its run is at work."""
        del rpc
        validation.check_comment(request.comment)
        decision = Decision(request.approved, request.comment, made=True)
        await self._runs.decide(context.principal().space, request.run_id, request.step_id, decision)
        return agents_pb2.DecideStepResponse()

    async def CreateWorkflow(
        self, request: agents_pb2.CreateWorkflowRequest, rpc: Any
    ) -> agents_pb2.CreateWorkflowResponse:
        """Stores a workflow."""
        del rpc
        stored = await self._library.create(request.workflow, request.request_id)
        return agents_pb2.CreateWorkflowResponse(workflow=stored)

    async def GetWorkflow(
        self, request: agents_pb2.GetWorkflowRequest, rpc: Any
    ) -> agents_pb2.GetWorkflowResponse:
        """One workflow."""
        del rpc
        return agents_pb2.GetWorkflowResponse(workflow=await self._library.get(request.workflow_id))

    async def ListWorkflows(
        self, request: agents_pb2.ListWorkflowsRequest, rpc: Any
    ) -> agents_pb2.ListWorkflowsResponse:
        """The workflows, page by page."""
        del rpc
        shown, following = await self._library.page(request.page_size, request.page_token)
        return agents_pb2.ListWorkflowsResponse(workflows=shown, next_page_token=following)

    async def UpdateWorkflow(
        self, request: agents_pb2.UpdateWorkflowRequest, rpc: Any
    ) -> agents_pb2.UpdateWorkflowResponse:
        """Replaces a stored workflow."""
        del rpc
        stored = await self._library.update(request.workflow, request.request_id)
        return agents_pb2.UpdateWorkflowResponse(workflow=stored)

    async def DeleteWorkflow(
        self, request: agents_pb2.DeleteWorkflowRequest, rpc: Any
    ) -> agents_pb2.DeleteWorkflowResponse:
        """Deletes a stored workflow."""
        del rpc
        await self._library.delete(request.workflow_id)
        return agents_pb2.DeleteWorkflowResponse()

    async def DrawWorkflow(
        self, request: agents_pb2.DrawWorkflowRequest, rpc: Any
    ) -> agents_pb2.DrawWorkflowResponse:
        """A picture of a workflow."""
        del rpc
        svg = await self._library.draw(request.workflow_id, tuple(request.steps))
        return agents_pb2.DrawWorkflowResponse(svg=svg)

    async def CancelRun(self, request: agents_pb2.CancelRunRequest, rpc: Any) -> agents_pb2.CancelRunResponse:
        """Stops a run."""
        del rpc
        cancelled = await self._runs.cancel(context.principal().space, request.run_id)
        return agents_pb2.CancelRunResponse(cancelled=cancelled)

    async def ReplayRun(
        self, request: agents_pb2.ReplayRunRequest, rpc: Any
    ) -> AsyncGenerator[agents_pb2.ReplayRunResponse]:
        """The events of a repeated run, and how it compares."""
        del rpc
        async with aclosing(self._replays.replay(request.run_id)) as responses:
            async for response in responses:
                yield response


class ReplicaServicer(replicas_pb2_grpc.ReplicaServiceServicer):
    """What other replicas ask this one."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def ReachRun(
        self, request: replicas_pb2.ReachRunRequest, rpc: Any
    ) -> replicas_pb2.ReachRunResponse:
        """Whether a run is at work here."""
        del rpc
        working = self._runs.reach(context.principal().space, request.run_id, stop=request.stop)
        return replicas_pb2.ReachRunResponse(working=working)

    async def ReachStep(
        self, request: replicas_pb2.ReachStepRequest, rpc: Any
    ) -> replicas_pb2.ReachStepResponse:
        """Decides an approval step of a run that is at work here."""
        del rpc
        decision = Decision(request.approved, request.comment, made=True)
        working = await self._runs.decide_here(
            context.principal().space, request.run_id, request.step_id, decision
        )
        return replicas_pb2.ReachStepResponse(working=working)


def hosted(agents: AgentServicer, replica: ReplicaServicer) -> list[chassis.Hosted]:
    """What a server hosts."""
    return [
        chassis.Hosted(
            SERVICE, lambda server: agents_pb2_grpc.add_AgentServiceServicer_to_server(agents, server)
        ),
        chassis.Hosted(
            REPLICAS, lambda server: replicas_pb2_grpc.add_ReplicaServiceServicer_to_server(replica, server)
        ),
    ]


def _left(rpc: Any) -> str:
    """What the run that calls leaves of its ledger; empty where none does."""
    return next((str(value) for key, value in rpc.invocation_metadata() or () if key == ledger.KEY), "")


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
