"""Changes of the level."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.agents.measuring.changes import MIN_SEGMENT, changes, levels, pelt, split_tail
from tests.unit.agents.measuring.noise import latencies, persistent


def exhaustive(values: np.ndarray, penalty: float) -> float:
    """The least cost of all ways to cut, tried one by one."""
    count = len(values)

    def cost(cuts: tuple[int, ...]) -> float:
        bounds = [0, *cuts, count]
        pieces = [values[a:b] for a, b in itertools.pairwise(bounds)]
        if any(len(piece) < MIN_SEGMENT for piece in pieces):
            return np.inf
        return sum(((piece - piece.mean()) ** 2).sum() for piece in pieces) + penalty * len(cuts)

    every = (c for k in range(4) for c in itertools.combinations(range(1, count), k))
    return min(cost(cuts) for cuts in every)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=10, max_size=22), st.integers(1, 40))
def test_pelt_is_as_good_as_trying_everything(values: list[int], penalty: int) -> None:
    x = np.array(values, dtype=np.float64)
    bounds = [0, *pelt(x, penalty), len(x)]
    pieces = [x[a:b] for a, b in itertools.pairwise(bounds)]
    assert all(len(piece) >= MIN_SEGMENT for piece in pieces)
    cost = sum(((piece - piece.mean()) ** 2).sum() for piece in pieces) + penalty * (len(pieces) - 1)
    assert cost == pytest.approx(exhaustive(x, penalty))


def test_the_tail_is_that_of_simulated_noise() -> None:
    """Never below what 1,000 simulations show, and not far above it."""
    source = np.random.default_rng(5)
    count, edge = 100, MIN_SEGMENT
    at = np.arange(edge, count - edge + 1)
    largest = []
    for _ in range(1_000):
        sums = np.cumsum(source.normal(size=count))
        bridge = sums[at - 1] - at / count * sums[-1]
        largest.append(np.max(np.abs(bridge) / np.sqrt(at * (count - at) / count)))
    for size in (2.8, 3.2, 3.6):
        share = float(np.mean(np.array(largest) >= size))
        assert share * 0.8 <= split_tail(size, count) <= share * 2.5 + 0.005


@given(st.floats(-1e9, 1e9), st.integers(0, 300))
def test_what_stays_the_same_does_not_change(value: float, count: int) -> None:
    assert changes(np.full(count, value)) == []


def test_two_steps_are_found_where_they_are() -> None:
    source = np.random.default_rng(6)
    values = source.normal(size=300)
    values[100:] += 4
    values[220:] -= 7
    found = changes(values)
    assert [abs(c.index - at) <= 2 for c, at in zip(found, (100, 220), strict=True)] == [True, True]
    assert found[0].after - found[0].before == pytest.approx(4, abs=0.6)
    assert all(c.p_value < 1e-6 for c in found)
    assert len(set(levels(values, found))) == 3


def test_a_wild_value_is_no_change() -> None:
    values = np.random.default_rng(7).normal(size=200)
    values[100] = 1e9
    assert changes(values) == []


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_only_the_order_of_the_values_counts(seed: int) -> None:
    source = np.random.default_rng(seed)
    values = source.normal(size=80)
    values[40:] += source.choice([0, 1, 3])
    assert [c.index for c in changes(values)] == [c.index for c in changes(np.exp(values))]


def test_long_series_are_searched_in_blocks() -> None:
    source = np.random.default_rng(8)
    values = source.normal(size=20_000)
    values[10_011:] += 1
    (found,) = changes(values)
    assert found.resolution == 10
    assert abs(found.index - 10_011) <= 5 * found.resolution


@pytest.mark.parametrize("kind", ["latencies", "persistent", "few values"])
def test_noise_rarely_changes(kind: str) -> None:
    """Nominal: at most 1 of 100 series."""
    source = np.random.default_rng(9)
    made = {
        "latencies": lambda: latencies(source, 150),
        "persistent": lambda: persistent(source, 150, 0.5),
        "few values": lambda: source.integers(0, 4, 150).astype(np.float64),
    }[kind]
    assert sum(bool(changes(made())) for _ in range(100)) <= 5
