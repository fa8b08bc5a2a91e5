"""When topics are met."""

from __future__ import annotations

import pytest

from services.agents.coaching.schedule import horizon, lessons, skipped

DAY = 86_400


def plan(topics: int, days: int | None) -> list[tuple[int, int, int]]:
    return [
        (lesson.topic, lesson.repetition, (lesson.time - 1000) // DAY)
        for lesson in lessons(topics, 1000, None if days is None else 1000 + days * DAY)
    ]


def test_without_an_end_a_topic_begins_each_day_and_is_repeated_at_growing_distances() -> None:
    assert plan(2, None) == [
        (0, 0, 0),
        (1, 0, 1),
        (0, 1, 1),
        (1, 1, 2),
        (0, 2, 7),
        (1, 2, 8),
        (0, 3, 22),
        (1, 3, 23),
    ]


def test_with_an_end_the_topics_are_spread_and_nothing_lies_beyond_it() -> None:
    found = plan(3, 42)
    assert [(topic, day) for topic, repetition, day in found if not repetition] == [(0, 0), (1, 11), (2, 23)]
    assert max(day for *_, day in found) <= 42
    assert (2, 3, 45) not in found


def test_a_short_time_has_all_topics_and_fewer_repetitions() -> None:
    found = plan(4, 2)
    assert {topic for topic, *_ in found} == {0, 1, 2, 3}
    assert max(day for *_, day in found) <= 2
    assert skipped(["a", "b"], lessons(2, 0, DAY)) == []
    assert skipped(["a", "b"], []) == ["a", "b"]


@pytest.mark.parametrize(
    ("request_", "days"),
    [
        ("Make me a plan to learn SQL in six weeks.", 42),
        ("A study plan for the next 10 days", 10),
        ("Learn it within a month", 30),
        ("Plan until 1970-01-11", 10),
        ("Make me a plan", None),
        ("A plan for chapter six", None),
        ("A plan until 1970-13-40", None),
    ],
)
def test_the_end_is_read_from_the_request_and_not_invented(request_: str, days: int | None) -> None:
    assert horizon(request_, 0) == (None if days is None else days * DAY)
