"""Fusion of scores."""

from __future__ import annotations

import math

import pytest

from services.vector.search.fusion import Words, by_words, fuse, scaled, side_by_side, unread


def test_scaling_keeps_distances() -> None:
    assert scaled({1: 2.0, 2: 4.0, 3: 3.0}) == {1: 0.0, 2: 1.0, 3: 0.5}
    assert scaled({1: 7.0, 2: 7.0}) == {1: 1.0, 2: 1.0}
    assert scaled({}) == {}


def test_both_sides_are_added_as_they_are() -> None:
    # 0.2 * 2 + 0.3 = 0.7, 0.2 * 0 + 0.6 = 0.6, 0.2 * 1 + 0 = 0.2; then the least is 0 and the greatest 1.
    fused = fuse({1: 2.0, 2: 0.0, 3: 1.0}, {1: 0.3, 2: 0.6, 3: 0.0}, {})
    assert fused == pytest.approx({1: 1.0, 2: 0.8, 3: 0.0})


def test_what_has_no_vector_yet_counts_as_the_farthest() -> None:
    fused = fuse({1: 1.0, 2: 1.0, 3: 0.0}, {2: 0.9, 3: 0.7}, {})
    # 0.2 + 0.7, 0.2 + 0.9, 0.7
    assert fused == pytest.approx({1: 0.5, 2: 1.0, 3: 0.0})


def test_one_side_alone_keeps_its_order() -> None:
    assert fuse({1: 3.0, 2: 1.0, 3: 2.0}, {}, {}) == pytest.approx({1: 1.0, 2: 0.0, 3: 0.5})
    assert fuse({}, {1: 0.1, 2: 0.5}, {}) == pytest.approx({1: 0.0, 2: 1.0})
    assert fuse({}, {}, {}) == {}


def test_a_model_that_finds_all_texts_alike_does_not_outvote_the_words() -> None:
    alike = {1: 0.80, 2: 0.81, 3: 0.82}
    fused = fuse({1: 4.0, 2: 1.0, 3: 0.0}, alike, {})
    assert sorted(fused, key=lambda key: -fused[key]) == [1, 2, 3]


def test_words_that_hardly_match_do_not_outvote_the_meaning() -> None:
    fused = fuse({1: 0.3, 2: 0.1, 3: 0.0}, {1: 0.1, 2: 0.2, 3: 0.7}, {})
    assert sorted(fused, key=lambda key: -fused[key])[0] == 3


def test_the_size_of_a_collection_does_not_weigh() -> None:
    # A word that one passage of n has is worth about ln(n) in BM25.
    small = by_words({1: Words(math.log(100), math.log(100))}, 100)
    large = by_words({2: Words(math.log(100_000), math.log(100_000))}, 100_000)
    assert small[1] == pytest.approx(large[2]) == pytest.approx(1.0)
    assert by_words({1: Words(0.5, 0.5)}, 1) == {1: 0.5}
    assert by_words({}, 0) == {}


def test_of_two_passages_alike_the_one_in_the_better_document_leads() -> None:
    scores = by_words({1: Words(2.0, 1.0), 2: Words(2.0, 5.0), 3: Words(0.0, 5.0)}, 100)
    assert sorted(scores, key=scores.__getitem__, reverse=True) == [2, 3, 1]
    scores = by_words({1: Words(1.0, 4.0), 2: Words(3.0, 4.0)}, 100)
    assert scores[2] > scores[1]


def test_cosines_of_two_models_stand_side_by_side() -> None:
    # The first model finds everything near, the second nothing.
    cosines = {1: 0.95, 2: 0.90, 3: 0.85, 4: 0.50, 5: 0.10}
    order = side_by_side(cosines, {1: 0, 2: 0, 3: 0, 4: 1, 5: 1})
    assert sorted(order, key=lambda key: -order[key]) == [1, 4, 2, 3, 5]
    # Alone in its collection, and bad.
    order = side_by_side({1: 0.95, 2: 0.90, 6: 0.05}, {1: 0, 2: 0, 6: 1})
    assert order[1] > order[6]


def test_cosines_of_a_model_that_does_not_read_the_question_count_a_third() -> None:
    cosines, models = {1: 0.9, 2: 0.6, 3: 0.6}, {1: 0, 2: 0, 3: 1}
    assert unread(cosines, models, {0}) == pytest.approx({1: 0.3, 2: 0.2, 3: 0.6})
    assert unread(cosines, models, set()) == cosines
    # 0.4 + 0.2 before 0 + 0.9 / 3, where it would be 0.4 + 0.4 behind 0.9.
    fused = fuse({1: 0.0, 2: 2.0}, unread({1: 0.9, 2: 0.4}, models, {0}), {})
    assert fused[2] > fused[1]
