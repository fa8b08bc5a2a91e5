"""What happened to documents, from the vector service."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
import grpc.aio
from google.protobuf import timestamp_pb2

from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.agents.adapters.vector_client import translated
from services.agents.telling.ports import FAILED, READY, DocumentEvent, EventPage

_SECONDS = 3.0
_TYPES = {vector_pb2.DOCUMENT_STATE_READY: READY, vector_pb2.DOCUMENT_STATE_FAILED: FAILED}


class DocumentEvents:
    """Is DocumentFeed, over a channel to the vector service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = vector_pb2_grpc.VectorServiceStub(channel)

    async def after(self, cursor: str, since: datetime, count: int) -> EventPage:
        """See DocumentFeed."""
        start = timestamp_pb2.Timestamp()
        start.FromDatetime(since)
        request = vector_pb2.ListDocumentEventsRequest(page_size=count, page_token=cursor, start_time=start)
        try:
            page = await self._stub.ListDocumentEvents(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        events = tuple(_event(one) for one in page.events if one.state in _TYPES)
        return EventPage(events, page.next_page_token)


def _event(said: vector_pb2.DocumentEvent) -> DocumentEvent:
    return DocumentEvent(
        _TYPES[said.state],
        said.collection_id,
        said.document_id,
        said.title,
        said.filename,
        said.error_reason,
        said.warning_count,
        said.event_time.ToDatetime(UTC),
        said.again,
    )
