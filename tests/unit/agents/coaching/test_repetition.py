"""SM-2 against its own description."""

from __future__ import annotations

import pytest

from services.agents.coaching.repetition import Memory, days_of


def after(*grades: int) -> Memory:
    memory = Memory()
    for grade in grades:
        memory = memory.after(grade)
    return memory


# EF' = EF + (0.1 - (5 - q) * (0.08 + (5 - q) * 0.02)), by hand.
@pytest.mark.parametrize(("grade", "ease"), [(5, 2.6), (4, 2.5), (3, 2.36), (2, 2.5), (0, 2.5)])
def test_the_ease_moves_with_the_grade_and_stays_after_a_failure(grade: int, ease: float) -> None:
    assert after(grade).ease == pytest.approx(ease)


def test_intervals_are_one_six_and_then_times_the_ease() -> None:
    assert [after(*[4] * n).interval for n in range(1, 6)] == [1, 6, 15, 38, 95]
    # 6 * 2.8 = 16.8 is rounded up.
    assert after(5, 5, 5).interval == 17


def test_a_failure_begins_anew() -> None:
    failed = after(4, 4, 4, 1)
    assert (failed.repetitions, failed.interval) == (0, 1)
    assert failed.after(4).interval == 1
    assert failed.after(4).after(4).interval == 6


def test_the_ease_is_never_below_its_least() -> None:
    assert after(*[3] * 20).ease == pytest.approx(1.3)


def test_days_add_up() -> None:
    assert days_of(4) == [1, 7, 22, 60]
