"""Steps of a workflow as JSON: in the form in which results and workflows are rendered."""

from __future__ import annotations

from typing import Any

from google.protobuf import duration_pb2, struct_pb2

from meldrag.agents.v1 import workflow_pb2
from services.gateway.body import Fields, Json, to_struct

_POLICIES = {
    name.removeprefix("FAILURE_POLICY_").lower(): name for name in workflow_pb2.FailurePolicy.keys()[1:]
}
_COMPARISONS = {name.removeprefix("COMPARISON_").lower(): name for name in workflow_pb2.Comparison.keys()[1:]}
# Well within what a Duration holds; the service knows how long a step may really take.
_MAX_SECONDS = 1e9


def steps(given: list[Fields]) -> list[workflow_pb2.WorkflowStep]:
    """The steps. Raises ProblemError 400 that names the field."""
    return [_step(fields) for fields in given]


def _step(fields: Fields) -> workflow_pb2.WorkflowStep:
    made = workflow_pb2.WorkflowStep(
        step_id=fields.text("step_id", required=True),
        agent_id=fields.text("agent_id"),
        title=fields.text("title"),
        after=fields.texts("after"),
        inputs=fields.struct("inputs"),
        message=fields.text("message"),
        bindings=map(_binding, fields.objects("bindings") if fields.has("bindings") else ()),
        attempts=fields.integer("attempts"),
        on_failure=fields.choice("on_failure", _POLICIES),
        timeout=_duration(fields),
        collection_ids=fields.texts("collection_ids"),
    )
    fields.drop("bindings")
    if (condition := fields.object("condition")) is not None:
        made.condition.CopyFrom(_condition(condition))
    if (approval := fields.object("approval")) is not None:
        made.approval.CopyFrom(_approval(approval))
    if (meld := fields.object("meld")) is not None:
        meld.finish()
        made.meld.SetInParent()
    fields.finish()
    return made


def _binding(fields: Fields) -> workflow_pb2.StepBinding:
    made = workflow_pb2.StepBinding(
        input=fields.text("input", required=True),
        source=fields.text("source", required=True),
        optional=fields.boolean("optional"),
    )
    fields.finish()
    return made


def _condition(fields: Fields) -> workflow_pb2.StepCondition:
    made = workflow_pb2.StepCondition(
        source=fields.text("source", required=True), comparison=fields.choice("comparison", _COMPARISONS)
    )
    if fields.has("value"):
        made.value.CopyFrom(_value(fields.json("value")))
    fields.drop("value")
    fields.finish()
    return made


def _approval(fields: Fields) -> workflow_pb2.ApprovalStep:
    made = workflow_pb2.ApprovalStep(
        question=fields.text("question", required=True),
        timeout=_duration(fields),
        approve_on_timeout=fields.boolean("approve_on_timeout"),
    )
    fields.finish()
    return made


def _duration(fields: Fields) -> duration_pb2.Duration | None:
    seconds = fields.number("timeout_seconds", minimum=0, maximum=_MAX_SECONDS)
    if seconds is None:
        return None
    made = duration_pb2.Duration()
    made.FromNanoseconds(round(seconds * 1e9))
    return made


def _value(value: Json) -> struct_pb2.Value:
    whole: Any = to_struct({"value": value}, "value")
    made: struct_pb2.Value = whole.fields["value"]
    return made
