"""A plan to learn topics: when each is met first, and when it is repeated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.agents.coaching.repetition import days_of

_REPETITIONS = 3
_MAX_DAYS = 3 * 366
# Before the end there is a week in which nothing new begins.
_LAST_DAYS = 7
_NUMBERS = {
    word: number
    for number, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), 1
    )
} | {"a": 1, "an": 1}
_DAYS = {"day": 1, "week": 7, "month": 30}
_SPAN = re.compile(
    rf"\b(?:in|within|over|for|next|the next)\s+(?:the\s+(?:next\s+)?)?(\d{{1,3}}|{'|'.join(_NUMBERS)})\s+"
    r"(day|week|month)s?\b",
    re.IGNORECASE,
)
_UNTIL = re.compile(r"\b(?:until|till|by|before|on)\s+(?:the\s+)?(\d{4}-\d{2}-\d{2})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Lesson:
    """When a topic is met. topic: its position. repetition: 0 for the first time. time: since 1970, in s."""

    topic: int
    repetition: int
    time: int


def horizon(request: str, start: int) -> int | None:
    """The time by which a request wants to be done, in seconds since 1970; None where it does not say."""
    if until := _UNTIL.search(request):
        try:
            return int(datetime.fromisoformat(until[1]).replace(tzinfo=UTC).timestamp())
        except ValueError:
            return None
    if span := _SPAN.search(request):
        count = _NUMBERS.get(span[1].lower()) or int(span[1])
        return start + int(timedelta(days=count * _DAYS[span[2].lower()]).total_seconds())
    return None


def lessons(topics: int, start: int, due: int | None) -> list[Lesson]:
    """The lessons of some topics, in order of time; none beyond `due`, the end. Times in seconds since 1970.

    Without an end a topic begins each day; else they are spread over the days, the last week left free.
    Repetitions come after the intervals of SM-2.
    """
    days = None if due is None else min(_MAX_DAYS, max(0, (due - start) // 86_400))
    span = topics if days is None else days - _LAST_DAYS if days > _LAST_DAYS else days
    found = []
    for topic in range(topics):
        first = topic * max(1, span) // topics
        for repetition, after in enumerate([0, *days_of(_REPETITIONS)]):
            if days is None or first + after <= days:
                found.append(Lesson(topic, repetition, start + (first + after) * 86_400))
    return sorted(found, key=lambda lesson: (lesson.time, lesson.repetition, lesson.topic))


def skipped(topics: Sequence[str], planned: Sequence[Lesson]) -> list[str]:
    """Topics without a lesson."""
    met = {lesson.topic for lesson in planned}
    return [name for position, name in enumerate(topics) if position not in met]
