"""Those whose webhooks are told of documents, from the session service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC

import grpc
import grpc.aio
from google.protobuf import timestamp_pb2

from meldrag.session.v1 import webhook_pb2, webhook_pb2_grpc
from services.agents.adapters.session_client import translated
from services.agents.telling.ports import DocumentEvent, Listener
from services.chassis import context, roles
from services.chassis.context import Principal

SERVICE = webhook_pb2.DESCRIPTOR.services_by_name["WebhookService"]

_SECONDS = 2.0
_PAGE = 500
# What the session service takes of a title; one that a document brought itself may be longer.
_CHARACTERS = 1_000


class ListenerClient:
    """Is Listeners, over a channel to the session service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = webhook_pb2_grpc.WebhookServiceStub(channel)

    async def all(self) -> AsyncGenerator[Listener]:
        """See Listeners: the house asks for them."""
        request = webhook_pb2.ListDocumentListenersRequest(page_size=_PAGE)
        while True:
            with context.entered(context.of_the_house(_SECONDS)):
                try:
                    page = await self._stub.ListDocumentListeners(request, timeout=_SECONDS)
                except grpc.RpcError as error:
                    raise translated(error) from error
            for said in page.listeners:
                yield _listener(said)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return

    async def put(self, previous: str, cursor: str, events: Sequence[DocumentEvent]) -> None:
        """See Listeners."""
        request = webhook_pb2.PutDocumentEventsRequest(
            previous_cursor=previous, cursor=cursor, events=map(_told, events)
        )
        try:
            await self._stub.PutDocumentEvents(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error


def _listener(said: webhook_pb2.DocumentListener) -> Listener:
    principal = Principal(
        said.tenant_id, said.subject, roles.scopes_of(said.role), frozenset(said.groups), said.role
    )
    return Listener(principal, said.cursor, said.start_time.ToDatetime(UTC))


def _told(event: DocumentEvent) -> webhook_pb2.ToldDocument:
    moment = timestamp_pb2.Timestamp()
    moment.FromDatetime(event.event_time)
    return webhook_pb2.ToldDocument(
        event_type=event.event_type,
        collection_id=event.collection_id,
        document_id=event.document_id,
        title=event.title[:_CHARACTERS],
        filename=event.filename[:_CHARACTERS],
        error_reason=event.error_reason,
        warning_count=event.warnings,
        event_time=moment,
        again=event.again,
    )
