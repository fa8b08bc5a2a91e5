"""Loudness by ITU-R BS.1770-4 and loudness range by EBU Tech 3342."""

from __future__ import annotations

import math

import numpy as np

from .filtering import Fir, Samples

ABSOLUTE_GATE = -70.0
_RELATIVE_GATE, _RANGE_GATE = -10.0, -20.0
_OFFSET = -0.691
# Hops of 100 ms: a block has 400 ms, a short-term one 3 s.
_MOMENTARY, _SHORT = 4, 30
_SURROUND = 1.41
# By the usual order of channels: left, right, centre, low frequencies, left and right surround.
_WEIGHTS = {
    4: (1.0, 1.0, _SURROUND, _SURROUND),
    5: (1.0, 1.0, 1.0, _SURROUND, _SURROUND),
    6: (1.0, 1.0, 1.0, 0.0, _SURROUND, _SURROUND),
}
# The response of the filter, which is cut off there, has died down to 1e-9 then.
_RESPONSE_SECONDS = 0.12


class Loudness:
    """Takes blocks of whole hops (the last may be shorter) and keeps a number for each hop."""

    def __init__(self, rate: int, channels: int, hop: int, block: int) -> None:
        """hop: samples in 100 ms."""
        self._hop = hop
        self._filter = Fir(_k_weighting(rate), channels, block)
        self._weights = np.array(_WEIGHTS.get(channels, (1.0,) * channels))
        self._hops: list[Samples] = []

    def feed(self, block: Samples) -> None:
        """Adds samples. What does not fill a hop at the end is not counted, as the recommendation says."""
        whole = len(block) // self._hop
        squares = self._filter.feed(block)[: whole * self._hop] ** 2
        self._hops.append(squares.reshape(whole, self._hop, squares.shape[1]).mean(axis=1) @ self._weights)

    def told(self) -> dict[str, float | None]:
        """Loudness in LUFS, range in LU; None where there is too little, or nothing above -70 LUFS."""
        hops = np.concatenate(self._hops) if self._hops else np.zeros(0)
        momentary, short = _means(hops, _MOMENTARY), _means(hops, _SHORT)
        return {
            "integrated_lufs": _integrated(momentary),
            "range_lu": _range(short),
            "most_momentary_lufs": _most(momentary),
            "most_short_term_lufs": _most(short),
        }


def _means(hops: Samples, count: int) -> Samples:
    if len(hops) < count:
        return np.zeros(0)
    return np.convolve(hops, np.full(count, 1 / count), "valid")


def _lufs(power: Samples) -> Samples:
    made: Samples = _OFFSET + 10 * np.log10(np.maximum(power, 1e-30))
    return made


def _integrated(blocks: Samples) -> float | None:
    loud = blocks[_lufs(blocks) > ABSOLUTE_GATE]
    if not len(loud):
        return None
    gate = float(_lufs(loud.mean(keepdims=True))[0]) + _RELATIVE_GATE
    kept = loud[_lufs(loud) > gate]
    return float(_lufs(kept.mean(keepdims=True))[0])


def _range(blocks: Samples) -> float | None:
    loud = blocks[_lufs(blocks) > ABSOLUTE_GATE]
    if not len(loud):
        return None
    gate = float(_lufs(loud.mean(keepdims=True))[0]) + _RANGE_GATE
    kept = np.sort(_lufs(loud[_lufs(loud) > gate]))
    low, high = (kept[round((len(kept) - 1) * share)] for share in (0.10, 0.95))
    return float(high - low)


def _most(blocks: Samples) -> float | None:
    if not len(blocks):
        return None
    most = float(_lufs(blocks.max(keepdims=True))[0])
    return most if most > ABSOLUTE_GATE else None


def _k_weighting(rate: int) -> Samples:
    """The impulse response of the two filters of BS.1770-4 at any rate.

    Their analogue prototypes are those of De Man, "Evaluation of implementations of the EBU R128 loudness
    measurement" (2018), which give the recommendation's own coefficients at 48 kHz.
    """
    k = math.tan(math.pi * 1681.974450955533 / rate)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    scale = 1 + k / q + k * k
    outer = [(high + sign * band * k / q + k * k) / scale for sign in (1, -1)]
    shelf = (
        [outer[0], 2 * (k * k - high) / scale, outer[1]],
        [2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale],
    )
    k = math.tan(math.pi * 38.13547087602444 / rate)
    q = 0.5003270373238773
    scale = 1 + k / q + k * k
    cut = ([1.0, -2.0, 1.0], [2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale])
    response = [1.0] + [0.0] * round(_RESPONSE_SECONDS * rate)
    for forward, back in (shelf, cut):
        response = _recursive(response, forward, back)
    return np.array(response)


def _recursive(values: list[float], forward: list[float], back: list[float]) -> list[float]:
    x1 = x2 = y1 = y2 = 0.0
    made = []
    for x in values:
        y = forward[0] * x + forward[1] * x1 + forward[2] * x2 - back[0] * y1 - back[1] * y2
        x1, x2, y1, y2 = x, x1, y, y1
        made.append(y)
    return made
