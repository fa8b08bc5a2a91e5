"""Intervals and tests of significance, against published and counted values."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from services.vector.evaluation.resampling import interval, p_value, quantile

# Darwin's pairs of Zea mays, in eighths of an inch: Fisher, The Design of Experiments (1935), section 21.
ZEA = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_fishers_count_of_darwins_pairs() -> None:
    """Of 32,768 ways 835 give a larger sum than 314 and 28 the same, and as many on the other side."""
    assert p_value(ZEA) == 2 * (835 + 28) / 32768


def test_few_differences_are_counted_one_by_one() -> None:
    differences = [0.5, -0.25, 0.125, 0.75]
    ways = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=4)
    ]
    assert p_value(differences) == sum(way >= abs(sum(differences)) for way in ways) / 16


def test_no_difference_is_no_evidence() -> None:
    assert p_value([]) == p_value([0.0, 0.0]) == 1.0
    assert p_value([0.0, 0.1]) == 1.0


def test_queries_that_are_alike_change_nothing() -> None:
    assert p_value([*map(float, ZEA), *[0.0] * 50]) == p_value(ZEA)


def test_many_differences_are_drawn_and_agree_with_the_exact_count() -> None:
    """Each of Darwin's pairs and 1 that hardly counts: too many to count all, and the answer is the same."""
    assert p_value([*ZEA, 1e-6, -1e-6]) == pytest.approx(0.0527, abs=0.01)
    assert p_value([0.1] * 40) == 1 / 10_000


def test_equal_values_give_equal_answers() -> None:
    values = [random.Random(7).random() for _ in range(200)]
    assert interval(values) == interval(values)
    assert p_value([value - 0.5 for value in values]) == p_value([value - 0.5 for value in values])


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    generator = random.Random(1)
    values = [float(generator.random() < 0.7) for _ in range(400)]
    found = interval(values)
    half = 1.96 * math.sqrt(found.mean * (1 - found.mean) / 400)
    assert found.mean == pytest.approx(sum(values) / 400)
    assert found.low == pytest.approx(found.mean - half, abs=0.01)
    assert found.high == pytest.approx(found.mean + half, abs=0.01)


def test_one_value_is_its_own_interval() -> None:
    assert interval([0.25]) == interval([0.25, 0.25])


def test_a_quantile_is_one_of_the_values() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert quantile(values, 0.5) == 3.0
    assert quantile(values, 0.95) == 5.0
    assert quantile([1.0, 2.0], 0.5) == 1.0
