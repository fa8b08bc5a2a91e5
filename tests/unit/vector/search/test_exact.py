"""Nearest vectors, with a sieve and without."""

from __future__ import annotations

import numpy as np
import pytest

from services.vector.record.vectors import Keys, Matrix
from services.vector.search import exact
from services.vector.search.exact import nearest, sieved, signs


def unit(rows: Matrix) -> Matrix:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def held() -> tuple[Keys, Matrix, Matrix]:
    """Keys and vectors of 30,000 passages about 100 things, and 40 questions about them."""
    draw = np.random.default_rng(5)
    centres = draw.standard_normal((100, 384))
    rows = centres[draw.integers(100, size=30_000)] + 1.5 * draw.standard_normal((30_000, 384))
    questions = centres[draw.integers(100, size=40)] + 1.5 * draw.standard_normal((40, 384))
    return np.arange(30_000, dtype=np.int64) * 3, unit(rows), unit(questions)


def test_what_passes_the_sieve_has_nearly_all_of_the_nearest(held: tuple[Keys, Matrix, Matrix]) -> None:
    keys, vectors, questions = held
    bits = signs(vectors)
    found = total = 0
    for question in questions:
        wanted = dict(nearest(keys, vectors, question, 10))
        got = sieved(keys, vectors, bits, question, limit=10)
        assert [score for _, score in got] == sorted((score for _, score in got), reverse=True)
        # The scores of what is found are exact.
        assert all(wanted[key] == pytest.approx(score, abs=1e-6) for key, score in got if key in wanted)
        found += len(wanted.keys() & dict(got).keys())
        total += 10
    assert found / total >= 0.99


def test_the_order_of_rows_does_not_decide(held: tuple[Keys, Matrix, Matrix]) -> None:
    keys, vectors, questions = held
    mixed = np.random.default_rng(6).permutation(len(keys))
    bits = signs(vectors)
    for question in questions[:5]:
        one = sieved(keys, vectors, bits, question, limit=10)
        other = sieved(keys[mixed], vectors[mixed], bits[:, mixed], question, limit=10)
        assert [key for key, _ in one] == [key for key, _ in other]


def test_only_the_rows_that_may_are_looked_at(held: tuple[Keys, Matrix, Matrix]) -> None:
    keys, vectors, questions = held
    rows = np.arange(0, 30_000, 3)
    got = sieved(keys, vectors, signs(vectors), questions[0], limit=10, rows=rows)
    assert {key % 9 for key, _ in got} == {0}
    few = sieved(keys, vectors, signs(vectors), questions[0], limit=10, rows=rows[:50])
    assert few == nearest(keys[rows[:50]], vectors[rows[:50]], questions[0], 10)


@pytest.mark.parametrize("dimension", [1, 63, 64, 65, 384])
def test_any_dimension_has_its_bits(dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_LEAST_PASSED", 2)
    monkeypatch.setattr(exact, "_PASSED_EACH", 1)
    vectors = unit(np.random.default_rng(dimension).standard_normal((20, dimension)))
    bits = signs(vectors)
    assert bits.shape == (exact.words_of(dimension), 20)
    for row, vector in enumerate(vectors):
        differing = np.bitwise_count(bits[:, [row]] ^ bits).sum(axis=0).tolist()
        assert differing == [int(((other > 0) != (vector > 0)).sum()) for other in vectors]
        found = sieved(np.arange(20), vectors, bits, vector, limit=1)[0]
        assert found[1] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("count", [0, 1, 256, 257, 600])
def test_cosines_by_pieces_are_those_of_the_whole(held: tuple[Keys, Matrix, Matrix], count: int) -> None:
    _, vectors, questions = held
    rows = np.random.default_rng(count).permutation(len(vectors))[:count]
    found = exact._cosines(vectors, rows, questions[0])
    np.testing.assert_allclose(found, vectors[rows] @ questions[0], atol=1e-6)
