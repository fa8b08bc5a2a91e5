"""Measures a recording in the sandbox."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from services.agents.code import programs
from services.agents.hearing import inside
from services.agents.hearing.inside.activity import MAX_SPANS
from services.agents.hearing.inside.levels import MAX_CLIPS
from services.agents.ports import JsonObject, Sandboxed
from services.sandbox.model import Job, Limits

# As many as can be uploaded at once.
MAX_BYTES = 100 << 20
_MAX_PICTURE_BYTES = 4 << 20
# Two hours of 48 kHz stereo take 210 s of one core; others may be at work beside.
_LIMITS = Limits(
    seconds=900.0,
    cpu_seconds=600.0,
    memory_bytes=2 << 30,
    file_bytes=MAX_BYTES,
    disk_bytes=2 * MAX_BYTES,
)
_FILE, _PICTURE = "recording", "spectrogram.png"

Span = tuple[float, float]


@dataclass(frozen=True)
class Clipped:
    """A run of samples at full scale, in seconds. channel: from 1."""

    start: float
    end: float
    channel: int


@dataclass(frozen=True)
class Measured:
    """What was measured of a recording; moments are seconds, levels dB of full scale.

    unreadable: why nothing was; then the rest is empty. fault: what is wrong with a file of which some could
    be read. A level is None where there is none. clips, silences, speech: the first of as many as are counted
    beside them. samples: in each channel.
    """

    unreadable: str = ""
    fault: str = ""
    container: str = ""
    codec: str = ""
    channels: int = 0
    rate: int = 0
    bits: int = 0
    samples: int = 0
    duration: float = 0.0
    integrated_lufs: float | None = None
    range_lu: float | None = None
    most_momentary_lufs: float | None = None
    most_short_term_lufs: float | None = None
    true_peak_dbtp: float | None = None
    sample_peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    dc_offset: float = 0.0
    clips: tuple[Clipped, ...] = ()
    clip_count: int = 0
    clipped_samples: int = 0
    silences: tuple[Span, ...] = ()
    silence_count: int = 0
    speech: tuple[Span, ...] = ()
    speech_count: int = 0
    noise_dbfs: float | None = None
    snr_db: float | None = None
    picture: bytes = field(default=b"", repr=False)

    def to_json(self) -> JsonObject:
        """As plain JSON, without the picture."""
        return {name: value for name, value in asdict(self).items() if name != "picture"}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Measured:
        """What `to_json` or the program inside wrote down.

        The program read bytes that nobody trusts: all that it says is checked. Raises ValueError, TypeError,
        KeyError or AttributeError for what it would not say.
        """
        made: dict[str, Any] = {}
        for one in dataclasses.fields(cls):
            if one.name in value:
                made[one.name] = _READERS.get(str(one.type), _words)(value[one.name])
        clips = [
            Clipped(_number(clip["start"]), _number(clip["end"]), int(_number(clip["channel"])))
            for clip in list(value.get("clips") or ())[:MAX_CLIPS]
        ]
        return cls(**{**made, "clips": tuple(clips)})


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or abs(number) > 1e12:
        raise ValueError(f"{number} is no measurement")
    return number


def _words(value: Any) -> str:
    return str(value)[:500]


def _spans(value: Any) -> tuple[Span, ...]:
    return tuple((_number(start), _number(end)) for start, end in list(value)[:MAX_SPANS])


_READERS: Mapping[str, Any] = {
    "float": _number,
    "float | None": lambda value: None if value is None else _number(value),
    "int": lambda value: int(_number(value)),
    "tuple[Span, ...]": _spans,
    "tuple[Clipped, ...]": lambda _: (),
}


def too_large(filename: str, size: int) -> str:
    """Why a recording is not even read; empty when it is."""
    if size <= MAX_BYTES:
        return ""
    return f"{filename} has {size} bytes; recordings of at most {MAX_BYTES} are listened to."


async def measure(sandbox: Sandboxed, data: bytes, title: str) -> Measured:
    """The measurements of a recording, and its spectrogram as PNG under this title.

    Raises FailedPreconditionError (TOOL_UNAVAILABLE) where there is no sandbox.
    """
    request = {"file": _FILE, "title": title, "picture": _PICTURE}
    outcome = await sandbox.run(job("listen", request, {_FILE: data}, (_PICTURE,), _LIMITS))
    told = programs.result(outcome)
    if told is None:
        return Measured(unreadable=f"it could not be measured: {programs.why_no_result(outcome)}")
    try:
        measured = Measured.from_json(told)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Measured(unreadable="its decoder went wrong over it")
    picture = outcome.files.get(_PICTURE, b"")
    if not picture.startswith(b"\x89PNG") or len(picture) > _MAX_PICTURE_BYTES:
        picture = b""
    return dataclasses.replace(measured, picture=picture)


def job(
    program: str,
    request: Mapping[str, Any],
    files: Mapping[str, bytes],
    collect: tuple[str, ...],
    limits: Limits,
) -> Job:
    """A job for one of the programs inside, with what it reads and what comes back."""
    made = programs.job(inside, program, {}, request, limits)
    return dataclasses.replace(
        made,
        files={**made.files, **files},
        # One thread: what is measured here is too small for more, and they count as processes.
        environment={**made.environment, "OPENBLAS_NUM_THREADS": "1"},
        collect=(*made.collect, *collect),
    )
