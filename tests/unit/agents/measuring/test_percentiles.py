"""Percentiles."""

from __future__ import annotations

import numpy as np
import pytest

from services.agents.measuring.percentiles import percentiles


def test_they_are_those_of_the_order_and_as_many_as_the_values_bear() -> None:
    made = {p.name(): p for p in percentiles(np.arange(101.0))}
    assert list(made) == ["p50", "p90", "p95", "p99"]
    assert [round(p.value) for p in made.values()] == [50, 90, 95, 99]
    assert made["p50"].low < 50 < made["p50"].high
    assert [p.name() for p in percentiles(np.arange(5.0))] == ["p50"]
    assert [p.name() for p in percentiles(np.arange(1000.0))][-1] == "p99.9"


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    source = np.random.default_rng(1)
    held = sum(p.low <= 0 <= p.high for p in (percentiles(source.normal(size=80))[0] for _ in range(300)))
    assert held >= 276


def test_one_value_is_all_of_them() -> None:
    (only,) = percentiles(np.array([4.0]))
    assert (only.value, only.low, only.high) == pytest.approx((4, 4, 4))
