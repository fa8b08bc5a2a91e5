"""Webhooks: the rules, over a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from secrets import token_hex

from services.chassis.context import Principal
from services.session import validation
from services.session.conversations import new_id
from services.session.failures import invalid_field
from services.session.model import Page
from services.session.page_tokens import PageTokens
from services.session.webhooks import naming
from services.session.webhooks.model import (
    EVENT_TYPES,
    DocumentEvent,
    Listener,
    Message,
    NewWebhook,
    Webhook,
    WebhookChange,
)
from services.session.webhooks.reaching import Reach, target
from services.session.webhooks.secret_making import SecretMaker
from services.session.webhooks.store import WebhookStore

MAX_WEBHOOKS = 20
# For which the secret before the last one signs as well.
ROTATION_SECONDS = 86_400.0
# Ten for each of twenty webhooks fit into what documents may have of the queue.
MAX_DOCUMENT_EVENTS = 10
MAX_CURSOR_CHARACTERS = 500


class Webhooks:
    """What may be done with webhooks.

    All methods raise InvalidArgumentError (INVALID_FIELD, INVALID_PAGE_TOKEN) and what the store raises.
    """

    def __init__(
        self,
        store: WebhookStore,
        reach: Reach,
        make_id: Callable[[str], str] = new_id,
        *,
        secrets: SecretMaker | None = None,
    ) -> None:
        self._store = store
        self._reach = reach
        self._secrets = secrets or SecretMaker()
        self._make_id = make_id

    async def create(
        self, space: str, url: str, label: str, event_types: Iterable[str], include_answer: bool
    ) -> tuple[Webhook, str]:
        """A webhook and its secret, which nobody learns again. event_types: all when empty.

        Raises what Reach.addresses raises.
        """
        webhook_id = self._make_id("whk_")
        secret = self._secrets.make(webhook_id)
        kept = NewWebhook(
            webhook_id,
            url,
            naming.label("label", label),
            naming.event_types(event_types) or tuple(sorted(EVENT_TYPES)),
            include_answer,
            secret.kept,
        )
        await self._reach.addresses(target("url", url))
        return await self._store.create_webhook(space, kept, MAX_WEBHOOKS), secret.shown

    async def get(self, space: str, webhook_id: str) -> Webhook:
        """A webhook."""
        return await self._store.get_webhook(space, validation.identifier("webhook_id", webhook_id))

    async def list_webhooks(self, space: str) -> tuple[Webhook, ...]:
        """All of a person, oldest first."""
        return await self._store.list_webhooks(space)

    async def update(self, space: str, webhook_id: str, change: WebhookChange) -> Webhook:
        """Changes what is given. Raises what Reach.addresses raises."""
        validation.identifier("webhook_id", webhook_id)
        if change.label is not None:
            naming.label("label", change.label)
        if change.event_types is not None:
            change = replace(change, event_types=naming.event_types(change.event_types))
            if not change.event_types:
                raise invalid_field("event_types", "", "must name an event")
        if change.url is not None:
            wanted = target("url", change.url)
            # Before a host is looked up for somebody who has no such webhook.
            await self._store.get_webhook(space, webhook_id)
            await self._reach.addresses(wanted)
        return await self._store.update_webhook(space, webhook_id, change)

    async def rotate(self, space: str, webhook_id: str) -> tuple[Webhook, str]:
        """Gives a webhook another secret, which nobody learns again."""
        validation.identifier("webhook_id", webhook_id)
        secret = self._secrets.make(webhook_id)
        webhook = await self._store.rotate_secret(space, webhook_id, secret.kept, ROTATION_SECONDS)
        return webhook, secret.shown

    async def delete(self, space: str, webhook_id: str) -> None:
        """Removes a webhook and its messages."""
        await self._store.delete_webhook(space, validation.identifier("webhook_id", webhook_id))

    async def test(self, space: str, webhook_id: str, request_id: str) -> Message:
        """Sends a message that says nothing, once per request id when there is one."""
        validation.identifier("webhook_id", webhook_id)
        event = validation.request_id(request_id) if request_id else token_hex(16)
        return await self._store.test_webhook(space, webhook_id, event)

    async def list_messages(
        self, space: str, webhook_id: str, page_size: int, page_token: str
    ) -> Page[Message]:
        """A page of the messages of a webhook, newest first."""
        validation.identifier("webhook_id", webhook_id)
        count = validation.page_size(page_size)
        key = await self._store.page_token_key()
        tokens = PageTokens(key, space, "ListWebhookDeliveries", webhook_id)
        page = await self._store.list_messages(space, webhook_id, tokens.place(page_token), count)
        return replace(page, next_place=tokens.token(page.next_place))

    async def list_listeners(self, caller: Principal, page_size: int, page_token: str) -> Page[Listener]:
        """A page of the people of the whole house who are told of documents."""
        count = validation.page_size(page_size)
        key = await self._store.page_token_key()
        tokens = PageTokens(key, caller.space, "ListDocumentListeners", "")
        page = await self._store.list_listeners(tokens.place(page_token), count)
        return replace(page, next_place=tokens.token(page.next_place))

    async def put_document_events(
        self, space: str, previous: str, cursor: str, events: Sequence[DocumentEvent]
    ) -> None:
        """Tells the webhooks of a person what happened to documents that this person may read.

        previous, cursor: where the caller's list of what happened stood before these events, and behind.
        """
        for name, value in (("previous_cursor", previous), ("cursor", cursor)):
            if len(value) > MAX_CURSOR_CHARACTERS:
                raise invalid_field(name, value, f"must have at most {MAX_CURSOR_CHARACTERS} characters")
        if len(events) > MAX_DOCUMENT_EVENTS:
            raise invalid_field("events", str(len(events)), f"must be at most {MAX_DOCUMENT_EVENTS}")
        for event in events:
            naming.document_event(event)
        await self._store.put_document_events(space, previous, cursor, events)
