"""Sessions and recorded runs in the session service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import any_pb2, json_format, struct_pb2
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2, session_pb2_grpc, webhook_pb2
from services.agents.model import Conversation, Turn
from services.agents.ports import Answered, RecordedRun, RunEntry, RunEvent, RunState
from services.chassis.errors import ServiceError, UnavailableError, from_rpc_error

M = TypeVar("M", bound=Message)

SERVICE = session_pb2.DESCRIPTOR.services_by_name["SessionService"]

# What the transport says when the service did not answer, and what it says when its store did not.
_SILENT = frozenset(
    {"UPSTREAM_UNAVAILABLE", "UPSTREAM_DEADLINE", "DEADLINE", "TOO_MANY_CALLS", "STORE_UNAVAILABLE"}
)
_READ_SECONDS = 2.0
_WRITE_SECONDS = 2.0
_PING_SECONDS = 1.0
_NEWEST_TURNS = 40
_REPLAY_SECONDS = 10.0
_PAGE = 200
# Of an answer that webhooks may be told.
_MODEL_CHARACTERS = 200
_SUMMARY_CHARACTERS = 32_000

_STATES = {
    session_pb2.RUN_STATE_RUNNING: RunState.RUNNING,
    session_pb2.RUN_STATE_SUCCEEDED: RunState.SUCCEEDED,
    session_pb2.RUN_STATE_FAILED: RunState.FAILED,
    session_pb2.RUN_STATE_CANCELLED: RunState.CANCELLED,
}
_WIRE_STATES = {state: wire for wire, state in _STATES.items()}


class SessionClient:
    """Conversations and RunRecords over a channel to the session service.

    owner: how the runs that are opened here name this replica.
    """

    def __init__(self, channel: grpc.aio.Channel, owner: str) -> None:
        self._owner = owner
        self._stub = session_pb2_grpc.SessionServiceStub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    async def ping(self) -> None:
        """Raises when the session service does not serve."""
        answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=_PING_SECONDS)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise UnavailableError("the session service is not ready", reason="SESSION_UNAVAILABLE")

    async def read(self, session_id: str) -> Conversation:
        """See Conversations."""
        wanted = session_pb2.ListMessagesRequest(session_id=session_id, page_size=_NEWEST_TURNS, newest=True)
        try:
            found, listed = await asyncio.gather(
                self._stub.GetSession(
                    session_pb2.GetSessionRequest(session_id=session_id), timeout=_READ_SECONDS
                ),
                self._stub.ListMessages(wanted, timeout=_READ_SECONDS),
            )
        except grpc.RpcError as error:
            raise translated(error) from error
        turns = tuple(
            Turn(message.role == session_pb2.ROLE_USER, message.text) for message in listed.messages
        )
        return Conversation(session_id, tuple(found.session.collection_ids), turns)

    async def append_exchange(
        self, session_id: str, request_id: str, question: str, answer: Answered
    ) -> None:
        """See Conversations."""
        attributes = json_format.ParseDict(answer.attributes, struct_pb2.Struct())
        request = session_pb2.AppendMessageRequest(
            session_id=session_id,
            request_id=request_id,
            messages=[
                session_pb2.Message(role=session_pb2.ROLE_USER, text=question, run_id=answer.run_id),
                session_pb2.Message(
                    role=session_pb2.ROLE_ASSISTANT,
                    text=answer.text,
                    agent_id=answer.agent_id,
                    run_id=answer.run_id,
                    attributes=attributes,
                ),
            ],
        )
        try:
            await self._stub.AppendMessage(request, timeout=_WRITE_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error

    async def note(self, session_id: str, name: str) -> str:
        """See Conversations: it is in the session's metadata."""
        return (await self._metadata(session_id)).fields[name].string_value

    async def keep_note(self, session_id: str, name: str, text: str) -> None:
        """See Conversations."""
        metadata = await self._metadata(session_id)
        metadata[name] = text
        request = session_pb2.UpdateSessionRequest(session_id=session_id, metadata=metadata)
        try:
            await self._stub.UpdateSession(request, timeout=_WRITE_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error

    async def _metadata(self, session_id: str) -> struct_pb2.Struct:
        request = session_pb2.GetSessionRequest(session_id=session_id)
        try:
            found = await self._stub.GetSession(request, timeout=_READ_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        metadata: struct_pb2.Struct = found.session.metadata
        return metadata

    async def create(
        self, run_id: str, session_id: str, agent_id: str, request: Message, parent_run_id: str = ""
    ) -> RecordedRun:
        """See RunRecords."""
        packed = any_pb2.Any()
        packed.Pack(request, deterministic=True)
        run = session_pb2.Run(
            run_id=run_id,
            session_id=session_id,
            agent_id=agent_id,
            request=packed,
            owner=self._owner,
            parent_run_id=parent_run_id,
        )
        try:
            opened = await self._stub.CreateRun(session_pb2.CreateRunRequest(run=run), timeout=_WRITE_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        return _recorded(opened.run)

    async def append(
        self,
        run_id: str,
        events: Sequence[RunEvent],
        entries: Sequence[RunEntry],
        state: RunState | None,
        agent_id: str,
    ) -> None:
        """See RunRecords."""
        request = session_pb2.AppendRunEventsRequest(run_id=run_id, agent_id=agent_id, owner=self._owner)
        if state is not None:
            request.state = _WIRE_STATES[state]
            request.summary.CopyFrom(_summary(events))
            if usage := _usage(events):
                request.usage.CopyFrom(usage)
        for event in events:
            recorded = request.events.add(sequence=event.sequence)
            recorded.payload.Pack(event.payload)
            recorded.event_time.CopyFrom(event.time)
        for entry in entries:
            request.entries.add(position=entry.position).payload.Pack(entry.payload)
        try:
            await self._stub.AppendRunEvents(request, timeout=_WRITE_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error

    async def get(self, run_id: str) -> RecordedRun:
        """See RunRecords."""
        try:
            found = await self._stub.GetRun(session_pb2.GetRunRequest(run_id=run_id), timeout=_READ_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        return _recorded(found.run)

    async def take(self, run_id: str, previous: str) -> RecordedRun:
        """See RunRecords."""
        request = session_pb2.TakeRunRequest(run_id=run_id, previous_owner=previous, owner=self._owner)
        try:
            taken = await self._stub.TakeRun(request, timeout=_WRITE_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        return _recorded(taken.run)

    async def entries(self, run_id: str, kind: type[M]) -> list[M]:
        """See RunRecords."""
        found: list[M] = []
        token = ""
        while True:
            request = session_pb2.ListRunEntriesRequest(run_id=run_id, page_size=_PAGE, page_token=token)
            try:
                page = await self._stub.ListRunEntries(request, timeout=_READ_SECONDS)
            except grpc.RpcError as error:
                raise translated(error) from error
            found += [_unpacked(entry.payload, kind) for entry in page.entries]
            token = page.next_page_token
            if not token:
                return found

    async def events(self, run_id: str, last: int, kind: type[M]) -> list[M]:
        """See RunRecords."""
        found: list[M] = []
        # Without its own limit a watch of a run that works would last as long as the call may.
        watch = self._stub.WatchRun(session_pb2.WatchRunRequest(run_id=run_id), timeout=_REPLAY_SECONDS)
        try:
            while len(found) < last:
                batch: Any = await watch.read()
                if batch is grpc.aio.EOF:
                    break
                found += [_unpacked(event.payload, kind) for event in batch.events]
        except grpc.RpcError as error:
            raise translated(error) from error
        finally:
            watch.cancel()
        return found[:last]

    async def running(self, earliest: float) -> AsyncGenerator[RecordedRun]:
        """See RunRecords."""
        request = session_pb2.ListRunsRequest(page_size=_PAGE, state=session_pb2.RUN_STATE_RUNNING)
        request.earliest_create_time.FromMilliseconds(int(earliest * 1000))
        while True:
            try:
                page = await self._stub.ListRuns(request, timeout=_READ_SECONDS)
            except grpc.RpcError as error:
                raise translated(error) from error
            for run in page.runs:
                yield _recorded(run)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def replay(self, run_id: str, kind: type[M]) -> AsyncGenerator[M]:
        """See RunRecords."""
        try:
            async for batch in self._stub.WatchRun(session_pb2.WatchRunRequest(run_id=run_id)):
                for event in batch.events:
                    yield _unpacked(event.payload, kind)
        except grpc.RpcError as error:
            raise translated(error) from error


def _summary(events: Sequence[RunEvent]) -> webhook_pb2.RunSummary:
    """What others are told of an end: of the last event, with which a record ends."""
    last = events[-1].payload if events else None
    if not isinstance(last, agents_pb2.RunAgentResponse) or not last.HasField("ended"):
        return webhook_pb2.RunSummary()
    result, usage = last.ended.result, last.ended.result.usage
    mode = agents_pb2.AnswerMode.Name(result.answer_mode).removeprefix("ANSWER_MODE_")
    return webhook_pb2.RunSummary(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        answer=result.text[:_SUMMARY_CHARACTERS],
        answer_mode=mode if result.answer_mode else "",
        error_reason=last.ended.error.reason,
    )


def _usage(events: Sequence[RunEvent]) -> session_pb2.RunUsage | None:
    """What the last event says that the run has used; None where it says nothing."""
    last = events[-1].payload if events else None
    if not isinstance(last, agents_pb2.RunAgentResponse) or not last.ended.result.HasField("usage"):
        return None
    usage = last.ended.result.usage
    return session_pb2.RunUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        model=usage.model[:_MODEL_CHARACTERS],
        cost_usd=usage.cost_usd if usage.HasField("cost_usd") else None,
    )


def _recorded(run: session_pb2.Run) -> RecordedRun:
    return RecordedRun(
        run.run_id,
        _STATES.get(run.state, RunState.RUNNING),
        run.last_sequence,
        run.create_time.ToMilliseconds() / 1000,
        run.owner,
        run.last_position,
        run.takeovers,
        run.request if run.HasField("request") else None,
        run.parent_run_id,
    )


def _unpacked(payload: any_pb2.Any, kind: type[M]) -> M:
    made = kind()
    payload.Unpack(made)
    return made


def translated(error: grpc.RpcError) -> ServiceError:
    """What a call to the session service failed with, in the words of the ports."""
    failure = from_rpc_error(error)
    if failure.reason in _SILENT:
        return UnavailableError(
            "the conversation cannot be read or written: the session service does not answer",
            reason="SESSION_UNAVAILABLE",
            retry_after=1.0,
        )
    return failure
