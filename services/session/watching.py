"""Watchers of runs: the recorded events, then those that come, without a gap or a double.

A watcher reads the record from where it stands; a signal only tells it to read
again. So a signal that is lost or late can delay an event and cannot lose it. All
watchers of a process share one subscription, and those that stand at the same
place of a run share each read.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from services.session import failures, validation
from services.session.model import EventBatch, EventPage, RunState
from services.session.store import EventStore, RunKey

_log = logging.getLogger(__name__)

# How late an event comes when its signal was lost.
_POLL_SECONDS = 2.0
# Below the 1,000 streams of a connection, so that other calls find room on it.
_MAX_WATCHERS = 768
_SHARED_READS = 8


class RunWatching:
    """Lets many watch runs at a time. Hears of changes while `following`."""

    def __init__(
        self,
        store: EventStore,
        *,
        poll_seconds: float = _POLL_SECONDS,
        max_watchers: int = _MAX_WATCHERS,
    ) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._max_watchers = max_watchers
        self._watchers = 0
        self._feeds: dict[RunKey, _Feed] = {}

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Listens to the store's signals for the duration of the block."""
        follower = asyncio.create_task(self._follow(), name="run changes")
        follower.add_done_callback(_report)
        try:
            yield
        finally:
            follower.cancel()
            await asyncio.wait((follower,))

    async def watch(self, tenant: str, run_id: str, after: int) -> AsyncGenerator[EventBatch, None]:
        """Batches of events after a sequence, the last one with the run's end state.

        Raises InvalidArgumentError (INVALID_FIELD), NotFoundError (RUN_NOT_FOUND),
        OutOfRangeError (EVENTS_EXPIRED), ResourceExhaustedError (TOO_MANY_CALLS) and
        UnavailableError (STORE_UNAVAILABLE), also in the middle. Has no end of its
        own when the run has none: the caller's deadline ends it.
        """
        validation.identifier("run_id", run_id)
        if after < 0:
            raise failures.invalid_field("after_sequence", after, "must be 0 or more")
        if self._watchers >= self._max_watchers:
            raise failures.too_many_watchers(self._max_watchers)
        key = RunKey(tenant, run_id)
        feed = self._feeds.setdefault(key, _Feed(self._store, key))
        feed.watchers += 1
        self._watchers += 1
        try:
            async for batch in self._batches(feed, after):
                yield batch
        finally:
            self._watchers -= 1
            feed.watchers -= 1
            if not feed.watchers:
                del self._feeds[key]

    async def _batches(self, feed: _Feed, after: int) -> AsyncIterator[EventBatch]:
        while True:
            changed = feed.changed
            page = await feed.read(after)
            if after > page.last_sequence:
                raise failures.invalid_field("after_sequence", after, "is beyond the run's last event")
            if after + 1 < page.first_sequence:
                raise failures.events_expired(feed.key.run_id, page.first_sequence)
            after += len(page.events)
            caught_up = after == page.last_sequence
            state = page.state if caught_up else RunState.RUNNING
            if page.events or state.ended:
                yield EventBatch(page.events, state)
            if state.ended:
                return
            if caught_up:
                await feed.wait(changed, self._poll_seconds)

    async def _follow(self) -> None:
        async for key in self._store.changes():
            if key is None:
                for feed in self._feeds.values():
                    feed.wake()
            elif key in self._feeds:
                self._feeds[key].wake()


class _Feed:
    """The watchers of one run. `changed` is set, and replaced, when there may be something new."""

    def __init__(self, store: EventStore, key: RunKey) -> None:
        self.key = key
        self.watchers = 0
        self.changed = asyncio.Event()
        self._store = store
        self._reads: dict[int, asyncio.Task[EventPage]] = {}

    def wake(self) -> None:
        """Lets all watchers read again."""
        self._reads.clear()
        self.changed.set()
        self.changed = asyncio.Event()

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Until `changed` is set; after `seconds` the watchers read again without a signal."""
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            if not changed.is_set():
                self.wake()

    async def read(self, after: int) -> EventPage:
        """The record after a sequence, read once for all who ask before the next change."""
        task = self._reads.get(after)
        if task is None:
            if len(self._reads) >= _SHARED_READS:
                self._reads.clear()
            # In a context of its own: the read serves others too, and must not end with
            # the deadline of the watcher that happened to begin it.
            task = asyncio.create_task(
                self._store.read_events(*self.key, after), context=contextvars.Context()
            )
            task.add_done_callback(self._forget_failure)
            self._reads[after] = task
        return await asyncio.shield(task)

    def _forget_failure(self, task: asyncio.Task[EventPage]) -> None:
        """Those who waited have the failure; who comes later reads again."""
        if task.cancelled() or task.exception() is not None:
            self._reads = {after: read for after, read in self._reads.items() if read is not task}


def _report(follower: asyncio.Task[None]) -> None:
    """Without signals watchers go on by polling; that is a defect to see."""
    if not follower.cancelled():
        _log.error("changes of runs are not followed any more", exc_info=follower.exception())
