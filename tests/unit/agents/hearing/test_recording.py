"""Recordings measured in the sandbox, beside ffmpeg where it is installed."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.agents.hearing.recording import Measured, measure
from services.agents.ports import Sandboxed
from services.sandbox.model import End, Job, Outcome
from tests.support.plain_sandbox import PlainSandbox
from tests.unit.agents.hearing.sounds import (
    RATE,
    Samples,
    noise,
    sine,
    steps,
    stereo,
    stored,
    vowels,
    written,
)

FFMPEG = shutil.which("ffmpeg")


def programme() -> Samples:
    """Voices, loud and quiet ones, in noise, with a burst that is different on both channels."""
    voice = np.concatenate([vowels(8, RATE), 0.3 * vowels(8, RATE), np.zeros(2 * RATE), 2 * vowels(6, RATE)])
    both = stereo(voice) + 0.003 * np.random.default_rng(3).normal(size=(len(voice), 2))
    both[: 3 * RATE, 1] += noise(3, -18)
    return both


def ffmpeg_says(path: Path) -> dict[str, float]:
    """The summary of ffmpeg's ebur128."""
    command = [str(FFMPEG), "-hide_banner", "-nostats", "-i", str(path)]
    command += ["-af", "ebur128=peak=true+sample", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    summary = said[said.index("Summary:") :]
    numbers = {}
    for name, pattern in (
        ("integrated_lufs", r"I:\s+(\S+) LUFS"),
        ("range_lu", r"LRA:\s+(\S+) LU\b"),
        ("sample_peak_dbfs", r"Sample peak:\s+Peak:\s+(\S+) dBFS"),
        ("true_peak_dbtp", r"True peak:\s+Peak:\s+(\S+) dBFS"),
    ):
        found = re.search(pattern, summary)
        assert found is not None, summary
        numbers[name] = float(found[1])
    return numbers


@pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize(
    ("form", "made", "rate"),
    [
        pytest.param("WAV", programme, RATE, id="voices, wav"),
        pytest.param("FLAC", programme, RATE, id="voices, flac"),
        pytest.param("MP3", programme, RATE, id="voices, mp3"),
        pytest.param("OGG", programme, RATE, id="voices, ogg"),
        pytest.param("WAV", lambda: stereo(steps((-36, 5), (-23, 20), (-30, 5))), RATE, id="tones"),
        pytest.param("WAV", lambda: noise(12, -20, 44_100), 44_100, id="noise, mono, 44.1 kHz"),
        pytest.param("WAV", lambda: vowels(12, 16_000), 16_000, id="a voice, mono, 16 kHz"),
    ],
)
async def test_ffmpeg_agrees(tmp_path: Path, form: str, made: Callable[[], Samples], rate: int) -> None:
    """Within its own 0.1, of what it prints rounded to 0.1: loudness and peaks 0.15, the range 0.5 LU, which
    it begins to measure before the first three seconds are over."""
    data = written(made(), rate, form)
    reference = ffmpeg_says(stored(tmp_path, data))
    measured = await measure(PlainSandbox(), data, "x")
    assert measured.integrated_lufs == pytest.approx(reference["integrated_lufs"], abs=0.15)
    assert measured.sample_peak_dbfs == pytest.approx(reference["sample_peak_dbfs"], abs=0.15)
    assert measured.true_peak_dbtp == pytest.approx(reference["true_peak_dbtp"], abs=0.25)
    assert measured.range_lu == pytest.approx(reference["range_lu"], abs=0.5)


async def test_a_recording_is_measured_shut_in(sandbox: Sandboxed) -> None:
    data = written(np.clip(stereo(sine(2, 3.0, 100)), -1, 1), form="FLAC")
    measured = await measure(sandbox, data, "loud.flac")
    assert (measured.unreadable, measured.fault) == ("", "")
    assert (measured.container, measured.channels, measured.rate) == ("flac", 2, RATE)
    assert measured.duration == pytest.approx(2.0)
    # Both ends of each of 200 periods on both channels.
    assert measured.clip_count == 800
    assert len(measured.clips) == 200
    assert measured.picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "data", [b"", b"no recording", written(sine(1, -20))[:44], b"ID3\x04" + bytes(5000)], ids=len
)
async def test_what_cannot_be_decoded_says_why(data: bytes) -> None:
    measured = await measure(PlainSandbox(), data, "x")
    assert measured.unreadable
    assert measured.picture == b""


async def test_what_was_measured_survives_the_journal() -> None:
    measured = await measure(PlainSandbox(), written(vowels(3, 16_000), 16_000), "x")
    again = Measured.from_json(json.loads(json.dumps(measured.to_json())))
    assert again.to_json() == measured.to_json()
    assert again.speech
    assert again.integrated_lufs is not None


class Forger:
    """A decoder that was taken over writes what it likes."""

    def __init__(self, told: Any, end: End = End.EXITED) -> None:
        self.told = told
        self.end = end

    async def run(self, job: Job) -> Outcome:
        files = {".meld/result.json": json.dumps(self.told).encode(), "spectrogram.png": b"<script>"}
        return Outcome(self.end, 0, b"", b"", 0.1, {} if self.told is None else files, "took too long")


@pytest.mark.parametrize(
    "told",
    [
        {"duration": "much"},
        {"duration": math.inf},
        {"speech": [[1]]},
        {"speech": 3},
        {"clips": [{"start": 1}]},
        {"integrated_lufs": []},
    ],
)
async def test_a_forged_result_is_refused(told: Any) -> None:
    measured = await measure(Forger(told), b"", "x")
    assert measured == Measured(unreadable="its decoder went wrong over it")


async def test_a_forged_picture_is_none() -> None:
    measured = await measure(Forger({"duration": 3.0}), b"", "x")
    assert (measured.duration, measured.picture) == (3.0, b"")


async def test_a_limit_of_the_sandbox_is_told() -> None:
    measured = await measure(Forger(None, End.TIME), b"", "x")
    assert measured.unreadable == "it could not be measured: took too long"
