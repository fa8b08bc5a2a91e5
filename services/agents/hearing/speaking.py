"""Speaks a text with espeak-ng, in the sandbox."""

from __future__ import annotations

import io
import re
import wave
from dataclasses import dataclass

from services.agents.code import programs
from services.agents.hearing.recording import job
from services.agents.ports import Sandboxed
from services.sandbox.model import Limits

SPEAKER = "espeak-ng"
MAX_CHARACTERS = 20_000
WORDS = (80, 450)
_MAX_BYTES = 96 << 20
_LIMITS = Limits(
    seconds=120.0, cpu_seconds=60.0, memory_bytes=512 << 20, file_bytes=_MAX_BYTES, disk_bytes=_MAX_BYTES
)
_WAV = "speech.wav"
_VOICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+/-]{0,60}")


@dataclass(frozen=True)
class Speech:
    """A WAV with spoken text. unable: why there is none."""

    wav: bytes = b""
    seconds: float = 0.0
    unable: str = ""


def is_voice(name: str) -> bool:
    """Whether this may be a voice or a language of espeak-ng."""
    return _VOICE.fullmatch(name) is not None


async def speak(sandbox: Sandboxed, text: str, voice: str, words: int) -> Speech:
    """The spoken text. words: a minute; 0 for the voice's own.

    Raises FailedPreconditionError (TOOL_UNAVAILABLE) where there is no sandbox.
    """
    request = {"text": text, "voice": voice, "words": words, "wav": _WAV}
    outcome = await sandbox.run(job("speak", request, {}, (_WAV,), _LIMITS))
    told = programs.result(outcome)
    if told is None:
        return Speech(unable=f"espeak-ng: {programs.why_no_result(outcome)}")
    if told.get("unable"):
        return Speech(unable=str(told["unable"])[:300])
    wav = outcome.files.get(_WAV, b"")
    seconds = _length(wav)
    if not seconds:
        return Speech(unable="espeak-ng left no sound")
    return Speech(wav, seconds)


def _length(wav: bytes) -> float:
    """Seconds of a WAV; 0 of what is none."""
    try:
        with wave.open(io.BytesIO(wav)) as file:
            return float(file.getnframes() / file.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError):
        return 0.0
