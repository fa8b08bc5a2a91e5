"""Workflows: what runs when, what is passed on, and what a failure means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.chassis.errors import ServiceError
from tests.contract.agents import flows
from tests.contract.agents.conftest import Client
from tests.contract.agents.flows import Gang, changes, outcome, own, states, step
from tests.contract.agents.neighbours import SessionNeighbour

Open = Callable[..., Any]


@pytest.fixture
def gang() -> Gang:
    return Gang()


@pytest.fixture
async def house(open_house: Open, gang: Gang) -> Client:
    made: Client = await open_house(registry=gang.registry())
    return made


async def test_a_step_begins_when_those_it_comes_after_have_ended(house: Client, gang: Gang) -> None:
    said = await flows.run(house, step("a"), step("b", after=["a"]), step("c", after=["b"]))
    assert gang.asked == ["a", "b", "c"]
    assert changes(own(said)) == [
        *("a RUNNING", "a SUCCEEDED", "b RUNNING", "b SUCCEEDED", "c RUNNING", "c SUCCEEDED")
    ]
    result = outcome(said)
    assert states(result) == dict.fromkeys("abc", "SUCCEEDED")
    assert not result.undone
    for told in result.steps:
        assert told.run_id.startswith("run_")
        assert (told.agent_id, told.attempts) == ("research", 1)
        assert told.begin_time.ToNanoseconds() < told.end_time.ToNanoseconds()
    assert said[-1][1].ended.result.agent_id == "executor"


async def test_steps_that_do_not_need_each_other_are_at_work_at_once(house: Client, gang: Gang) -> None:
    work = asyncio.create_task(flows.run(house, *(step(f"s{n}", "hold") for n in range(4))))
    await gang.inside_are(4)
    gang.let_go.set()
    assert states(outcome(await work)) == {f"s{n}": "SUCCEEDED" for n in range(4)}


async def test_no_more_than_eight_runs_of_a_workflow_are_at_work_at_once(house: Client, gang: Gang) -> None:
    work = asyncio.create_task(flows.run(house, *(step(f"s{n}", "hold") for n in range(12))))
    await gang.inside_are(8)
    gang.let_go.set()
    assert set(states(outcome(await work)).values()) == {"SUCCEEDED"}
    assert gang.most == 8


async def test_events_of_the_runs_below_come_in_between_with_their_step(house: Client) -> None:
    said = await flows.run(house, step("a"), step("b", after=["a"]))
    for step_id in "ab":
        below = [event for of, event in said if of == step_id]
        assert below[0].HasField("started")
        assert below[-1].ended.outcome == agents_pb2.RUN_OUTCOME_SUCCEEDED
        assert [event.sequence for event in below] == list(range(1, len(below) + 1))
        (told,) = [s for s in outcome(said).steps if s.step_id == step_id]
        assert {event.run_id for event in below} == {told.run_id}
    assert [event.sequence for event in own(said)] == list(range(1, len(own(said)) + 1))
    assert said[-1] == ("", own(said)[-1])


async def test_what_a_step_found_is_passed_on(house: Client, gang: Gang) -> None:
    said = await flows.run(
        house,
        step("a", "one"),
        step("b", "{message} {a.gaps.0} {inputs.colour} {a.state} {a.confidence} {other}"),
        message="Tell me.",
        inputs={"colour": "blue"},
    )
    assert gang.asked == ["one", "Tell me. one blue SUCCEEDED 0.5 {other}"]
    assert outcome(said).steps[1].state


async def test_runs_below_are_recorded_as_such(house: Client, session: SessionNeighbour) -> None:
    said = await flows.run(house, step("a"))
    parent = said[-1][1].run_id
    (told,) = outcome(said).steps
    assert session.runs[told.run_id].parent_run_id == parent
    assert session.runs[parent].parent_run_id == ""


async def refusal(house: Client, *plain: dict[str, Any], **fields: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await flows.run(house, *plain, **fields)
    return caught.value


async def test_a_graph_that_cannot_be_run_is_refused_before_anything_runs(
    house: Client, gang: Gang, session: SessionNeighbour
) -> None:
    error = await refusal(house, step("a", after=["b"]), step("b", "{a.text}"))
    assert (error.reason, error.metadata["step_id"]) == ("WORKFLOW_INVALID", "a")
    assert "circle" in error.metadata["cause"]
    assert (await refusal(house, workflow_id="nobody")).reason == "WORKFLOW_NOT_FOUND"
    assert not gang.asked
    assert not session.runs


async def test_the_answer_of_the_last_step_is_the_workflows_with_its_citations(open_house: Open) -> None:
    house = await open_house()
    said = await flows.run(
        house,
        step("first", "When does the bakery open?"),
        step("last", "When was the lighthouse of Brava built?", after=["first"]),
    )
    result = said[-1][1].ended.result
    assert "The lighthouse of Brava was built in 1884. [1]" in result.text
    assert "- first: succeeded" in result.text
    (citation,) = result.citations[:1]
    assert (citation.number, citation.quote) == (1, "The lighthouse of Brava was built in 1884.")
    assert "bakery" not in result.text.lower()
    first, last = result.result.executor.steps
    assert "The bakery opens at six." in first.output
    assert not first.citations
    assert 1 in last.citations
    assert isinstance(result.result.executor, results_pb2.ExecutorResult)
