"""Runs below a run, in the same process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from services.agents import validation
from services.agents.journal.journal import outside_of_calls
from services.agents.ledger import Spent
from services.agents.run import Run
from services.agents.workflow.ports import Ended
from services.chassis.errors import ServiceError

# What one step may pass on; see Journal for what a run may keep of all of them.
_MAX_TEXT = 100_000
_MAX_RESULT_BYTES = 600_000
_MAX_CITATIONS = 200
# Refused for now, and not a try: another process lets go of the run soon, or a place comes free.
_FOR_NOW = frozenset({"RUN_IN_PROGRESS", "TOO_MANY_RUNS"})
_PAUSE_SECONDS = 0.5
# Trying again does not help against these.
_FINAL = frozenset({"BUDGET_EXHAUSTED", "TOOL_OUTCOME_UNKNOWN", "TOOL_UNAVAILABLE"})
_INVALID_ARGUMENT, _NOT_FOUND = 3, 5

# The events of a run, each with the step of it that they belong to; "" for its own.
Stream = AsyncGenerator[tuple[str, agents_pb2.RunAgentResponse]]


class ChildRuns:
    """Is Children: the runs below one run.

    follow: runs a request below `run` with what is left for it, and cancels it when it is closed.
    """

    def __init__(self, run: Run, follow: Callable[[agents_pb2.RunAgentRequest, str], Stream]) -> None:
        self._run = run
        self._follow = follow

    async def end_of(
        self,
        step_id: str,
        request: agents_pb2.RunAgentRequest,
        left: str,
        stop: asyncio.Event,
        *,
        seconds: float,
        pause: float = 0.0,
    ) -> Ended:
        """See Children. What the run does meanwhile is relayed to whoever follows the run above."""
        if stop.is_set():
            return _stopped(_Seen())
        seen = _Seen()
        work = asyncio.create_task(
            self._through(step_id, request, left, pause, seen),
            name=f"child {request.request_id}",
            context=outside_of_calls(),
        )
        stopping = asyncio.create_task(stop.wait(), name="stopped")
        try:
            await asyncio.wait({work, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
        finally:
            work.cancel()
            stopping.cancel()
            await asyncio.wait({work, stopping})
        if stop.is_set():
            return _stopped(seen)
        return _ended(
            seen,
            workflow_pb2.STEP_STATE_FAILED,
            f"it took longer than {seconds:.3g} s",
            "DEADLINE",
            again=True,
        )

    async def _through(
        self, step_id: str, request: agents_pb2.RunAgentRequest, left: str, pause: float, seen: _Seen
    ) -> Ended:
        await asyncio.sleep(pause)
        while True:
            try:
                validation.check_run(request)
                return await self._followed(step_id, request, left, seen)
            except ServiceError as error:
                if error.reason not in _FOR_NOW:
                    return _refused(seen, error.reason, error.message, error.code.value[0])
                await asyncio.sleep(error.retry_after or _PAUSE_SECONDS)

    async def _followed(
        self, step_id: str, request: agents_pb2.RunAgentRequest, left: str, seen: _Seen
    ) -> Ended:
        async with aclosing(self._follow(request, left)) as events:
            async for path, event in events:
                self._run.relay(f"{step_id}.{path}" if path else step_id, event)
                if path:
                    continue
                seen.note(event)
                if event.HasField("ended"):
                    return _read(seen, event.ended)
        raise AssertionError("the events of a run ended before the run")


class _Seen:
    """What the events of a run have told so far."""

    def __init__(self) -> None:
        self.run_id = ""
        self.agent_id = ""
        self.usage = agents_pb2.Usage()

    def note(self, event: agents_pb2.RunAgentResponse) -> None:
        self.run_id = event.run_id
        match event.WhichOneof("event"):
            case "started":
                self.agent_id = event.started.agent_id
            case "routing":
                self.agent_id = event.routing.agent_id
            case "usage":
                self.usage = event.usage
            case "ended" if event.ended.HasField("result"):
                self.agent_id = event.ended.result.agent_id
                self.usage = event.ended.result.usage


def _read(seen: _Seen, ended: agents_pb2.RunEnded) -> Ended:
    match ended.outcome:
        case agents_pb2.RUN_OUTCOME_SUCCEEDED:
            return _answered(seen, ended.result)
        case agents_pb2.RUN_OUTCOME_CANCELLED:
            return _ended(seen, workflow_pb2.STEP_STATE_CANCELLED, "the run was cancelled")
    return _refused(seen, ended.error.reason, ended.error.message, ended.error.code)


def _refused(seen: _Seen, error: str, reason: str, code: int) -> Ended:
    again = error not in _FINAL and code not in (_INVALID_ARGUMENT, _NOT_FOUND)
    return _ended(seen, workflow_pb2.STEP_STATE_FAILED, reason, error, again=again)


def _stopped(seen: _Seen) -> Ended:
    return _ended(seen, workflow_pb2.STEP_STATE_CANCELLED, "the workflow was stopped")


def _answered(seen: _Seen, result: agents_pb2.RunResult) -> Ended:
    chosen = result.result.WhichOneof("result")
    made: dict[str, Any] | None = None
    reason = ""
    if chosen is not None:
        made = json_format.MessageToDict(getattr(result.result, chosen), preserving_proto_field_name=True)
        size = len(json.dumps(made).encode())
        if size > _MAX_RESULT_BYTES:
            made, reason = None, f"its result has {size} bytes; {_MAX_RESULT_BYTES} are passed on"
    if len(result.text) > _MAX_TEXT:
        reason = f"its text has {len(result.text)} characters; {_MAX_TEXT} are passed on"
    return _ended(
        seen,
        workflow_pb2.STEP_STATE_SUCCEEDED,
        reason,
        text=result.text[:_MAX_TEXT],
        result=made,
        citations=tuple(
            json_format.MessageToDict(citation, preserving_proto_field_name=True)
            for citation in result.citations[:_MAX_CITATIONS]
        ),
    )


def _ended(seen: _Seen, state: workflow_pb2.StepState, reason: str, error: str = "", **more: Any) -> Ended:
    usage = seen.usage
    spent = Spent(
        usage.model_calls,
        usage.tool_calls,
        usage.input_tokens,
        usage.output_tokens,
        usage.cost_usd if usage.HasField("cost_usd") else None,
    )
    return Ended(state, seen.run_id, seen.agent_id, reason=reason, error=error, spent=spent, **more)
