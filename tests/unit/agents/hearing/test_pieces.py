"""Where long recordings are cut."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from services.agents.hearing.pieces import cut, longest, plan
from services.agents.ports import Sandboxed
from services.chassis.errors import FailedPreconditionError
from tests.support.plain_sandbox import PlainSandbox
from tests.unit.agents.hearing.sounds import noise, sine, stereo, written


def test_a_short_recording_is_one_piece() -> None:
    assert plan(12.5, [(1, 3), (5, 9)], 60) == [(0, 12.5)]


def test_a_cut_falls_into_the_longest_pause_of_the_second_half() -> None:
    speech = [(0.0, 20.0), (29.0, 40.0), (41.0, 50.0), (54.0, 58.0), (59.0, 100.0)]
    assert plan(100, speech, 60) == [(0, 52), (52, 100)]


def test_where_nobody_pauses_it_is_cut_where_it_must() -> None:
    assert plan(100, [(0, 100)], 40) == [(0, 40), (40, 80), (80, 100)]


def test_pieces_make_up_the_whole() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        edges = np.sort(random.uniform(0, 3000, 200))
        pieces = plan(3000, list(zip(edges[::2], edges[1::2], strict=True)), 240)
        assert pieces[0][0] == 0
        assert pieces[-1][1] == 3000
        assert all(before[1] == after[0] for before, after in pairwise(pieces))
        assert all(0 < end - start <= 240 for start, end in pieces)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 31_999, 32_000, 44_100, 48_000, 96_000])
async def test_the_longest_piece_is_no_more_than_a_model_takes(rate: int) -> None:
    """Noise at full scale is what FLAC cannot make smaller; here a hundredth of the longest piece."""
    seconds = longest(rate) / 100
    assert seconds >= 3.7
    data = written(np.clip(noise(seconds + 0.1, -3, rate), -1, 1), rate)
    made = await cut(PlainSandbox(), data, (0, seconds))
    assert len(made.data) < 25_000_000 / 100


async def test_a_piece_is_cut_shut_in(sandbox: Sandboxed) -> None:
    made = await cut(sandbox, written(stereo(sine(4, -12)), form="MP3"), (1.0, 3.0))
    assert (made.filename, made.media_type) == ("piece.flac", "audio/flac")
    samples, rate = soundfile.read(io.BytesIO(made.data))
    assert (rate, len(samples)) == (16_000, 32_000)


async def test_what_cannot_be_cut_says_why() -> None:
    with pytest.raises(FailedPreconditionError, match="cannot be cut: it is no recording"):
        await cut(PlainSandbox(), b"nothing", (0, 1))
