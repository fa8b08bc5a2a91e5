"""The numbers of the workflows' bench."""

from __future__ import annotations

from bench.workflow import Times, measure, told


async def test_both_ways_are_measured() -> None:
    times = await measure(2, 0.2)
    assert times.at_once >= 0.2
    assert times.in_turn >= 0.4


def test_the_ratio_is_to_doing_them_in_turn() -> None:
    line = told(Times(4, 1.0, 1.1, 4.4))
    assert line == "4 steps of 1 s: at once 1.10 s, in turn 4.40 s, ratio 0.25"
