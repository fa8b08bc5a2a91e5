"""Carries what happened to documents from where it is known to the webhooks of those who want to know.

The vector service calls nobody and the session service neither, so it is done here, between them. Nothing is
kept in this process: the session service moves somebody's cursor in the same step in which it takes what is
to be told, and only from where it was. So it does no harm when this process is killed at any moment, and when
several do the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time

from opentelemetry import trace

from services.agents.telling.ports import DocumentFeed, EventPage, Listener, Listeners
from services.chassis import context
from services.chassis.context import LOCAL_OWNER, Call
from services.chassis.crash import crash_point
from services.chassis.errors import AbortedError, InvalidArgumentError, ResourceExhaustedError, ServiceError

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
# Of many listeners each waits longer, so that those who hear nothing new cost ten calls a second at most.
_LISTENER_SECONDS = 0.1
_LISTENER_CALLS_SECONDS = 15.0
# What the session service takes at once, and as many times as its queue has room for after one look.
_EVENTS = 10
_PAGES = 25
_MOST_LISTENERS = 10_000


class Telling:
    """Tells while `keep_telling` runs. login: whether people log in; else there is one owner alone."""

    def __init__(self, feed: DocumentFeed, listeners: Listeners, *, login: bool) -> None:
        self._feed = feed
        self._listeners = listeners
        self._login = login
        # What went wrong, in the look before and in this one.
        self._before: set[str] = set()
        self._now: set[str] = set()

    async def keep_telling(self) -> None:
        """Looks for news now and then, without an end."""
        while True:
            listeners, self._before, self._now = 0, self._now, set()
            try:
                with trace.use_span(_unrecorded()):
                    listeners = await self.tell()
            except Exception as error:
                # Also a defect; without this nobody would be told anything any more.
                self._note(error)
            await asyncio.sleep(max(_LOOK_SECONDS, listeners * _LISTENER_SECONDS))

    async def tell(self) -> int:
        """Tells everybody what is new, as far as there is room; how many listen. Raises ServiceError."""
        found: list[Listener] = []
        async with contextlib.aclosing(self._listeners.all()) as all_listeners:
            async for listener in all_listeners:
                # Without login all calls are the owner's: nobody else can be asked for. With it, nobody sees
                # what was set up without, nor could end it.
                if self._login is not (listener.principal.space == LOCAL_OWNER.space):
                    found.append(listener)
                if len(found) >= _MOST_LISTENERS:
                    break
        for listener in found:
            deadline = time.monotonic() + _LISTENER_CALLS_SECONDS
            with context.entered(Call(listener.principal, context.new_request_id(), deadline)):
                try:
                    await self._tell(listener)
                except Exception as error:
                    # What is wrong with one holds up nobody else.
                    self._note(error)
        return len(found)

    async def _tell(self, listener: Listener) -> None:
        cursor = listener.cursor
        for _ in range(_PAGES):
            page = await self._next(cursor, listener)
            crash_point("document_events_read")
            if page.cursor == cursor:
                return
            try:
                await self._listeners.put(cursor, page.cursor, page.events)
            except (AbortedError, ResourceExhaustedError) as error:
                # Somebody else has told it, or so much waits to be sent that the rest has time.
                if error.reason in ("CURSOR_MOVED", "WEBHOOK_QUEUE_FULL"):
                    return
                raise
            crash_point("document_events_put")
            cursor = page.cursor
            if len(page.events) < _EVENTS:
                return

    async def _next(self, cursor: str, listener: Listener) -> EventPage:
        try:
            return await self._feed.after(cursor, listener.since, _EVENTS)
        except InvalidArgumentError as error:
            if not cursor or error.reason != "INVALID_PAGE_TOKEN":
                raise
        # The record was replaced by a snapshot, and what there is to tell began anew with it.
        return await self._feed.after("", listener.since, _EVENTS)

    def _note(self, error: Exception) -> None:
        """What lasts from one look to the next is told once."""
        reason = error.reason if isinstance(error, ServiceError) else type(error).__name__
        if reason in self._before | self._now:
            pass
        elif isinstance(error, ServiceError):
            _log.info("webhooks are not told of documents now: %s", error.message)
        else:
            _log.error("webhooks cannot be told of documents now", exc_info=error)
        self._now.add(reason)


def _unrecorded() -> trace.Span:
    """What is looked for every two seconds belongs to no call and is no trace, here and in those asked."""
    flags = trace.TraceFlags(trace.TraceFlags.DEFAULT)
    ids = secrets.randbits(128) or 1, secrets.randbits(64) or 1
    return trace.NonRecordingSpan(trace.SpanContext(*ids, is_remote=False, trace_flags=flags))
