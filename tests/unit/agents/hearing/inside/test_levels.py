"""Peaks, power, offset and clipping against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from services.agents.hearing.inside.levels import CLIPPED_RUN, MAX_CLIPS, Levels
from tests.unit.agents.hearing.sounds import RATE, Samples, level, sine


def told(samples: Samples, rate: int = RATE, full_scale: float = 1.0, block: int = 4801) -> dict[str, object]:
    levels = Levels(rate, samples.shape[1], full_scale)
    for start in range(0, len(samples), block):
        levels.feed(samples[start : start + block])
    return levels.told()


def mono(samples: Samples) -> Samples:
    return samples[:, None]


@pytest.mark.parametrize(
    ("divisor", "phase", "amplitude"),
    [(4, 0.0, 0.5), (4, 45.0, 0.5), (6, 60.0, 0.5), (8, 67.5, 0.5), (4, 45.0, 1.41)],
)
def test_true_peaks_of_tech_3341(divisor: int, phase: float, amplitude: float) -> None:
    """Cases 15 to 19: tones whose samples all lie beside their peaks. Within 0.2 dB."""
    decibels = 20 * np.log10(amplitude)
    # Faded: where a tone is switched on, the wave between the samples is another one.
    fade = np.minimum(1, np.minimum(np.arange(RATE), np.arange(RATE)[::-1]) / 2400)
    seen = told(mono(fade * sine(1, decibels, RATE / divisor, phase=phase)))
    assert seen["true_peak_dbtp"] == pytest.approx(decibels, abs=0.2)


def test_a_peak_between_two_samples_is_above_both() -> None:
    seen = told(mono(sine(1, 0, RATE / 4, phase=45)))
    assert seen["sample_peak_dbfs"] == pytest.approx(-3.01, abs=0.01)
    assert float(str(seen["true_peak_dbtp"])) > -0.2


@pytest.mark.parametrize("rate", [96_000, 192_000])
def test_fewer_points_are_needed_at_higher_rates(rate: int) -> None:
    seen = told(mono(sine(1, -6, 997, rate=rate)), rate)
    assert seen["true_peak_dbtp"] == pytest.approx(-6, abs=0.2)


def test_power_and_offset_of_a_sine() -> None:
    seen = told(mono(sine(1, -10) + 0.01))
    assert seen["rms_dbfs"] == pytest.approx(10 * np.log10(level(-10) ** 2 / 2 + 0.01**2), abs=1e-6)
    assert seen["dc_offset"] == pytest.approx(0.01, abs=1e-6)
    assert seen["sample_peak_dbfs"] == pytest.approx(20 * np.log10(level(-10) + 0.01), abs=1e-3)


def test_silence_has_no_level() -> None:
    seen = told(np.zeros((1000, 2)))
    assert (seen["true_peak_dbtp"], seen["sample_peak_dbfs"], seen["rms_dbfs"]) == (None, None, None)


@pytest.mark.parametrize("block", [1, 7, 100, 4800])
def test_clipping_is_found_to_the_sample_wherever_blocks_end(block: int) -> None:
    samples = np.zeros((1000, 2))
    samples[100:105, 0] = 1.0
    samples[105:108, 0] = -1.0
    samples[200:202, 1] = 1.0
    samples[300:400, 1] = -1.0
    seen = told(samples, rate=1000, block=block)
    assert seen["clips"] == [
        {"start": 0.1, "end": 0.105, "channel": 1},
        {"start": 0.105, "end": 0.108, "channel": 1},
        {"start": 0.3, "end": 0.4, "channel": 2},
    ]
    assert (seen["clip_count"], seen["clipped_samples"]) == (3, 108)


def test_a_run_to_the_very_end_counts_and_the_list_has_a_bound() -> None:
    samples = np.zeros((4 * (MAX_CLIPS + 50), 1))
    for run in range(MAX_CLIPS + 50):
        samples[4 * run + 1 : 4 * run + 1 + CLIPPED_RUN] = 1.0
    seen = told(samples)
    clips = seen["clips"]
    assert isinstance(clips, list)
    assert len(clips) == MAX_CLIPS
    assert (seen["clip_count"], seen["clipped_samples"]) == (250, 750)
