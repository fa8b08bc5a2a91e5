"""Events of a run, in order, text joined."""

from __future__ import annotations

import asyncio

import pytest

from meldrag.agents.v1 import agents_pb2
from services.agents.journal.difference import Difference
from services.agents.ledger import Ledger
from services.agents.model import Degradation
from services.agents.run import Run, RunKey
from services.chassis.errors import NotFoundError


def begun() -> tuple[Run, list[agents_pb2.RunAgentResponse]]:
    """A run and what its recorder hears."""
    heard: list[agents_pb2.RunAgentResponse] = []
    return Run(RunKey("run_1", "local", ""), Ledger.of(model_calls=3), heard.append), heard


def end(run: Run) -> None:
    """Emits the last event."""
    run.emit(ended=agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_SUCCEEDED))


async def test_the_first_text_goes_at_once_and_the_rest_together() -> None:
    run, heard = begun()
    for word in ("a ", "b ", "c ", "d"):
        run.say(word)
    assert [event.text.text for event in heard] == ["a "]
    await asyncio.sleep(0.1)
    assert [event.text.text for event in heard] == ["a ", "b c d"]


async def test_waiting_text_goes_out_before_another_event() -> None:
    run, heard = begun()
    run.say("a ")
    run.say("b")
    run.degrade(Degradation("model", "gone"))
    assert [event.WhichOneof("event") for event in heard] == ["text", "text", "degradation"]
    assert [event.sequence for event in heard] == [1, 2, 3]


async def test_a_restart_replaces_the_text() -> None:
    run, heard = begun()
    run.say("wrong")
    run.restart("right")
    run.say(" on")
    assert run.text == "right on"
    assert heard[1].text.reset


async def test_following_ends_with_the_last_event() -> None:
    run, _ = begun()

    async def work() -> None:
        run.say("a")
        await asyncio.sleep(0.03)
        run.say("b")
        end(run)

    task = asyncio.create_task(work())
    events = [event async for event in run.follow()]
    await task
    assert [event.sequence for event in events] == [1, 2, 3]
    assert events[-1].HasField("ended")
    assert run.over


async def test_a_refusal_is_raised() -> None:
    run, _ = begun()
    run.refuse(NotFoundError("no", reason="AGENT_NOT_FOUND"))
    with pytest.raises(NotFoundError):
        await anext(run.follow())


async def told(run: Run) -> None:
    """What a small run says."""
    run.say("It was ")
    await asyncio.sleep(0.03)
    run.say("built ")
    run.say("in 1884.")
    run.degrade(Degradation("model", "gone"))


async def test_a_repeated_run_tells_the_recorded_events_and_records_none_again() -> None:
    first, recorded = begun()
    await told(first)
    heard: list[agents_pb2.RunAgentResponse] = []
    again = Run(RunKey("run_1", "local", ""), Ledger.of(model_calls=3), heard.append, past=recorded)
    # The same text in other pieces, at another time.
    for character in "It was built in 1884.":
        again.say(character)
    again.degrade(Degradation("model", "gone"))
    assert list(again.events()) == recorded
    assert heard == []
    assert again.left() is None
    again.say("more")
    again.settle_text()
    assert [event.sequence for event in heard] == [len(recorded) + 1]


@pytest.mark.parametrize("text", ["It was", "It was built in 1885.", "It was built in 1884. Or so."])
async def test_other_text_is_a_difference(text: str) -> None:
    first, recorded = begun()
    await told(first)
    again = Run(RunKey("run_1", "local", ""), Ledger.of(model_calls=3), [].append, past=recorded)

    def tell() -> None:
        again.say(text)
        again.degrade(Degradation("model", "gone"))

    with pytest.raises(Difference):
        tell()
    assert again.journal.difference is not None
    # It ends behind what is recorded.
    again.settle_past()
    assert [event.sequence for event in again.events()] == list(range(1, len(recorded) + 1))


async def test_an_event_that_does_not_come_again_is_left() -> None:
    first, recorded = begun()
    await told(first)
    again = Run(RunKey("run_1", "local", ""), Ledger.of(model_calls=3), [].append, past=recorded)
    again.say("It was built in 1884.")
    left = again.left()
    assert left is not None
    assert (left.kind, left.position) == ("event", len(recorded))
