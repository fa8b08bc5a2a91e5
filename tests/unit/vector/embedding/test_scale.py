from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.vector.embedding.minilm import MiniLmEmbedder
from services.vector.embedding.scale import BUILT_IN, Scale, kept_scale, measured, scale_of


def soon() -> float:
    return time.monotonic() + 60


def scale(minilm: MiniLmEmbedder, change: object = None) -> Scale:
    """Of the built-in model, or of one whose vectors are made of its own."""

    def vectors(texts: list[str]) -> NDArray[np.float32]:
        made = minilm.embed_texts(texts, deadline=soon())
        if callable(change):
            made = change(made)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)

    return measured(vectors, vectors)


def test_the_built_in_model_is_what_others_are_measured_by(minilm: MiniLmEmbedder) -> None:
    found = scale(minilm)
    assert found.middle == pytest.approx(BUILT_IN.middle, abs=0.001)
    assert found.worth == pytest.approx(1.0, abs=0.01)
    assert minilm.scale() == BUILT_IN


@pytest.mark.parametrize("share", [1.0, 2.0])
def test_a_model_that_finds_all_alike_is_worth_as_much_more(minilm: MiniLmEmbedder, share: float) -> None:
    """A part that all vectors have in common moves all cosines together, and changes no order."""

    def common(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.hstack([vectors, np.full((len(vectors), 1), share, np.float32)])

    found = scale(minilm, common)
    assert found.worth == pytest.approx(1 + share**2, rel=0.01)
    for cosine in (-0.1, 0.0, 0.3, 0.8):
        squeezed = (cosine + share**2) / (1 + share**2)
        assert found.comparable(squeezed) == pytest.approx(cosine, abs=0.003)


def test_a_model_that_finds_less_is_worth_less(minilm: MiniLmEmbedder) -> None:
    rough = scale(minilm, lambda vectors: vectors[:, :48])
    assert 0.2 < rough.worth < 0.7


@pytest.mark.parametrize(
    ("missed", "worth"),
    [(0, 2.0), (2, 2.0), (6, 2 * (18 / 22) ** 4), (12, 2 * (12 / 22) ** 4)],
)
def test_a_model_that_misses_some_answers_is_worth_less(missed: int, worth: float) -> None:
    cosines = np.full((24, 24), 0.5, np.float32)
    np.fill_diagonal(cosines, 0.5 + 0.4094 / 2)
    for row in range(missed):
        # Hardly nearer, so that the mean stays.
        cosines[row, (row + 1) % 24] = cosines[row, row] + 1e-4
    found = scale_of(cosines)
    assert found.worth == pytest.approx(worth, rel=0.05)


def test_a_model_that_does_not_read_the_pairs_is_judged_by_its_spread_alone() -> None:
    draw = np.random.default_rng(3)
    cosines = (0.7 + 0.0345 * draw.standard_normal((24, 24))).astype(np.float32)
    found = scale_of(cosines)
    assert found.worth == pytest.approx(2.0, rel=0.15)
    assert found.middle == pytest.approx(0.7, abs=0.01)


def test_what_says_nothing_at_all_has_bounds() -> None:
    assert scale_of(np.full((24, 24), 0.9, np.float32)).worth == 16.0
    assert scale_of(np.eye(24, dtype=np.float32) * 1e-3).worth == 16.0
    wild = np.where(np.arange(24 * 24).reshape(24, 24) % 2, 1, -1).astype(np.float32)
    np.fill_diagonal(wild, 0.0)
    assert scale_of(wild).worth == pytest.approx(0.069, abs=0.01)
    assert scale_of(100 * wild).worth == 1 / 16
    # Half of the questions find their own answer, and the others are as far from it as can be.
    odd = np.zeros((24, 24), np.float32)
    np.fill_diagonal(odd, [0.01] * 12 + [-1.0] * 12)
    assert scale_of(odd).worth == 1 / 16


def test_a_scale_is_kept_for_the_model_that_it_is_of(tmp_path: Path) -> None:
    path = tmp_path / "scale.json"
    calls: list[Scale] = []

    def measure() -> Scale:
        calls.append(Scale(0.5, 2.0 + len(calls)))
        return calls[-1]

    assert kept_scale(path, "one", measure) == Scale(0.5, 2.0)
    assert kept_scale(path, "one", measure) == Scale(0.5, 2.0)
    assert kept_scale(path, "another", measure) == Scale(0.5, 3.0)
    for damage in ("", "[]", '{"model": "another"}', '{"model": "another", "middle": "x", "worth": 1}'):
        path.write_text(damage)
        expected = len(calls)
        assert kept_scale(path, "another", measure) == Scale(0.5, 2.0 + expected)
        assert json.loads(path.read_text())["worth"] == 2.0 + expected
    assert kept_scale(tmp_path / "absent" / "scale.json", "one", measure).middle == 0.5
