"""Opens a recording and reads it block by block, in bounded memory, whatever its header promises."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float64]

MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 1_000, 384_000
MAX_SECONDS = 4 * 3600
# One sample of one channel is a value: two hours of 48 kHz stereo have 691 million.
MAX_VALUES = 700_000_000
_FORMATS = {"WAV": "wav", "WAVEX": "wav", "RF64": "wav", "FLAC": "flac", "OGG": "ogg", "MP3": "mp3"}
_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_END_OF_STREAM = 4


class UnreadableError(Exception):
    """Why a recording cannot be read, in words."""


@dataclass(frozen=True)
class Form:
    """How a recording is kept.

    bits: of a sample of whole numbers; 0 where samples are kept in another way. promised: samples of each
    channel by the header; 0 where it promises none.
    """

    container: str
    codec: str
    channels: int
    rate: int
    bits: int
    promised: int

    @property
    def full_scale(self) -> float:
        """The level from which on a sample cannot be told from a louder one."""
        return 1.0 - 2.0 ** (1 - self.bits) if self.bits else 1.0

    @property
    def frame(self) -> int:
        """Samples in 10 ms, which is what all is counted in."""
        return max(1, round(self.rate / 100))


class Recording:
    """A recording at work. After `blocks` was read to its end, `fault` says what is wrong with it."""

    def __init__(self, path: Path) -> None:
        """Raises UnreadableError."""
        self.fault = ""
        self._path = path
        try:
            self._file = soundfile.SoundFile(str(path))
        except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
            raise UnreadableError(f"it is no recording that can be read ({_said(error)})") from error
        self.form = self._form()

    def _form(self) -> Form:
        file = self._file
        if file.format not in _FORMATS:
            raise UnreadableError(f"{file.format} is none of wav, flac, mp3 and ogg")
        if not 1 <= file.channels <= MAX_CHANNELS:
            raise UnreadableError(f"it has {file.channels} channels; {MAX_CHANNELS} are read")
        if not MIN_RATE <= file.samplerate <= MAX_RATE:
            raise UnreadableError(f"{file.samplerate} Hz; {MIN_RATE} to {MAX_RATE} are read")
        container = _FORMATS[file.format]
        promised = _promised(self._path) if container == "wav" else file.frames
        # Where a header leaves its length open, the library has none or the largest number.
        if not 0 < promised < 1 << 48:
            promised = 0
        return Form(
            container,
            "MP3" if container == "mp3" else file.subtype,
            file.channels,
            file.samplerate,
            _BITS.get(file.subtype, 0),
            promised,
        )

    def blocks(self) -> Iterator[Samples]:
        """Rows of samples, a column for each channel, about a second each. Raises UnreadableError beyond a
        limit, and when nothing at all can be decoded.
        """
        form = self.form
        read = 0
        # Far beyond every limit.
        for block in self._read(1 << 48):
            read += len(block)
            if read > MAX_SECONDS * form.rate:
                raise UnreadableError(f"it is longer than {MAX_SECONDS // 3600} hours, which is the limit")
            if read * form.channels > MAX_VALUES:
                raise UnreadableError(
                    f"it has more than {MAX_VALUES // 1_000_000} million samples, which is the limit"
                )
            yield block
        if self.fault:
            self.fault = f"after {read / form.rate:.2f} s it cannot be decoded ({self.fault})"
        if not read:
            raise UnreadableError("there is not one sample in it" + (f": {self.fault}" if self.fault else ""))
        self._compare(read)

    def part(self, start: float, end: float) -> Iterator[Samples]:
        """As `blocks`, from and up to a moment, in seconds; not longer than there are samples."""
        rate = self.form.rate
        try:
            self._file.seek(round(start * rate))
        except (soundfile.SoundFileError, RuntimeError) as error:
            self.fault = _said(error)
            return
        # What comes before a fault is heard.
        yield from self._read(round(end * rate) - round(start * rate))

    def _read(self, left: int) -> Iterator[Samples]:
        """Blocks of at most so many samples together. A fault ends them, and is noted."""
        size, units = 10 * self.form.frame, []
        while left > 0 and not self.fault:
            try:
                unit = self._file.read(min(size, left), dtype="float64", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                # The library keeps back what it read of this unit, which is why units are short.
                self.fault = _said(error)
                break
            if not len(unit):
                break
            left -= len(unit)
            # Samples as floating numbers may be none.
            units.append(np.nan_to_num(unit, nan=0.0, posinf=1.0, neginf=-1.0))
            if len(units) == 10:
                yield np.concatenate(units)
                units = []
        if units:
            yield np.concatenate(units)

    def _compare(self, read: int) -> None:
        """Whether as much came as was promised. Half a second is what encoders pad and decoders cut."""
        form = self.form
        if self.fault:
            return
        if form.container == "ogg" and not _ogg_ends(self._path):
            self.fault = f"it is cut off after {read / form.rate:.2f} s: its last page lacks"
        elif form.promised and abs(read - form.promised) > (0 if form.bits else form.rate // 2):
            self.fault = (
                f"its header promises {form.promised / form.rate:.2f} s, there are {read / form.rate:.2f} s"
            )


def _promised(path: Path) -> int:
    """Samples that the header of a RIFF file promises; 0 where it says nothing that makes sense.

    The library quietly takes the length of the file instead.
    """
    with path.open("rb") as file:
        if file.read(4) not in (b"RIFF", b"RF64"):
            return 0
        file.seek(12)
        width = 0
        for _ in range(100):
            head = file.read(8)
            if len(head) < 8:
                return 0
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                # The largest number stands for a length that was not known when writing began.
                return size // width if width and size < 0xFFFFFFFF else 0
            if name == b"fmt ":
                start = file.read(min(size, 16))
                width = struct.unpack("<H", start[12:14])[0] if len(start) >= 14 else 0
                file.seek(size - len(start), 1)
            else:
                file.seek(size, 1)
            file.seek(size & 1, 1)
    return 0


def _ogg_ends(path: Path) -> bool:
    """Whether the last page of an Ogg file says that it is the last one (RFC 3533)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 70_000))
        tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return False
    segments = tail[at + 26]
    table = tail[at + 27 : at + 27 + segments]
    whole = len(table) == segments and at + 27 + segments + sum(table) <= len(tail)
    return whole and bool(tail[at + 5] & _END_OF_STREAM)


def _said(error: Exception) -> str:
    text = str(getattr(error, "error_string", "") or error).strip().rstrip(".")
    # What the library says of bytes in which it finds nothing that it knows.
    return "unknown format" if "does not exist" in text else text[:200]
