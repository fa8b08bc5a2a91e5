"""Subtitles: WebVTT of what was said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from services.agents.hearing.transcript import Segment

MEDIA_TYPE = "text/vtt"
# Two lines of what can be read at once.
_LINE = 42
_CUE = 2 * _LINE
_MARKS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def webvtt(segments: Sequence[Segment]) -> bytes:
    """A file of cues of at most two lines of 42 characters, but for longer words.

    A segment that is longer becomes several cues, whose times are shares of its own by their characters.
    """
    blocks = ["WEBVTT\n"]
    for segment in segments:
        for start, end, text in _cues(segment):
            voice = f"<v {_marked(segment.speaker)}>" if segment.speaker else ""
            blocks.append(f"{_moment(start)} --> {_moment(end)}\n{voice}{_wrapped(text)}\n")
    return "\n".join(blocks).encode()


def _cues(segment: Segment) -> Iterator[tuple[float, float, str]]:
    text = " ".join(segment.text.split())
    if not text:
        return
    parts = _parts(text)
    whole = sum(map(len, parts))
    before = 0
    for part in parts:
        yield (
            segment.start + (segment.end - segment.start) * before / whole,
            segment.start + (segment.end - segment.start) * (before + len(part)) / whole,
            part,
        )
        before += len(part)


def _parts(text: str) -> list[str]:
    """Parts of about equal length, cut behind words."""
    count = -(-len(text) // _CUE)
    wanted = len(text) / count
    parts, current = [], ""
    for word in text.split(" "):
        longer = f"{current} {word}" if current else word
        if current and (len(longer) > _CUE or len(current) >= wanted):
            parts.append(current)
            current = word
        else:
            current = longer
    return [*parts, current]


def _wrapped(text: str) -> str:
    if len(text) <= _LINE:
        return _marked(text)
    spaces = [space.start() for space in re.finditer(" ", text)]
    if not spaces:
        return _marked(text)
    middle = min(spaces, key=lambda at: abs(at - len(text) / 2))
    return f"{_marked(text[:middle])}\n{_marked(text[middle + 1 :])}"


def _marked(text: str) -> str:
    """What stands for itself in a cue; an arrow would begin a line of times."""
    return " ".join(text.split()).translate(_MARKS)


def _moment(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
