"""Two groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.agents.measuring.comparison import Comparison, compare
from tests.unit.agents.measuring.noise import latencies, persistent

GROUP = st.lists(st.integers(0, 50), min_size=3, max_size=20)


def of(first: list[float], second: list[float]) -> Comparison:
    made = compare(("a", "b"), np.array(first, dtype=np.float64), np.array(second, dtype=np.float64))
    assert made is not None
    return made


def test_the_exact_p_value_counts_the_orders() -> None:
    # All of b above all of a: 1 of the 20 orders, and its mirror image.
    assert of([1, 2, 3], [4, 5, 6]).p_value == pytest.approx(0.1)
    # U = 8 of 9: 2 of 20 on either side.
    made = of([1, 2, 4], [3, 5, 6])
    assert (made.u, made.exact) == (8, True)
    assert made.p_value == pytest.approx(0.2)


def test_the_tables_of_mann_and_whitney() -> None:
    # Critical U for 8 against 8 at 0.05, two-sided, is 13: p(13) <= 0.05 < p(14).
    first = [float(i) for i in range(8)]

    def with_u(u: int) -> Comparison:
        # Each value of b lies above as many of a as are wanted.
        above = [u // 8 + (1 if i < u % 8 else 0) for i in range(8)]
        return of(first, sorted(k - 0.5 + i / 100 for i, k in enumerate(sorted(above))))

    assert with_u(13).u == 13
    assert with_u(13).p_value <= 0.05 < with_u(14).p_value


def test_the_normal_approximation_agrees_with_the_exact_one() -> None:
    source = np.random.default_rng(1)
    first, second = source.normal(size=12), source.normal(0.8, size=12)
    exact = of(list(first), list(second))
    # One tie asks for the approximation.
    tied = of([*first, 5.0], [*second, 5.0])
    assert exact.exact
    assert not tied.exact
    assert tied.p_value == pytest.approx(exact.p_value, abs=0.06)


@given(GROUP, GROUP)
@settings(deadline=None, max_examples=40)
def test_the_groups_may_change_places(first: list[float], second: list[float]) -> None:
    one, other = of(first, second), of(second, first)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.delta == pytest.approx(-other.delta)
    assert one.shift == pytest.approx(-other.shift)


@given(GROUP)
@settings(deadline=None, max_examples=30)
def test_a_group_does_not_differ_from_itself(group: list[float]) -> None:
    made = of(group, group)
    assert (made.delta, made.shift) == (0, 0)
    assert made.p_value > 0.9
    assert made.low <= 0 <= made.high


def test_the_interval_holds_the_shift_as_often_as_it_says() -> None:
    source = np.random.default_rng(2)
    held = 0
    for _ in range(150):
        made = compare(("a", "b"), source.normal(0, 1, 60), source.normal(1, 1, 60), seed=1)
        assert made is not None
        held += made.low <= 1 <= made.high
    assert held >= 132


def test_the_effect_is_said_in_a_word() -> None:
    assert of([1, 2, 3, 4], [5, 6, 7, 8]).effect() == "large"
    assert of([1, 2, 3, 4], [1, 2, 3, 4]).effect() == "negligible"


def test_two_values_are_no_group() -> None:
    assert compare(("a", "b"), np.array([1.0, 2]), np.array([1.0, 2, 3])) is None


@pytest.mark.parametrize("kind", ["latencies", "persistent"])
def test_noise_differs_about_as_often_as_it_may(kind: str) -> None:
    source = np.random.default_rng(3)
    false = 0
    for _ in range(200):
        values = latencies(source, 80) if kind == "latencies" else persistent(source, 80, 0.4)
        made = compare(("a", "b"), values[:40], values[40:])
        assert made is not None
        false += made.p_value <= 0.05
    assert false <= (20 if kind == "latencies" else 30)
