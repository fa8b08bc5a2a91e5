"""Plans that a model makes of words: they are checked, shown, approved and run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2, results_pb2
from tests.contract.agents import flows
from tests.contract.agents.conftest import Client, result_of
from tests.contract.agents.flows import Gang, outcome, states
from tests.contract.agents.test_workflow_life import identical
from tests.support.model_server import Answer, ModelServer

Open = Callable[..., Any]

TASK = "Find out when the ferry leaves, then tell it to the crew."


def planned(step_id: str, **fields: Any) -> dict[str, Any]:
    """A step as a model writes it."""
    empty = {"title": "", "message": "", "after": [], "inputs_json": "", "bindings": []}
    return {"step_id": step_id, "agent_id": "research"} | empty | fields


PLAN = json.dumps(
    {
        "steps": [
            planned("look", title="Look it up", message="When does the ferry leave?"),
            planned("tell", message="Tell them: {look.state}"),
        ]
    }
)
CIRCLE = json.dumps({"steps": [planned("look", after=["tell"]), planned("tell", after=["look"])]})


@pytest.fixture
def gang() -> Gang:
    return Gang()


async def test_a_plan_is_shown_and_not_run(open_house: Open, gang: Gang) -> None:
    with ModelServer(Answer("It leaves twice a day [1]."), Answer(PLAN)) as server:
        house: Client = await open_house(server.base_url, registry=gang.registry())
        result = result_of(await house.run(TASK, agent_id="executor"))
    made = result.result.executor
    assert [step.step_id for step in made.plan] == ["look", "tell"]
    assert set(states(made).values()) == {"PENDING"}
    assert len(made.undone) == 2
    assert "The plan, which was not run:\n\n- Look it up (research)" in result.text
    assert not gang.asked


async def test_a_plan_is_run_when_somebody_approves_it(open_house: Open, gang: Gang) -> None:
    answers = [Answer("Twice a day [1]."), Answer(PLAN), Answer("It does [1].")]
    with ModelServer(*answers) as server:
        house: Client = await open_house(server.base_url, registry=gang.registry())
        call = house.stub.RunWorkflow(agents_pb2.RunWorkflowRequest(message=TASK), timeout=30)
        said = []
        async for response in call:
            said.append((response.step_id, response.event))
            if flows.changes([response.event]) == ["approve_plan WAITING"]:
                assert not gang.asked
                assert "Look it up (research)" in response.event.step.reason
                await house.stub.DecideStep(
                    agents_pb2.DecideStepRequest(
                        run_id=response.event.run_id, step_id="approve_plan", approved=True
                    )
                )
        assert set(states(outcome(said)).values()) == {"SUCCEEDED"}
        assert gang.asked == ["When does the ferry leave?", "Tell them: SUCCEEDED"]
        assert [step.step_id for step in outcome(said).plan] == ["look", "tell"]
        await identical(house, said)


async def test_a_plan_that_cannot_be_run_is_mended_once(open_house: Open, gang: Gang) -> None:
    answers = [Answer("Twice a day [1]."), Answer(CIRCLE), Answer(PLAN), Answer("x [1].")]
    with ModelServer(*answers) as server:
        house: Client = await open_house(server.base_url, registry=gang.registry())
        events = await house.run(TASK, agent_id="executor", inputs={"plan_use": "PLAN_USE_RUN"})
        repair = server.chats[2].messages[-1]["content"]
    assert set(states(result_of(events).result.executor).values()) == {"SUCCEEDED"}
    assert "circle" in repair
    assert gang.asked[0] == "When does the ferry leave?"


async def test_without_a_model_there_is_no_plan_and_nothing_is_run(open_house: Open, gang: Gang) -> None:
    house: Client = await open_house(registry=gang.registry())
    said = await flows.run(house, message=TASK)
    made = outcome(said)
    assert isinstance(made, results_pb2.ExecutorResult)
    assert not made.plan
    assert {told.verdict for told in made.steps} == {results_pb2.VERDICT_NOT_RUN}
    assert not gang.asked
