"""The program that cuts a piece out of a recording, inside the sandbox: one channel, at 16 to 32 kHz, as
FLAC, which is what a model that writes down speech is sent.

Reads .meld/request.json (file, start, end, piece), writes .meld/result.json (`samples` and `rate` of the
piece, or `unreadable` with the reason).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from .decoding import Recording, UnreadableError
from .filtering import LEAST_RATE, Fir, low_pass

REQUEST = ".meld/request.json"
RESULT = ".meld/result.json"
# On each side of a sample that is kept.
_TAPS = 32


def main() -> None:
    """Cuts."""
    request = json.loads(Path(REQUEST).read_text("utf-8"))
    try:
        told = cut(Path(request["file"]), request["start"], request["end"], Path(request["piece"]))
    except UnreadableError as error:
        told = {"unreadable": str(error)}
    Path(RESULT).write_text(json.dumps(told), "utf-8")


def cut(path: Path, start: float, end: float, piece: Path) -> dict[str, Any]:
    """Writes a piece, from and up to a moment in seconds. Raises UnreadableError."""
    recording = Recording(path)
    rate = recording.form.rate
    step = max(1, rate // LEAST_RATE)
    written = 0
    with soundfile.SoundFile(str(piece), "w", rate // step, 1, "PCM_16", format="FLAC") as file:
        for block in _thinned(recording, start, end, step):
            # Between its own samples a filtered wave may pass full scale.
            file.write(np.clip(block, -1.0, 1.0 - 2.0**-15))
            written += len(block)
    if not written:
        raise UnreadableError(f"there is nothing from {start:.2f} s on")
    return {"samples": written, "rate": rate // step}


def _thinned(recording: Recording, start: float, end: float, step: int) -> Any:
    """The mixed channels, every so many samples, what would be mirrored taken away before."""
    delay = _TAPS * step
    taps = low_pass(0.45 / step, 2 * delay + 1) if step > 1 else np.ones(1)
    size = 100 * recording.form.frame
    filtered = Fir(taps, 1, size)
    # The filter is late; so much is let go at the beginning and made up for at the end.
    skip = delay if step > 1 else 0
    rest = [np.zeros((skip, 1))] if skip else []
    at = 0
    for block in _then((part.mean(axis=1, keepdims=True) for part in recording.part(start, end)), rest):
        for first in range(0, len(block), size):
            made = filtered.feed(block[first : first + size])[:, 0]
            numbers = np.arange(at, at + len(made)) - skip
            at += len(made)
            yield made[(numbers >= 0) & (numbers % step == 0)]


def _then(first: Any, rest: Any) -> Any:
    yield from first
    yield from rest
