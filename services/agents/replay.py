"""Runs recorded runs again, with nothing but their records."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2
from services.agents import wire
from services.agents.journal.difference import Difference, between
from services.agents.journal.journal import Journal
from services.agents.journal.past import not_replayable, read_past
from services.agents.journal.terms import ledger
from services.agents.journal.work import Worker
from services.agents.ports import RunRecords, RunState
from services.agents.recorder import Recorder
from services.agents.run import Run, RunKey
from services.agents.runs import failure_of
from services.chassis import context
from services.chassis.errors import ServiceError

# How a run ends that is ended from outside. That is nothing that its work does, so it cannot be repeated.
_FROM_OUTSIDE = frozenset({"RUN_INTERRUPTED", "DEADLINE"})


class Replays:
    """Repeats runs. Writes nothing."""

    def __init__(self, worker: Worker, records: RunRecords) -> None:
        self._worker = worker
        self._records = records

    async def replay(self, run_id: str) -> AsyncGenerator[agents_pb2.ReplayRunResponse]:
        """The events of the repeated run up to the first difference, then how it compares.

        Raises NotFoundError (RUN_NOT_FOUND), FailedPreconditionError (NOT_REPLAYABLE) and UnavailableError
        (SESSION_UNAVAILABLE).
        """
        record = await self._records.get(run_id)
        if record.state is RunState.RUNNING:
            raise not_replayable(run_id, "it is still at work")
        request = agents_pb2.RunAgentRequest()
        if record.request is None or not record.request.Unpack(request):
            raise not_replayable(run_id, "the record has no request that agents answer")
        past = await read_past(self._records, record)
        if not past.events or not past.entries or not past.events[-1].HasField("ended"):
            raise not_replayable(run_id, "the record is not complete")
        last = past.events[-1]
        if record.state is RunState.CANCELLED or last.ended.error.reason in _FROM_OUTSIDE:
            raise not_replayable(run_id, "it was ended from outside, in the middle of its work")
        journal = Journal(recorded=past.entries, live=False)
        key = RunKey(run_id, context.principal().space, request.request_id, record.parent_run_id)
        run = Run(key, ledger(journal), lambda _: None, journal, past.events[:-1])
        ended, difference = await self._ended(run, request)
        for event in run.events():
            yield agents_pb2.ReplayRunResponse(event=event)
        difference = difference or journal.difference or journal.left() or run.left()
        if difference is None and _bytes(ended) != _bytes(last.ended):
            difference = between("result", last.sequence, _plain(last.ended), _plain(ended))
        if difference is not None:
            yield agents_pb2.ReplayRunResponse(
                outcome=agents_pb2.ReplayOutcome(difference=wire.difference(difference))
            )
            return
        repeated = agents_pb2.RunAgentResponse(
            run_id=run_id, sequence=last.sequence, event_time=last.event_time, ended=ended
        )
        yield agents_pb2.ReplayRunResponse(event=repeated, outcome=agents_pb2.ReplayOutcome(identical=True))

    async def _ended(
        self, run: Run, request: agents_pb2.RunAgentRequest
    ) -> tuple[agents_pb2.RunEnded, Difference | None]:
        """How the work ends this time."""
        # Never started: the journal knows whether the run was recorded.
        recorder = Recorder(self._records, run.key.run_id, request.session_id, request.agent_id, request)
        try:
            result = await self._worker.work(run, request, recorder)
        except Difference as difference:
            return agents_pb2.RunEnded(), difference
        except Exception as error:
            failed = error if isinstance(error, ServiceError) else failure_of(error, run.key)
            return (
                agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_FAILED, error=wire.error(failed)),
                None,
            )
        return agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_SUCCEEDED, result=result), None


def _bytes(ended: agents_pb2.RunEnded) -> bytes:
    return ended.SerializeToString(deterministic=True)


def _plain(ended: agents_pb2.RunEnded) -> dict[str, Any]:
    told: dict[str, Any] = json_format.MessageToDict(ended, preserving_proto_field_name=True)
    return told
