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


# -- failures ----------------------------------------------------------------------------------------------


def why(result: results_pb2.ExecutorResult, step_id: str) -> str:
    (told,) = [told for told in result.steps if told.step_id == step_id]
    return told.reason


async def test_a_failure_stops_the_workflow(house: Client, gang: Gang) -> None:
    work = asyncio.create_task(
        flows.run(
            house, step("held", "hold"), step("a", "fail"), step("b", after=["a"]), step("c", after=["held"])
        )
    )
    said = await work
    result = outcome(said)
    assert states(result) == {"held": "CANCELLED", "a": "FAILED", "b": "SKIPPED", "c": "SKIPPED"}
    assert "it was told to" in why(result, "a")
    assert "stopped" in why(result, "c")
    assert len(result.undone) == 4
    assert gang.asked in (["hold", "fail"], ["fail", "hold"], ["fail"])
    held = [event for of, event in said if of == "held"]
    assert not any(event.ended.outcome == agents_pb2.RUN_OUTCOME_SUCCEEDED for event in held)


async def test_a_failure_skips_what_comes_after_it(house: Client, gang: Gang) -> None:
    said = await flows.run(
        house,
        step("a", "fail", on_failure="FAILURE_POLICY_SKIP"),
        step("b", after=["a"]),
        step("c", after=["b"]),
        step("d"),
        step("e", after=["d"]),
    )
    assert states(outcome(said)) == {
        "a": "FAILED",
        "b": "SKIPPED",
        "c": "SKIPPED",
        "d": "SUCCEEDED",
        "e": "SUCCEEDED",
    }
    assert why(outcome(said), "c") == "b, which it comes after, did not succeed"
    assert sorted(gang.asked) == ["d", "e", "fail"]


async def test_what_comes_after_a_failure_goes_on_without_it(house: Client, gang: Gang) -> None:
    said = await flows.run(
        house,
        step("a", "fail", on_failure="FAILURE_POLICY_CONTINUE"),
        step("b", "after {a.state}, found <{a.text}>"),
        step("c", bindings=[{"input": "files", "source": "a.gaps", "optional": True}], agent_id="auto"),
    )
    result = outcome(said)
    assert states(result)["b"] == "SUCCEEDED"
    assert "after FAILED, found <>" in gang.asked


async def test_a_step_is_tried_again_while_it_fails(house: Client, gang: Gang) -> None:
    said = await flows.run(house, step("a", "fail 2", attempts=3), step("b", after=["a"]))
    result = outcome(said)
    assert states(result) == {"a": "SUCCEEDED", "b": "SUCCEEDED"}
    assert result.steps[0].attempts == 3
    runs = [event.step.run_id for event in own(said) if event.HasField("step") and event.step.step_id == "a"]
    assert len(set(runs)) == 3
    assert gang.asked == ["fail 2", "fail 2", "fail 2", "b"]
    assert "a: succeeded at try 3" in said[-1][1].ended.result.text


async def test_tries_have_an_end(house: Client, gang: Gang) -> None:
    said = await flows.run(house, step("a", "fail 2", attempts=2))
    assert (states(outcome(said)), gang.asked) == ({"a": "FAILED"}, ["fail 2"] * 2)
    assert outcome(said).steps[0].error == "TOLD_TO"


async def test_a_step_that_takes_too_long_fails(house: Client, gang: Gang) -> None:
    said = await flows.run(house, step("a", "hold", timeout="1s"))
    assert states(outcome(said)) == {"a": "FAILED"}
    assert outcome(said).steps[0].error == "DEADLINE"
    assert gang.inside == 0, "it was stopped"


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ({"source": "a.state", "value": "SUCCEEDED"}, True),
        ({"source": "a.gaps", "comparison": "COMPARISON_CONTAINS", "value": "a"}, True),
        ({"source": "a.gaps", "comparison": "COMPARISON_ABSENT"}, False),
        ({"source": "a.confidence", "comparison": "COMPARISON_GREATER", "value": 0.7}, False),
        ({"source": "inputs.wanted", "comparison": "COMPARISON_PRESENT"}, False),
        ({"source": "inputs.there", "comparison": "COMPARISON_PRESENT"}, True),
    ],
)
async def test_a_step_runs_if_its_condition_holds(house: Client, condition: Any, *, runs: bool) -> None:
    said = await flows.run(
        house,
        step("a"),
        step("b", after=["a"], condition=condition),
        step("c", after=["b"]),
        inputs={"there": 1},
    )
    result = outcome(said)
    assert states(result) == {"a": "SUCCEEDED", "b": "SUCCEEDED" if runs else "SKIPPED", "c": "SUCCEEDED"}
    if not runs:
        assert condition["source"] in why(result, "b")


async def test_a_binding_at_which_nothing_stands_fails_the_step(house: Client, gang: Gang) -> None:
    said = await flows.run(
        house, step("a", agent_id="code_repair", bindings=[{"input": "files", "source": "inputs.files"}])
    )
    assert states(outcome(said)) == {"a": "FAILED"}
    assert outcome(said).steps[0].error == "INPUTS_INVALID"
    assert "inputs.files" in why(outcome(said), "a")


async def test_what_does_not_fit_when_it_is_there_fails_the_step(house: Client, gang: Gang) -> None:
    said = await flows.run(
        house,
        step(
            "a", agent_id="code_repair", bindings=[{"input": "files", "source": "inputs.files"}], attempts=3
        ),
        inputs={"files": [{"name": "x"}]},
    )
    (told,) = outcome(said).steps
    assert (told.error, told.attempts) == ("INPUTS_INVALID", 1), "trying again does not help"


async def test_types_that_can_never_fit_are_refused(house: Client) -> None:
    bound = step("b", agent_id="code_repair", bindings=[{"input": "files", "source": "a.confidence"}])
    error = await refusal(house, step("a"), bound)
    assert error.metadata["step_id"] == "b"
    assert error.metadata["path"] == "bindings[0].source"
    assert "a number stands there, and an array is needed" in error.metadata["cause"]


async def test_a_loop_of_workflows_ends(house: Client, gang: Gang) -> None:
    inner: dict[str, Any] = step("leaf")
    for depth in range(5):
        inner = step(f"w{depth}", agent_id="executor", inputs={"steps": [inner]})
    events = own(await flows.run(house, inner))
    assert events[-1].ended.outcome == agents_pb2.RUN_OUTCOME_FAILED
    assert events[-1].ended.error.reason == "BUDGET_EXHAUSTED"
    assert "hops" in events[-1].ended.error.message
    assert not gang.asked


async def test_a_workflow_within_a_workflow(house: Client, gang: Gang) -> None:
    said = await flows.run(
        house,
        step("outer", agent_id="executor", inputs={"steps": [step("leaf"), step("other", after=["leaf"])]}),
        step("last", "{outer.steps.1.output}"),
    )
    assert states(outcome(said)) == {"outer": "SUCCEEDED", "last": "SUCCEEDED"}
    assert {of for of, _ in said} == {"", "outer", "outer.leaf", "outer.other", "last"}
    assert gang.asked[:2] == ["leaf", "other"]


async def test_what_the_steps_use_is_charged_to_the_workflow(open_house: Open, gang: Gang) -> None:
    house = await open_house(registry=gang.registry(), meld_max_tool_calls=5)
    said = await flows.run(house, step("a"), step("b", after=["a"]))
    # Each run is a use, and uses a tool.
    assert said[-1][1].ended.result.usage.tool_calls == 4
    said = await flows.run(house, step("a"), step("b", after=["a"]), step("c", after=["b"]))
    result = said[-1][1].ended.result
    assert [degraded.component for degraded in result.degradations] == ["budget"]
    assert states(result.result.executor) == {"a": "SUCCEEDED", "b": "SUCCEEDED", "c": "FAILED"}
