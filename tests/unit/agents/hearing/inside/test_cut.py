"""Pieces as a model is sent them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from services.agents.hearing.inside.cut import cut
from services.agents.hearing.inside.decoding import UnreadableError
from tests.unit.agents.hearing.sounds import Samples, noise, sine, stereo, stored, written


def piece(folder: Path, samples: Samples, rate: int, start: float, end: float) -> tuple[Samples, int]:
    path = folder / "piece.flac"
    told = cut(stored(folder, written(samples, rate)), start, end, path)
    made, made_rate = soundfile.read(path)
    assert (told["samples"], told["rate"]) == (len(made), made_rate)
    assert soundfile.info(path).format == "FLAC"
    return made, made_rate


@pytest.mark.parametrize(("rate", "thinned"), [(8000, 8000), (22050, 22050), (44100, 22050), (48000, 16000)])
def test_a_tone_keeps_its_time_its_level_and_its_pitch(tmp_path: Path, rate: int, thinned: int) -> None:
    made, made_rate = piece(tmp_path, stereo(sine(4, -12, 440, rate)), rate, 1.5, 3.5)
    assert made_rate == thinned
    assert len(made) == pytest.approx(2 * thinned, abs=1)
    wanted = sine(4, -12, 440, thinned)[round(1.5 * thinned) :][: len(made)]
    # Not at the edges, where the filter sees nothing beyond the piece.
    assert np.abs(made - wanted)[200:-200].max() < 0.003


def test_what_is_too_high_for_the_new_rate_is_not_mirrored(tmp_path: Path) -> None:
    made, _ = piece(tmp_path, sine(2, -6, 11_000, 48_000), 48_000, 0, 2)
    assert np.abs(made[200:-200]).max() < 0.001


def test_loud_noise_stays_within_full_scale(tmp_path: Path) -> None:
    made, _ = piece(tmp_path, np.clip(noise(2, 0), -1, 1), 48_000, 0, 2)
    assert len(made) == 32_000


def test_beyond_the_end_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"nothing from 3\.00 s on"):
        piece(tmp_path, sine(2, -6, 440, 8000), 8000, 3, 4)
