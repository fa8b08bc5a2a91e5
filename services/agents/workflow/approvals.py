"""Decisions that a run waits for, and those that were made."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from services.agents.ports import Decision
from services.agents.workflow.ports import Question
from services.chassis.errors import FailedPreconditionError


class Approvals:
    """The approval steps of one run.

    A decision that was made counts; the same one again changes nothing.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._waiting: dict[str, asyncio.Future[Decision]] = {}
        self._made: dict[str, Decision] = {}
        self._noted: dict[str, asyncio.Event] = {}

    async def wait(self, question: Question, stop: asyncio.Event) -> Decision:
        """What is decided; what counts when nobody does, at the end of the time."""
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting[question.step_id] = decided
        stopping = asyncio.create_task(stop.wait(), name="stopped")
        try:
            ends: set[asyncio.Future[Any]] = {decided, stopping}
            await asyncio.wait(
                ends,
                timeout=max(0.0, question.decide_before - time.time()),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            stopping.cancel()
            del self._waiting[question.step_id]
        if decided.done():
            return decided.result()
        if stop.is_set():
            return Decision(approved=False, stopped=True)
        return Decision(approved=question.approve_on_timeout)

    def note(self, step_id: str, decision: Decision) -> None:
        """The decision is in the run's journal."""
        self._made[step_id] = decision
        self._noted.setdefault(step_id, asyncio.Event()).set()

    async def decide(self, step_id: str, decision: Decision) -> None:
        """Decides a step that waits; ends when the decision is in the run's journal.

        Raises FailedPreconditionError (STEP_NOT_WAITING).
        """
        decided = self._waiting.get(step_id)
        if decided is not None and not decided.done():
            decided.set_result(decision)
        elif decision != (decided.result() if decided is not None else self._made.get(step_id)):
            raise not_waiting(self._run_id, step_id)
        await self._noted.setdefault(step_id, asyncio.Event()).wait()


def not_waiting(run_id: str, step_id: str) -> FailedPreconditionError:
    """Why a decision is refused."""
    return FailedPreconditionError(
        "the step does not wait for a decision, or not any more",
        reason="STEP_NOT_WAITING",
        metadata={"run_id": run_id[:100], "step_id": step_id[:64]},
    )
