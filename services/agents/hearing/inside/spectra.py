"""Short-time spectra of the mixed channels, block by block: what both the picture and the search for speech
look at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .filtering import Samples

Reals = NDArray[np.float32]

_WINDOW_SECONDS = 0.03
_LOWEST, _HIGHEST = 100.0, 4000.0
BANDS = 20
# A voice's pitch.
_PITCH = (70.0, 400.0)
# Up to here the overtones of a voice are clear.
_VOICED_TO = 2000.0


class Spectra:
    """Makes power spectra of windows that begin every 10 ms, and what is kept of each.

    size: samples of a window. bands: power in bands of equal width on the mel scale from 100 to 4000 Hz.
    voicing: how periodic the wave is, from 0 to 1: the height of the autocorrelation at a period of a voice,
    the window's own taken out (Boersma 1993).
    """

    def __init__(self, rate: int, frame: int) -> None:
        self.size = 1 << (round(_WINDOW_SECONDS * rate) - 1).bit_length()
        self._frame = frame
        self._window = np.hanning(self.size)
        frequencies = np.fft.rfftfreq(self.size, 1 / rate)
        top = min(_HIGHEST, rate / 2)
        mels = np.linspace(_mel(_LOWEST), _mel(top), BANDS + 1)
        edges = np.searchsorted(frequencies, 700 * (np.exp(mels / 1127) - 1))
        self._edges = np.minimum(np.maximum.accumulate(edges + 0), len(frequencies) - 1)
        self._lags = (int(rate / _PITCH[1]), min(self.size // 2, int(rate / _PITCH[0])) + 1)
        self._voiced = frequencies <= _VOICED_TO
        own = np.fft.irfft(np.abs(np.fft.rfft(self._window, 2 * self.size)) ** 2)
        self._own = (own / own[0])[self._lags[0] : self._lags[1]]
        self._rest = np.zeros(self.size // 2)

    def feed(self, mixed: Samples) -> tuple[Reals, Reals, Reals]:
        """Power spectra (a row for each window), bands and voicing of the windows that are whole now.

        The window number n has its middle at the frame number n.
        """
        joined = np.concatenate([self._rest, mixed])
        count = (len(joined) - self.size) // self._frame + 1
        if count < 1:
            self._rest = joined
            return (
                np.zeros((0, self.size // 2 + 1), np.float32),
                np.zeros((0, BANDS), np.float32),
                np.zeros(0, np.float32),
            )
        self._rest = joined[count * self._frame :]
        windows = np.lib.stride_tricks.sliding_window_view(joined, self.size)[:: self._frame][:count]
        power = np.abs(np.fft.rfft(windows * self._window, axis=1)) ** 2
        summed = np.concatenate([np.zeros((count, 1)), np.cumsum(power, axis=1)], axis=1)
        bands = summed[:, self._edges[1:]] - summed[:, self._edges[:-1]]
        return power.astype(np.float32), bands.astype(np.float32), self._voicing(power)

    def _voicing(self, power: Samples) -> Reals:
        # Circular, as the spectrum is that of one window: its far half falls on lags that are not looked at.
        correlation = np.fft.irfft(power * self._voiced, axis=1)
        start, end = self._lags
        height = correlation[:, start:end] / np.maximum(correlation[:, :1], 1e-20) / self._own
        made: Reals = np.clip(height.max(axis=1), 0, 1).astype(np.float32)
        return made


def _mel(frequency: float) -> float:
    return 1127 * float(np.log(1 + frequency / 700))
