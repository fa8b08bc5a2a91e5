"""Melds: two agents disagree over two documents, and the answer names the conflict with both citations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meldrag.agents.v1 import agents_pb2
from tests.contract.agents import flows
from tests.contract.agents.flows import outcome, states, step
from tests.contract.agents.neighbours import VectorNeighbour
from tests.contract.agents.test_workflow_life import identical

Open = Callable[..., Any]

BOTH = (
    step("one", "When was the harbour of Brava built?", collection_ids=["north"]),
    step("two", "When was the harbour of Brava built?", collection_ids=["south"]),
    {"step_id": "both", "after": ["one", "two"], "meld": {}},
)


async def test_a_conflict_is_named_with_both_citations(open_house: Open, vector: VectorNeighbour) -> None:
    vector.put("north", "Chronicle", "The harbour of Brava was built in 1850. It froze in winter.")
    vector.put("south", "Atlas", "The harbour of Brava was built in 1871. Its pier is short.")
    house = await open_house()
    said = await flows.run(house, *BOTH, message="When was the harbour of Brava built?")
    result = said[-1][1].ended.result
    executor = outcome(said)
    assert states(executor) == dict.fromkeys(("one", "two", "both"), "SUCCEEDED")
    (conflict,) = executor.meld.conflicts
    cited = {citation.number: citation for citation in result.citations}
    quotes = {cited[number].quote for side in conflict.sides for number in side.citations}
    assert quotes == {
        "The harbour of Brava was built in 1850.",
        "The harbour of Brava was built in 1871.",
    }
    assert {cited[n].title for side in conflict.sides for n in side.citations} == {"Chronicle", "Atlas"}
    assert all(f"[{number}]" in result.text for side in conflict.sides for number in side.citations)
    assert executor.answer == executor.meld.answer
    await identical(house, said)


async def test_a_quote_that_holds_no_longer_is_not_cited(open_house: Open, vector: VectorNeighbour) -> None:
    """What the steps cited is verified again by whoever takes it over."""
    vector.put("north", "Chronicle", "The harbour of Brava was built in 1850.")
    house = await open_house()
    call = house.stub.RunWorkflow(
        flows.request(
            step("one", "When was the harbour of Brava built?", collection_ids=["north"]),
            {"step_id": "ok", "after": ["one"], "approval": {"question": "Go on?"}},
        ),
        timeout=30,
    )
    said = []
    async for response in call:
        said.append((response.step_id, response.event))
        if flows.changes([response.event]) == ["ok WAITING"]:
            vector.forged.add("1850")
            await house.stub.DecideStep(_yes(response.event.run_id))
    result = said[-1][1].ended.result
    assert "built in 1850" in result.text
    assert not result.citations
    assert "[1]" not in result.text


def _yes(run_id: str) -> agents_pb2.DecideStepRequest:
    return agents_pb2.DecideStepRequest(run_id=run_id, step_id="ok", approved=True)


async def test_a_meld_of_nothing_fails(open_house: Open) -> None:
    house = await open_house()
    said = await flows.run(
        house,
        step("one", "x", on_failure="FAILURE_POLICY_CONTINUE", collection_ids=["none"]),
        {"step_id": "both", "after": ["one"], "meld": {}},
    )
    assert states(outcome(said)) == {"one": "FAILED", "both": "FAILED"}
