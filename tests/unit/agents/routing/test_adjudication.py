"""A model decides what the examples leave open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.routing.adjudication import adjudicate
from services.agents.routing.route import Alternative, Route

PURPOSES = {"ceo": "Decides.", "research": "Finds out.", "audio": "Listens."}
SURE = Route("audio", 0.9, ("because",), (Alternative("ceo", 0.05),))
OPEN = Route("ceo", 0.4, ("because",), (Alternative("research", 0.3), Alternative("audio", 0.2)))


class Model:
    """Answers once, when its answer passes the check; keeps what it was asked."""

    def __init__(self, *parts: str, reasons: tuple[str, ...] = ("It asks for facts.",)) -> None:
        self.answer = results_pb2.TriageResult(
            parts=[results_pb2.TriagePart(agent_id=agent_id) for agent_id in parts], reasons=reasons
        )
        self.asked: list[dict[str, Any]] = []
        self.faults: list[str] = []

    async def __call__(
        self, kind: Any, task: str, *, check: Callable[[Any], None], **said: Any
    ) -> results_pb2.TriageResult | None:
        self.asked.append({"task": task, **said})
        try:
            check(self.answer)
        except ValueError as fault:
            self.faults.append(str(fault))
            return None
        return self.answer


async def test_who_is_sure_asks_nobody() -> None:
    model = Model()
    assert await adjudicate(model, ["Transcribe this"], [SURE], PURPOSES) == [SURE]
    assert not model.asked


async def test_the_model_decides_for_those_that_are_open_alone() -> None:
    model = Model("research")
    routes = await adjudicate(model, ["Transcribe this", "and that?"], [SURE, OPEN], PURPOSES)
    assert routes[0] == SURE
    assert (routes[1].agent_id, routes[1].confidence) == ("research", 0.3)
    assert [one.agent_id for one in routes[1].alternatives] == ["ceo", "audio"]
    assert routes[1].reasons == ("A model decided for research: It asks for facts.", "because")
    (asked,) = model.asked
    assert asked["data"] == {"request 1": "and that?"}
    assert all(f"- {agent_id}: {purpose}" in asked["task"] for agent_id, purpose in PURPOSES.items())
    assert "- request 1: ceo, else research, audio" in asked["task"]


async def test_the_first_choice_may_be_confirmed() -> None:
    (route,) = await adjudicate(Model("ceo"), ["and that?"], [OPEN], PURPOSES)
    assert (route.agent_id, route.confidence, route.alternatives) == ("ceo", 0.4, OPEN.alternatives)
    assert route.reasons[0].startswith("A model decided for ceo")


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (Model("oracle"), "there is no agent 'oracle'; there are ceo, research, audio"),
        (Model("ceo", "audio"), "parts and reasons: 1 each"),
        (Model("ceo", reasons=()), "parts and reasons: 1 each"),
    ],
)
async def test_an_answer_that_does_not_fit_changes_nothing(model: Model, fault: str) -> None:
    assert await adjudicate(model, ["and that?"], [OPEN], PURPOSES) == [OPEN]
    assert len(model.faults) == 1
    assert fault in model.faults[0]
