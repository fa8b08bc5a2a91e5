"""A real task for triage, without and with a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from meldrag.agents.v1 import results_pb2
from services.agents.routing.triage import packaged
from tests.contract.agents.conftest import result_of, streamed
from tests.support.model_server import Answer, ModelServer

Open = Callable[..., Any]
COMPOUND = "Urgent: find out why test_login fails and draw a chart of the sales"
OPEN = "Could somebody have a look at the thing from yesterday?"
SPOKEN = Answer("I cannot tell from the documents.")


def decided(agent_id: str) -> Answer:
    return Answer(
        json.dumps(
            {
                "parts": [{"text": OPEN, "agent_id": agent_id, "confidence": 1}],
                "reasons": ["Nobody can tell what the thing is, so it must be sorted."],
            }
        )
    )


async def test_without_a_model_each_part_gets_its_agent(open_house: Open) -> None:
    house = await open_house(examples=packaged())
    events = await house.run(COMPOUND, agent_id="triage")
    result: results_pb2.TriageResult = result_of(events).result.triage
    assert [(part.agent_id, part.text) for part in result.parts] == [
        ("code_debugger", "Urgent: find out why test_login fails"),
        ("image", "draw a chart of the sales"),
    ]
    assert (result.complexity, result.priority) == ("compound", "high")
    assert result.agent_id in ("code_debugger", "image")
    assert len(result.alternatives) == 3
    assert result.reasons
    assert 0 < result.confidence < 1
    assert "It has 2 parts:" in streamed(events)
    assert "- image" in streamed(events)


async def test_with_a_model_what_is_open_is_decided(open_house: Open) -> None:
    with ModelServer(SPOKEN, decided("triage")) as server:
        house = await open_house(
            server.base_url, examples=packaged(), meld_model_capabilities="gpt-4=tools+json_schema"
        )
        events = await house.run(OPEN, agent_id="triage")
    result = result_of(events)
    triage = result.result.triage
    assert triage.agent_id == "triage"
    assert triage.reasons[0].startswith("A model decided for triage: Nobody can tell")
    assert triage.confidence < 0.6
    assert not result.degradations
    question = str(server.chats[-1].messages[-1]["content"])
    assert "- code_repair: " in question
    assert OPEN in question


async def test_an_agent_that_does_not_exist_is_never_chosen(open_house: Open) -> None:
    with ModelServer(SPOKEN, decided("oracle"), decided("oracle")) as server:
        house = await open_house(
            server.base_url, examples=packaged(), meld_model_capabilities="gpt-4=tools+json_schema"
        )
        events = await house.run(OPEN, agent_id="triage")
    result = result_of(events)
    assert result.result.triage.agent_id != "oracle"
    assert not result.result.triage.reasons[0].startswith("A model decided")
    assert [item.component for item in result.degradations] == ["model"]
    assert "there is no agent 'oracle'" in result.degradations[0].reason


async def test_a_sure_choice_asks_no_model(open_house: Open) -> None:
    with ModelServer(SPOKEN) as server:
        house = await open_house(server.base_url, examples=packaged())
        events = await house.run("Transcribe the recording interview.mp3", agent_id="triage")
    assert result_of(events).result.triage.agent_id == "audio"
    assert len(server.chats) == 1
