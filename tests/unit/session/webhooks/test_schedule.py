"""When a message is tried again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from services.session.webhooks.schedule import PAUSES, Schedule, retry_after

NOW = 1_700_000_000.0


def test_pauses_grow_and_end() -> None:
    schedule = Schedule(chance=lambda: 0.5)
    pauses = [schedule.pause(attempts) for attempts in range(1, 11)]
    assert pauses == [*PAUSES, None]
    assert sorted(PAUSES) == list(PAUSES)
    assert 3 < sum(PAUSES) / 86_400 < 3.5


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 270.0), (1.0, 330.0)])
def test_pauses_are_spread(chance: float, pause: float) -> None:
    assert Schedule(chance=lambda: chance).pause(2) == pytest.approx(pause)


def test_a_receiver_may_ask_for_more_and_not_for_less() -> None:
    schedule = Schedule(chance=lambda: 0.5)
    assert schedule.pause(1, 60.0) == 60.0
    assert schedule.pause(2, 1.0) == 300.0
    assert schedule.pause(1, 1e9) == 86_400.0
    assert schedule.pause(10, 60.0) is None


@pytest.fixture
def west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is twelve hours behind."""
    monkeypatch.setenv("TZ", "WEST12")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("west")
def test_a_date_without_a_zone_is_in_utc_and_the_last_one_there_is_does_no_harm() -> None:
    soon = datetime.fromtimestamp(NOW + 90, UTC).strftime("%a, %d %b %Y %H:%M:%S -0000")
    assert retry_after(soon, lambda: NOW) == 90.0
    assert retry_after("Fri, 31 Dec 9999 23:59:59 -0000", lambda: NOW) == 86_400.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("9" * 400, 86_400.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("٣", 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        ("Wed, 21 Oct 9999 07:28:00 GMT", 86_400.0),
    ],
)
def test_what_retry_after_says(value: str, seconds: float) -> None:
    assert retry_after(value, lambda: NOW) == seconds
