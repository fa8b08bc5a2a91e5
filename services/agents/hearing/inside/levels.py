"""Peaks, power, offset and clipping, sample by sample."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from .filtering import Samples

# Samples in a row at full scale that are told as clipping: fewer, a wave that just reaches it has too.
CLIPPED_RUN = 3
MAX_CLIPS = 200
# Taps on each side of a point between two samples.
_SIDE = 16
_TRUE_PEAK_RATE = 192_000


class Levels:
    """Takes blocks; tells what was in all of them. Levels are dB of full scale, 1.0."""

    def __init__(self, rate: int, channels: int, full_scale: float) -> None:
        self._rate = rate
        self._samples = 0
        self._peak = np.zeros(channels)
        self._squares = np.zeros(channels)
        self._sum = np.zeros(channels)
        self._clips = [_Clips(full_scale) for _ in range(channels)]
        self._true = [_TruePeak(rate) for _ in range(channels)]

    def feed(self, block: Samples) -> None:
        """Adds samples."""
        self._samples += len(block)
        self._peak = np.maximum(self._peak, np.abs(block).max(axis=0))
        self._squares += np.einsum("ij,ij->j", block, block)
        self._sum += block.sum(axis=0)
        for channel, (clips, true) in enumerate(zip(self._clips, self._true, strict=True)):
            column = np.ascontiguousarray(block[:, channel])
            clips.feed(column)
            true.feed(column)

    def told(self) -> dict[str, object]:
        """The numbers; a level is None where there is nothing but zeros."""
        for clips, true in zip(self._clips, self._true, strict=True):
            clips.end()
            true.end()
        runs = sorted(
            (start, end, channel) for channel, clips in enumerate(self._clips) for start, end in clips.runs
        )
        return {
            "true_peak_dbtp": decibels(max(true.peak for true in self._true)),
            "sample_peak_dbfs": decibels(float(self._peak.max())),
            "rms_dbfs": decibels(math.sqrt(float(self._squares.mean()) / self._samples)),
            "dc_offset": float(max(self._sum / self._samples, key=abs)),
            "clipped_samples": sum(clips.samples for clips in self._clips),
            "clip_count": sum(clips.count for clips in self._clips),
            "clips": [
                {
                    "start": round(start / self._rate, 6),
                    "end": round(end / self._rate, 6),
                    "channel": channel + 1,
                }
                for start, end, channel in runs[:MAX_CLIPS]
            ],
        }


def decibels(value: float) -> float | None:
    """20 log10; None of zero."""
    return 20 * math.log10(value) if value > 0 else None


class _Clips:
    """Runs of samples at full scale, all of one sign. runs: samples from and to, the first MAX_CLIPS."""

    def __init__(self, full_scale: float) -> None:
        self.runs: list[tuple[int, int]] = []
        self.count = 0
        self.samples = 0
        self._scale = full_scale
        self._at = 0
        self._open: tuple[int, int] | None = None

    def feed(self, column: Samples) -> None:
        signs = (column >= self._scale).astype(np.int8) - (column <= -self._scale)
        if not signs.any():
            self.end()
        else:
            edges = [0, *(np.flatnonzero(np.diff(signs)) + 1).tolist(), len(signs)]
            for start, end in pairwise(edges):
                self._run(self._at + start, self._at + end, int(signs[start]))
        self._at += len(column)

    def _run(self, start: int, end: int, sign: int) -> None:
        if self._open is not None and self._open[1] == sign and sign:
            self._finish = end
            return
        self.end()
        if sign:
            self._open, self._finish = (start, sign), end

    def end(self) -> None:
        """No more samples belong to the last run."""
        if self._open is None:
            return
        start, end = self._open[0], self._finish
        self._open = None
        if end - start >= CLIPPED_RUN:
            self.count += 1
            self.samples += end - start
            if len(self.runs) < MAX_CLIPS:
                self.runs.append((start, end))


class _TruePeak:
    """The peak of the wave between the samples (BS.1770-4, annex 2): four points for each sample, at 96 kHz
    two, from 192 kHz on one.
    """

    def __init__(self, rate: int) -> None:
        factor = 4 if rate < 96_000 else 2 if rate < _TRUE_PEAK_RATE else 1
        at = np.arange(2 * _SIDE, dtype=np.float64)
        # A point that is a share of the way from the sample _SIDE - 1 of a window to the next.
        self._taps = np.stack(
            [_between(at - (_SIDE - 1) - step / factor) for step in range(1, factor)]
            or [np.eye(1, 32, 15)[0]],
            axis=1,
        )
        # Beyond this no weighted sum can reach.
        self._gain = float(np.abs(self._taps).sum(axis=0).max())
        self._history = np.zeros(2 * _SIDE - 1)
        self.peak = 0.0

    def feed(self, column: Samples) -> None:
        joined = np.concatenate([self._history, column])
        self._history = joined[-(2 * _SIDE - 1) :]
        self.peak = max(self.peak, float(np.abs(column).max()))
        step = 2048
        for start in range(0, len(joined) - 2 * _SIDE + 1, step):
            part = joined[start : start + step + 2 * _SIDE - 1]
            if float(np.abs(part).max()) * self._gain > self.peak:
                windows = np.lib.stride_tricks.sliding_window_view(part, 2 * _SIDE)
                self.peak = max(self.peak, float(np.abs(windows @ self._taps).max()))

    def end(self) -> None:
        """After the last sample there is silence."""
        self.feed(np.zeros(_SIDE))


def _between(distance: Samples) -> Samples:
    """A windowed sinc (Kaiser) at these distances from its middle."""
    share = np.clip(1 - (distance / _SIDE) ** 2, 0, None)
    taps: Samples = np.sinc(distance) * np.i0(6.0 * np.sqrt(share)) / np.i0(6.0)
    taps /= taps.sum()
    return taps
