"""Webhooks in Redis, beside what else the session service keeps of a person (see redis_store).

Keys are `webhook:<id>` (hashes that snapshots have), `webhooks` (their index), `message:<id>` (hashes; they
expire), `webhook:<id>:messages` (an index by time) and `webhooks:waiting` (the queue: by when each is to be
sent, or until when its lease lasts), and `webhooks:heard` (how far one was told of documents).
`{webhooks}:spaces` has the spaces in which there are webhooks.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence

from services.chassis import context
from services.session.entries import WEBHOOK_FIELDS
from services.session.model import Page
from services.session.redis_store import (
    PAGE_BYTES,
    SPACES,
    WAITING_DOCUMENTS,
    WAITING_MESSAGES,
    Fields,
    Place,
    RedisStore,
    fields_of,
    flag,
    message_place,
    waiting_place,
    webhook_place,
    webhooks_place,
)
from services.session.webhooks import failures
from services.session.webhooks.model import (
    Claimed,
    DocumentEvent,
    Listener,
    Message,
    MessageState,
    NewWebhook,
    Outcome,
    Webhook,
    WebhookChange,
)

_MICROSECONDS = 1_000_000

# What others are told of one.
_WEBHOOK = tuple(name for name in WEBHOOK_FIELDS if name != "secret")
_MESSAGE = (
    *("message_id", "webhook_id", "type", "state", "attempts", "status"),
    *("error", "event_time", "attempted", "next"),
)


class RedisWebhooks:
    """Is a WebhookStore and a MessageQueue. waiting: how many messages of a person may wait."""

    def __init__(self, store: RedisStore, *, waiting: int = WAITING_MESSAGES) -> None:
        self._store = store
        self._waiting = waiting

    async def page_token_key(self) -> bytes:
        """See WebhookStore."""
        return await self._store.page_token_key()

    async def create_webhook(self, space: str, new: NewWebhook, most: int) -> Webhook:
        """See WebhookStore."""
        reply = await self._store.run(
            "webhook_create",
            [
                *(webhook_place(space, new.webhook_id), webhooks_place(space), SPACES),
                waiting_place(space),
            ],
            [
                *(most, new.webhook_id, space, "url", new.url, "label", new.label),
                *("types", " ".join(new.event_types), "answers", flag(new.include_answer)),
                *("secret", new.secret),
            ],
        )
        if reply[0] == b"full":
            raise failures.too_many_webhooks(most)
        return _webhook_of(fields_of(reply[1]))

    async def get_webhook(self, space: str, webhook_id: str) -> Webhook:
        """See WebhookStore."""
        fields = await self._store.picked(webhook_place(space, webhook_id), _WEBHOOK)
        if not fields:
            raise failures.webhook_not_found(webhook_id)
        return _webhook_of(fields)

    async def list_webhooks(self, space: str) -> tuple[Webhook, ...]:
        """See WebhookStore."""
        [found] = await self._store.run("webhooks_list", [webhooks_place(space)], [webhook_place(space, "")])
        return tuple(_webhook_of(fields_of(flat)) for flat in found)

    async def update_webhook(self, space: str, webhook_id: str, change: WebhookChange) -> Webhook:
        """See WebhookStore."""
        reply = await self._store.run(
            "webhook_update",
            [webhook_place(space, webhook_id), waiting_place(space), webhooks_place(space)],
            [flag(bool(change.enabled)), webhook_id, message_place(space, ""), *_changed(change)],
        )
        return _webhook_of(fields_of(_there(reply, webhook_id)[1]))

    async def rotate_secret(self, space: str, webhook_id: str, secret: str, seconds: float) -> Webhook:
        """See WebhookStore."""
        reply = await self._store.run(
            "webhook_rotate",
            [webhook_place(space, webhook_id)],
            [secret, round(seconds * _MICROSECONDS)],
        )
        return _webhook_of(fields_of(_there(reply, webhook_id)[1]))

    async def delete_webhook(self, space: str, webhook_id: str) -> None:
        """See WebhookStore."""
        reply = await self._store.run(
            "webhook_delete",
            [
                *(webhook_place(space, webhook_id), webhooks_place(space), SPACES),
                *(waiting_place(space), _messages(space, webhook_id)),
            ],
            [webhook_id, space, message_place(space, "")],
        )
        _there(reply, webhook_id)

    async def test_webhook(self, space: str, webhook_id: str, event: str) -> Message:
        """See WebhookStore."""
        reply = await self._store.run(
            "webhook_test",
            [webhook_place(space, webhook_id), waiting_place(space)],
            [webhook_place(space, ""), message_place(space, ""), self._waiting, webhook_id, event],
        )
        match _there(reply, webhook_id)[0]:
            case b"disabled":
                raise failures.webhook_disabled(webhook_id)
            case b"full":
                raise failures.queue_full(self._waiting)
        return _message_of(fields_of(reply[1]))

    async def list_messages(self, space: str, webhook_id: str, place: str, count: int) -> Page[Message]:
        """See WebhookStore."""
        await self.get_webhook(space, webhook_id)
        next_place, found = await self._store.run(
            "index_list",
            [_messages(space, webhook_id)],
            [place, count, PAGE_BYTES, message_place(space, ""), "-inf", "", "", *_MESSAGE],
        )
        return Page(tuple(_message_of(fields_of(flat)) for flat in found), next_place.decode())

    async def list_listeners(self, place: str, count: int) -> Page[Listener]:
        """See WebhookStore."""
        before, index = webhooks_place("\n").split("\n")
        behind = (make("\n").split("\n")[1] for make in (_webhooks_of, waiting_place))
        found, next_place = await self._store.run(
            "document_listeners", [SPACES], [place, count, Place(before), index, *behind]
        )
        known = (_listener_of(*(value.decode() for value in row)) for row in found)
        return Page(tuple(one for one in known if one is not None), next_place.decode())

    async def put_document_events(
        self, space: str, previous: str, cursor: str, events: Sequence[DocumentEvent]
    ) -> None:
        """See WebhookStore."""
        told = (
            value
            for one in events
            for value in (one.event_type, one.name, one.event_time, json.dumps(one.data))
        )
        reply = await self._store.run(
            "document_events_put",
            [waiting_place(space), webhooks_place(space)],
            [
                *(previous, cursor, webhook_place(space, ""), message_place(space, "")),
                *(self._waiting, min(self._waiting, WAITING_DOCUMENTS), *told),
            ],
        )
        match reply[0]:
            case b"other":
                raise failures.cursor_moved()
            case b"full":
                raise failures.queue_full(min(self._waiting, WAITING_DOCUMENTS))

    async def due_spaces(self) -> list[str]:
        """See MessageQueue."""
        before, after = waiting_place("\n").split("\n")
        [found] = await self._store.run("webhooks_due", [SPACES], [Place(before), after])
        return [space.decode() for space in found]

    async def claim(self, space: str, count: int, lease_seconds: float) -> list[Claimed]:
        """See MessageQueue."""
        token = secrets.token_hex(16)
        [found] = await self._store.run(
            "webhooks_claim",
            [waiting_place(space), _owner(space)],
            [
                *(round(lease_seconds * _MICROSECONDS), token, count),
                *(webhook_place(space, ""), message_place(space, "")),
            ],
        )
        return [
            Claimed(
                space,
                _message_of(fields_of(flat)),
                json.loads(data),
                url.decode(),
                tuple(one.decode() for one in (secret, before) if one),
                token,
            )
            for flat, data, url, secret, before in found
        ]

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
        """See MessageQueue."""
        space, message = claimed.space, claimed.message
        await self._store.run(
            "webhook_settle",
            [
                *(message_place(space, message.message_id), waiting_place(space)),
                *(webhook_place(space, message.webhook_id), _messages(space, message.webhook_id)),
            ],
            [
                *(claimed.token, outcome.value, status, error, round(pause_seconds * _MICROSECONDS)),
                *(round(disabled_after * _MICROSECONDS), message.message_id),
            ],
        )


def _messages(space: str, webhook_id: str) -> Place:
    """The index of the messages of a webhook."""
    return Place(webhook_place(space, webhook_id) + ":messages")


def _webhooks_of(space: str) -> Place:
    """What the keys of the webhooks of a person begin with."""
    return webhook_place(space, "")


def _listener_of(space: str, cursor: str, since: str, role: str, groups: str) -> Listener | None:
    """Who it is whose the space is; None for somebody who is not there any more."""
    if role:
        tenant, _, subject = space.partition(".")
        return Listener(tenant, subject, role, tuple(json.loads(groups)), cursor, int(since))
    for one in (context.LOCAL_OWNER, context.SERVICE):
        if space == one.space:
            return Listener(one.tenant_id, one.subject, one.role, (), cursor, int(since))
    return None


def _owner(space: str) -> Place:
    """The user whose a space is, see Principal.space; a place where nobody is for who does not sign in."""
    tenant, _, user_id = space.partition(".")
    return Place(f"{{{tenant}}}:user:{user_id}")


def _changed(change: WebhookChange) -> list[str]:
    """Names and values of what is given."""
    fields: list[str] = []
    if change.url is not None:
        fields += ["url", change.url]
    if change.label is not None:
        fields += ["label", change.label]
    if change.event_types is not None:
        fields += ["types", " ".join(change.event_types)]
    if change.include_answer is not None:
        fields += ["answers", flag(change.include_answer)]
    if change.enabled is not None:
        fields += ["enabled", flag(change.enabled), "reason", "" if change.enabled else "owner"]
    return fields


def _there(reply: list[bytes], webhook_id: str) -> list[bytes]:
    if reply[0] == b"missing":
        raise failures.webhook_not_found(webhook_id)
    return reply


def _webhook_of(fields: Fields) -> Webhook:
    old_until = int(fields[b"old_until"])
    return Webhook(
        webhook_id=fields[b"webhook_id"].decode(),
        url=fields[b"url"].decode(),
        label=fields[b"label"].decode(),
        event_types=tuple(fields[b"types"].decode().split()),
        include_answer=fields[b"answers"] == b"1",
        enabled=fields[b"enabled"] == b"1",
        disabled_reason=fields[b"reason"].decode(),
        failing_time=int(fields[b"failing"]),
        dropped=int(fields[b"dropped"]),
        previous_secret_expire_time=old_until if old_until > time.time() * _MICROSECONDS else 0,
        create_time=int(fields[b"created"]),
        update_time=int(fields[b"updated"]),
    )


def _message_of(fields: Fields) -> Message:
    return Message(
        message_id=fields[b"message_id"].decode(),
        webhook_id=fields[b"webhook_id"].decode(),
        event_type=fields[b"type"].decode(),
        state=MessageState(fields[b"state"].decode()),
        attempts=int(fields[b"attempts"]),
        status=int(fields[b"status"]),
        error=fields[b"error"].decode(),
        event_time=int(fields[b"event_time"]),
        attempt_time=int(fields[b"attempted"]),
        next_time=int(fields[b"next"]),
    )
