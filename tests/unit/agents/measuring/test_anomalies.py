"""Values that do not belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.agents.measuring.anomalies import Anomalies, anomalies
from tests.unit.agents.measuring.noise import latencies


def of(values: np.ndarray) -> Anomalies:
    return anomalies(values, np.full(len(values), np.median(values)))


def test_planted_values_are_found_farthest_first() -> None:
    values = np.random.default_rng(1).normal(100, 5, size=200)
    values[[20, 150]] = [160, 30]
    found = of(values).found
    assert [a.index for a in found] == [150, 20]
    assert found[0].z < -10
    assert found[1].z > 8
    assert found[0].expected == pytest.approx(100, abs=2)


def test_a_long_tail_is_no_anomaly_on_the_scale_of_logarithms() -> None:
    values = np.random.default_rng(2).lognormal(3, 0.8, size=500)
    made = of(values)
    assert made.scale == "as logarithms"
    assert made.found == ()
    values[7] = 30_000
    assert [a.index for a in of(values).found] == [7]


@given(st.floats(-1e6, 1e6), st.integers(0, 100))
def test_equal_values_have_none(value: float, count: int) -> None:
    assert of(np.full(count, value)).found == () if count else True


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.01, 1000))
def test_the_unit_does_not_matter(seed: int, scale: float) -> None:
    values = np.random.default_rng(seed).normal(50, 4, size=60)
    values[5] += 60
    assert [a.index for a in of(values).found] == [a.index for a in of(values * scale).found]


def test_noise_rarely_has_one() -> None:
    """Nominal: 1 of 100 series; the spread is itself estimated, hence more in short ones."""
    source = np.random.default_rng(3)
    assert sum(bool(of(latencies(source, 200)).found) for _ in range(200)) <= 14
    assert sum(bool(of(source.normal(size=200)).found) for _ in range(200)) <= 10
