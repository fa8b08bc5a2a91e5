"""Loudness and its range, on the test signals of EBU Tech 3341 and 3342."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from services.agents.hearing.inside.loudness import Loudness
from tests.unit.agents.hearing.sounds import RATE, Samples, level, sine, steps, stereo


def told(samples: Samples, rate: int = RATE) -> dict[str, float | None]:
    """What is told of samples that come in blocks of a second."""
    frame = round(rate / 100)
    loudness = Loudness(rate, samples.shape[1], 10 * frame, 100 * frame)
    for start in range(0, len(samples), 100 * frame):
        loudness.feed(samples[start : start + 100 * frame])
    return loudness.told()


def many(count: int, *parts: tuple[float, float]) -> Samples:
    return np.concatenate([steps(*parts)] * count)


def five_channels() -> Samples:
    return np.stack([sine(20, decibels) for decibels in (-28, -28, -24, -30, -30)], axis=1)


# Made when the test runs: each worker collects every test, and would keep all of these until its end.
@pytest.mark.parametrize(
    ("made", "lufs"),
    [
        pytest.param(lambda: stereo(steps((-23, 20))), -23, id="case 1"),
        pytest.param(lambda: stereo(steps((-33, 20))), -33, id="case 2"),
        pytest.param(lambda: stereo(steps((-36, 10), (-23, 60), (-36, 10))), -23, id="case 3"),
        pytest.param(
            lambda: stereo(steps((-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10))), -23, id="case 4"
        ),
        pytest.param(lambda: stereo(steps((-26, 20), (-20, 20.1), (-26, 20))), -23, id="case 5"),
        pytest.param(five_channels, -23, id="case 6"),
    ],
)
def test_integrated_loudness_of_tech_3341(made: Callable[[], Samples], lufs: float) -> None:
    assert told(made())["integrated_lufs"] == pytest.approx(lufs, abs=0.1)


def test_the_loudest_three_seconds_and_the_loudest_moment_of_tech_3341() -> None:
    """Cases 9 and 12: levels that change within the window."""
    short = told(stereo(many(5, (-20, 1.34), (-30, 1.66))))
    assert short["most_short_term_lufs"] == pytest.approx(-23, abs=0.1)
    moment = told(stereo(many(25, (-20, 0.18), (-30, 0.22))))
    assert moment["most_momentary_lufs"] == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(
    ("parts", "range_lu"),
    [
        pytest.param([(-20, 20), (-30, 20)], 10, id="case 1"),
        pytest.param([(-20, 20), (-15, 20)], 5, id="case 2"),
        pytest.param([(-40, 20), (-20, 20)], 20, id="case 3"),
        pytest.param([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15, id="case 4"),
    ],
)
def test_loudness_range_of_tech_3342(parts: list[tuple[float, float]], range_lu: float) -> None:
    assert told(stereo(steps(*parts)))["range_lu"] == pytest.approx(range_lu, abs=1)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 96000, 192000])
def test_the_filter_is_the_same_at_every_rate(rate: int) -> None:
    """A stereo sine of 1 kHz reads its own level at 48 kHz: -0.691 and the filter's gain cancel."""
    samples = stereo(sine(5, -23, rate=rate))
    assert told(samples, rate)["integrated_lufs"] == pytest.approx(-23, abs=0.1)


def test_low_tones_count_less_and_high_ones_more() -> None:
    """By the recommendation's figure: 4 dB more in the treble, the bass cut away."""
    lufs = [told(stereo(sine(5, -23, f)))["integrated_lufs"] for f in (20, 1000, 10_000)]
    assert lufs[1] is not None
    assert lufs[0] is not None
    assert lufs[2] is not None
    assert lufs[2] - lufs[1] == pytest.approx(3.35, abs=0.2)
    assert lufs[0] - lufs[1] < -10


def test_too_little_and_too_quiet_have_no_loudness() -> None:
    assert told(stereo(sine(0.3, -23)))["integrated_lufs"] is None
    assert told(stereo(sine(5, -90)))["integrated_lufs"] is None
    two = told(stereo(sine(2, -23)))
    assert two["integrated_lufs"] == pytest.approx(-23, abs=0.1)
    assert two["range_lu"] is None


def test_low_frequency_effects_do_not_count() -> None:
    samples = np.zeros((5 * RATE, 6))
    samples[:, 3] = level(-10) * np.sin(np.arange(5 * RATE) / 8)
    assert told(samples)["integrated_lufs"] is None
