"""Files as they are sent: the four forms, cut ones, ones that lie, and the limits."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from services.agents.hearing.inside import decoding
from services.agents.hearing.inside.decoding import Recording, UnreadableError
from tests.unit.agents.hearing.sounds import RATE, noise, sine, stereo, stored, written


def read(path: Path) -> tuple[Recording, int]:
    recording = Recording(path)
    return recording, sum(len(block) for block in recording.blocks())


@pytest.mark.parametrize(
    ("form", "subtype", "codec", "bits"),
    [
        ("WAV", "PCM_16", "PCM_16", 16),
        ("WAV", "PCM_24", "PCM_24", 24),
        ("WAV", "FLOAT", "FLOAT", 0),
        ("FLAC", "PCM_16", "PCM_16", 16),
        ("OGG", "VORBIS", "VORBIS", 0),
        ("OGG", "OPUS", "OPUS", 0),
        ("MP3", "MPEG_LAYER_III", "MP3", 0),
    ],
)
def test_the_forms(tmp_path: Path, form: str, subtype: str, codec: str, bits: int) -> None:
    path = stored(tmp_path, written(stereo(sine(3, -20)), form=form, subtype=subtype))
    recording, count = read(path)
    made = recording.form
    assert (made.container, made.codec, made.bits) == (form.lower(), codec, bits)
    assert (made.channels, made.rate) == (2, RATE)
    # Encoders pad and decoders cut.
    assert count == pytest.approx(3 * RATE, abs=0 if bits or subtype == "FLOAT" else 2400)
    assert recording.fault == ""


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, form: str) -> None:
    whole = written(stereo(noise(6, -20)), form=form)
    recording, count = read(stored(tmp_path, whole[: len(whole) // 3]))
    assert 1.5 * RATE < count < 2.5 * RATE
    assert " s" in recording.fault


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    whole = bytearray(written(sine(1, -20)))
    at = whole.index(b"data") + 4
    whole[at : at + 4] = struct.pack("<I", 2 * RATE * 60)
    recording, count = read(stored(tmp_path, bytes(whole)))
    assert count == RATE
    assert recording.fault == "its header promises 60.00 s, there are 1.00 s"


def test_a_length_that_was_left_open_is_no_lie(tmp_path: Path) -> None:
    """As programs write that send a recording while it is made."""
    whole = bytearray(written(sine(1, -20)))
    at = whole.index(b"data") + 4
    whole[at : at + 4] = b"\xff\xff\xff\xff"
    recording, count = read(stored(tmp_path, bytes(whole)))
    assert (count, recording.fault) == (RATE, "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "no recording", id="empty"),
        pytest.param(b"Dear Sir or Madam", "no recording", id="text"),
        pytest.param(np.random.default_rng(1).bytes(50_000), "unknown format", id="noise"),
        pytest.param(written(sine(1, -20))[:20], "no recording", id="half a header"),
        pytest.param(written(sine(1, -20))[:44], "not one sample", id="a header alone"),
        pytest.param(written(sine(1, -20), form="AIFF"), "none of wav, flac, mp3 and ogg", id="AIFF"),
        pytest.param(written(np.zeros((100, 9))), "9 channels", id="nine channels"),
        pytest.param(written(np.zeros(100), rate=500), "500 Hz", id="a rate of nothing"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(1000), "no recording", id="a picture"),
    ],
)
def test_what_is_no_recording_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        read(stored(tmp_path, content))


def test_the_limits_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path, written(stereo(sine(3, -20))))
    monkeypatch.setattr(decoding, "MAX_VALUES", 200_000)
    with pytest.raises(UnreadableError, match="0 million samples, which is the limit"):
        read(path)
    monkeypatch.undo()
    monkeypatch.setattr(decoding, "MAX_SECONDS", 2)
    with pytest.raises(UnreadableError, match="hours, which is the limit"):
        read(path)


def test_samples_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    samples = sine(1, -20)
    samples[10], samples[20] = np.nan, np.inf
    recording = Recording(stored(tmp_path, written(samples, subtype="FLOAT")))
    joined = np.concatenate(list(recording.blocks()))
    assert np.isfinite(joined).all()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_part_is_what_the_whole_has_there(tmp_path: Path, form: str) -> None:
    path = stored(tmp_path, written(stereo(noise(6, -20)), form=form))
    whole = np.concatenate(list(Recording(path).blocks()))
    part = np.concatenate(list(Recording(path).part(2.345, 4.567)))
    assert np.array_equal(part, whole[round(2.345 * RATE) : round(4.567 * RATE)])
