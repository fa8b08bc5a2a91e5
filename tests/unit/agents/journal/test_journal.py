"""What is recorded is handed out, what is not is asked and written down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.agents.journal import journal as module
from services.agents.journal.difference import Difference
from services.agents.journal.entry import Entry, Outcome
from services.agents.journal.journal import Journal
from services.agents.ports import ModelError
from services.chassis.errors import InternalError, NotFoundError, ServiceError, UnavailableError


class Outside:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def of(self, value: Any, after: float = 0.0) -> Callable[[], Awaitable[Any]]:
        async def answer() -> Any:
            self.asked.append(value)
            await asyncio.sleep(after)
            if isinstance(value, Exception):
                raise value
            return value

        return answer


def unknown() -> ServiceError:
    return InternalError("nobody knows", reason="TOOL_OUTCOME_UNKNOWN")


def taped(**options: Any) -> tuple[Journal, list[Entry]]:
    """A new journal and what it writes."""
    entries: list[Entry] = []
    return Journal(write=entries.append, **options), entries


async def test_a_closed_journal_answers_without_asking() -> None:
    first, entries = taped()
    outside = Outside()
    assert await first.ask("search", {"q": 1}, outside.of([1, 2])) == [1, 2]
    assert await first.ask("search", {"q": 1}, outside.of([3])) == [3]
    drawn = first.note("fence", random.random)
    for error in (NotFoundError("no", reason="X", metadata={"a": "b"}), ModelError("down", model="m")):
        with pytest.raises(type(error)):
            await first.ask("embed", str(error), outside.of(error))

    again, silent = Journal(recorded=entries, live=False), Outside()
    assert await again.ask("search", {"q": 1}, silent.of("other")) == [1, 2]
    assert await again.ask("search", {"q": 1}, silent.of("other")) == [3]
    assert again.note("fence", random.random) == drawn
    with pytest.raises(NotFoundError) as refused:
        await again.ask("embed", "no", silent.of("other"))
    assert refused.value.metadata == {"a": "b"}
    with pytest.raises(ModelError, match="down"):
        await again.ask("embed", "down", silent.of("other"))
    assert silent.asked == []
    assert again.left() is None
    assert again.difference is None


async def test_another_question_is_a_difference_and_so_is_all_that_follows() -> None:
    first, entries = taped()
    await first.ask("model", {"text": "Say yes."}, Outside().of("yes"))
    again = Journal(recorded=entries, live=False)
    with pytest.raises(Difference) as met:
        await again.ask("model", {"text": "Say no."}, Outside().of("no"))
    assert (met.value.kind, met.value.position) == ("model", 2)
    assert ("yes" in met.value.recorded, "no" in met.value.repeated) == (True, True)
    with pytest.raises(Difference):
        await again.ask("model", {"text": "Say yes."}, Outside().of("yes"))
    assert again.difference is met.value


async def test_what_is_not_asked_any_more_is_a_difference_at_the_end() -> None:
    first, entries = taped()
    await first.ask("verify", ["a"], Outside().of([True]))
    left = Journal(recorded=entries, live=False).left()
    assert left is not None
    assert (left.kind, left.position, left.repeated) == ("verify", 2, "")


async def test_a_resumed_journal_asks_what_is_not_recorded_and_goes_on_writing() -> None:
    first, entries = taped()
    outside = Outside()
    await first.ask("search", 1, outside.of("one"))
    more: list[Entry] = []
    second = Journal(write=more.append, recorded=entries)
    assert await second.ask("search", 1, outside.of("another")) == "one"
    assert await second.ask("search", 2, outside.of("two")) == "two"
    assert outside.asked == ["one", "two"]
    third = Journal(recorded=[*entries, *more], live=False)
    assert [await third.ask("search", n, outside.of("x")) for n in (1, 2)] == ["one", "two"]


async def test_work_side_by_side_finds_its_own_in_the_recorded_order() -> None:
    async def work(journal: Journal, outside: Outside, waits: dict[str, float]) -> list[str]:
        order: list[str] = []

        async def branch(name: str) -> None:
            for step in range(3):
                value = await journal.ask("tool", f"{name}{step}", outside.of(f"{name}{step}", waits[name]))
                await asyncio.sleep(0)
                order.append(value)

        await asyncio.gather(*map(branch, waits))
        return order

    first, entries = taped()
    order = await work(first, Outside(), {"a": 0.03, "b": 0.01, "c": 0.02})
    silent = Outside()
    again = Journal(recorded=entries, live=False)
    assert await work(again, silent, {"a": 0.0, "b": 0.0, "c": 0.0}) == order
    assert silent.asked == []
    # Cut off in the middle, what was under way is asked again and the rest is not.
    for cut in range(len(entries)):
        outside = Outside()
        resumed = Journal(write=lambda _: None, recorded=entries[:cut])
        assert sorted(await work(resumed, outside, {"a": 0.0, "b": 0.0, "c": 0.0})) == sorted(order)
        assert len(outside.asked) == 9 - max(0, cut - 1)


async def test_what_has_effects_is_in_the_record_before_it_begins_and_done_once() -> None:
    steps: list[str] = []

    async def settled() -> None:
        steps.append(f"settled {len(entries)}")

    first, entries = taped(settled=settled)

    async def act() -> str:
        steps.append(f"done behind {entries[-1].outcome.name}")
        return "sent"

    assert (await first.once("tool", "mail", act, unknown))[0] == "sent"
    assert steps == ["settled 2", "done behind BEGUN", "settled 3"]

    outside = Outside()
    whole = Journal(write=lambda _: None, recorded=entries)
    assert (await whole.once("tool", "mail", outside.of("again"), unknown))[0] == "sent"
    # Nobody knows how it ended: it is not done again, now and whenever this is repeated.
    half, more = taped(recorded=entries[:2])
    with pytest.raises(InternalError, match="nobody knows"):
        await half.once("tool", "mail", outside.of("again"), unknown)
    later = Journal(recorded=[*entries[:2], *more], live=False)
    with pytest.raises(InternalError, match="nobody knows"):
        await later.once("tool", "mail", outside.of("again"), unknown)
    assert outside.asked == []


async def test_what_cannot_be_recorded_is_not_begun() -> None:
    async def settled() -> None:
        raise UnavailableError("no record", reason="SESSION_UNAVAILABLE")

    journal, _ = taped(settled=settled)
    outside = Outside()
    with pytest.raises(UnavailableError):
        await journal.once("tool", "mail", outside.of("sent"), unknown)
    assert outside.asked == []


async def test_too_much_breaks_the_journal_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2_000)
    causes: list[str] = []
    journal, entries = taped()
    journal.on_broken = causes.append
    noise = random.Random(1)
    for number in range(20):
        value = "".join(map(chr, noise.sample(range(33, 2000), 100)))
        assert await journal.ask("search", number, Outside().of(value)) == value
    assert causes == [journal.broken]
    assert "2000 bytes" in journal.broken
    assert entries[-1].outcome is Outcome.BROKEN
    assert len(entries) < 15
    assert Journal(recorded=entries, live=False).broken == journal.broken


async def test_the_clock_goes_on_and_never_back() -> None:
    first, entries = taped()
    readings = [first.clock() for _ in range(3)]
    assert readings == sorted(readings)
    again = Journal(recorded=entries, live=False)
    assert [again.clock() for _ in range(3)] == readings
    with pytest.raises(Difference):
        again.clock()
    resumed = Journal(write=lambda _: None, recorded=entries)
    assert [resumed.clock() for _ in range(3)] == readings
    assert resumed.clock() >= readings[-1]


async def test_within_what_is_written_down_nothing_is_noted() -> None:
    first, entries = taped()

    async def act() -> float:
        return first.clock()

    await first.ask("tool", 1, act)
    assert [entry.kind for entry in entries] == ["begin", "tool"]


async def test_a_run_keeps_the_terms_that_it_began_under() -> None:
    _, entries = taped(terms={"model": True})
    assert Journal(recorded=entries, live=False, terms={"model": False}).terms == {"model": True}


async def test_text_of_a_step_that_was_cut_off_is_taken_back_in_every_repetition() -> None:
    first, entries = taped()
    await first.ask("search", 1, Outside().of("one"))
    second, more = taped(recorded=entries)
    second.on_live = lambda: 3
    await second.ask("search", 1, Outside().of(""))
    await second.ask("model", 1, Outside().of("text"))
    third = Journal(recorded=[*entries, *more], live=False)
    taken: list[int] = []
    third.on_resumed = taken.append
    await third.ask("search", 1, Outside().of(""))
    assert taken == []
    assert await third.ask("model", 1, Outside().of("")) == "text"
    assert taken == [3]
