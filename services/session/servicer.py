"""The gRPC face of sessions, runs, things and files: it translates and nothing else.

The proto says what each method does and how it fails.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from google.protobuf import any_pb2, struct_pb2, timestamp_pb2

from meldrag.session.v1 import session_pb2, session_pb2_grpc, webhook_pb2
from services.session import calls, failures
from services.session.attachment_files import PIECE_BYTES
from services.session.attachments import Attachments
from services.session.conversations import Conversations
from services.session.items import Items
from services.session.model import (
    Appending,
    Attachment,
    Found,
    Item,
    Message,
    NewAttachment,
    NewItem,
    NewMessage,
    NewRun,
    Payload,
    Role,
    Run,
    RunEntry,
    RunEvent,
    RunFilter,
    RunState,
    RunUsage,
    Scalar,
    Session,
    Topic,
    TopicChange,
)
from services.session.runs import Runs
from services.session.searching import Searching
from services.session.snapshots import Snapshots
from services.session.watching import RunWatching
from services.session.webhooks.model import ANSWER_CHARACTERS, Ending

_ROLES = {Role.USER: session_pb2.ROLE_USER, Role.ASSISTANT: session_pb2.ROLE_ASSISTANT}
_ROLES_BACK = {number: role for role, number in _ROLES.items()}

_STATES = {
    RunState.RUNNING: session_pb2.RUN_STATE_RUNNING,
    RunState.SUCCEEDED: session_pb2.RUN_STATE_SUCCEEDED,
    RunState.FAILED: session_pb2.RUN_STATE_FAILED,
    RunState.CANCELLED: session_pb2.RUN_STATE_CANCELLED,
}
_STATES_BACK: dict[int, RunState | None] = {number: state for state, number in _STATES.items()}
_STATES_BACK[session_pb2.RUN_STATE_UNSPECIFIED] = None


class SessionServicer(session_pb2_grpc.SessionServiceServicer):
    """SessionService."""

    def __init__(
        self,
        *,
        conversations: Conversations,
        searching: Searching,
        runs: Runs,
        watching: RunWatching,
        attachments: Attachments,
        items: Items,
        snapshots: Snapshots,
    ) -> None:
        self._conversations = conversations
        self._searching = searching
        self._runs = runs
        self._watching = watching
        self._attachments = attachments
        self._items = items
        self._snapshots = snapshots

    async def CreateSession(self, request: Any, _rpc: Any) -> session_pb2.CreateSessionResponse:
        """See the proto."""
        topic = Topic(request.title, tuple(request.collection_ids), _metadata(request.metadata))
        session = await self._conversations.create(calls.space(), topic, request.request_id)
        return session_pb2.CreateSessionResponse(session=_session(session))

    async def GetSession(self, request: Any, _rpc: Any) -> session_pb2.GetSessionResponse:
        """See the proto."""
        session = await self._conversations.get(calls.space(), request.session_id)
        return session_pb2.GetSessionResponse(session=_session(session))

    async def ListSessions(self, request: Any, _rpc: Any) -> session_pb2.ListSessionsResponse:
        """See the proto."""
        page = await self._conversations.list_sessions(calls.space(), request.page_size, request.page_token)
        return session_pb2.ListSessionsResponse(
            sessions=map(_session, page.items), next_page_token=page.next_place
        )

    async def SearchSessions(self, request: Any, _rpc: Any) -> session_pb2.SearchSessionsResponse:
        """See the proto."""
        page = await self._searching.search(
            calls.space(), request.query, request.page_size, request.page_token
        )
        return session_pb2.SearchSessionsResponse(
            matches=map(_found, page.items), next_page_token=page.next_place
        )

    async def UpdateSession(self, request: Any, _rpc: Any) -> session_pb2.UpdateSessionResponse:
        """See the proto."""
        change = TopicChange(
            title=request.title if request.HasField("title") else None,
            collection_ids=(
                tuple(request.collection_ids.values) if request.HasField("collection_ids") else None
            ),
            metadata=_metadata(request.metadata) if request.HasField("metadata") else None,
        )
        session = await self._conversations.update(
            calls.space(), request.session_id, change, _expected(request), request.request_id
        )
        return session_pb2.UpdateSessionResponse(session=_session(session))

    async def DeleteSession(self, request: Any, _rpc: Any) -> session_pb2.DeleteSessionResponse:
        """See the proto."""
        deleted = await self._conversations.delete(
            calls.space(), request.session_id, _expected(request), request.request_id
        )
        await self._attachments.discard(deleted.files)
        return session_pb2.DeleteSessionResponse(deleted_messages=deleted.messages, deleted_runs=deleted.runs)

    async def AppendMessage(self, request: Any, _rpc: Any) -> session_pb2.AppendMessageResponse:
        """See the proto."""
        messages = [_new_message(message) for message in request.messages]
        appended = await self._conversations.append(
            calls.space(), request.session_id, messages, request.request_id
        )
        return session_pb2.AppendMessageResponse(
            messages=map(_message, appended.messages), existing=appended.existing
        )

    async def ListMessages(self, request: Any, _rpc: Any) -> session_pb2.ListMessagesResponse:
        """See the proto."""
        page = await self._conversations.list_messages(
            calls.space(), request.session_id, request.page_size, request.page_token, request.newest
        )
        return session_pb2.ListMessagesResponse(
            messages=map(_message, page.items), next_page_token=page.next_place
        )

    async def CreateRun(self, request: Any, _rpc: Any) -> session_pb2.CreateRunResponse:
        """See the proto."""
        given = request.run
        asked = _payload(given.request) if given.HasField("request") else None
        opening = NewRun(
            *(given.run_id, given.session_id, given.agent_id), asked, given.owner, given.parent_run_id
        )
        run = await self._runs.create(calls.space(), opening)
        return session_pb2.CreateRunResponse(run=_run(run))

    async def AppendRunEvents(self, request: Any, _rpc: Any) -> session_pb2.AppendRunEventsResponse:
        """See the proto."""
        if request.state not in _STATES_BACK:
            raise failures.invalid_field("state", request.state, "must be a state that is known here")
        appending = Appending(
            [_new_event(event) for event in request.events],
            [RunEntry(entry.position, _payload(entry.payload)) for entry in request.entries],
            _STATES_BACK[request.state],
            request.agent_id,
            request.owner,
            _ending(request.summary),
            _usage(request.usage) if request.HasField("usage") else None,
        )
        last_sequence, last_position = await self._runs.append(calls.space(), request.run_id, appending)
        return session_pb2.AppendRunEventsResponse(last_sequence=last_sequence, last_position=last_position)

    async def TakeRun(self, request: Any, _rpc: Any) -> session_pb2.TakeRunResponse:
        """See the proto."""
        run = await self._runs.take(calls.space(), request.run_id, request.previous_owner, request.owner)
        return session_pb2.TakeRunResponse(run=_run(run))

    async def ListRunEntries(self, request: Any, _rpc: Any) -> session_pb2.ListRunEntriesResponse:
        """See the proto."""
        page = await self._runs.list_entries(
            calls.space(), request.run_id, request.page_size, request.page_token
        )
        return session_pb2.ListRunEntriesResponse(
            entries=[
                session_pb2.RunEntry(position=entry.position, payload=_any(entry.payload))
                for entry in page.items
            ],
            next_page_token=page.next_place,
        )

    async def GetRun(self, request: Any, _rpc: Any) -> session_pb2.GetRunResponse:
        """See the proto."""
        run = await self._runs.get(calls.space(), request.run_id)
        return session_pb2.GetRunResponse(run=_run(run))

    async def ListRuns(self, request: Any, _rpc: Any) -> session_pb2.ListRunsResponse:
        """See the proto."""
        if request.state not in _STATES_BACK:
            raise failures.invalid_field("state", request.state, "must be a state that is known here")
        wanted = RunFilter(
            request.session_id,
            _STATES_BACK[request.state],
            max(0, request.earliest_create_time.ToMicroseconds()),
        )
        page = await self._runs.list_runs(calls.space(), wanted, request.page_size, request.page_token)
        return session_pb2.ListRunsResponse(runs=map(_run, page.items), next_page_token=page.next_place)

    async def WatchRun(self, request: Any, _rpc: Any) -> AsyncIterator[session_pb2.WatchRunResponse]:
        """See the proto."""
        batches = self._watching.watch(calls.space(), request.run_id, request.after_sequence)
        async with aclosing(batches):
            async for batch in batches:
                yield session_pb2.WatchRunResponse(
                    events=map(_event, batch.events), state=_STATES[batch.state]
                )

    async def PutAttachment(self, request_iterator: Any, _rpc: Any) -> session_pb2.PutAttachmentResponse:
        """See the proto."""
        first = await anext(aiter(request_iterator), session_pb2.PutAttachmentRequest())
        if first.WhichOneof("part") != "header":
            raise failures.invalid_field("header", "", "must come first")

        async def pieces() -> AsyncIterator[bytes]:
            async for message in request_iterator:
                if message.WhichOneof("part") != "data":
                    raise failures.invalid_field("data", "", "must follow the header")
                if len(message.data) > PIECE_BYTES:
                    raise failures.invalid_field(
                        "data", len(message.data), f"must have at most {PIECE_BYTES} bytes"
                    )
                yield message.data

        kept, existing = await self._attachments.put(
            calls.space(), _new_attachment(first.header), pieces(), first.request_id
        )
        return session_pb2.PutAttachmentResponse(attachment=_attachment(kept), existing=existing)

    async def GetAttachment(self, request: Any, _rpc: Any) -> session_pb2.GetAttachmentResponse:
        """See the proto."""
        found = await self._attachments.get(calls.space(), request.attachment_id)
        return session_pb2.GetAttachmentResponse(attachment=_attachment(found))

    async def ReadAttachment(
        self, request: Any, _rpc: Any
    ) -> AsyncIterator[session_pb2.ReadAttachmentResponse]:
        """See the proto."""
        pieces = self._attachments.read(
            calls.space(), request.attachment_id, request.byte_start, request.byte_end
        )
        async with aclosing(pieces):
            async for known, data in pieces:
                yield session_pb2.ReadAttachmentResponse(
                    attachment=_attachment(known) if known else None, data=data
                )

    async def ListAttachments(self, request: Any, _rpc: Any) -> session_pb2.ListAttachmentsResponse:
        """See the proto."""
        page = await self._attachments.list_attachments(
            calls.space(), request.session_id, request.page_size, request.page_token
        )
        return session_pb2.ListAttachmentsResponse(
            attachments=map(_attachment, page.items), next_page_token=page.next_place
        )

    async def DeleteAttachment(self, request: Any, _rpc: Any) -> session_pb2.DeleteAttachmentResponse:
        """See the proto."""
        await self._attachments.delete(calls.space(), request.attachment_id)
        return session_pb2.DeleteAttachmentResponse()

    async def PutItem(self, request: Any, _rpc: Any) -> session_pb2.PutItemResponse:
        """See the proto."""
        given = request.item
        item = await self._items.put(
            calls.space(),
            NewItem(given.kind, given.name, _payload(given.payload)),
            request.previous_revision,
            request.kind_limit,
            request.request_id,
        )
        return session_pb2.PutItemResponse(item=_item(item))

    async def ListItems(self, request: Any, _rpc: Any) -> session_pb2.ListItemsResponse:
        """See the proto."""
        page = await self._items.list_items(
            calls.space(), request.kind, request.name, request.page_size, request.page_token
        )
        return session_pb2.ListItemsResponse(items=map(_item, page.items), next_page_token=page.next_place)

    async def DeleteItem(self, request: Any, _rpc: Any) -> session_pb2.DeleteItemResponse:
        """See the proto."""
        await self._items.delete(calls.space(), request.kind, request.name)
        return session_pb2.DeleteItemResponse()

    async def ExportSnapshot(
        self, request: Any, _rpc: Any
    ) -> AsyncIterator[session_pb2.ExportSnapshotResponse]:
        """See the proto."""
        del request
        pieces = self._snapshots.export()
        async with aclosing(pieces):
            async for piece in pieces:
                yield session_pb2.ExportSnapshotResponse(data=piece)

    async def ImportSnapshot(self, request_iterator: Any, _rpc: Any) -> session_pb2.ImportSnapshotResponse:
        """See the proto."""
        first = await anext(aiter(request_iterator), session_pb2.ImportSnapshotRequest())

        async def pieces() -> AsyncIterator[bytes]:
            yield first.data
            async for message in request_iterator:
                yield message.data

        sessions = await self._snapshots.take(pieces(), first.request_id)
        return session_pb2.ImportSnapshotResponse(sessions=sessions)


def _expected(request: Any) -> int | None:
    """The update_time that a session must have; None for any."""
    if not request.HasField("expected_update_time"):
        return None
    return int(request.expected_update_time.ToMicroseconds())


def _ending(summary: webhook_pb2.RunSummary) -> Ending:
    return Ending(
        input_tokens=summary.input_tokens,
        output_tokens=summary.output_tokens,
        answer=summary.answer[:ANSWER_CHARACTERS],
        answer_mode=summary.answer_mode,
        error_reason=summary.error_reason,
    )


def _usage(usage: session_pb2.RunUsage) -> RunUsage:
    cost = usage.cost_usd if usage.HasField("cost_usd") else None
    return RunUsage(usage.input_tokens, usage.output_tokens, usage.model, cost)


def _used(usage: RunUsage | None) -> session_pb2.RunUsage | None:
    if usage is None:
        return None
    return session_pb2.RunUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        model=usage.model,
        cost_usd=usage.cost_usd,
    )


def _metadata(struct: struct_pb2.Struct) -> dict[str, Scalar]:
    return {key: _scalar(key, value) for key, value in struct.fields.items()}


def _scalar(key: str, value: struct_pb2.Value) -> Scalar:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return value.number_value
        case "bool_value":
            return value.bool_value
        case "struct_value" | "list_value":
            raise failures.invalid_field("metadata", key, "must be flat: text, numbers, true, false and null")
        case _:
            return None


def _session(session: Session) -> session_pb2.Session:
    metadata = struct_pb2.Struct()
    metadata.update(session.topic.metadata)
    return session_pb2.Session(
        session_id=session.session_id,
        title=session.topic.title,
        collection_ids=session.topic.collection_ids,
        messages=session.messages,
        create_time=calls.moment(session.create_time),
        update_time=calls.moment(session.update_time),
        expire_time=calls.moment(session.expire_time),
        metadata=metadata,
    )


def _found(found: Found) -> session_pb2.SessionMatch:
    message = found.message
    return session_pb2.SessionMatch(
        session=_session(found.session),
        message=session_pb2.MatchedMessage(
            message_id=message.content.message_id,
            sequence=message.sequence,
            role=_ROLES[message.content.role],
            agent_id=message.content.agent_id,
            create_time=calls.moment(message.create_time),
        )
        if message
        else None,
        snippet=[session_pb2.SnippetPiece(text=piece.text, matched=piece.matched) for piece in found.snippet],
    )


def _new_message(message: session_pb2.Message) -> NewMessage:
    role = _ROLES_BACK.get(message.role)
    if role is None:
        raise failures.invalid_field("messages.role", message.role, "must be user or assistant")
    return NewMessage(
        message_id="",
        role=role,
        text=message.text,
        agent_id=message.agent_id,
        run_id=message.run_id,
        # Deterministic, so that a repeated request has the same fingerprint.
        attributes=message.attributes.SerializeToString(deterministic=True),
    )


def _message(message: Message) -> session_pb2.Message:
    content = message.content
    return session_pb2.Message(
        message_id=content.message_id,
        sequence=message.sequence,
        role=_ROLES[content.role],
        text=content.text,
        agent_id=content.agent_id,
        run_id=content.run_id,
        attributes=struct_pb2.Struct.FromString(content.attributes) if content.attributes else None,
        create_time=calls.moment(message.create_time),
    )


def _payload(given: any_pb2.Any) -> Payload:
    return Payload(given.type_url, given.value)


def _any(payload: Payload) -> any_pb2.Any:
    return any_pb2.Any(type_url=payload.type_url, value=payload.value)


def _new_attachment(header: session_pb2.Attachment) -> NewAttachment:
    return NewAttachment(
        attachment_id="",
        session_id=header.session_id,
        run_id=header.run_id,
        filename=header.filename,
        media_type=header.media_type,
        size=header.bytes,
        sha256=header.sha256,
    )


def _attachment(kept: Attachment) -> session_pb2.Attachment:
    content = kept.content
    return session_pb2.Attachment(
        attachment_id=content.attachment_id,
        session_id=content.session_id,
        run_id=content.run_id,
        filename=content.filename,
        media_type=content.media_type,
        bytes=content.size,
        sha256=content.sha256,
        create_time=calls.moment(kept.create_time),
        expire_time=calls.moment(kept.expire_time),
    )


def _item(item: Item) -> session_pb2.Item:
    return session_pb2.Item(
        kind=item.content.kind,
        name=item.content.name,
        payload=_any(item.content.payload),
        revision=item.revision,
        create_time=calls.moment(item.create_time),
        update_time=calls.moment(item.update_time),
    )


def _run(run: Run) -> session_pb2.Run:
    opening = run.opening
    return session_pb2.Run(
        run_id=opening.run_id,
        session_id=opening.session_id,
        agent_id=opening.agent_id,
        state=_STATES[run.state],
        create_time=calls.moment(run.create_time),
        end_time=calls.moment(run.end_time),
        last_sequence=run.last_sequence,
        request=_any(opening.request) if opening.request else None,
        owner=opening.owner,
        last_position=run.last_position,
        takeovers=run.takeovers,
        parent_run_id=opening.parent_run_id,
        usage=_used(run.usage),
    )


def _new_event(event: session_pb2.RunEvent) -> RunEvent:
    given = event.HasField("event_time")
    return RunEvent(
        sequence=event.sequence,
        payload=_payload(event.payload),
        event_time=event.event_time.ToNanoseconds() if given else time.time_ns(),
    )


def _event(event: RunEvent) -> session_pb2.RunEvent:
    moment = timestamp_pb2.Timestamp()
    moment.FromNanoseconds(event.event_time)
    return session_pb2.RunEvent(sequence=event.sequence, payload=_any(event.payload), event_time=moment)
