"""Runs the workflow that a run is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2, results_pb2, workflow_pb2
from services.agents.ports import Ask
from services.agents.roster.registry import Registry
from services.agents.workflow import graph, planning
from services.agents.workflow.ports import Catalog, Stage
from services.agents.workflow.schedule import Schedule
from services.agents.workflow.values import Values

# The agent that runs workflows.
EXECUTOR = "executor"


class Conductor:
    """Runs graphs on the stage of one run.

    catalog: what it answers is in the run's journal.
    """

    def __init__(self, registry: Registry, catalog: Catalog, stage: Stage) -> None:
        self._registry = registry
        self._catalog = catalog
        self._stage = stage

    async def steps_of(self, inputs: results_pb2.ExecutorInputs) -> Sequence[workflow_pb2.WorkflowStep]:
        """See below."""
        return await steps_of(inputs, self._catalog)

    async def plan(
        self, ask: Ask, message: str, inputs: results_pb2.ExecutorInputs, passages: Sequence[tuple[str, str]]
    ) -> tuple[workflow_pb2.WorkflowStep, ...]:
        """See planning.plan."""
        return await planning.plan(ask, self._registry, message, tuple(inputs.inputs), passages)

    async def conduct(
        self, steps: Sequence[workflow_pb2.WorkflowStep], message: str, inputs: results_pb2.ExecutorInputs
    ) -> Schedule:
        """The schedule of these steps when all of them have ended.

        Raises InvalidArgumentError (WORKFLOW_INVALID).
        """
        checked = graph.validate(steps, self._registry)
        schedule = Schedule(
            checked, Values(checked, message, json_format.MessageToDict(inputs.inputs)), self._stage
        )
        await schedule.run()
        return schedule


async def steps_of(
    inputs: results_pb2.ExecutorInputs, catalog: Catalog
) -> Sequence[workflow_pb2.WorkflowStep]:
    """The steps that are asked for, not yet checked; none when there is neither a list nor a name.

    Raises InvalidArgumentError (WORKFLOW_INVALID) when there are both, and as Catalog.find.
    """
    if inputs.steps and inputs.workflow_id:
        raise graph.invalid("", "workflow_id", "steps are given, so there can be no name of a workflow")
    return await catalog.find(inputs.workflow_id) if inputs.workflow_id else tuple(inputs.steps)


def executor_request(request: agents_pb2.RunWorkflowRequest) -> agents_pb2.RunAgentRequest:
    """A request for a workflow as one for a run of the executor, which is what it is."""
    asked = agents_pb2.RunAgentRequest(
        agent_id=EXECUTOR,
        message=request.message,
        session_id=request.session_id,
        collection_ids=request.collection_ids,
        request_id=request.request_id,
        detached=request.detached,
    )
    inputs = results_pb2.ExecutorInputs(steps=request.steps, workflow_id=request.workflow_id)
    if not request.steps and not request.workflow_id:
        inputs.plan_use = results_pb2.PLAN_USE_APPROVE
    if request.HasField("inputs"):
        inputs.inputs.CopyFrom(request.inputs)
    asked.inputs.update(json_format.MessageToDict(inputs, preserving_proto_field_name=True))
    return asked
