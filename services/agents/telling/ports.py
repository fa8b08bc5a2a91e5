"""What telling needs: what happened to documents, and the webhooks of those who want to know."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.chassis.context import Principal

READY, FAILED = "document.ready", "document.failed"


@dataclass(frozen=True, slots=True)
class DocumentEvent:
    """What happened to a document. event_type: READY or FAILED. warnings: how many it has.

    again: it was READY before, and was read again since.
    """

    event_type: str
    collection_id: str
    document_id: str
    title: str
    filename: str
    error_reason: str
    warnings: int
    event_time: datetime
    again: bool = False


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, oldest first, and the cursor behind them."""

    events: tuple[DocumentEvent, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class Listener:
    """Somebody with a webhook that is sent such events.

    cursor: how far they were told; "" where that is nothing yet. since: what happened before does not count.
    """

    principal: Principal
    cursor: str
    since: datetime


class DocumentFeed(Protocol):
    """What happened to documents, as the one who is served may know."""

    async def after(self, cursor: str, since: datetime, count: int) -> EventPage:
        """What follows a cursor, at most `count`.

        Raises ServiceError; InvalidArgumentError (INVALID_PAGE_TOKEN) for a cursor of a record that was
        replaced.
        """


class Listeners(Protocol):
    """The people who listen, and their webhooks."""

    def all(self) -> AsyncGenerator[Listener]:
        """Everybody of the house. Raises ServiceError."""

    async def put(self, previous: str, cursor: str, events: Sequence[DocumentEvent]) -> None:
        """Puts events of the one who is served into the queue, and moves their cursor: both or neither.

        Raises ServiceError: AbortedError (CURSOR_MOVED) when the cursor is not `previous` any more,
        ResourceExhaustedError (WEBHOOK_QUEUE_FULL) when there is no room.
        """
