"""What a workflow came to: its answer, and how each step stands."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.roster.agent import Sources
from services.agents.workflow.cited import recited, uncited
from services.agents.workflow.ports import Ended
from services.agents.workflow.schedule import Report, Schedule
from services.agents.workflow.stage import moment

_MAX_OUTPUT = 1_000
_MAX_REASON = 500
_NOT_TESTED = "Nothing that it says was tested."
_SUCCEEDED = workflow_pb2.STEP_STATE_SUCCEEDED
_VERDICTS = frozenset(results_pb2.Verdict.keys()[1:])
# Agents with a verdict of their own say why in one of these.
_REASONS = ("verdict_reason", "reason")


async def report(schedule: Schedule, sources: Sources) -> results_pb2.ExecutorResult:
    """The result of a workflow that has ended. Citations of its answer are verified again, under numbers of
    this run.

    Raises UnavailableError (RETRIEVAL_UNAVAILABLE).
    """
    made = results_pb2.ExecutorResult(steps=map(_step, schedule.reports.values()))
    final = schedule.final()
    texts = []
    for told in final:
        outcome = told.outcome or Ended(told.state)
        text = outcome.text
        # A meld cites for this run already.
        if told.node.kind != "meld":
            text, numbers = await recited(outcome.text, outcome.citations, sources)
            next(step for step in made.steps if step.step_id == told.node.step_id).citations.extend(numbers)
        texts.append(text if len(final) == 1 else f"**{told.node.title}**\n\n{text}")
    made.answer = "\n\n".join(texts)
    melds = [
        told.outcome.result for told in schedule.reports.values() if told.node.kind == "meld" and told.outcome
    ]
    if melds and melds[-1] is not None:
        json_format.ParseDict(melds[-1], made.meld)
    made.undone.extend(
        f"{step.description}: {_name(step.state)}" + (f" ({step.reason})" if step.reason else "")
        for step in made.steps
        if step.state != _SUCCEEDED
    )
    return made


def tell(result: results_pb2.ExecutorResult) -> str:
    """The answer, and how each step ended; empty for a result that is no workflow's."""
    steps = [step for step in result.steps if step.step_id]
    if not steps:
        return ""
    if all(step.state == workflow_pb2.STEP_STATE_PENDING for step in steps):
        listed = "\n".join(f"- {step.description} ({step.agent_id})" for step in steps)
        return f"The plan, which was not run:\n\n{listed}"
    outcomes = "\n".join(f"- {_line(step)}" for step in steps)
    answer = result.answer or "No step has an answer."
    return f"{answer}\n\nThe steps:\n\n{outcomes}"


def _line(step: results_pb2.ExecutionStep) -> str:
    told = f"{step.description}: {_name(step.state)}"
    if step.attempts > 1:
        told += f" at try {step.attempts}"
    shown = step.reason if step.state != _SUCCEEDED or not step.agent_id else ""
    return f"{told}. {shown}" if shown else f"{told}."


def _name(state: workflow_pb2.StepState) -> str:
    return workflow_pb2.StepState.Name(state).removeprefix("STEP_STATE_").lower()


def _step(told: Report) -> results_pb2.ExecutionStep:
    node, outcome = told.node, told.outcome
    verdict, reason = _verdict(told)
    made = results_pb2.ExecutionStep(
        description=node.title,
        verdict=verdict,
        reason=reason[:_MAX_REASON],
        step_id=node.step_id,
        agent_id=(outcome.agent_id if outcome else "") or node.step.agent_id,
        state=told.state,
        run_id=outcome.run_id if outcome else "",
        attempts=told.attempts,
        output=_shortened(outcome) if outcome else "",
        error=outcome.error if outcome else "",
    )
    if told.began is not None:
        made.begin_time.CopyFrom(moment(told.began))
    if told.ended is not None:
        made.end_time.CopyFrom(moment(told.ended))
    return made


def _verdict(told: Report) -> tuple[Any, str]:
    """What the step's agent says of its own work, and why."""
    result = told.outcome.result if told.outcome is not None else None
    said = (result or {}).get("verdict", "")
    if told.state != _SUCCEEDED or said not in _VERDICTS:
        reason = told.reason or (_NOT_TESTED if told.state == _SUCCEEDED else "It did not run.")
        return results_pb2.VERDICT_NOT_RUN, reason
    why = next((str(result[name]) for name in _REASONS if result and result.get(name)), told.reason)
    return results_pb2.Verdict.Value(said), why or "Its agent does not say why."


def _shortened(outcome: Ended) -> str:
    plain = uncited(outcome.text, outcome.citations).strip()
    return plain if len(plain) <= _MAX_OUTPUT else f"{plain[:_MAX_OUTPUT]}…"
