"""Tools: allowed ones only, told, counted, timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from meldrag.agents.v1 import agents_pb2
from services.agents.ledger import Ledger
from services.agents.ports import JsonObject
from services.agents.run import Run, RunKey
from services.agents.tools import MAX_RESULT_BYTES, Toolbox
from services.chassis import context
from services.chassis.errors import InternalError, ResourceExhaustedError, UnavailableError


class Bench:
    """A toolbox of the agent "mender", which has a hammer, and the events of its run."""

    def __init__(self, **limits: float) -> None:
        self.events: list[agents_pb2.RunAgentResponse] = []
        self.ledger = Ledger.of(**limits)
        self.run = Run(RunKey("run_1", "local", ""), self.ledger, self.events.append)
        self.box = Toolbox(self.run, "mender", ("hammer",))

    async def use(
        self,
        action: Callable[[], Awaitable[JsonObject]],
        arguments: JsonObject | None = None,
        tool: str = "hammer",
    ) -> JsonObject:
        return await self.box.use(tool, arguments or {}, action, lambda result: f"{len(result)} entries")


async def struck() -> JsonObject:
    return {"nails": 3}


async def test_a_use_is_told_from_its_beginning_to_its_end() -> None:
    bench = Bench()
    assert await bench.use(struck, {"nail": "long"}) == {"nails": 3}
    started, finished, usage = bench.events
    assert started.tool_started.tool == "hammer"
    assert dict(started.tool_started.arguments) == {"nail": "long"}
    assert finished.tool_finished.call_id == started.tool_started.call_id
    assert (finished.tool_finished.succeeded, finished.tool_finished.summary) == (True, "1 entries")
    assert finished.tool_finished.HasField("duration")
    assert usage.usage.tool_calls == 1


async def test_uses_have_names_of_their_own() -> None:
    bench = Bench()
    await bench.use(struck)
    await bench.use(struck)
    names = [event.tool_started.call_id for event in bench.events if event.HasField("tool_started")]
    assert len(set(names)) == 2


async def test_a_tool_that_the_agent_does_not_name_is_a_defect_and_does_nothing() -> None:
    bench, done = Bench(), []

    async def saw() -> JsonObject:
        done.append("saw")
        return {}

    with pytest.raises(LookupError, match="mender does not name the tool 'saw'"):
        await bench.use(saw, tool="saw")
    assert (done, bench.events, bench.ledger.tool_calls) == ([], [], 0)


async def test_a_failure_is_told_and_goes_on() -> None:
    bench = Bench()

    async def broken() -> JsonObject:
        raise UnavailableError("the handle broke", reason="TOOL_UNAVAILABLE")

    with pytest.raises(UnavailableError, match="the handle broke"):
        await bench.use(broken)
    finished = bench.events[1].tool_finished
    assert (finished.succeeded, finished.summary) == (False, "the handle broke")


async def test_beyond_the_limit_no_tool_begins() -> None:
    bench = Bench(tool_calls=1)
    await bench.use(struck)
    with pytest.raises(ResourceExhaustedError) as caught:
        await bench.use(struck)
    assert caught.value.reason == "BUDGET_EXHAUSTED"
    assert caught.value.metadata == {"limit": "1", "unit": "tool calls"}
    assert sum(event.HasField("tool_started") for event in bench.events) == 1


async def forever() -> JsonObject:
    await asyncio.Event().wait()
    return {}


async def test_a_tool_ends_with_the_time_of_the_run() -> None:
    bench = Bench(seconds=0.05)
    with pytest.raises(ResourceExhaustedError) as caught:
        await bench.use(forever)
    assert (caught.value.reason, caught.value.metadata["unit"]) == ("BUDGET_EXHAUSTED", "seconds")
    assert not bench.events[1].tool_finished.succeeded


async def test_a_tool_leaves_time_before_the_callers_deadline_to_end_with_what_there_is() -> None:
    call = context.Call(context.LOCAL_OWNER, "r", time.monotonic() + 1.0)
    with context.entered(call):
        bench = Bench()
        with pytest.raises(ResourceExhaustedError) as caught:
            await bench.use(forever)
        assert caught.value.reason == "BUDGET_EXHAUSTED"
        assert context.remaining() > 0


async def test_a_cancelled_use_is_told_too() -> None:
    bench = Bench()
    task = asyncio.create_task(bench.use(forever))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [event.WhichOneof("event") for event in bench.events] == ["tool_started", "tool_finished", "usage"]
    assert not bench.events[1].tool_finished.succeeded


async def test_events_name_what_was_given_and_do_not_repeat_it_all() -> None:
    bench = Bench()
    files = [{"path": f"{number}.py", "content": "x" * 5000} for number in range(300)]
    await bench.use(struck, {"files": files, "deep": {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}})
    event = bench.events[0]
    assert event.ByteSize() < 12_000
    shown = event.tool_started.arguments
    assert "0.py" in str(shown)
    assert "x" * 1000 not in str(shown)


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        ({"log": "x" * MAX_RESULT_BYTES}, "bytes"),
        ({"score": float("nan")}, "JSON compliant"),
        ({"path": object()}, "not JSON serializable"),
    ],
)
async def test_a_result_that_cannot_be_recorded_is_no_result(result: JsonObject, cause: str) -> None:
    bench = Bench()

    async def made() -> JsonObject:
        return result

    with pytest.raises(InternalError, match=cause) as caught:
        await bench.use(made)
    assert caught.value.reason == "RESULT_INVALID"
    assert not bench.events[1].tool_finished.succeeded
