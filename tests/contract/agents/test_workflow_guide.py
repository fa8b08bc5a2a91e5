"""The example in docs/workflows.md does what the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meldrag.agents.v1 import agents_pb2
from services.gateway import steps
from services.gateway.body import Fields
from tests.contract.agents import flows
from tests.contract.agents.flows import outcome, states

Open = Callable[..., Any]
PAGE = Path(__file__).resolve().parents[3] / "docs" / "workflows.md"


def example() -> agents_pb2.RunWorkflowRequest:
    """The one in the page, read as the gateway reads it."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    body = Fields(json.loads(text))
    return agents_pb2.RunWorkflowRequest(
        message=body.text("message"), inputs=body.struct("inputs"), steps=steps.steps(body.objects("steps"))
    )


async def test_the_example_runs(open_house: Open) -> None:
    house = await open_house()
    said = []
    asked = ""
    async for response in house.stub.RunWorkflow(example(), timeout=30):
        said.append((response.step_id, response.event))
        if flows.changes([response.event]) == ["ok WAITING"]:
            asked = response.event.step.reason
            await house.stub.DecideStep(
                agents_pb2.DecideStepRequest(run_id=response.event.run_id, step_id="ok", approved=True)
            )
    assert asked.startswith("Found: The lighthouse of Brava was built in 1884. [1]")
    assert states(outcome(said)) == dict.fromkeys(("built", "reach", "ok", "lamp", "all"), "SUCCEEDED")
    result = said[-1][1].ended.result
    quotes = {citation.quote for citation in result.citations}
    assert "The lighthouse of Brava was built in 1884." in quotes
    assert "The ferry to Brava leaves twice a day." in quotes
    assert "Its lamp burns whale oil." in quotes
    assert all(f"[{citation.number}]" in result.text for citation in result.citations)
    assert not outcome(said).undone
