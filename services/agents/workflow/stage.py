"""The stage of one run: steps as runs below it, decisions, all of it through its journal."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from google.protobuf import json_format, timestamp_pb2

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from services.agents.melding.melding import Melds
from services.agents.ports import Decision
from services.agents.roster.agent import Sources
from services.agents.run import Run
from services.agents.runs import derived_run_id
from services.agents.workflow.melds import melded
from services.agents.workflow.ports import Answer, Ended, Question, Task
from services.chassis.errors import ResourceExhaustedError, ServiceError

# Before a step is tried again.
_PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0)


class RunStage:
    """Is a Stage.

    session_id: whose history counts for steps; they append nothing to it. history: what counts instead where
    there is no session. instructions: how the caller wants answers to be. collection_ids: where steps search
    that name none. sources: where citations of melds become those of the run.
    """

    def __init__(
        self,
        run: Run,
        *,
        session_id: str,
        history: Sequence[agents_pb2.PriorTurn],
        instructions: str,
        collection_ids: tuple[str, ...],
        melds: Melds,
        sources: Sources,
    ) -> None:
        self._run = run
        self._session_id = session_id
        self._history = history
        self._instructions = instructions
        self._collection_ids = collection_ids
        self._melds = melds
        self._sources = sources

    def now(self) -> float:
        """See Stage."""
        moment: float = self._run.journal.note("now", lambda: round(time.time(), 6))
        return moment

    def deadline(self, seconds: float) -> float:
        """See Stage."""
        return self.now() + min(seconds, self._run.ledger.seconds_left())

    def tell(self, change: workflow_pb2.StepState, step_id: str, **told: Any) -> None:
        """See Stage."""
        before = told.pop("decide_before", None)
        event = agents_pb2.StepChanged(step_id=step_id, state=change, **told)
        if before is not None:
            event.decide_before.CopyFrom(moment(before))
        self._run.emit(step=event)

    def name(self, step_id: str, attempt: int) -> str:
        """See Stage."""
        return derived_run_id(self._run.key.space, self._request_id(step_id, attempt), 0)

    def perform(self, task: Task, stop: asyncio.Event) -> Coroutine[Any, Any, Ended]:
        """See Stage."""
        ledger = self._run.ledger
        try:
            ledger.charge_tool_call()
        except ResourceExhaustedError as error:
            return _known(Ended.failed(error.reason, error.message))
        seconds = min(ledger.seconds_left(), math.inf if task.seconds is None else task.seconds)
        return self._performed(task, stop, ledger.left().text(), seconds)

    async def _performed(self, task: Task, stop: asyncio.Event, left: str, seconds: float) -> Ended:
        run = self._run
        request = agents_pb2.RunAgentRequest(
            agent_id=task.agent_id,
            message=task.message,
            session_id=self._session_id,
            history=self._history,
            instructions=self._instructions,
            collection_ids=task.collection_ids or self._collection_ids,
            request_id=self._request_id(task.step_id, task.attempt),
        )
        request.inputs.update(task.inputs)

        async def call() -> dict[str, Any]:
            if run.children is None:
                raise LookupError("a run that is repeated begins no others")
            pause = _PAUSES[min(task.attempt - 1, len(_PAUSES) - 1)]
            ended = await run.children.end_of(task.step_id, request, left, stop, seconds=seconds, pause=pause)
            return ended.to_json()

        asked = {
            "step": task.step_id,
            "attempt": task.attempt,
            "request": json_format.MessageToDict(request, preserving_proto_field_name=True),
        }
        ended = Ended.from_json(await run.journal.ask("step", asked, call))
        run.ledger.charge_run(ended.spent)
        run.tell_usage()
        return ended

    async def decide(self, question: Question, stop: asyncio.Event) -> Decision:
        """See Stage."""
        run = self._run

        async def call() -> dict[str, Any]:
            return dataclasses.asdict(await run.approvals.wait(question, stop))

        asked = dataclasses.asdict(question)
        decision = Decision(**await run.journal.ask("decision", asked, call))
        run.approvals.note(question.step_id, decision)
        return decision

    async def meld(self, question: str, answers: tuple[Answer, ...]) -> Ended:
        """See Stage."""
        try:
            return await melded(self._melds, self._sources, question, answers)
        except ServiceError as error:
            return Ended.failed(error.reason, error.message)
        finally:
            self._run.tell_usage()

    def _request_id(self, step_id: str, attempt: int) -> str:
        return f"{self._run.key.run_id}/{step_id}/{attempt}"


async def _known(ended: Ended) -> Ended:
    return ended


def moment(seconds: float) -> timestamp_pb2.Timestamp:
    """Seconds since 1970 as the contract has them."""
    made = timestamp_pb2.Timestamp()
    made.FromMicroseconds(round(seconds * 1e6))
    return made
