"""Makes a graph of what somebody asks for in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.ports import Ask
from services.agents.roster.registry import Registry
from services.agents.workflow import graph
from services.chassis.errors import InvalidArgumentError

# The step that asks whether a plan is to be run.
APPROVAL = "approve_plan"
# Of a plan; a graph may have more.
_MAX_STEPS = 12
_MAX_QUESTION = 1_900

_TASK = (
    "Make a plan of steps for the task below. Each step is done by one of the agents above. Use as few steps"
    " as do the job. Steps that do not need each other do not come after each other. In a message,"
    " {step.text} stands for the text of an earlier step. A binding fills an input of a step with a field of"
    " an earlier step's result, such as repair.files, or with one of the inputs that were given, such as"
    " inputs.files. Invent no files and no data.\n\nInputs that were given: %s.\n\nThe task: %s"
)


async def plan(
    ask: Ask,
    registry: Registry,
    message: str,
    inputs: Sequence[str],
    passages: Sequence[tuple[str, str]],
) -> tuple[workflow_pb2.WorkflowStep, ...]:
    """The steps of a graph that can be run; none without a model, or when it gave none that can.

    inputs: the names of those that steps may take. passages: titles and texts of what documents say of it.
    """

    def check(made: results_pb2.ExecutorPlan) -> None:
        if not 1 <= len(made.steps) <= _MAX_STEPS:
            raise ValueError(f"steps: there are {len(made.steps)}; a plan has 1 to {_MAX_STEPS}")
        try:
            graph.validate([_step(step) for step in made.steps], registry)
        except InvalidArgumentError as error:
            raise ValueError(error.message) from error

    made = await ask(
        results_pb2.ExecutorPlan,
        _TASK % (", ".join(inputs) or "none", message),
        data={"the agents": _agents(registry)} | dict(passages),
        check=check,
    )
    return () if made is None else tuple(_step(step) for step in made.steps)


def approved_first(
    steps: Sequence[workflow_pb2.WorkflowStep],
) -> tuple[workflow_pb2.WorkflowStep, ...]:
    """The steps behind one that waits until somebody approves them."""
    listed = "\n".join(f"- {step.title or step.step_id} ({step.agent_id})" for step in steps)
    asked = workflow_pb2.WorkflowStep(
        step_id=APPROVAL,
        title="Approval of the plan",
        on_failure=workflow_pb2.FAILURE_POLICY_STOP,
        approval=workflow_pb2.ApprovalStep(
            question=f"Run this plan?\n{listed}".replace("{", "(").replace("}", ")")[:_MAX_QUESTION]
        ),
    )
    behind = []
    for step in steps:
        copy = workflow_pb2.WorkflowStep()
        copy.CopyFrom(step)
        copy.after.append(APPROVAL)
        behind.append(copy)
    return (asked, *behind)


def _step(planned: results_pb2.PlannedStep) -> workflow_pb2.WorkflowStep:
    """Raises ValueError for inputs that are no JSON object."""
    if planned.step_id == APPROVAL:
        raise ValueError(f"{planned.step_id}: this id is taken")
    step = workflow_pb2.WorkflowStep(
        step_id=planned.step_id,
        agent_id=planned.agent_id,
        title=planned.title,
        message=planned.message,
        after=planned.after,
        bindings=planned.bindings,
        on_failure=workflow_pb2.FAILURE_POLICY_STOP,
    )
    if planned.inputs_json.strip():
        inputs: Any = json.loads(planned.inputs_json)
        try:
            json_format.ParseDict(inputs, step.inputs)
        except (json_format.ParseError, TypeError, AttributeError) as error:
            raise ValueError(f"{planned.step_id}.inputs_json: no JSON object") from error
    return step


def _agents(registry: Registry) -> str:
    """The agents that steps may have: what they are for, and what they take and make."""
    told = []
    for hosted in registry:
        definition = hosted.definition
        told.append(
            f"{definition.agent_id}: {definition.purpose} Inputs: {_fields(hosted.input_schema)}."
            f" Result: {_fields(hosted.result_schema)}."
        )
    return "\n".join(told)


def _fields(schema: dict[str, Any]) -> str:
    return ", ".join(schema["properties"]) or "none"
