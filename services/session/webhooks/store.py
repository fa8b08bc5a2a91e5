"""What webhooks need of a store. How each fails beyond this: as RunStore does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.session.model import Page
from services.session.webhooks.model import (
    Claimed,
    DocumentEvent,
    Listener,
    Message,
    NewWebhook,
    Outcome,
    Webhook,
    WebhookChange,
)


class WebhookStore(Protocol):
    """Keeps webhooks and lists their messages.

    What names a webhook that is not there raises NotFoundError (WEBHOOK_NOT_FOUND).
    """

    async def page_token_key(self) -> bytes:
        """A secret of 32 bytes that stays as long as the data."""

    async def create_webhook(self, space: str, new: NewWebhook, most: int) -> Webhook:
        """Keeps a webhook. Raises ResourceExhaustedError (TOO_MANY_WEBHOOKS)."""

    async def get_webhook(self, space: str, webhook_id: str) -> Webhook:
        """A webhook."""

    async def list_webhooks(self, space: str) -> tuple[Webhook, ...]:
        """All of a person, oldest first."""

    async def update_webhook(self, space: str, webhook_id: str, change: WebhookChange) -> Webhook:
        """Changes what is given."""

    async def rotate_secret(self, space: str, webhook_id: str, secret: str, seconds: float) -> Webhook:
        """Gives another secret; the one before holds so many seconds more."""

    async def delete_webhook(self, space: str, webhook_id: str) -> None:
        """Removes a webhook and its messages."""

    async def test_webhook(self, space: str, webhook_id: str, event: str) -> Message:
        """Puts a message of the type webhook.test into the queue, once for each name of an event.

        Raises FailedPreconditionError (WEBHOOK_DISABLED), ResourceExhaustedError (WEBHOOK_QUEUE_FULL).
        """

    async def list_messages(self, space: str, webhook_id: str, place: str, count: int) -> Page[Message]:
        """A page of the messages of a webhook, newest first, from a place on."""

    async def list_listeners(self, place: str, count: int) -> Page[Listener]:
        """People of the whole house who are told of documents, from a place on."""

    async def put_document_events(
        self, space: str, previous: str, cursor: str, events: Sequence[DocumentEvent]
    ) -> None:
        """Puts a message of each event into the queue for each webhook that listens, and moves the cursor.

        It does all of it or nothing.

        Raises AbortedError (CURSOR_MOVED) when the cursor is not `previous`, ResourceExhaustedError
        (WEBHOOK_QUEUE_FULL) when there is no room for all of them.
        """


class MessageQueue(Protocol):
    """The messages that wait, of all people. Several processes may take from it."""

    async def due_spaces(self) -> list[str]:
        """The spaces in which something is to be sent now."""

    async def claim(self, space: str, count: int, lease_seconds: float) -> list[Claimed]:
        """At most `count` messages that nobody else has for the time of the lease.

        One whose holder has not settled it until then is given to the next who asks. Each counts as tried.
        """

    async def settle(
        self,
        claimed: Claimed,
        outcome: Outcome,
        *,
        status: int,
        error: str,
        pause_seconds: float,
        disabled_after: float,
    ) -> None:
        """Says what became of a claimed message; does nothing when the lease had ended and it is another's.

        disabled_after: seconds without a success after which a last failure switches the webhook off.
        """
