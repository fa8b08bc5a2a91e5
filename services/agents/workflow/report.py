"""What a workflow came to: its answer, and how each step stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.answering.citations import MarkRewriter
from services.agents.model import Passage, Quote
from services.agents.ports import JsonObject
from services.agents.roster.agent import Sources
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
        text, numbers = await _renumbered(told, sources)
        texts.append(text if len(final) == 1 else f"**{told.node.title}**\n\n{text}")
        next(step for step in made.steps if step.step_id == told.node.step_id).citations.extend(numbers)
    made.answer = "\n\n".join(texts)
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
        output=_shortened(outcome.text) if outcome else "",
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
    if told.state is not _SUCCEEDED or said not in _VERDICTS:
        reason = told.reason or (_NOT_TESTED if told.state is _SUCCEEDED else "It did not run.")
        return results_pb2.VERDICT_NOT_RUN, reason
    why = next((str(result[name]) for name in _REASONS if result and result.get(name)), told.reason)
    return results_pb2.Verdict.Value(said), why or "Its agent does not say why."


async def _renumbered(told: Report, sources: Sources) -> tuple[str, list[int]]:
    """The text of a step with numbers of this run for those of its own; marks whose quote does not hold are
    left out.
    """
    outcome = told.outcome or Ended(told.state)
    if told.node.kind == "meld":
        # It cites for this run already.
        return outcome.text, sorted({int(number) for number in re.findall(r"\[(\d{1,3})\]", outcome.text)})
    used: dict[int, None] = {}
    _rewritten(outcome.text, used.setdefault)
    known = {int(citation["number"]): citation for citation in outcome.citations}
    cited = [number for number in used if number in known]
    held = await sources.numbers([_quote(known[number]) for number in cited])
    numbers = {old: new for old, new in zip(cited, held, strict=True) if new is not None}
    return _rewritten(outcome.text, numbers.get), sorted(set(numbers.values()))


def _rewritten(text: str, number: Callable[[int], int | None]) -> str:
    rewriter = MarkRewriter(lambda old, _: number(old))
    return rewriter.feed(text) + rewriter.finish()


def _quote(citation: JsonObject) -> Quote:
    """A citation of a run below, as a quote to be verified. Its passage is the quote itself."""
    start, end = int(citation.get("byte_start", 0)), int(citation["byte_end"])
    passage = Passage(
        document_id=citation["document_id"],
        title=citation.get("title", ""),
        chunk_id="",
        collection_id=citation.get("collection_id", ""),
        text=citation["quote"],
        byte_start=start,
        byte_end=end,
        extraction_sha256=citation["extraction_sha256"],
        page=int(citation.get("page", 0)),
        location=citation.get("location", ""),
    )
    return Quote(passage, start, end, citation["quote"])


def _shortened(text: str) -> str:
    plain = _rewritten(text, lambda _: None).strip()
    return plain if len(plain) <= _MAX_OUTPUT else f"{plain[:_MAX_OUTPUT]}…"
