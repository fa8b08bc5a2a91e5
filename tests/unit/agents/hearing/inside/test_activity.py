"""Silences, and what passes as speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.agents.hearing.inside import listen, speak
from tests.unit.agents.hearing.sounds import Samples, noise, sine, stored, vowels, written

RATE = 16_000


def heard(folder: Path, samples: Samples, rate: int = RATE) -> dict[str, Any]:
    return listen.measured(stored(folder, written(samples, rate)), "x", folder / "picture.png")


def quiet(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate))


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_silences_are_found_within_20_ms(tmp_path: Path, rate: int) -> None:
    tone, hush = sine(1.3, -20, 440, rate), noise(0.83, -70, rate)
    told = heard(tmp_path, np.concatenate([tone, hush, tone, quiet(0.4, rate), tone, quiet(2, rate)]), rate)
    assert told["silence_count"] == 2
    assert told["silences"][0] == pytest.approx([1.3, 2.13], abs=0.02)
    assert told["silences"][1] == pytest.approx([5.13, 7.13], abs=0.02)


def test_silence_on_one_channel_is_no_silence(tmp_path: Path) -> None:
    tone = sine(2, -20, 440, RATE)
    told = heard(tmp_path, np.stack([np.zeros_like(tone), tone], axis=1))
    assert told["silences"] == []


def test_a_voice_is_found_in_noise(tmp_path: Path) -> None:
    """Each begins and ends within 150 ms of where it does."""
    voice = vowels(2.0, RATE)
    samples = np.concatenate([quiet(1.5), voice, quiet(1.5), voice, quiet(1.5)])
    told = heard(tmp_path, samples + noise(len(samples) / RATE, -60, RATE))
    assert told["speech_count"] == 2
    assert told["speech"][0] == pytest.approx([1.5, 3.5], abs=0.15)
    assert told["speech"][1] == pytest.approx([5.0, 7.0], abs=0.15)
    assert told["noise_dbfs"] == pytest.approx(-60, abs=1)
    spoken = 10 * np.log10(np.mean(voice**2))
    assert told["snr_db"] == pytest.approx(spoken + 60, abs=1.5)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(sine(4, -20, 440, RATE), id="a tone"),
        pytest.param(noise(4, -30, RATE), id="noise"),
        pytest.param(quiet(4), id="nothing"),
        pytest.param(
            np.concatenate([noise(1, -60, RATE), noise(1, -25, RATE, 2), noise(2, -60, RATE, 3)]),
            id="a burst of noise",
        ),
    ],
)
def test_what_is_no_voice_is_no_speech(tmp_path: Path, samples: Samples) -> None:
    told = heard(tmp_path, samples)
    assert told["speech"] == []
    assert told["snr_db"] is None


def test_a_synthetic_voice_is_speech(tmp_path: Path) -> None:
    wav = tmp_path / "speech.wav"
    try:
        speak.spoken("Nobody had expected the lighthouse to be sold.", "en", 0, wav)
    except speak.UnableError as error:
        pytest.skip(str(error))
    told = listen.measured(wav, "x", tmp_path / "picture.png")
    assert sum(end - start for start, end in told["speech"]) > 0.8 * told["duration"]
