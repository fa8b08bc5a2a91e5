"""The switch: calls end with a reason, and whatever fails, an application answers in the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from services.chassis.errors import AbortedError, UnavailableError
from services.chassis.health import Dependency
from services.vector import switch as module
from services.vector.switch import Switch, switched


class House:
    """Applications by number; `fails` says how often the next start fails."""

    def __init__(self) -> None:
        self.number = 0
        self.fails = 0
        self.living: list[int] = []

    @asynccontextmanager
    async def start(self) -> AsyncIterator[Any]:
        if self.fails:
            self.fails -= 1
            raise OSError("no space")
        self.number += 1
        number = self.number
        self.living.append(number)

        async def ping() -> None:
            return None

        yield SimpleNamespace(
            number=number,
            keeper=SimpleNamespace(follow=lambda changed: None),
            dependencies=lambda: (Dependency("record", ping),),
        )
        self.living.remove(number)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def switch(house: House) -> AsyncIterator[Switch]:
    async with switched(house.start) as switch:
        yield switch
    assert house.living == []


async def number(application: Any) -> int:
    return int(application.number)


async def for_ever(application: Any) -> None:
    del application
    await asyncio.Event().wait()


async def begun(task: asyncio.Task[Any]) -> asyncio.Task[Any]:
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_the_next_application_answers_and_the_last_is_closed_before_the_change(
    switch: Switch, house: House
) -> None:
    assert await switch.call(number, writes=False) == 1
    seen: list[list[int]] = []
    await switch.exchange(lambda: seen.append(list(house.living)))
    assert seen == [[]]
    assert await switch.call(number, writes=False) == 2
    assert house.living == [2]


async def test_a_write_is_aborted_at_once_and_its_clean_up_is_waited_for(switch: Switch) -> None:
    order: list[str] = []

    async def write(application: Any) -> None:
        try:
            await for_ever(application)
        finally:
            await asyncio.sleep(0.05)
            order.append("cleaned")

    writing = await begun(asyncio.create_task(switch.call(write, writes=True)))
    await switch.exchange(lambda: order.append("changed"))
    with pytest.raises(AbortedError) as error:
        await writing
    assert error.value.reason == "RECORD_REPLACED"
    assert order == ["cleaned", "changed"]


async def test_a_read_gets_a_moment(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    go = asyncio.Event()

    async def read(application: Any) -> int:
        await go.wait()
        return int(application.number)

    reading = await begun(asyncio.create_task(switch.call(read, writes=False)))
    asyncio.get_running_loop().call_later(0.05, go.set)
    await switch.exchange(lambda: None)
    assert await reading == 1

    monkeypatch.setattr(module, "_READ_SECONDS", 0.05)
    hanging = await begun(asyncio.create_task(switch.call(for_ever, writes=False)))
    await switch.exchange(lambda: None)
    with pytest.raises(UnavailableError) as error:
        await hanging
    assert error.value.reason == "RECORD_RESTORING"


async def test_a_stream_whose_reader_is_slow_is_closed_and_told_at_its_next_step(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps nobody awaits the call: it is closed all the same, before the change."""
    monkeypatch.setattr(module, "_READ_SECONDS", 0.05)
    order: list[str] = []

    async def items(application: Any) -> AsyncGenerator[int, None]:
        try:
            for item in range(3):
                yield item
        finally:
            order.append("closed")

    for writes, reason in ((True, "RECORD_REPLACED"), (False, "RECORD_RESTORING")):
        order.clear()
        stream = switch.stream(items, writes=writes)
        assert await anext(stream) == 0
        await switch.exchange(lambda: order.append("changed"))
        assert order == ["closed", "changed"]
        with pytest.raises((AbortedError, UnavailableError)) as error:
            await anext(stream)
        assert error.value.reason == reason
    assert [item async for item in switch.stream(items, writes=False)] == [0, 1, 2]


async def test_a_caller_that_is_cancelled_is_cancelled(switch: Switch) -> None:
    ended = asyncio.Event()

    async def work(application: Any) -> None:
        try:
            await for_ever(application)
        finally:
            ended.set()

    task = await begun(asyncio.create_task(switch.call(work, writes=True)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_calls_wait_for_a_short_exchange_and_are_refused_in_a_long_one(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    told: list[bool] = []

    def note() -> None:
        try:
            told.append(bool(switch.application))
        except UnavailableError:
            told.append(False)

    switch.follow(note)
    exchanging = await begun(asyncio.create_task(switch.exchange(lambda: go.wait(30) and None)))
    (record,) = [one for one in await _dependencies(switch, exchanging, go) if one.name == "record"]
    await record.ping()
    assert told == [False, True]

    go.clear()
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.05)
    exchanging = await begun(asyncio.create_task(switch.exchange(lambda: go.wait(30) and None)))
    with pytest.raises(UnavailableError) as error:
        await switch.call(number, writes=True)
    assert error.value.reason == "RECORD_RESTORING"
    with pytest.raises(UnavailableError):
        await record.ping()
    go.set()
    await exchanging
    assert await switch.call(number, writes=True) == 3


async def _dependencies(
    switch: Switch, exchanging: asyncio.Task[None], go: threading.Event
) -> tuple[Dependency, ...]:
    waiting = await begun(asyncio.create_task(switch.call(number, writes=True)))
    go.set()
    assert await waiting == 2
    await exchanging
    return switch.dependencies()


async def test_when_the_change_fails_what_is_there_is_started_again(switch: Switch) -> None:
    def change() -> None:
        raise OSError("no rename today")

    with pytest.raises(OSError, match="no rename"):
        await switch.exchange(change)
    assert await switch.call(number, writes=False) == 2


async def test_a_start_that_fails_is_tried_again(
    switch: Switch, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BACKOFF_SECONDS", (0.01,))
    house.fails = 3
    await switch.exchange(lambda: None)
    assert await switch.call(number, writes=False) == 2
    assert house.fails == 0


async def test_a_caller_that_leaves_does_not_stop_an_exchange_and_the_end_waits_for_it(house: House) -> None:
    go, changed = threading.Event(), threading.Event()

    def change() -> None:
        go.wait(30)
        changed.set()

    async with switched(house.start) as switch:
        exchanging = await begun(asyncio.create_task(switch.exchange(change)))
        exchanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchanging
        asyncio.get_running_loop().call_later(0.05, go.set)
    assert changed.is_set()
    assert house.living == []
