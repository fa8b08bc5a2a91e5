"""Periods."""

from __future__ import annotations

import numpy as np
import pytest

from services.agents.measuring.season import season
from tests.unit.agents.measuring.noise import latencies, persistent


@pytest.mark.parametrize("period", [7, 12, 24])
def test_a_wave_is_found_with_its_period(period: int) -> None:
    source = np.random.default_rng(period)
    at = np.arange(400)
    values = 10 + 2 * np.sin(2 * np.pi * at / period) + source.normal(size=400) * 0.5
    found = season(values)
    assert found is not None
    assert found.period == period
    assert found.effect.max() - found.effect.min() == pytest.approx(4, abs=1)
    assert np.std(values - found.pattern(400)) < 0.7


def test_a_step_and_a_slope_are_no_wave() -> None:
    values = np.random.default_rng(1).normal(size=300)
    assert season(values + 10 * (np.arange(300) > 150)) is None
    assert season(values + np.arange(300)) is None


@pytest.mark.parametrize("count", [0, 10, 39])
def test_too_few_values_have_none(count: int) -> None:
    assert season(np.sin(np.arange(count))) is None


def test_the_same_value_has_none() -> None:
    assert season(np.full(100, 3.0)) is None


def test_noise_rarely_repeats() -> None:
    source = np.random.default_rng(2)
    made = [latencies(source, 200) for _ in range(150)] + [persistent(source, 200, 0.6) for _ in range(150)]
    assert sum(season(values) is not None for values in made) <= 6
