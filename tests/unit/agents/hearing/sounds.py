"""Sounds with a known truth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float64]
RATE = 48_000


def level(decibels: float) -> float:
    """The amplitude of dB of full scale."""
    return float(10 ** (decibels / 20))


def sine(
    seconds: float, decibels: float, frequency: float = 1000.0, rate: int = RATE, phase: float = 0.0
) -> Samples:
    """A sine whose peak has that level; phase in degrees."""
    n = np.arange(round(seconds * rate))
    made: Samples = level(decibels) * np.sin(2 * np.pi * frequency * n / rate + np.radians(phase))
    return made


def steps(*parts: tuple[float, float], rate: int = RATE) -> Samples:
    """A sine of 1 kHz whose level changes: (dB of full scale, seconds) each."""
    return np.concatenate([sine(seconds, decibels, rate=rate) for decibels, seconds in parts])


def stereo(mono: Samples) -> Samples:
    """The same on both channels."""
    return np.stack([mono, mono], axis=1)


def noise(seconds: float, decibels: float, rate: int = RATE, seed: int = 1) -> Samples:
    """White noise whose root of the mean square has that level."""
    made: Samples = level(decibels) * np.random.default_rng(seed).normal(size=round(seconds * rate))
    return made


def written(samples: Samples, rate: int = RATE, form: str = "WAV", subtype: str | None = None) -> bytes:
    """A file of these samples."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def stored(folder: Path, data: bytes, name: str = "recording") -> Path:
    """A path with this content."""
    path = folder / name
    path.write_bytes(data)
    return path


def vowels(seconds: float, rate: int, syllables: Sequence[float] = (0.18, 0.12)) -> Samples:
    """What a voice does in the coarse: a pitch with overtones, on and off like syllables."""
    n = np.arange(round(seconds * rate))
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * n / rate)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    on, off = syllables
    gate = ((n / rate) % (on + off) < on).astype(float)
    smooth = np.hanning(round(0.03 * rate))
    made: Samples = 0.1 * tone * np.convolve(gate, smooth / smooth.sum(), "same")
    return made
