"""Ranks, scores, tails and the correction for many questions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.measuring import ranks
from tests.unit.agents.measuring.noise import persistent

FLOATS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert ranks.ranked(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


@given(FLOATS)
def test_ranks_add_up(values: list[float]) -> None:
    n = len(values)
    assert ranks.ranked(np.array(values)).sum() == pytest.approx(n * (n + 1) / 2)


@given(FLOATS)
def test_scores_know_the_order_alone(values: list[float]) -> None:
    whole = np.round(np.array(values))
    scores = ranks.normal_scores(whole)
    assert np.allclose(scores, ranks.normal_scores(whole * 2 + 1))
    assert np.allclose(scores, -ranks.normal_scores(-whole))


def test_tails_are_those_of_the_tables() -> None:
    assert ranks.two_sided(1.959964) == pytest.approx(0.05, abs=1e-6)
    assert ranks.two_sided(-2.575829) == pytest.approx(0.01, abs=1e-6)
    assert ranks.quantile(0.975) == pytest.approx(1.959964, abs=1e-6)


def test_holm_corrects_as_in_the_textbook() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, never falling.
    assert ranks.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_lowers_nothing_and_keeps_the_order(values: list[float]) -> None:
    corrected = ranks.holm(values)
    assert all(after >= before for before, after in zip(values, corrected, strict=True))
    pairs = sorted(zip(values, corrected, strict=True))
    assert [after for _, after in pairs] == sorted(after for _, after in pairs)


def test_spread_does_not_mind_an_outlier() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 1e9])
    assert ranks.spread(values) < 5


def test_persistence_of_independent_values_is_none_mostly() -> None:
    source = np.random.default_rng(1)
    assert sum(ranks.persistence(source.normal(size=200)) > 0 for _ in range(200)) <= 20


def test_persistence_is_found_beside_a_shift() -> None:
    source = np.random.default_rng(2)
    values = persistent(source, 2_000, 0.6)
    values[1_000:] += 20
    assert ranks.persistence(values) == pytest.approx(0.6, abs=0.12)
