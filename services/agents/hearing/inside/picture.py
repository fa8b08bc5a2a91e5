"""A spectrogram as PNG, made while the recording goes by."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .spectra import Reals

_COLUMNS, _ROWS = 1000, 256
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 28, 40
# What is so far below the loudest is drawn black.
_RANGE_DB = 90.0
# Dark to bright evenly, also in grey and for the colour-blind (the way of matplotlib's inferno).
_COLOURS = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))


class Spectrogram:
    """Frequency upwards, time to the right. A column takes twice as many spectra whenever the picture is
    full, so its memory does not grow.
    """

    def __init__(self, rate: int, bins: int) -> None:
        self._rate = rate
        self._rows = min(_ROWS, bins)
        self._edges = np.linspace(0, bins, self._rows + 1).astype(int)[:-1]
        self._columns = np.zeros((_COLUMNS, self._rows))
        self._each = 1
        self._full = 0
        self._waiting: list[NDArray[np.float64]] = []

    def feed(self, power: Reals) -> None:
        """Adds spectra, a row each."""
        if not len(power):
            return
        self._waiting += list(np.maximum.reduceat(power, self._edges, axis=1).astype(np.float64))
        while len(self._waiting) >= self._each:
            if self._full == _COLUMNS:
                self._columns[: _COLUMNS // 2] = (self._columns[::2] + self._columns[1::2]) / 2
                self._full = _COLUMNS // 2
                self._each *= 2
                continue
            self._columns[self._full] = np.mean(self._waiting[: self._each], axis=0)
            del self._waiting[: self._each]
            self._full += 1

    def png(self, title: str, duration: float) -> bytes:
        """The picture with its axes."""
        shown = self._columns[: max(1, self._full)]
        decibels = 10 * np.log10(np.maximum(shown, 1e-20))
        level = np.clip((decibels - decibels.max()) / _RANGE_DB + 1, 0, 1)
        anchors = np.linspace(0, 1, len(_COLOURS))
        pixels = np.stack([np.interp(level, anchors, [c[i] for c in _COLOURS]) for i in range(3)], axis=-1)
        inner = Image.fromarray(pixels.transpose(1, 0, 2)[::-1].astype(np.uint8), "RGB")
        inner = inner.resize((_COLUMNS, _ROWS), Image.Resampling.BILINEAR)
        page = Image.new("RGB", (_LEFT + _COLUMNS + _RIGHT, _TOP + _ROWS + _BOTTOM), "white")
        page.paste(inner, (_LEFT, _TOP))
        draw = ImageDraw.Draw(page)
        draw.text((_LEFT, 8), title.encode("ascii", "replace").decode()[:140], fill="black")
        for position, label in _ticks(duration, _COLUMNS):
            at = _LEFT + position
            draw.line((at, _TOP + _ROWS, at, _TOP + _ROWS + 5), fill="black")
            draw.text((at, _TOP + _ROWS + 8), label, fill="black", anchor="ma")
        draw.text((_LEFT + _COLUMNS, _TOP + _ROWS + 24), "seconds", fill="black", anchor="ra")
        for position, label in _ticks(self._rate / 2000, _ROWS):
            at = _TOP + _ROWS - position
            draw.line((_LEFT - 5, at, _LEFT, at), fill="black")
            draw.text((_LEFT - 8, at), label, fill="black", anchor="rm")
        draw.text((8, 8), "kHz", fill="black")
        written = io.BytesIO()
        page.save(written, "PNG", optimize=True)
        return written.getvalue()


def _ticks(end: float, pixels: int) -> list[tuple[int, str]]:
    """Round numbers from 0 to an end, and where they stand."""
    power = 10.0 ** np.floor(np.log10(end / 5))
    step = float(next(power * nice for nice in (1, 2, 5, 10) if power * nice >= end / 8))
    count = int(end / step + 1e-9) + 1
    return [(round(k * step / end * pixels), f"{k * step:.6g}") for k in range(count)]
