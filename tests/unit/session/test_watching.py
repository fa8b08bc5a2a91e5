"""Watchers over a store whose signals a test sends, drops or delays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from services.chassis import context
from services.chassis.errors import ResourceExhaustedError, ServiceError
from services.session import failures
from services.session.model import EventPage, Payload, RunEvent, RunState
from services.session.store import RunKey
from services.session.watching import RunWatching

KEY = RunKey("local", "run_1")


class RecordedEvents:
    """An EventStore in memory. page: most events that one read returns. first: the oldest that is kept."""

    def __init__(self, page: int = 1000) -> None:
        self.last = 0
        self.first = 1
        self.state = RunState.RUNNING
        self.reads = 0
        self.failing = False
        self.remaining: list[float] = []
        self.signals: asyncio.Queue[RunKey | None] = asyncio.Queue()
        self._page = page

    async def read_events(self, tenant: str, run_id: str, after: int) -> EventPage:
        self.reads += 1
        self.remaining.append(context.remaining())
        state, last = self.state, self.last
        await asyncio.sleep(0.005)
        if self.failing:
            raise failures.store_unavailable("it is a test")
        if (tenant, run_id) != KEY:
            raise failures.run_not_found(run_id)
        sequences = range(max(after + 1, self.first), min(last, after + self._page) + 1)
        return EventPage(tuple(map(_event, sequences)), state, last, self.first)

    async def changes(self) -> AsyncIterator[RunKey | None]:
        while True:
            yield await self.signals.get()

    def add(self, count: int = 1, *, signal: bool = True, state: RunState = RunState.RUNNING) -> None:
        self.last += count
        self.state = state
        if signal:
            self.signals.put_nowait(KEY)


def _event(sequence: int) -> RunEvent:
    return RunEvent(sequence, Payload("", b""), 0)


async def watched(watching: RunWatching, after: int = 0) -> tuple[list[int], RunState]:
    sequences: list[int] = []
    state = RunState.RUNNING
    async for batch in watching.watch(*KEY, after):
        assert state is RunState.RUNNING
        sequences += [event.sequence for event in batch.events]
        state = batch.state
    return sequences, state


async def test_recorded_pages_then_coming_events() -> None:
    store = RecordedEvents(page=3)
    store.add(10)
    watching = RunWatching(store, poll_seconds=60)
    async with watching.following():
        watcher = asyncio.create_task(watched(watching))
        for _ in range(20):
            await asyncio.sleep(0.003)
            store.add()
        store.add(state=RunState.FAILED)
        assert await asyncio.wait_for(watcher, 5) == (list(range(1, 32)), RunState.FAILED)


async def test_the_end_state_comes_with_the_last_event_and_not_before() -> None:
    store = RecordedEvents(page=2)
    store.add(5, state=RunState.SUCCEEDED)
    batches = [batch async for batch in RunWatching(store).watch(*KEY, 0)]
    assert [(len(batch.events), batch.state) for batch in batches] == [
        (2, RunState.RUNNING),
        (2, RunState.RUNNING),
        (1, RunState.SUCCEEDED),
    ]


async def test_an_event_whose_signal_is_lost_is_late_and_not_lost() -> None:
    store = RecordedEvents()
    watching = RunWatching(store, poll_seconds=0.05)
    async with watching.following():
        watcher = asyncio.create_task(watched(watching))
        await asyncio.sleep(0.02)
        store.add(3, signal=False)
        await asyncio.sleep(0.1)
        store.add(signal=False, state=RunState.SUCCEEDED)
        assert await asyncio.wait_for(watcher, 5) == ([1, 2, 3, 4], RunState.SUCCEEDED)


async def test_a_signal_that_something_was_missed_wakes_every_watcher() -> None:
    store = RecordedEvents()
    watching = RunWatching(store, poll_seconds=60)
    async with watching.following():
        watcher = asyncio.create_task(watched(watching))
        await asyncio.sleep(0.02)
        store.add(state=RunState.SUCCEEDED, signal=False)
        store.signals.put_nowait(RunKey("local", "run_other"))
        await asyncio.sleep(0.05)
        assert not watcher.done()
        store.signals.put_nowait(None)
        assert await asyncio.wait_for(watcher, 5) == ([1], RunState.SUCCEEDED)


async def test_watchers_at_one_place_share_reads() -> None:
    store = RecordedEvents()
    watching = RunWatching(store, poll_seconds=60)
    async with watching.following():
        watchers = [asyncio.create_task(watched(watching)) for _ in range(100)]
        await asyncio.sleep(0.02)
        for _ in range(10):
            store.add()
            await asyncio.sleep(0.02)
        store.add(state=RunState.SUCCEEDED)
        assert {str(result) for result in await asyncio.gather(*watchers)} == {
            str((list(range(1, 12)), RunState.SUCCEEDED))
        }
    assert store.reads <= 2 * 12


async def test_a_shared_read_has_no_watchers_deadline() -> None:
    store = RecordedEvents()
    store.add(state=RunState.SUCCEEDED)
    call = context.Call(context.LOCAL_OWNER, "r", deadline=0.0)
    with context.entered(call):
        assert context.remaining() == 0.0
        await watched(RunWatching(store))
    assert store.remaining == [float("inf")]


async def test_a_failed_read_ends_the_watch_and_is_not_remembered() -> None:
    store = RecordedEvents()
    watching = RunWatching(store, poll_seconds=60)
    store.failing = True
    with pytest.raises(ServiceError) as failed:
        await watched(watching)
    assert failed.value.reason == "STORE_UNAVAILABLE"
    store.failing = False
    store.add(state=RunState.SUCCEEDED)
    assert await watched(watching) == ([1], RunState.SUCCEEDED)


async def test_a_watcher_that_falls_behind_what_is_kept_is_told() -> None:
    store = RecordedEvents(page=2)
    store.add(10)
    batches = RunWatching(store).watch(*KEY, 0)
    async with aclosing(batches):
        assert len((await anext(batches)).events) == 2
        store.first = 6
        with pytest.raises(ServiceError) as expired:
            await anext(batches)
    assert expired.value.reason == "EVENTS_EXPIRED"
    assert expired.value.metadata["first_sequence"] == "6"


async def test_watchers_are_bounded_and_leave_their_place() -> None:
    store = RecordedEvents()
    store.add()
    watching = RunWatching(store, max_watchers=2)
    one, two = watching.watch(*KEY, 0), watching.watch(*KEY, 0)
    await anext(one)
    await anext(two)
    with pytest.raises(ResourceExhaustedError):
        await watched(watching)
    await one.aclose()
    store.add(state=RunState.SUCCEEDED)
    assert await watched(watching) == ([1, 2], RunState.SUCCEEDED)
    await two.aclose()
