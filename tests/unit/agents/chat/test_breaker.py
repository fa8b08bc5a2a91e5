"""When a failing model is left alone."""

from __future__ import annotations

from services.agents.chat.breaker import Breaker


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def failing(times: int, clock: Clock) -> Breaker:
    """A breaker that saw that many failures."""
    breaker = Breaker(clock)
    for _ in range(times):
        assert breaker.admit()
        breaker.failed()
    return breaker


def test_opens_at_the_fifth_failure() -> None:
    clock = Clock()
    assert not failing(4, clock).open
    assert failing(5, clock).open
    assert not failing(5, clock).admit()


def test_stays_closed_while_most_calls_work() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(6):
        breaker.succeeded()
    for _ in range(5):
        breaker.failed()
    assert not breaker.open
    breaker.failed()
    assert breaker.open


def test_old_failures_are_forgotten() -> None:
    clock = Clock()
    breaker = failing(4, clock)
    clock.now += 31
    breaker.failed()
    assert not breaker.open


def test_one_probe_closes_it_or_opens_it_again() -> None:
    clock = Clock()
    breaker = failing(5, clock)
    clock.now += 4
    assert breaker.admit()
    assert not breaker.admit()
    breaker.failed()
    assert breaker.open
    clock.now += 4
    assert breaker.admit()
    breaker.succeeded()
    assert breaker.admit()
    breaker.failed()
    assert not breaker.open


def test_a_probe_that_was_cancelled_lets_the_next_one_through() -> None:
    clock = Clock()
    breaker = failing(5, clock)
    clock.now += 4
    assert breaker.admit()
    breaker.forgotten()
    assert breaker.admit()
