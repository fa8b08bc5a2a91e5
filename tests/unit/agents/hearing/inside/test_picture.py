"""The spectrogram shows what sounded when."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.agents.hearing.inside import listen
from tests.unit.agents.hearing.sounds import Samples, sine, stored, written

RATE = 16_000
LEFT, TOP, COLUMNS, ROWS = 64, 28, 1000, 256


def drawn(folder: Path, samples: Samples) -> np.ndarray:
    """How bright each point within the axes is; the first row is the lowest frequency."""
    listen.measured(stored(folder, written(samples, RATE)), "Ünïcode.wav", folder / "picture.png")
    picture = Image.open(io.BytesIO((folder / "picture.png").read_bytes()))
    assert picture.format == "PNG"
    pixels = np.asarray(picture.convert("L"), dtype=float)
    return pixels[TOP : TOP + ROWS, LEFT : LEFT + COLUMNS][::-1]


@pytest.mark.parametrize("seconds", [2, 60])
def test_tones_stand_at_their_frequency_and_their_time(tmp_path: Path, seconds: int) -> None:
    tones = [sine(seconds, -10, frequency, RATE) for frequency in (1000, 5000)]
    pixels = drawn(tmp_path, np.concatenate(tones))
    for column, frequency in ((COLUMNS // 4, 1000), (3 * COLUMNS // 4, 5000)):
        brightest = int(pixels[:, column].argmax())
        assert brightest == pytest.approx(frequency / 8000 * ROWS, abs=3)


def test_a_moment_of_sound_can_be_drawn(tmp_path: Path) -> None:
    assert drawn(tmp_path, sine(0.001, -10, 1000, RATE)).shape == (ROWS, COLUMNS)
