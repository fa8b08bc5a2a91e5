"""Minutes: what a model makes of a transcript, each point tied to the lines where it was said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from meldrag.agents.v1 import results_pb2
from services.agents.hearing import transcript
from services.agents.hearing.transcript import Segment
from services.agents.ports import Ask

KINDS = ("topic", "decision", "task")
# What a model is shown at once: less than MELD_PASSAGE_TOKENS has by itself, so that nothing is left out.
_PART_CHARACTERS = 16_000
MAX_PARTS = 8
_MAX_POINTS = 40
_TASK = (
    "Write the minutes of what is said in the transcript, as points in the order in which they come up: what "
    "was talked about (topic), what was decided (decision), who is to do what by when (task). One sentence "
    "each, in the language of the transcript, and nothing that is not said there. first_line and last_line "
    "are the numbers in brackets of the lines where the point is said. At most 40 points. The request: "
)


@dataclass(frozen=True)
class Point:
    """A point of the minutes. kind: one of KINDS. start, end: seconds in the recording."""

    kind: str
    text: str
    start: float
    end: float


async def minutes(ask: Ask, segments: Sequence[Segment], question: str) -> tuple[list[Point], str]:
    """The points, and what was left out and why (empty when nothing was)."""
    points: list[Point] = []
    parts = list(_parts(segments))
    for number, (first, part) in enumerate(parts[:MAX_PARTS]):
        draft = await ask(
            results_pb2.MinutesDraft,
            _TASK + question,
            data={"transcript": transcript.lines(part, first)},
            check=_Check(first, first + len(part)),
        )
        if draft is None:
            beginning = transcript.clock(part[0].start)
            missing = "Minutes: no model wrote them" + (f" from {beginning} on." if number else ".")
            return points, missing
        points += [
            Point(
                point.kind,
                point.text,
                segments[point.first_line].start,
                max(segments[point.first_line].end, segments[point.last_line].end),
            )
            for point in draft.points
        ]
    if len(parts) > MAX_PARTS:
        end = transcript.clock(parts[MAX_PARTS][1][0].start)
        return points, f"Minutes: what was said after {end}; the transcript is too long."
    return points, ""


class _Check:
    """Raises ValueError for a point that is tied to no line of what the model was shown."""

    def __init__(self, first: int, end: int) -> None:
        self._first = first
        self._end = end

    def __call__(self, draft: results_pb2.MinutesDraft) -> None:
        if len(draft.points) > _MAX_POINTS:
            raise ValueError(f"{len(draft.points)} points; {_MAX_POINTS} are allowed")
        for point in draft.points:
            if point.kind not in KINDS:
                raise ValueError(f"the kind {point.kind[:40]!r} is none of {', '.join(KINDS)}")
            if not point.text.strip():
                raise ValueError("a point says nothing")
            if not self._first <= point.first_line <= point.last_line < self._end:
                raise ValueError(
                    f"there are the lines {self._first} to {self._end - 1}, and not {point.first_line} to "
                    f"{point.last_line}"
                )


def _parts(segments: Sequence[Segment]) -> Iterator[tuple[int, Sequence[Segment]]]:
    """Runs of segments that a model can be shown, each with the number of its first."""
    first, size = 0, 0
    for number, segment in enumerate(segments):
        length = len(segment.text.encode()) + 20
        if size + length > _PART_CHARACTERS and number > first:
            yield first, segments[first:number]
            first, size = number, 0
        size += length
    if segments:
        yield first, segments[first:]
