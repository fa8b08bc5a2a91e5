"""When a recording is silent, and when somebody seems to speak."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .spectra import BANDS, Reals

Flags = NDArray[np.bool_]

SILENCE_DBFS = -50.0
SILENCE_SECONDS = 0.5
# Four hours of somebody who pauses every other second.
MAX_SPANS = 10_000
METHOD = (
    "long-term spectral divergence (Ramírez et al. 2004) from the quietest tenth, kept where the level"
    " changes like syllables and part of the sound is voiced (autocorrelation, Boersma 1993); singing passes"
    " as speech"
)
# In frames of 10 ms; those of the paper are as long.
_ORDER = 6
_HANGOVER = 8
_LONGEST_GAP = 30
_SHORTEST = 20
# The paper's threshold in noise; where there is next to none more is asked for.
_DIVERGENCE_DB = 6.0
_DIVERGENCE_QUIET_DB = 12.0
_QUIET_DBFS = -60.0
_FLOOR_DBFS = -80.0
_VOICED = 0.5
_LEAST_VOICED_SHARE = 0.15
_LEAST_CHANGE_DB = 3.0
# Less noise than this cannot be told a level of.
_LEAST_NOISE_SECONDS = 0.3


class Activity:
    """Keeps a few numbers for each frame of 10 ms: its level (of the loudest channel, dB of full scale), the
    power in bands, and how voiced it is.
    """

    def __init__(self) -> None:
        self._levels: list[Reals] = []
        self._bands: list[Reals] = []
        self._voicing: list[Reals] = []

    def feed(self, levels: Reals, bands: Reals, voicing: Reals) -> None:
        """Adds frames. Levels may come before the bands of the same frames."""
        self._levels.append(levels)
        self._bands.append(bands)
        self._voicing.append(voicing)

    def told(self, frame: float, duration: float) -> dict[str, object]:
        """Silences, speech and levels. frame: seconds of a frame. Times are seconds."""
        levels = np.concatenate(self._levels) if self._levels else np.zeros(0, np.float32)
        silences = [
            span
            for span in spans(levels < SILENCE_DBFS)
            if (span[1] - span[0]) * frame >= SILENCE_SECONDS - frame / 2
        ]
        speech = self._speech(levels)
        spoken = np.zeros(len(levels), bool)
        for start, end in speech:
            spoken[start:end] = True
        return {
            "silences": _seconds(silences, frame, duration),
            "silence_count": len(silences),
            "speech": _seconds(speech, frame, duration),
            "speech_count": len(speech),
            **_noise(levels, spoken, frame),
        }

    def _speech(self, levels: Reals) -> list[tuple[int, int]]:
        bands = np.concatenate(self._bands) if self._bands else np.zeros((0, BANDS), np.float32)
        voicing = np.concatenate(self._voicing) if self._voicing else np.zeros(0, np.float32)
        count = min(len(levels), len(bands))
        levels, bands, voicing = levels[:count], bands[:count], voicing[:count]
        sounding = levels > _FLOOR_DBFS
        if not sounding.any():
            return []
        divergence, noise_level = _divergence(bands, levels, sounding)
        threshold = _DIVERGENCE_QUIET_DB if noise_level < _QUIET_DBFS else _DIVERGENCE_DB
        active = (divergence > threshold) & _widened(sounding, _ORDER)
        joined = [
            (max(0, start), min(count, end))
            for start, end in _joined(spans(active), _LONGEST_GAP)
            if end - start >= _SHORTEST
        ]
        found = [_trimmed(span, levels) for span in joined if _like_speech(span, levels, voicing)]
        return [span for span in found if span[1] - span[0] >= _SHORTEST]


def spans(flags: Flags) -> list[tuple[int, int]]:
    """Runs of True: from, and one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _divergence(bands: Reals, levels: Reals, sounding: Flags) -> tuple[Reals, float]:
    """Of each frame, in dB, and the level of the noise.

    The envelope of a frame is the most in each band over six frames on both sides. The noise is the power in
    each band of the quietest tenth of the frames that are not empty.
    """
    heard = bands[sounding]
    tenth = np.argsort(levels[sounding], kind="stable")[: max(1, len(heard) // 10)]
    floor = float(np.median(bands[sounding].sum(axis=1))) * 1e-7 / BANDS + 1e-12
    noise = np.maximum(heard[tenth].mean(axis=0), floor)
    envelope = bands.copy()
    for shift in range(1, _ORDER + 1):
        np.maximum(envelope[shift:], bands[:-shift], out=envelope[shift:])
        np.maximum(envelope[:-shift], bands[shift:], out=envelope[:-shift])
    divergence = 10 * np.log10(np.maximum((envelope / noise).mean(axis=1), 1e-10))
    return divergence.astype(np.float32), float(np.mean(levels[sounding][tenth]))


def _widened(flags: Flags, frames: int) -> Flags:
    wide = flags.copy()
    for shift in range(1, frames + 1):
        wide[shift:] |= flags[:-shift]
        wide[:-shift] |= flags[shift:]
    return wide


def _joined(found: Sequence[tuple[int, int]], gap: int) -> Iterator[tuple[int, int]]:
    current: tuple[int, int] | None = None
    for start, end in found:
        if current is not None and start - current[1] <= gap:
            current = (current[0], end)
            continue
        if current is not None:
            yield current
        current = (start, end)
    if current is not None:
        yield current


def _like_speech(span: tuple[int, int], levels: Reals, voicing: Reals) -> bool:
    """Speech is louder in some frames than in others, and in part voiced; a tone never changes, noise has no
    voice.
    """
    part = slice(*span)
    loud = levels[part] > float(levels[part].max()) - 30
    voiced = float((voicing[part][loud] > _VOICED).mean())
    return float(levels[part].std()) >= _LEAST_CHANGE_DB and voiced >= _LEAST_VOICED_SHARE


def _trimmed(span: tuple[int, int], levels: Reals) -> tuple[int, int]:
    """The envelope reaches beyond the sound on both sides; the frames near its own noise are taken off, but
    for a hangover at the end, where speech dies away.
    """
    start, end = span
    edge = float(levels[start:end].max()) - 40
    loud = np.flatnonzero(levels[start:end] > edge)
    return start + int(loud[0]), min(end, start + int(loud[-1]) + 1 + _HANGOVER)


def _noise(levels: Reals, spoken: Flags, frame: float) -> dict[str, float | None]:
    """The level between speech, and by how much speech is louder; None where either cannot be told.

    Power of speech is what is left of the power while somebody speaks when that of the noise is taken away.
    """
    power = 10 ** (levels.astype(np.float64) / 10)
    quiet = ~spoken & (levels > _FLOOR_DBFS)
    if quiet.sum() * frame < _LEAST_NOISE_SECONDS or not spoken.any():
        return {"noise_dbfs": None, "snr_db": None}
    noise, loud = float(power[quiet].mean()), float(power[spoken].mean())
    return {
        "noise_dbfs": 10 * math.log10(noise),
        "snr_db": 10 * math.log10((loud - noise) / noise) if loud > noise else None,
    }


def _seconds(found: Sequence[tuple[int, int]], frame: float, duration: float) -> list[list[float]]:
    return [
        [round(start * frame, 4), round(min(end * frame, duration), 4)] for start, end in found[:MAX_SPANS]
    ]
