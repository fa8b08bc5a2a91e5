"""Sessions and their messages: the rules, over a store."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from services.session import validation
from services.session.model import (
    Appended,
    Deleted,
    Message,
    NewMessage,
    Page,
    Scalar,
    Session,
    Topic,
    TopicChange,
)
from services.session.page_tokens import PageTokens
from services.session.requests import Once, fingerprint, once
from services.session.store import ConversationStore

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """An id that cannot be guessed: the prefix and 26 characters with 130 random bits."""
    bits = secrets.randbits(130)
    return prefix + "".join(_ALPHABET[bits >> shift & 31] for shift in range(0, 130, 5))


class Conversations:
    """What may be done with sessions and messages.

    All methods raise InvalidArgumentError (INVALID_FIELD, INVALID_PAGE_TOKEN) and
    what the store raises.
    """

    def __init__(self, store: ConversationStore, make_id: Callable[[str], str] = new_id) -> None:
        self._store = store
        self._make_id = make_id

    async def create(self, tenant: str, topic: Topic, request_id: str) -> Session:
        """Creates an empty session, once per request id when there is one."""
        validation.topic_change(TopicChange(topic.title, topic.collection_ids, topic.metadata))
        request = once(
            request_id, (topic.title, json.dumps(topic.collection_ids), _canonical(topic.metadata))
        )
        return await self._store.create_session(tenant, self._make_id("ses_"), topic, request)

    async def get(self, tenant: str, session_id: str) -> Session:
        """A session."""
        return await self._store.get_session(tenant, _session_id(session_id))

    async def list_sessions(self, tenant: str, page_size: int, page_token: str) -> Page[Session]:
        """A page of the tenant's sessions, last changed first."""
        count = validation.page_size(page_size)
        tokens = PageTokens(await self._store.page_token_key(), tenant, "ListSessions")
        page = await self._store.list_sessions(tenant, tokens.place(page_token), count)
        return replace(page, next_place=tokens.token(page.next_place))

    async def update(
        self, tenant: str, session_id: str, change: TopicChange, updated: int | None, request_id: str
    ) -> Session:
        """Changes what is given of a session, once per request id when there is one.

        updated: the update_time that the session must have; None for any.
        """
        validation.topic_change(change)
        parts = (
            _session_id(session_id),
            json.dumps(change.title),
            json.dumps(change.collection_ids),
            "" if change.metadata is None else _canonical(change.metadata),
        )
        return await self._store.update_session(tenant, session_id, change, updated, once(request_id, parts))

    async def delete(self, tenant: str, session_id: str, updated: int | None, request_id: str) -> Deleted:
        """Deletes a session with its messages and runs, once per request id when there is one.

        updated: the update_time that the session must have; None for any.
        """
        parts = (_session_id(session_id),)
        return await self._store.delete_session(tenant, session_id, updated, once(request_id, parts))

    async def append(
        self, tenant: str, session_id: str, messages: Sequence[NewMessage], request_id: str
    ) -> Appended:
        """Appends messages, all or none, exactly once per request id. The service gives their ids."""
        _session_id(session_id)
        validation.messages(messages)
        request = Once(validation.request_id(request_id), fingerprint(_content(messages)))
        named = [replace(message, message_id=self._make_id("msg_")) for message in messages]
        return await self._store.append_messages(tenant, session_id, named, request)

    async def list_messages(
        self, tenant: str, session_id: str, page_size: int, page_token: str, newest: bool
    ) -> Page[Message]:
        """A page of messages in order: from the oldest on, or from the newest back."""
        count = validation.page_size(page_size)
        direction: Literal["up", "down"] = "down" if newest else "up"
        key = await self._store.page_token_key()
        tokens = PageTokens(key, tenant, "ListMessages", _session_id(session_id), direction)
        start = int(tokens.place(page_token) or 0)
        page = await self._store.list_messages(tenant, session_id, start, count, direction)
        return replace(page, next_place=tokens.token(page.next_place))


def _session_id(value: str) -> str:
    return validation.identifier("session_id", value)


def _canonical(metadata: Mapping[str, Scalar]) -> str:
    return json.dumps(dict(metadata), sort_keys=True)


def _content(messages: Sequence[NewMessage]) -> Iterator[str | bytes]:
    for message in messages:
        yield message.role.value
        yield message.text
        yield message.agent_id
        yield message.run_id
        yield message.attributes
