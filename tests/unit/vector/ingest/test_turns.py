"""Turns: who is next, who leaves, and what a place says."""

from __future__ import annotations

import asyncio

import pytest

from services.vector.ingest.turns import Turns


async def take(turns: Turns, order: list[str], space: str, name: str, hold: asyncio.Event) -> None:
    async with turns.turn(space, name):
        order.append(name)
        await hold.wait()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_ten_thousand_of_one_hold_up_the_only_one_of_another_by_a_turn() -> None:
    turns, order, hold = Turns(2), list[str](), asyncio.Event()
    many = [asyncio.create_task(take(turns, order, "a", f"a{n}", hold)) for n in range(10_000)]
    one = asyncio.create_task(take(turns, order, "b", "b0", hold))
    await settled()
    hold.set()
    await asyncio.gather(*many, one)
    assert order.index("b0") <= 3
    assert [name for name in order if name != "b0"] == [f"a{n}" for n in range(10_000)]


async def test_a_place_is_the_turn_that_it_will_be() -> None:
    turns, order, hold = Turns(1), list[str](), asyncio.Event()
    work = [
        ("a", "running"),
        *[("a", f"a{n}") for n in range(4)],
        *[("b", f"b{n}") for n in range(2)],
        ("c", "c0"),
    ]
    tasks = [asyncio.create_task(take(turns, order, space, name, hold)) for space, name in work]
    await settled()
    places = turns.places()
    assert order == ["running"]
    assert "running" not in places
    hold.set()
    await asyncio.gather(*tasks)
    assert {name: number for number, name in enumerate(order)} == {"running": 0, **places}


@pytest.mark.parametrize("moment", ["waiting", "chosen", "holding"])
async def test_who_leaves_gives_the_turn_on(moment: str) -> None:
    turns, order, hold = Turns(1), list[str](), asyncio.Event()
    first = asyncio.create_task(take(turns, order, "a", "first", hold))
    await settled()
    second = asyncio.create_task(take(turns, order, "a", "second", hold))
    third = asyncio.create_task(take(turns, order, "b", "third", hold))
    await settled()
    if moment == "waiting":
        second.cancel()
        await settled()
        assert set(turns.places()) == {"third"}
    elif moment == "chosen":
        first.cancel()
        await asyncio.sleep(0)
        second.cancel()
    else:
        first.cancel()
    hold.set()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert "third" in order
    assert ("second" in order) == (moment == "holding")
    assert turns.places() == {}
    async with asyncio.timeout(5), turns.turn("d", "after"):
        pass


async def test_who_was_cancelled_and_has_not_left_yet_is_passed_over() -> None:
    turns, order, hold = Turns(1), list[str](), asyncio.Event()
    hold.set()
    async with turns.turn("a", "first"):
        second = asyncio.create_task(take(turns, order, "a", "second", hold))
        third = asyncio.create_task(take(turns, order, "a", "third", hold))
        await settled()
        # The turn is given back before the cancelled task runs again.
        second.cancel()
    async with asyncio.timeout(5):
        await third
    assert second.cancelled()
    assert order == ["third"]
    async with asyncio.timeout(5), turns.turn("d", "after"):
        pass
