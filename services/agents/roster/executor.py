"""Runs a graph of steps; without one it finds the steps of a task in the request and the documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.model import Passage, Quote
from services.agents.roster.agent import NO_TOOLS, AgentDefinition, Work
from services.agents.routing.parts import split
from services.agents.workflow import planning, report

if TYPE_CHECKING:
    # It knows the agents.
    from services.agents.workflow.conductor import Conductor

_SHOWN = "It is planned and was not run: send the steps, or ask with plan_use."
_STEP = re.compile(
    r"^\s*(?:\(?\d{1,2}[.)]\s|[-*•–]\s|step\s+\d+\b|(?:first|then|next|finally|afterwards)\b)", re.I
)
_MAX_STEPS = 12
_MAX_PASSAGES = 2


async def compose(work: Work[results_pb2.ExecutorInputs]) -> results_pb2.ExecutorResult:
    """What became of the graph that is asked for.

    Without one a model makes a plan, which is shown, or run, or run when it is approved. Without that, too:
    the steps that the passages list for the task, else the parts of the request; none was run.
    """
    conductor, inputs = work.conductor, work.inputs
    if conductor is None:
        return await _found(work)
    if not reads(inputs):
        return await _conducted(work, conductor, await conductor.steps_of(inputs))
    passages = [(passage.title, passage.text) for passage in work.evidence.passages]
    plan = await conductor.plan(work.ask, work.question, inputs, passages)
    if not plan:
        return await _found(work)
    if inputs.plan_use == results_pb2.PLAN_USE_RUN:
        return await _conducted(work, conductor, plan, plan)
    if inputs.plan_use == results_pb2.PLAN_USE_APPROVE:
        return await _conducted(work, conductor, planning.approved_first(plan), plan)
    return results_pb2.ExecutorResult(
        plan=plan,
        steps=[
            results_pb2.ExecutionStep(
                description=step.title or step.step_id,
                verdict=results_pb2.VERDICT_NOT_RUN,
                reason=_SHOWN,
                step_id=step.step_id,
                agent_id=step.agent_id,
                state=workflow_pb2.STEP_STATE_PENDING,
            )
            for step in plan
        ],
        undone=[f"{step.title or step.step_id}: {_SHOWN}" for step in plan],
    )


async def _found(work: Work[results_pb2.ExecutorInputs]) -> results_pb2.ExecutorResult:
    """The steps that the passages list, else the parts of the request."""
    listed = await work.sources.cite(await _listed(work))
    steps = [_not_run(finding.statement, finding.citations) for finding in listed] or [
        _not_run(part) for part in split(work.question)
    ]
    return results_pb2.ExecutorResult(
        steps=steps, undone=[f"{step.description}: not executed" for step in steps]
    )


def _not_run(description: str, citations: Sequence[int] = ()) -> results_pb2.ExecutionStep:
    return results_pb2.ExecutionStep(
        description=description,
        verdict=results_pb2.VERDICT_NOT_RUN,
        state=workflow_pb2.STEP_STATE_PENDING,
        reason=NO_TOOLS,
        citations=citations,
    )


def reads(inputs: results_pb2.ExecutorInputs) -> bool:
    """A graph needs no documents of its own: its steps search for themselves."""
    return not inputs.steps and not inputs.workflow_id


async def _conducted(
    work: Work[results_pb2.ExecutorInputs],
    conductor: Conductor,
    steps: Sequence[workflow_pb2.WorkflowStep],
    plan: Sequence[workflow_pb2.WorkflowStep] = (),
) -> results_pb2.ExecutorResult:
    """Raises ResourceExhaustedError (BUDGET_EXHAUSTED) when a step met a limit of the run, with what there is
    kept where a step succeeded.
    """
    schedule = await conductor.conduct(steps, work.question, work.inputs)
    result = await report.report(schedule, work.sources)
    result.plan.extend(plan)
    if (met := schedule.exhausted()) is not None:
        if schedule.final():
            work.keep(result)
        raise met
    return result


async def _listed(work: Work[results_pb2.ExecutorInputs]) -> list[Quote]:
    """The items of lists in the passages that fit the task best, in the order of the passages."""
    passages: list[Passage] = []
    for quote in await work.evidence.all_fitting(work.question):
        if quote.passage not in passages and len(passages) < _MAX_PASSAGES:
            passages.append(quote.passage)
    items = [
        quote
        for passage in passages
        for quote in work.evidence.sentences_of(passage)
        if _STEP.match(quote.text)
    ]
    return items[:_MAX_STEPS]


AGENT = AgentDefinition(
    agent_id="executor",
    display_name="Executor",
    purpose="Carries out a task or procedure step by step and says what was done and what was not.",
    inputs=results_pb2.ExecutorInputs,
    result=results_pb2.ExecutorResult,
    examples=(
        "Run the onboarding checklist for a new employee.",
        "Carry out the release procedure for version 2.4.",
        "Go through the steps to migrate the database and report each one.",
        "Follow the incident runbook for a full disk.",
        "First archive the old invoices, then send the reminder letters.",
    ),
    compose=compose,
    tell=report.tell,
    reads=reads,
    material=frozenset({"list of items"}),
)
