"""Runs a graph of steps; without one it finds the steps of a task in the request and the documents."""

from __future__ import annotations

import re

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.model import Passage, Quote
from services.agents.roster.agent import NO_TOOLS, AgentDefinition, Work
from services.agents.routing.parts import split
from services.agents.workflow import report

_STEP = re.compile(
    r"^\s*(?:\(?\d{1,2}[.)]\s|[-*•–]\s|step\s+\d+\b|(?:first|then|next|finally|afterwards)\b)", re.I
)
_MAX_STEPS = 12
_MAX_PASSAGES = 2


async def compose(work: Work[results_pb2.ExecutorInputs]) -> results_pb2.ExecutorResult:
    """What became of the steps of the graph that is asked for.

    Without one: the steps that the passages list for the task, else the parts of the request; none was run.
    """
    if not reads(work.inputs):
        return await _conducted(work)
    listed = await work.sources.cite(await _listed(work))
    steps = [
        results_pb2.ExecutionStep(
            description=finding.statement,
            verdict=results_pb2.VERDICT_NOT_RUN,
            state=workflow_pb2.STEP_STATE_PENDING,
            reason=NO_TOOLS,
            citations=finding.citations,
        )
        for finding in listed
    ] or [
        results_pb2.ExecutionStep(
            description=part,
            verdict=results_pb2.VERDICT_NOT_RUN,
            state=workflow_pb2.STEP_STATE_PENDING,
            reason=NO_TOOLS,
        )
        for part in split(work.question)
    ]
    return results_pb2.ExecutorResult(
        steps=steps, undone=[f"{step.description}: not executed" for step in steps]
    )


def reads(inputs: results_pb2.ExecutorInputs) -> bool:
    """A graph needs no documents of its own: its steps search for themselves."""
    return not inputs.steps and not inputs.workflow_id


async def _conducted(work: Work[results_pb2.ExecutorInputs]) -> results_pb2.ExecutorResult:
    """Raises ResourceExhaustedError (BUDGET_EXHAUSTED) when a step met a limit of the run, with what there is
    kept where a step succeeded.
    """
    if work.conductor is None:
        raise LookupError("there is nobody to run a graph")
    steps = await work.conductor.steps_of(work.inputs)
    schedule = await work.conductor.conduct(steps, work.question, work.inputs)
    result = await report.report(schedule, work.sources)
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
)
