"""The tools of a run: only those that its agent names, each use told, counted and timed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from google.protobuf import struct_pb2

from meldrag.agents.v1 import agents_pb2
from services.agents import wire
from services.agents.ledger import exhausted
from services.agents.ports import Json, JsonObject
from services.agents.run import Run
from services.chassis import telemetry
from services.chassis.deadline import within
from services.chassis.errors import DeadlineExceededError, InternalError, ServiceError

MAX_RESULT_BYTES = 1 << 20
_MAX_SUMMARY = 500
# What an event shows of arguments. Files are named there, not told.
_MAX_STRING = 200
_MAX_ITEMS = 20
_MAX_DEPTH = 6
_MAX_SHOWN_BYTES = 8_000


class Toolbox:
    """Implements ports.Tools for one run."""

    def __init__(
        self, run: Run, agent_id: str, allowed: tuple[str, ...], effects: frozenset[str] = frozenset()
    ) -> None:
        """effects: those of the tools that change something outside; see AgentDefinition."""
        self._run = run
        self._effects = effects
        self._agent_id = agent_id
        self._allowed = frozenset(allowed)
        self._uses = 0

    async def use(
        self,
        tool: str,
        arguments: JsonObject,
        action: Callable[[], Awaitable[JsonObject]],
        summary: Callable[[JsonObject], str],
    ) -> JsonObject:
        """See ports.Tools."""
        if tool not in self._allowed:
            raise LookupError(f"the agent {self._agent_id} does not name the tool {tool!r}")
        ledger = self._run.ledger
        ledger.charge_tool_call()
        self._uses += 1
        call_id, began = f"call_{self._uses}", ledger.clock()
        self._run.emit(
            tool_started=agents_pb2.ToolStarted(call_id=call_id, tool=tool, arguments=_shown(arguments))
        )
        succeeded, told = False, "It was stopped."
        try:
            with telemetry.tracer().start_as_current_span("tool", attributes={"meldrag.tool": tool}):
                result = await self._done(call_id, tool, arguments, action)
            told = summary(result)
            succeeded = True
            return result
        except Exception as error:
            told = str(error)
            raise
        finally:
            self._run.emit(
                tool_finished=agents_pb2.ToolFinished(
                    call_id=call_id,
                    tool=tool,
                    succeeded=succeeded,
                    summary=_cut(told, _MAX_SUMMARY),
                    duration=wire.duration(ledger.clock() - began),
                )
            )
            self._run.tell_usage()

    async def _done(
        self,
        call_id: str,
        tool: str,
        arguments: JsonObject,
        action: Callable[[], Awaitable[JsonObject]],
    ) -> JsonObject:
        """The result, from the run's journal where it is there."""
        asked = {"call": call_id, "tool": tool, "arguments": arguments}

        async def act() -> JsonObject:
            return self._checked(tool, await self._in_time(action))

        journal = self._run.journal
        if tool in self._effects:
            result, _ = await journal.once("tool", asked, act, lambda: _unknown(tool))
        else:
            result = await journal.ask("tool", asked, act)
        return result

    async def _in_time(self, action: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
        ledger = self._run.ledger
        limit = ledger.seconds_left()
        try:
            return await within(limit, action())
        except DeadlineExceededError as error:
            if ledger.seconds_left():
                # The action's own limit, not the run's.
                raise
            raise exhausted("seconds", round(ledger.elapsed(), 1)) from error

    def _checked(self, tool: str, result: JsonObject) -> JsonObject:
        """The result, if it can be written to a record. Raises InternalError (RESULT_INVALID)."""
        try:
            size, cause = len(json.dumps(result, allow_nan=False).encode()), ""
        except (TypeError, ValueError) as error:
            size, cause = 0, str(error)
        if size > MAX_RESULT_BYTES:
            cause = f"{size} bytes; {MAX_RESULT_BYTES} are allowed"
        if cause:
            raise InternalError(
                f"the result of the tool {tool} cannot be kept: {cause}",
                reason="RESULT_INVALID",
                metadata={"agent_id": self._agent_id, "cause": f"{tool}: {cause}"},
            )
        return result


def _unknown(tool: str) -> ServiceError:
    return InternalError(
        f"the service ended while the tool {tool} worked: nobody knows whether it did what it should, and it"
        " is not used twice",
        reason="TOOL_OUTCOME_UNKNOWN",
        metadata={"tool": tool},
    )


def _shown(arguments: JsonObject) -> struct_pb2.Struct:
    shown = struct_pb2.Struct()
    short = _shortened(arguments, 0)
    if len(json.dumps(short).encode()) > _MAX_SHOWN_BYTES:
        short = {
            name: _cut(json.dumps(value), _MAX_STRING) for name, value in list(short.items())[:_MAX_ITEMS]
        }
    shown.update(short)
    return shown


def _shortened(value: Json, depth: int) -> Json:
    match value:
        case str():
            return _cut(value, _MAX_STRING)
        case Mapping() if depth < _MAX_DEPTH:
            kept = {key: _shortened(item, depth + 1) for key, item in list(value.items())[:_MAX_ITEMS]}
            return kept | ({"…": f"{len(value)} in all"} if len(value) > _MAX_ITEMS else {})
        case list() | tuple() if depth < _MAX_DEPTH:
            items = [_shortened(item, depth + 1) for item in value[:_MAX_ITEMS]]
            return items + ([f"… {len(value)} in all"] if len(value) > _MAX_ITEMS else [])
        case Mapping() | list() | tuple():
            return "…"
        case _:
            return value


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
