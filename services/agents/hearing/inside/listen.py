"""The program that measures a recording, inside the sandbox.

Reads .meld/request.json (file, title, picture), writes .meld/result.json: what was measured, or `unreadable`
with the reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .activity import Activity
from .decoding import Recording, UnreadableError
from .filtering import Samples
from .levels import Levels
from .loudness import Loudness
from .picture import Spectrogram
from .spectra import Reals, Spectra

REQUEST = ".meld/request.json"
RESULT = ".meld/result.json"


def main() -> None:
    """Measures."""
    request = json.loads(Path(REQUEST).read_text("utf-8"))
    try:
        told = measured(Path(request["file"]), request["title"], Path(request["picture"]))
    except UnreadableError as error:
        told = {"unreadable": str(error)}
    Path(RESULT).write_text(json.dumps(told), "utf-8")


def measured(path: Path, title: str, picture: Path) -> dict[str, Any]:
    """All numbers of a recording; its spectrogram is written to `picture`. Raises UnreadableError."""
    recording = Recording(path)
    form = recording.form
    frame = form.frame
    loudness = Loudness(form.rate, form.channels, 10 * frame, 100 * frame)
    levels = Levels(form.rate, form.channels, form.full_scale)
    spectra = Spectra(form.rate, frame)
    drawn = Spectrogram(form.rate, spectra.size // 2 + 1)
    activity = Activity()
    samples = 0
    for block in recording.blocks():
        samples += len(block)
        loudness.feed(block)
        levels.feed(block)
        power, bands, voicing = spectra.feed(block.mean(axis=1))
        drawn.feed(power)
        activity.feed(_frames(block, frame), bands, voicing)
    # The last windows reach into the silence after the end.
    power, bands, voicing = spectra.feed(np.zeros(spectra.size))
    activity.feed(np.zeros(0, np.float32), bands, voicing)
    duration = samples / form.rate
    picture.write_bytes(drawn.png(title, duration))
    return {
        "container": form.container,
        "codec": form.codec,
        "channels": form.channels,
        "rate": form.rate,
        "bits": form.bits,
        "samples": samples,
        "duration": duration,
        "fault": recording.fault,
        **loudness.told(),
        **levels.told(),
        **activity.told(frame / form.rate, duration),
    }


def _frames(block: Samples, frame: int) -> Reals:
    """The level of each frame in its loudest channel; a last one that is not whole counts as it is."""
    starts = np.arange(0, len(block), frame)
    sizes = np.minimum(frame, len(block) - starts)[:, None]
    power = (np.add.reduceat(block**2, starts, axis=0) / sizes).max(axis=1)
    levels: Reals = (10 * np.log10(np.maximum(power, 1e-20))).astype(np.float32)
    return levels
