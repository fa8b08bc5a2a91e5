"""The ceo over a real channel: the task of docs/agents.md, without and with a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2
from services.agents.roster.registry import Registry
from services.agents.routing.triage import packaged
from services.agents.workflow.graph import validate
from tests.contract.agents.conftest import DEFAULT, result_of
from tests.contract.agents.neighbours import VectorNeighbour
from tests.support.model_server import Answer, ModelServer

Open = Callable[..., Any]

QUESTION = "Find out what the ferries cost, then decide which ferry we charter."
FERRIES = """ferry,price,seats
unit,crowns,
weight,2,1
direction,lower,higher
at least,,100
Aurora,400,120
Borea,500,180
Cetus,300,80
"""
QUOTE = "Aurora cannot sail in winter."


@pytest.fixture(autouse=True)
def offers(vector: VectorNeighbour) -> None:
    vector.put(DEFAULT, "Offers", f"The ferry Aurora has a price of 400 crowns. {QUOTE} Ferries need a crew.")


async def test_stated_numbers_decide_and_the_rest_is_told(open_house: Open) -> None:
    house = await open_house(examples=packaged())
    result = result_of(await house.run(QUESTION, agent_id="ceo", inputs={"csv": FERRIES}))
    found = result.result.ceo
    assert found.decision == "Aurora"
    sums = {option.option: option.score for option in found.options if option.HasField("score")}
    assert sums == pytest.approx({"Aurora": 2 / 3, "Borea": 1 / 3})
    (cetus,) = [option for option in found.options if option.excluded]
    assert list(cetus.excluded) == ["seats is 80, and has to be at least 100"]
    (flip,) = [flip for flip in found.flips if flip.criterion == "price"]
    assert (flip.option, flip.flip_share) == ("Borea", pytest.approx(0.5))
    aurora = found.options[0]
    price = next(cell for cell in aurora.criteria if cell.criterion == "price")
    assert [finding.statement for finding in price.evidence] == [
        "The ferry Aurora has a price of 400 crowns."
    ]
    cited = {citation.number: citation.quote for citation in result.citations}
    assert cited[price.evidence[0].citations[0]] == price.evidence[0].statement
    validate(found.plan, Registry())
    assert len(found.plan) >= 2
    assert found.plan[-1].after
    assert not found.HasField("opinion")
    assert "Decision: Aurora." in result.text


async def test_the_plan_of_the_ceo_is_one_that_the_service_runs(open_house: Open) -> None:
    house = await open_house(examples=packaged())
    planned = result_of(await house.run("Find the price of the ferry Aurora.", agent_id="ceo")).result.ceo
    request = agents_pb2.RunWorkflowRequest(message="Go", steps=planned.plan)
    events = [event async for event in house.stub.RunWorkflow(request, timeout=30)]
    ended = [event.event.ended for event in events if event.event.HasField("ended") and not event.step_id]
    assert [end.outcome for end in ended] == [agents_pb2.RUN_OUTCOME_SUCCEEDED]


async def test_a_models_advice_is_verified_and_its_plan_mended(open_house: Open) -> None:
    advice = {
        "strategy": [
            {"statement": "Charter it for the summer only.", "quote": QUOTE},
            {"statement": "It is the fastest.", "quote": "Aurora is the fastest"},
        ],
        "risks": [],
        "would_change": ["A winter timetable."],
        "scores": [],
    }

    def plan(agent: str) -> Answer:
        step = {"step_id": "ask", "agent_id": agent, "message": "Ask for dates.", "after": [], "owner": "Ann"}
        return Answer(json.dumps({"steps": [step]}))

    with ModelServer(
        Answer("Aurora [1]."), Answer(json.dumps(advice)), plan("harbour_master"), plan("research")
    ) as server:
        house = await open_house(server.base_url, examples=packaged())
        result = result_of(await house.run(QUESTION, agent_id="ceo", inputs={"csv": FERRIES}))
        assert "harbour_master" in str(server.chats[-1].body["messages"][-1])
    found = result.result.ceo
    assert found.decision == "Aurora"
    (strategy,) = found.opinion.strategy
    cited = {citation.number: citation.quote for citation in result.citations}
    assert [cited[number] for number in strategy.citations] == [QUOTE]
    assert found.opinion.dropped_count == 1
    assert [(step.step_id, step.agent_id) for step in found.plan] == [("ask", "research")]
    assert found.plan_proposed
    assert [(owner.step_id, owner.owner) for owner in found.opinion.owners] == [("ask", "Ann")]


async def test_inputs_that_contradict_are_refused(open_house: Open) -> None:
    house = await open_house(examples=packaged())
    events = await house.run(QUESTION, agent_id="ceo", inputs={"csv": "ferry,price\nAurora,1\nAurora,2\n"})
    assert events[-1].ended.error.reason == "INPUTS_INVALID"
    assert "two scores" in events[-1].ended.error.message
