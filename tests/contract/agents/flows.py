"""Workflows for tests: steps in short, an agent that waits to be let go, and a caller."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2, results_pb2, workflow_pb2
from services.agents.roster.agent import Work
from services.agents.roster.registry import Registry
from services.chassis.errors import FailedPreconditionError, from_rpc_error
from tests.contract.agents import clerk
from tests.contract.agents.conftest import Client, Event

Said = tuple[str, Event]


def steps(*plain: dict[str, Any]) -> list[workflow_pb2.WorkflowStep]:
    """Steps, as their JSON says."""
    return [json_format.ParseDict(step, workflow_pb2.WorkflowStep()) for step in plain]


def step(step_id: str, message: str = "", agent_id: str = "research", **fields: Any) -> dict[str, Any]:
    """A step of the research agent."""
    return {"step_id": step_id, "agent_id": agent_id, "message": message or step_id, **fields}


def request(*plain: dict[str, Any], message: str = "What is it?", **fields: Any) -> Any:
    """A request for a workflow of these steps."""
    inputs = fields.pop("inputs", None)
    made = agents_pb2.RunWorkflowRequest(message=message, steps=steps(*plain), **fields)
    if inputs is not None:
        made.inputs.update(inputs)
    return made


async def run(house: Client, *plain: dict[str, Any], seconds: float = 30, **fields: Any) -> list[Said]:
    """All that a workflow says: each event with its step, "" for the workflow's own."""
    try:
        said = house.stub.RunWorkflow(request(*plain, **fields), timeout=seconds)
        return [(response.step_id, response.event) async for response in said]
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


def own(said: list[Said]) -> list[Event]:
    """The workflow's own events."""
    return [event for step_id, event in said if not step_id]


def outcome(said: list[Said]) -> results_pb2.ExecutorResult:
    """The result of a workflow that succeeded."""
    step_id, last = said[-1]
    assert not step_id
    assert last.ended.outcome == agents_pb2.RUN_OUTCOME_SUCCEEDED, last
    return last.ended.result.result.executor


def changes(events: list[Event]) -> list[str]:
    """How steps went, in order: "a RUNNING"."""
    return [f"{event.step.step_id} {state(event.step.state)}" for event in events if event.HasField("step")]


def state(value: int) -> str:
    """The name of a state."""
    return workflow_pb2.StepState.Name(value).removeprefix("STEP_STATE_")


def states(result: results_pb2.ExecutorResult) -> dict[str, str]:
    """How each step ended."""
    return {told.step_id: state(told.state) for told in result.steps}


class Gang:
    """An agent in the place of research whose runs are told by their message what to do.

    "fail": fails. "fail n": fails so often. "hold …": waits until let go. Anything else is the only
    gap. All messages are kept in the order in which they came.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.inside = 0
        self.most = 0
        self.let_go = asyncio.Event()
        self.came = asyncio.Condition()

    def registry(self) -> Registry:
        """The roster with this agent."""
        return clerk.registry(self.compose, ("look",))

    async def inside_are(self, count: int) -> None:
        """Waits until so many are at work at once."""
        async with asyncio.timeout(20), self.came:
            await self.came.wait_for(lambda: self.inside >= count)

    async def compose(self, work: Work[Any]) -> results_pb2.ResearchResult:
        """What the message says."""
        result = await work.tools.use("look", {}, lambda: self._act(work.question), lambda _: "looked")
        return results_pb2.ResearchResult(gaps=[result["said"]], confidence=0.5)

    async def _act(self, message: str) -> dict[str, Any]:
        self.asked.append(message)
        if message.startswith("hold"):
            async with self.came:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self.came.notify_all()
            try:
                await self.let_go.wait()
            finally:
                self.inside -= 1
        if message == "fail" or (
            message.startswith("fail ") and self.asked.count(message) <= int(message.split()[1])
        ):
            raise FailedPreconditionError("it was told to", reason="TOLD_TO", metadata={})
        return {"said": message}
