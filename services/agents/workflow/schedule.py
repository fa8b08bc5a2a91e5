"""Runs a graph: what can be done at once is done at once, and what cannot be done is said."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from meldrag.agents.v1 import workflow_pb2
from services.agents.ports import Decision
from services.agents.workflow import values as words
from services.agents.workflow.graph import Graph, Node
from services.agents.workflow.ports import Answer, Ended, Question, Stage, Task
from services.agents.workflow.values import Values
from services.chassis.errors import ResourceExhaustedError

# Runs of one workflow at the same time; more that could begin wait.
MAX_AT_ONCE = 8
_APPROVAL_SECONDS = 600.0

_PENDING = workflow_pb2.STEP_STATE_PENDING
_RUNNING = workflow_pb2.STEP_STATE_RUNNING
_WAITING = workflow_pb2.STEP_STATE_WAITING
_SUCCEEDED = workflow_pb2.STEP_STATE_SUCCEEDED
_FAILED = workflow_pb2.STEP_STATE_FAILED
_SKIPPED = workflow_pb2.STEP_STATE_SKIPPED
_CANCELLED = workflow_pb2.STEP_STATE_CANCELLED

_OPEN = (_PENDING, _RUNNING, _WAITING)


@dataclass
class Report:
    """How a step stands. began, ended: seconds since 1970; None when it did not.

    needed: it did not run because something that it needs did not succeed, and not by its condition.
    """

    node: Node
    state: workflow_pb2.StepState = _PENDING
    attempts: int = 0
    reason: str = ""
    began: float | None = None
    ended: float | None = None
    outcome: Ended | None = None
    needed: bool = False


class Schedule:
    """Runs one graph on a stage.

    What follows from an outcome (events, the next steps) is done at once, in the task that got it: so the
    same outcomes in the same order always lead to the same events in the same order.
    """

    def __init__(self, graph: Graph, values: Values, stage: Stage) -> None:
        self._graph = graph
        self._values = values
        self._stage = stage
        self._reports = {step_id: Report(node) for step_id, node in graph.nodes.items()}
        self._stop = asyncio.Event()
        self._stopped_by = ""
        self._at_work = 0

    @property
    def reports(self) -> Mapping[str, Report]:
        """How the steps stand, by id, in the order of the graph."""
        return self._reports

    def final(self) -> list[Report]:
        """The steps that succeeded with a text, and that no other such step comes behind."""
        spoken = {
            step_id
            for step_id, report in self._reports.items()
            if report.state == _SUCCEEDED and report.outcome is not None and report.outcome.text
        }
        return [
            self._reports[step_id]
            for step_id in self._reports
            if step_id in spoken and not spoken & self._graph.behind(step_id)
        ]

    def exhausted(self) -> ResourceExhaustedError | None:
        """The limit of the run that a step met; None when none did."""
        for report in self._reports.values():
            if report.outcome is not None and report.outcome.error == "BUDGET_EXHAUSTED":
                return ResourceExhaustedError(
                    f"{report.node.step_id}: {report.reason}", reason="BUDGET_EXHAUSTED"
                )
        return None

    async def run(self) -> None:
        """Ends when every step has. When it is cancelled what runs is stopped."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._advance()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        except asyncio.CancelledError:
            for report in self._reports.values():
                if report.state in (_RUNNING, _WAITING):
                    report.state = _CANCELLED
                    self._tell(report)
            raise

    # -- beginning ---------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Begins all that can begin."""
        going = True
        while going:
            going = False
            for report in self._reports.values():
                if report.state == _PENDING and self._ready(report.node):
                    going |= self._begin(report)

    def _ready(self, node: Node) -> bool:
        return all(self._reports[other].state not in _OPEN for other in node.before)

    def _begin(self, report: Report) -> bool:
        """Whether the step stands otherwise than before."""
        node = report.node
        if self._stopped_by:
            self._skip(report, f"the workflow was stopped: {self._stopped_by} did not succeed", needed=True)
        elif blocker := self._blocker(node):
            self._skip(report, f"{blocker}, which it comes after, did not succeed", needed=True)
        elif node.step.HasField("condition") and not self._values.holds(node.step.condition):
            self._skip(report, f"its condition does not hold: {words.told(node.step.condition)}")
        elif node.kind == "approval":
            self._begin_approval(report)
        elif node.kind == "meld":
            self._begin_meld(report)
        elif self._at_work < MAX_AT_ONCE:
            self._begin_agent(report)
        else:
            return False
        return True

    def _blocker(self, node: Node) -> str:
        """A step that has to succeed before this one, and did not; "" for none."""
        for other in node.before:
            report = self._reports[other]
            failed = report.state in (_FAILED, _CANCELLED)
            if failed and report.node.step.on_failure != workflow_pb2.FAILURE_POLICY_CONTINUE:
                return other
            if report.state == _SKIPPED and report.needed:
                return other
        return ""

    def _skip(self, report: Report, reason: str, *, needed: bool = False) -> None:
        report.state, report.reason, report.needed = _SKIPPED, reason, needed
        self._values.put(report.node.step_id, _SKIPPED)
        self._tell(report)

    def _begin_agent(self, report: Report) -> None:
        node, step = report.node, report.node.step
        report.began = self._stage.now()
        try:
            task = Task(
                step_id=node.step_id,
                agent_id=step.agent_id,
                message=self._values.message_of(node),
                inputs=self._values.inputs_of(node),
                collection_ids=tuple(step.collection_ids),
                seconds=_seconds(step),
            )
        except LookupError as error:
            self._end(report, Ended.failed("INPUTS_INVALID", str(error.args[0])))
            return
        self._at_work += 1
        self._tell_try(report, 1)
        first = self._stage.perform(task, self._stop)
        self._group.create_task(self._try(report, task, first), name=f"step {node.step_id}")

    def _begin_approval(self, report: Report) -> None:
        approval = report.node.step.approval
        report.began, report.state = self._stage.now(), _WAITING
        seconds = _seconds(approval) or _APPROVAL_SECONDS
        question = Question(
            report.node.step_id,
            self._values.filled(approval.question),
            self._stage.deadline(seconds),
            approval.approve_on_timeout,
        )
        self._stage.tell(
            _WAITING, question.step_id, reason=question.text, decide_before=question.decide_before
        )
        self._group.create_task(self._wait(report, question), name=f"step {question.step_id}")

    def _begin_meld(self, report: Report) -> None:
        node = report.node
        report.began, report.attempts, report.state = self._stage.now(), 1, _RUNNING
        answers = tuple(
            Answer(other, made.outcome.agent_id, made.outcome.text, made.outcome.citations)
            for other in node.before
            if (made := self._reports[other]).outcome is not None
            and made.state == _SUCCEEDED
            and made.outcome.text
        )
        if not answers:
            self._end(report, Ended.failed("INPUTS_INVALID", "none of the steps that it melds has an answer"))
            return
        self._stage.tell(_RUNNING, node.step_id, attempt=1)
        self._group.create_task(
            self._meld(report, self._values.message_of(node), answers), name=f"step {node.step_id}"
        )

    # -- working -----------------------------------------------------------------------------------------

    async def _try(self, report: Report, task: Task, first: Coroutine[Any, Any, Ended]) -> None:
        ended = await first
        for attempt in range(2, max(1, report.node.step.attempts) + 1):
            if not ended.again or self._stopped_by:
                break
            task = dataclasses.replace(task, attempt=attempt)
            self._tell_try(report, attempt, ended.reason)
            ended = await self._stage.perform(task, self._stop)
        self._at_work -= 1
        self._close(report, ended)

    async def _wait(self, report: Report, question: Question) -> None:
        decision = await self._stage.decide(question, self._stop)
        self._close(report, _decided(decision))

    async def _meld(self, report: Report, question: str, answers: tuple[Answer, ...]) -> None:
        self._close(report, await self._stage.meld(question, answers))

    # -- ending ------------------------------------------------------------------------------------------

    def _close(self, report: Report, ended: Ended) -> None:
        self._end(report, ended)
        self._advance()

    def _end(self, report: Report, ended: Ended) -> None:
        node = report.node
        report.state, report.reason, report.outcome = ended.state, ended.reason, ended
        report.ended = self._stage.now()
        self._values.put(node.step_id, ended.state, ended.text, ended.result)
        self._tell(report)
        policy = node.step.on_failure or workflow_pb2.FAILURE_POLICY_STOP
        if (
            ended.state in (_FAILED, _CANCELLED)
            and policy == workflow_pb2.FAILURE_POLICY_STOP
            and not self._stopped_by
        ):
            self._stopped_by = node.step_id
            self._stop.set()

    def _tell_try(self, report: Report, attempt: int, reason: str = "") -> None:
        report.state, report.attempts = _RUNNING, attempt
        step_id = report.node.step_id
        run_id = self._stage.name(step_id, attempt)
        self._stage.tell(_RUNNING, step_id, run_id=run_id, attempt=attempt, reason=reason)

    def _tell(self, report: Report) -> None:
        run_id = report.outcome.run_id if report.outcome is not None else ""
        self._stage.tell(
            report.state, report.node.step_id, run_id=run_id, attempt=report.attempts, reason=report.reason
        )


def _decided(decision: Decision) -> Ended:
    result = {"comment": decision.comment}
    if decision.stopped:
        return Ended(_CANCELLED, reason="the workflow was stopped while it waited")
    how = "approved" if decision.approved else "rejected"
    if decision.made:
        reason = f"{how}: {decision.comment}" if decision.comment else how
    else:
        reason = f"nobody decided in time, which counts as {how}"
    return Ended(_SUCCEEDED if decision.approved else _FAILED, reason=reason, result=result)


def _seconds(owner: workflow_pb2.WorkflowStep | workflow_pb2.ApprovalStep) -> float | None:
    return owner.timeout.ToTimedelta().total_seconds() if owner.HasField("timeout") else None
