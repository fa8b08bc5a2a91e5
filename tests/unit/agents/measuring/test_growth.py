"""Classes of growth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.agents.measuring.growth import growth

SIZES = [8, 12, 16, 24, 32, 48, 64, 128, 256, 512, 1024]
SMALL = [4, 6, 8, 12, 16, 24, 32]
TRUTHS: dict[str, tuple[Callable[[int], float], list[int]]] = {
    "O(1)": (lambda n: 3e-6, SIZES),
    "O(log n)": (lambda n: 1e-7 + 4e-7 * math.log2(n), SIZES),
    "O(n)": (lambda n: 1e-6 + 2e-7 * n, SIZES),
    "O(n log n)": (lambda n: 1e-6 + 5e-8 * n * math.log2(n), SIZES),
    "O(n^2)": (lambda n: 1e-6 + 2e-8 * n * n, SIZES),
    "O(n^3)": (lambda n: 1e-6 + 1e-9 * n**3, SIZES),
    "O(c^n)": (lambda n: 1e-7 * 2.0**n, SMALL),
}


def measured(
    truth: str, noise: float, seed: int = 0, factor: float = 1.0
) -> tuple[list[int], list[list[float]]]:
    """Seven repetitions with one-sided noise, as clocks have it."""
    source = np.random.default_rng(seed)
    cost, sizes = TRUTHS[truth]
    return sizes, [[factor * cost(n) * (1 + abs(source.normal()) * noise) for _ in range(7)] for n in sizes]


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_class_is_found_through_noise(truth: str) -> None:
    made = growth(*measured(truth, 0.05))
    assert made.name == truth
    assert made.confidence > 0.6
    assert made.error < 0.1


def test_the_curve_goes_through_the_measurements() -> None:
    sizes, costs = measured("O(n^2)", 0.02)
    made = growth(sizes, costs)
    fitted = made.predict(np.array(sizes, dtype=np.float64))[-3:]
    assert fitted == pytest.approx([np.median(c) for c in costs[-3:]], rel=0.1)
    assert made.exponent == pytest.approx(2, abs=0.1)


def test_close_classes_are_named_beside_the_best() -> None:
    made = growth(
        [8, 16, 24, 32, 40, 48],
        [[1e-6 * n * (1 + 0.3 * ((n * k) % 5)) for k in range(5)] for n in (8, 16, 24, 32, 40, 48)],
    )
    if made.name:
        assert made.confidence < 1
        assert made.alternatives


@pytest.mark.parametrize(
    ("sizes", "costs", "told"),
    [
        ([1, 2, 3], [1.0, 2, 3], "3 sizes were measured"),
        ([10, 11, 12, 13, 14], [1.0, 2, 3, 4, 5], "a factor of 4 is needed"),
        ([1, 2, 4, 8, 16], [0.0, 1, 2, 3, 4], "a cost of 0"),
        ([1, 2, 4, 8, 16, 32], [1.0, 90, 2, 70, 1, 60], "no class fits"),
    ],
)
def test_what_the_measurements_do_not_tell_is_not_told(
    sizes: list[int], costs: list[float], told: str
) -> None:
    made = growth(sizes, [[cost] for cost in costs])
    assert made.name == ""
    assert made.confidence == 0
    assert told in made.reason


@settings(deadline=None, max_examples=10)
@given(st.sampled_from(sorted(TRUTHS)), st.floats(1e-3, 1e3))
def test_a_faster_machine_has_the_same_class(truth: str, factor: float) -> None:
    one, other = growth(*measured(truth, 0.02)), growth(*measured(truth, 0.02, factor=factor))
    assert one.name == other.name
