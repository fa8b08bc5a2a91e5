"""Minutes from long transcripts."""

from __future__ import annotations

from typing import Any

import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.hearing.minutes import MAX_PARTS, Point, minutes
from services.agents.hearing.transcript import Segment


def point(first: int, last: int, kind: str = "topic", text: str = "A point.") -> results_pb2.DraftedPoint:
    return results_pb2.DraftedPoint(kind=kind, text=text, first_line=first, last_line=last)


class Secretary:
    """Writes a point over the first two lines that it is shown; `parts` are the numbers of its lines."""

    def __init__(self, willing: int = 100) -> None:
        self.parts: list[tuple[int, int]] = []
        self.willing = willing

    async def __call__(self, kind: Any, task: str, *, data: Any, check: Any, **_: Any) -> Any:
        numbers = [int(line[1 : line.index("]")]) for line in data["transcript"].splitlines()]
        self.parts.append((numbers[0], numbers[-1]))
        if len(self.parts) > self.willing:
            return None
        draft = results_pb2.MinutesDraft(points=[point(numbers[0], numbers[0] + 1)])
        check(draft)
        return draft


def talk(count: int) -> list[Segment]:
    return [Segment(n * 10.0, n * 10 + 8.0, "word " * 200) for n in range(count)]


async def test_a_long_transcript_is_read_in_parts_with_its_own_numbers() -> None:
    secretary = Secretary()
    points, missing = await minutes(secretary, talk(40), "Minutes!")
    assert missing == ""
    assert [part[0] for part in secretary.parts] == [0, 15, 30]
    assert secretary.parts[-1][1] == 39
    assert points[1] == Point("topic", "A point.", 150.0, 168.0)


async def test_what_no_model_wrote_is_told() -> None:
    points, missing = await minutes(Secretary(willing=1), talk(40), "Minutes!")
    assert len(points) == 1
    assert missing == "Minutes: no model wrote them from 02:30 on."


async def test_there_is_an_end() -> None:
    secretary = Secretary()
    _, missing = await minutes(secretary, talk(15 * MAX_PARTS + 1), "Minutes!")
    assert len(secretary.parts) == MAX_PARTS
    assert missing == "Minutes: what was said after 20:00; the transcript is too long."


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (point(0, 9), "there are the lines 0 to 2, and not 0 to 9"),
        (point(2, 1), "and not 2 to 1"),
        (point(-1, 1), "and not -1 to 1"),
        (point(0, 1, kind="joke"), "'joke' is none of topic, decision, task"),
        (point(0, 1, text=" "), "says nothing"),
    ],
)
async def test_a_point_that_is_tied_to_nothing_is_refused(wrong: results_pb2.DraftedPoint, said: str) -> None:
    async def ask(kind: Any, task: str, *, check: Any, **_: Any) -> Any:
        check(results_pb2.MinutesDraft(points=[wrong]))

    with pytest.raises(ValueError, match=said):
        await minutes(ask, talk(3), "Minutes!")
