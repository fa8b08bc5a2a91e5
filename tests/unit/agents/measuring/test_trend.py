"""Theil's and Sen's slope, Mann's and Kendall's test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.measuring.trend import concordance, trend
from tests.unit.agents.measuring.noise import latencies, persistent

WHOLE = st.lists(st.integers(-100, 100), min_size=8, max_size=40)


def at(values: list[float]) -> np.ndarray:
    return np.arange(len(values), dtype=np.float64)


def test_s_and_its_p_value_by_hand() -> None:
    # 28 pairs; those that fall: (2,1), (4,3), (6,5). S = 25 - 3 = 22; var = 8·7·21/18 = 65.33; z = 21/8.083.
    values = [2.0, 1, 4, 3, 6, 5, 7, 8]
    made = trend(at(values), np.array(values))
    assert made is not None
    assert concordance(np.array(values)) == 22
    assert made.tau == pytest.approx(22 / 28)
    assert made.inflation == 1
    assert made.p_value == pytest.approx(0.00937, abs=2e-4)


def test_the_slope_does_not_mind_outliers_and_knows_its_interval() -> None:
    source = np.random.default_rng(3)
    positions = np.arange(100, dtype=np.float64)
    values = 5 + 0.5 * positions + source.normal(size=100)
    values[[10, 50, 90]] = 1e6
    made = trend(positions, values)
    assert made is not None
    assert made.slope == pytest.approx(0.5, abs=0.03)
    assert made.low < 0.5 < made.high
    assert made.high - made.low < 0.05


def test_times_count_and_not_their_order_alone() -> None:
    positions = np.array([0.0, 1, 2, 3, 10, 20, 40, 80])
    made = trend(positions, positions * 3)
    assert made is not None
    assert made.slope == pytest.approx(3)


@given(WHOLE, st.integers(-50, 50), st.integers(1, 9))
def test_shift_and_scale_change_the_slope_alone(values: list[int], shift: int, scale: int) -> None:
    plain = np.array(values, dtype=np.float64)
    one, other = trend(at(values), plain), trend(at(values), plain * scale + shift)
    assert one is not None
    assert other is not None
    assert other.tau == pytest.approx(one.tau)
    assert other.slope == pytest.approx(one.slope * scale, abs=1e-9)


@given(WHOLE)
def test_backwards_is_the_opposite(values: list[int]) -> None:
    forward = np.array(values, dtype=np.float64)
    assert concordance(forward) == -concordance(forward[::-1])


@pytest.mark.parametrize("seed", range(5))
def test_concordance_of_long_series_is_that_of_all_pairs(seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 30, 650 + seed).astype(np.float64)
    assert concordance(x) == int(np.triu(np.sign(x[None, :] - x[:, None]), 1).sum())


@given(st.floats(-1e6, 1e6), st.integers(8, 50))
def test_what_stays_the_same_has_no_trend(value: float, count: int) -> None:
    made = trend(np.arange(count, dtype=np.float64), np.full(count, value))
    assert made is not None
    assert (made.slope, made.p_value) == (0, 1)


def test_too_few_values_have_none() -> None:
    assert trend(at([1.0] * 7), np.arange(7.0)) is None


@pytest.mark.parametrize("kind", ["independent", "persistent"])
def test_noise_has_a_trend_about_as_often_as_it_may(kind: str) -> None:
    """Nominal 0.05; persistence of 0.5 would give about 0.25 uncorrected."""
    source = np.random.default_rng(4)
    false = 0
    for _ in range(200):
        values = latencies(source, 120) if kind == "independent" else persistent(source, 120, 0.5)
        made = trend(at(list(values)), values)
        assert made is not None
        false += made.p_value <= 0.05
    assert false <= (20 if kind == "independent" else 30)
