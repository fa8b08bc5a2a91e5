"""Fusion of scores."""

from __future__ import annotations

import pytest

from services.vector.record.lexicon import Words
from services.vector.search.fusion import by_words, fuse, scaled, side_by_side


def test_scaling_keeps_distances() -> None:
    assert scaled({1: 2.0, 2: 4.0, 3: 3.0}) == {1: 0.0, 2: 1.0, 3: 0.5}
    assert scaled({1: 7.0, 2: 7.0}) == {1: 1.0, 2: 1.0}
    assert scaled({}) == {}


def test_both_sides_count_and_a_missing_side_counts_nothing() -> None:
    fused = fuse({1: 10.0, 2: 0.0}, {1: 0.9, 3: 0.1})
    assert fused == pytest.approx({1: 1.0, 2: 0.0, 3: 0.0})
    assert fuse({1: 3.0}, {}) == {1: 0.5}


def test_the_scale_of_a_side_does_not_matter() -> None:
    lexical, vector = {1: 1.0, 2: 3.0, 3: 2.0}, {1: 0.9, 2: 0.2, 3: 0.7}
    stretched = {key: 100 * score + 5 for key, score in lexical.items()}
    assert fuse(lexical, vector) == pytest.approx(fuse(stretched, vector))


def test_of_two_passages_alike_the_one_in_the_better_document_leads() -> None:
    scores = by_words({1: Words(2.0, 1.0), 2: Words(2.0, 5.0), 3: Words(0.0, 5.0)})
    assert sorted(scores, key=scores.__getitem__, reverse=True) == [2, 3, 1]
    assert by_words({1: Words(1.0, 4.0), 2: Words(3.0, 4.0)})[2] > by_words({1: Words(1.0, 4.0)})[1]


def test_cosines_of_two_models_stand_side_by_side() -> None:
    # The first model finds everything near, the second nothing.
    cosines = {1: 0.95, 2: 0.90, 3: 0.85, 4: 0.50, 5: 0.10}
    order = side_by_side(cosines, {1: 0, 2: 0, 3: 0, 4: 1, 5: 1})
    assert sorted(order, key=lambda key: -order[key]) == [1, 4, 2, 3, 5]
    # Alone in its collection, and bad.
    order = side_by_side({1: 0.95, 2: 0.90, 6: 0.05}, {1: 0, 2: 0, 6: 1})
    assert order[1] > order[6]
