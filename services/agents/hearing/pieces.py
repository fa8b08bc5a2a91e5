"""Where a long recording is cut for a model that takes a few minutes at once, and the cutting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from services.agents.code import programs
from services.agents.hearing.inside.filtering import LEAST_RATE
from services.agents.hearing.recording import MAX_BYTES, Span, job
from services.agents.ports import Sandboxed, SoundFile
from services.chassis.errors import FailedPreconditionError
from services.sandbox.model import Limits

MAX_SECONDS = 600.0
# The endpoints take 25 MB; FLAC only lessens samples of 16 bit.
_MAX_BYTES = 24_000_000
# A pause is looked for in this last part of a piece.
_LOOKED_AT = 0.5
_LIMITS = Limits(
    seconds=180.0, cpu_seconds=120.0, memory_bytes=1 << 30, file_bytes=MAX_BYTES, disk_bytes=2 * MAX_BYTES
)
_FILE, _PIECE = "recording", "piece.flac"


def longest(rate: int) -> float:
    """Seconds that a piece of a recording of that rate may have."""
    return min(MAX_SECONDS, _MAX_BYTES / 2 / (rate / max(1, rate // LEAST_RATE)))


def plan(duration: float, speech: Sequence[Span], longest: float) -> list[Span]:
    """Pieces of at most `longest` seconds that make up the whole.

    Each ends in the middle of the longest pause between speech in its second half, so that no word is cut;
    where nobody ever pauses it ends where it must.
    """
    pauses = [((before[1] + after[0]) / 2, after[0] - before[1]) for before, after in pairwise(speech)]
    pieces: list[Span] = []
    start = 0.0
    while duration - start > longest:
        least, most = start + longest * _LOOKED_AT, start + longest
        fitting = [(length, middle) for middle, length in pauses if least <= middle <= most]
        end = max(fitting)[1] if fitting else most
        pieces.append((start, end))
        start = end
    return [*pieces, (start, duration)]


async def cut(sandbox: Sandboxed, data: bytes, piece: Span) -> SoundFile:
    """A piece of a recording, as it is sent to a model.

    Raises FailedPreconditionError (TOOL_UNAVAILABLE) where it cannot be cut.
    """
    request = {"file": _FILE, "start": piece[0], "end": piece[1], "piece": _PIECE}
    outcome = await sandbox.run(job("cut", request, {_FILE: data}, (_PIECE,), _LIMITS))
    made = outcome.files.get(_PIECE, b"")
    told = programs.result(outcome) or {}
    if not made.startswith(b"fLaC") or told.get("unreadable"):
        cause = str(told.get("unreadable") or programs.why_no_result(outcome))[:300]
        raise FailedPreconditionError(
            f"the recording cannot be cut: {cause}",
            reason="TOOL_UNAVAILABLE",
            metadata={"tool": "cut", "cause": cause},
        )
    return SoundFile("piece.flac", "audio/flac", made)
