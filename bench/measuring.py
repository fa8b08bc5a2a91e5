"""What the performance agent's statistics find in made up data with a known truth, and what they imagine in
noise.

    python -m bench.measuring [--series N] [--seed S]

False alarms: the share of series of pure noise in which at least one claim of the kind is significant, on
its own (without the correction for the other questions of a table). Detection: the share of series with a
planted effect in which it is found, a change to within 3 values. Sizes are in standard deviations of the
noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from services.agents.measuring.anomalies import anomalies
from services.agents.measuring.changes import changes
from services.agents.measuring.comparison import compare
from services.agents.measuring.growth import growth
from services.agents.measuring.season import season
from services.agents.measuring.trend import trend

Numbers = NDArray[np.float64]
Draw = Callable[[int], Numbers]
LEVEL = 0.05
LENGTHS = (30, 100, 400)


def noises(source: np.random.Generator) -> dict[str, Draw]:
    """Kinds of noise."""

    def persistent(phi: float, count: int) -> Numbers:
        steps = source.normal(size=count + 100)
        values = np.zeros(count + 100)
        for i in range(1, count + 100):
            values[i] = phi * values[i - 1] + steps[i]
        return values[100:]

    return {
        "normal": lambda n: source.normal(size=n),
        "lognormal": lambda n: source.lognormal(3, 0.5, size=n),
        "exponential": lambda n: source.exponential(10, size=n),
        "Student's t, 3": lambda n: source.standard_t(3, size=n),
        "AR(1), 0.3": partial(persistent, 0.3),
        "AR(1), 0.6": partial(persistent, 0.6),
        "five whole numbers": lambda n: source.integers(0, 5, n).astype(np.float64),
    }


def claims(values: Numbers) -> dict[str, bool]:
    """Which kinds of claims are made about a series."""
    count = len(values)
    line = trend(np.arange(count, dtype=np.float64), values)
    halves = compare(("first", "second"), values[: count // 2], values[count // 2 :])
    return {
        "trend": line is not None and line.p_value <= LEVEL,
        "change": bool(changes(values)),
        "anomaly": bool(anomalies(values, np.full(count, np.median(values))).found),
        "season": season(values) is not None,
        "comparison": halves is not None and halves.p_value <= LEVEL,
    }


def false_alarms(series: int, seed: int) -> Iterator[str]:
    """A line for each noise and length."""
    source = np.random.default_rng(seed)
    for name, draw in noises(source).items():
        for count in LENGTHS:
            made = [claims(draw(count)) for _ in range(series)]
            shares = ", ".join(f"{kind} {np.mean([m[kind] for m in made]):.3f}" for kind in made[0])
            yield f"  {name}, {count} values: {shares}"


def detections(series: int, seed: int) -> Iterator[str]:
    """A line for each planted effect."""
    source = np.random.default_rng(seed)
    for count in LENGTHS:
        yield f"  {count} values: {', '.join(detected(source, count, series))}"


def detected(source: np.random.Generator, count: int, series: int) -> Iterator[str]:
    """The share of series of one length in which each effect is found, and nothing else of its kind."""
    at = np.arange(count, dtype=np.float64)
    half = count // 2

    def share(found: Callable[[float], bool], size: float) -> str:
        return f"{np.mean([found(size) for _ in range(series)]):.2f}"

    def changed(size: float) -> bool:
        values = source.normal(size=count) + size * (at >= half)
        return [abs(change.index - half) <= 3 for change in changes(values)] == [True]

    def risen(size: float) -> bool:
        made = trend(at, source.normal(size=count) + size * at / count)
        return made is not None and made.p_value <= LEVEL

    def spiked(size: float) -> bool:
        values = source.normal(size=count)
        values[half] += size
        return [a.index for a in anomalies(values, np.zeros(count)).found] == [half]

    def differed(size: float) -> bool:
        made = compare(("a", "b"), source.normal(size=half), source.normal(size, 1, half))
        return made is not None and made.p_value <= LEVEL

    yield from (f"change by {size}: {share(changed, size)}" for size in (1, 2, 4))
    yield from (f"rise by {size}: {share(risen, size)}" for size in (1, 2))
    yield from (f"spike of {size}: {share(spiked, size)}" for size in (5, 8))
    yield from (f"groups {size} apart: {share(differed, size)}" for size in (0.5, 1))


def growths(series: int, seed: int) -> Iterator[str]:
    """A line for each class of growth: how often it is told, through noise of 5 and of 20 %."""
    source = np.random.default_rng(seed)
    wide, narrow = [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048], [4, 6, 8, 12, 16, 20, 24]
    truths: dict[str, tuple[Callable[[float], float], list[int]]] = {
        "O(1)": (lambda _: 1e-6, wide),
        "O(log n)": (lambda n: 1e-7 + 2e-7 * np.log2(n), wide),
        "O(n)": (lambda n: 1e-6 + 1e-7 * n, wide),
        "O(n log n)": (lambda n: 1e-6 + 1e-7 * n * np.log2(n), wide),
        "O(n^2)": (lambda n: 1e-6 + 1e-8 * n * n, wide),
        "O(n^3)": (lambda n: 1e-6 + 1e-9 * n**3, wide),
        "O(c^n)": (lambda n: 1e-7 * 1.618**n, narrow),
    }
    for name, (cost, sizes) in truths.items():
        told = []
        for noise in (0.05, 0.2):
            made = [
                growth(
                    sizes, [[cost(n) * (1 + abs(source.normal()) * noise) for _ in range(7)] for n in sizes]
                )
                for _ in range(max(10, series // 10))
            ]
            right = np.mean([g.name == name for g in made])
            wrong = np.mean([g.name not in {name, ""} for g in made])
            told.append(f"noise {noise:.0%}: right {right:.2f}, wrong {wrong:.2f}")
        yield f"  {name}: {'; '.join(told)}"


def main() -> None:
    """Prints what was found and imagined."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    options.add_argument("--series", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    told = options.parse_args()
    for title, lines in (
        ("False alarms", false_alarms),
        ("Detection in normal noise", detections),
        ("Classes of growth", growths),
    ):
        print(f"{title}, {told.series} series each, seed {told.seed}")
        for line in lines(told.series, told.seed):
            print(line, flush=True)


if __name__ == "__main__":
    main()
