"""Nobody misses anything and nothing is told twice, whoever is killed, and whoever does the same beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from opentelemetry import propagate

from services.agents.telling.ports import READY, DocumentEvent, EventPage, Listener
from services.agents.telling.telling import Telling
from services.chassis import context, roles
from services.chassis.context import LOCAL_OWNER, Principal
from services.chassis.errors import (
    AbortedError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnavailableError,
)

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
ANNA, BEN = (Principal("home", who, roles.scopes_of("member"), role="member") for who in ("anna", "ben"))


@dataclass
class House:
    """Is DocumentFeed and Listeners: events by who may know them, and how far each was told.

    A cursor is the record's name and a number. fails: what the next calls raise, by method.
    """

    events: dict[str, list[DocumentEvent]] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)
    listeners: list[Principal] = field(default_factory=lambda: [ANNA, BEN])
    record: str = "a"
    room: int = 1_000
    fails: dict[str, Exception] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)

    async def after(self, cursor: str, since: datetime, count: int) -> EventPage:
        self._fail("after")
        propagate.inject(self.carried)
        record, _, position = (cursor or f"{self.record}:0").partition(":")
        if record != self.record:
            raise InvalidArgumentError("another record", reason="INVALID_PAGE_TOKEN")
        start = int(position)
        found = tuple(self.events.get(context.principal().subject, [])[start : start + count])
        return EventPage(found, f"{record}:{start + len(found)}")

    async def all(self) -> AsyncGenerator[Listener]:
        self._fail("all")
        for principal in self.listeners:
            yield Listener(principal, self.cursors.get(principal.subject, ""), MOMENT)

    async def put(self, previous: str, cursor: str, events: Sequence[DocumentEvent]) -> None:
        self._fail("put")
        who = context.principal().subject
        if self.cursors.get(who, "") != previous:
            raise AbortedError("moved", reason="CURSOR_MOVED")
        if len(events) > self.room:
            raise ResourceExhaustedError("full", reason="WEBHOOK_QUEUE_FULL")
        self.room -= len(events)
        self.cursors[who] = cursor
        self.told.setdefault(who, []).extend(event.document_id for event in events)
        self._fail("answer")

    def _fail(self, method: str) -> None:
        if (error := self.fails.pop(method, None)) is not None:
            raise error


def happened(*names: str) -> list[DocumentEvent]:
    return [DocumentEvent(READY, "books", name, name, "a.txt", "", 0, MOMENT) for name in names]


def many(count: int) -> list[str]:
    return [f"d{number}" for number in range(count)]


async def test_each_is_told_all_that_they_may_know_and_nothing_else() -> None:
    house = House({"anna": happened(*many(35)), "ben": happened("b")})
    telling = Telling(house, house, login=True)
    assert await telling.tell() == 2
    assert house.told == {"anna": many(35), "ben": ["b"]}
    await telling.tell()
    house.events["ben"] += happened("c")
    await telling.tell()
    assert house.told == {"anna": many(35), "ben": ["b", "c"]}


@pytest.mark.parametrize("method", ["after", "put", "answer"])
async def test_what_fails_on_the_way_is_told_once_all_the_same(method: str) -> None:
    house = House({"anna": happened(*many(12)), "ben": happened("b")})
    house.fails[method] = UnavailableError("gone", reason="SESSION_UNAVAILABLE")
    await Telling(house, house, login=True).tell()
    # Others are told whatever happens to one.
    assert house.told["ben"] == ["b"]
    # Another process, which knows nothing of the first.
    await Telling(house, house, login=True).tell()
    assert house.told["anna"] == many(12)


async def test_replicas_that_tell_at_once_tell_nothing_twice() -> None:
    house = House({"anna": happened(*many(200)), "ben": happened(*many(30))})
    await asyncio.gather(*(Telling(house, house, login=True).tell() for _ in range(3)))
    assert house.told == {"anna": many(200), "ben": many(30)}


async def test_what_finds_no_room_is_told_when_there_is_some() -> None:
    house = House({"anna": happened(*many(1_000))}, room=250)
    telling = Telling(house, house, login=True)
    await telling.tell()
    assert house.told["anna"] == many(250)
    for _ in range(3):
        house.room = 250
        await telling.tell()
    assert house.told["anna"] == many(1_000)


async def test_after_a_snapshot_the_record_is_read_from_its_beginning() -> None:
    house = House({"anna": happened("a", "b")})
    telling = Telling(house, house, login=True)
    await telling.tell()
    house.record, house.events["anna"] = "b", happened("c")
    await telling.tell()
    assert house.told["anna"] == ["a", "b", "c"]


async def test_without_login_only_the_owner_is_told() -> None:
    house = House({"owner": happened("a"), "anna": happened("b")}, listeners=[ANNA, LOCAL_OWNER])
    assert await Telling(house, house, login=False).tell() == 1
    assert house.told == {"owner": ["a"]}


async def test_with_login_nobody_is_told_by_what_was_set_up_without() -> None:
    house = House({"owner": happened("a"), "anna": happened("b")}, listeners=[ANNA, LOCAL_OWNER])
    assert await Telling(house, house, login=True).tell() == 1
    assert house.told == {"anna": ["b"]}


async def test_it_goes_on_after_failures_and_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.agents.telling.telling._LOOK_SECONDS", 0.01)
    monkeypatch.setattr("services.agents.telling.telling._LISTENER_SECONDS", 0.0)
    house = House({"anna": happened("a")})
    house.fails["all"] = UnavailableError("gone", reason="SESSION_UNAVAILABLE")
    house.fails["after"] = LookupError("a defect")
    task = asyncio.create_task(Telling(house, house, login=True).keep_telling())
    async with asyncio.timeout(10):
        while house.told.get("anna") != ["a"]:
            await asyncio.sleep(0.01)
    task.cancel()
    # Those who are asked record nothing of it either: the last part of it says so.
    assert house.carried["traceparent"].endswith("-00")


@pytest.mark.parametrize("error", [UnavailableError("gone", reason="GONE"), LookupError("a defect")])
async def test_what_lasts_for_one_is_logged_once_and_holds_up_nobody(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("services.agents.telling.telling._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("services.agents.telling.telling._LISTENER_SECONDS", 0.0)
    caplog.set_level("INFO")
    tries = asyncio.Semaphore(0)

    class Broken(House):
        async def after(self, cursor: str, since: datetime, count: int) -> EventPage:
            if context.principal().subject == "anna":
                tries.release()
                raise error
            return await super().after(cursor, since, count)

    house = Broken({"ben": happened("b")})
    task = asyncio.create_task(Telling(house, house, login=True).keep_telling())
    async with asyncio.timeout(10):
        for _ in range(5):
            await tries.acquire()
    task.cancel()
    assert house.told == {"ben": ["b"]}
    assert len([record for record in caplog.records if "webhooks" in record.getMessage()]) == 1
