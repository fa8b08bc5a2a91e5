"""Filters a stream of blocks by the FFT (overlap-save), with the memory of what came before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

# What is cut for models has so many samples a second at least: they are trained on that.
LEAST_RATE = 16_000


class Fir:
    """A finite impulse response over columns of samples.

    Sample n out is made of the samples n, n-1, … in; before the first there is silence.
    """

    def __init__(self, taps: Samples, channels: int, block: int) -> None:
        """block: the most samples that `feed` is given at once."""
        self._history = np.zeros((len(taps) - 1, channels))
        self._length = _fast(block + len(taps) - 1)
        self._spectrum = np.fft.rfft(taps, self._length)[:, None]

    def feed(self, block: Samples) -> Samples:
        """As many rows as are given."""
        kept = len(self._history)
        joined = np.concatenate([self._history, block])
        made = np.fft.irfft(np.fft.rfft(joined, self._length, axis=0) * self._spectrum, self._length, axis=0)
        if kept:
            self._history = joined[-kept:]
        return made[kept : kept + len(block)]


def _fast(least: int) -> int:
    """A length of small factors that is not shorter."""
    best = 1 << (least - 1).bit_length()
    for odd in (3, 5, 9, 15, 25, 27):
        length = odd
        while length < least:
            length *= 2
        best = min(best, length)
    return best


def low_pass(share: float, taps: int, beta: float = 8.0) -> Samples:
    """A low pass of an odd number of taps by the window method (Kaiser). share: its edge, as part of the
    sampling rate, below 0.5.
    """
    n = np.arange(taps) - (taps - 1) / 2
    made: Samples = 2 * share * np.sinc(2 * share * n) * np.kaiser(taps, beta)
    made /= made.sum()
    return made
