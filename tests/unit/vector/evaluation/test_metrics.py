"""Measures of rankings, against published and hand-made values, and laws that any ranking keeps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.vector.evaluation.metrics import first_rank, ndcg, recall, reciprocal_rank


def test_the_worked_example_of_wikipedia() -> None:
    """ "Discounted cumulative gain": DCG 6.861, ideal 8.740 with two documents that were not found."""
    graded = {"d1": 3, "d2": 2, "d3": 3, "d4": 0, "d5": 1, "d6": 2, "d7": 3, "d8": 2}
    assert ndcg(["d1", "d2", "d3", "d4", "d5", "d6"], graded, 6) == pytest.approx(6.861 / 8.740, abs=5e-5)
    assert ndcg(["d1", "d2", "d3", "d4", "d5", "d6"], graded, 6) == pytest.approx(0.785, abs=5e-4)


def test_ndcg_counts_grade_and_place() -> None:
    graded = {"a": 2, "b": 1}
    assert ndcg(["a", "b"], graded) == 1.0
    ideal = 2 + 1 / math.log2(3)
    assert ndcg(["x", "a"], graded) == pytest.approx(2 / math.log2(3) / ideal)
    assert ndcg(["x"] * 10 + ["a"], graded) == 0.0


def test_the_ideal_counts_documents_that_were_not_found() -> None:
    graded = dict.fromkeys("abc", 1)
    assert ndcg(["a"], graded) == pytest.approx(1 / (1 + 1 / math.log2(3) + 0.5))


def test_recall() -> None:
    graded = {"a": 1, "b": 1, "c": 0}
    assert recall(["c", "a", "x", "b"], graded, 2) == 0.5
    assert recall(["c", "a", "x", "b"], graded, 4) == 1.0


def test_what_was_judged_not_relevant_is_not_first() -> None:
    graded = {"a": 0, "b": 1}
    assert first_rank(["x", "a", "b"], graded) == 3
    assert reciprocal_rank(["x", "a", "b"], graded) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x", "a"], graded) == 0.0 == reciprocal_rank([], graded)


_GRADED = some.dictionaries(some.sampled_from("abcdefgh"), some.integers(0, 3), min_size=1).filter(
    lambda graded: any(graded.values())
)
_RANKING = some.lists(some.sampled_from("abcdefghxyz"), unique=True)


@given(_RANKING, _GRADED, some.integers(1, 12))
def test_measures_stay_between_0_and_1(ranking: list[str], graded: dict[str, int], k: int) -> None:
    for value in (ndcg(ranking, graded, k), recall(ranking, graded, k), reciprocal_rank(ranking, graded)):
        assert 0.0 <= value <= 1.0 + 1e-12


@given(_GRADED, some.integers(1, 12))
def test_the_ideal_ranking_is_perfect(graded: dict[str, int], k: int) -> None:
    ideal = sorted(graded, key=lambda name: -graded[name])
    assert ndcg(ideal, graded, k) == pytest.approx(1.0)
    assert reciprocal_rank(ideal, graded) == 1.0


@given(_RANKING.filter(lambda ranking: len(ranking) > 1), _GRADED, some.data())
def test_a_better_document_further_up_never_lowers_ndcg(
    ranking: list[str], graded: dict[str, int], data: some.DataObject
) -> None:
    at = data.draw(some.integers(0, len(ranking) - 2))
    upper, lower = ranking[at], ranking[at + 1]
    if graded.get(lower, 0) >= graded.get(upper, 0):
        swapped = [*ranking[:at], lower, upper, *ranking[at + 2 :]]
        assert ndcg(swapped, graded, 10) >= ndcg(ranking, graded, 10) - 1e-12


@given(_RANKING, _GRADED, some.integers(1, 11))
def test_recall_grows_with_the_cutoff(ranking: list[str], graded: dict[str, int], k: int) -> None:
    assert recall(ranking, graded, k) <= recall(ranking, graded, k + 1)
