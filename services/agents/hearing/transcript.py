"""What was said in a recording, put together from its pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.agents.hearing.recording import Span
from services.agents.ports import Transcription

MAX_SEGMENTS = 10_000
_LEAST_SECONDS = 0.01


@dataclass(frozen=True)
class Segment:
    """Something said. start, end: seconds from the beginning of the recording."""

    start: float
    end: float
    text: str
    speaker: str = ""


def placed(heard: Transcription, piece: Span, speech: Sequence[Span] = ()) -> list[Segment]:
    """What was heard in a piece, at its times in the recording.

    Models tell times beyond the end of what they hear, and some that go back: they are held to the piece, and
    to their order. Where a model tells none, all that it heard is one segment, from the first speech in the
    piece to the last.
    """
    start, end = piece
    if not heard.utterances:
        if not heard.text:
            return []
        within = [(max(start, a), min(end, b)) for a, b in speech if a < end and b > start]
        return [Segment(within[0][0] if within else start, within[-1][1] if within else end, heard.text)]
    segments: list[Segment] = []
    earliest = start
    for utterance in heard.utterances:
        begins = min(max(start + utterance.start, earliest), end - _LEAST_SECONDS)
        ends = min(max(start + utterance.end, begins + _LEAST_SECONDS), end)
        segments.append(Segment(begins, ends, utterance.text, utterance.speaker))
        earliest = begins
    return segments


def text(segments: Sequence[Segment]) -> str:
    """All that was said, a new line where another one speaks."""
    return "".join(_joined(segments)).strip()


def _joined(segments: Sequence[Segment]) -> Iterator[str]:
    speaker = ""
    for segment in segments:
        if segment.speaker and segment.speaker != speaker:
            yield f"\n{segment.speaker}: "
            speaker = segment.speaker
        else:
            yield " "
        yield " ".join(segment.text.split())


def lines(segments: Sequence[Segment], first: int = 0) -> str:
    """Numbered, with the moment at which each begins: what a model is shown for minutes."""
    return "\n".join(
        f"[{number}] {clock(segment.start)} {segment.speaker + ': ' if segment.speaker else ''}"
        + " ".join(segment.text.split())
        for number, segment in enumerate(segments, first)
    )


def clock(seconds: float) -> str:
    """A moment as people read it: 01:05, or 1:00:05."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes:02}:{whole % 60:02}"
