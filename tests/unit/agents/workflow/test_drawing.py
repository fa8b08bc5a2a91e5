"""Pictures of workflows."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from google.protobuf import json_format

from meldrag.agents.v1 import workflow_pb2
from services.agents.roster.registry import Registry
from services.agents.workflow import graph
from services.agents.workflow.drawing import draw
from services.chassis.errors import InvalidArgumentError

SVG = "{http://www.w3.org/2000/svg}"
REGISTRY = Registry()


def picture(*plain: dict[str, Any], title: str = "Mine") -> ElementTree.Element:
    steps = [json_format.ParseDict(step, workflow_pb2.WorkflowStep()) for step in plain]
    return ElementTree.fromstring(draw(title, graph.validate(steps, REGISTRY)))


def described(drawn: ElementTree.Element) -> str:
    return drawn.findtext(f"{SVG}desc") or ""


def test_each_step_is_a_box_and_each_direct_need_an_arrow() -> None:
    drawn = picture(
        {"step_id": "a", "agent_id": "research", "title": "Look"},
        {"step_id": "b", "agent_id": "coaching", "after": ["a"]},
        {"step_id": "c", "approval": {"question": "Go on?"}, "after": ["b"]},
        {"step_id": "d", "meld": {}, "after": ["a", "b", "c"]},
    )
    assert len(drawn.findall(f"{SVG}rect")) == 4
    # From a to d one comes by way of b and c.
    assert described(drawn) == (
        "4 boxes, 3 arrows. Look (research) to coaching; coaching to Approval (somebody decides); "
        "Approval (somebody decides) to Meld (melds the answers)"
    )
    assert drawn.findtext(f"{SVG}title") == "Mine"


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"source": "a.verdict", "value": "VERDICT_FAILED"}, 'if a.verdict is "VERDICT_FAILED"'),
        (
            {"source": "a.tests_run", "comparison": "COMPARISON_GREATER", "value": 3},
            "if a.tests_run is greater than 3",
        ),
        ({"source": "a.cause", "comparison": "COMPARISON_PRESENT"}, "if a.cause is there"),
    ],
)
def test_a_condition_stands_at_its_arrow(condition: dict[str, Any], words: str) -> None:
    drawn = picture(
        {"step_id": "a", "agent_id": "code_debugger"},
        {"step_id": "b", "agent_id": "research", "condition": condition},
    )
    assert words in described(drawn)


def test_what_is_too_much_for_a_picture_says_so() -> None:
    first = [{"step_id": f"a{n}", "agent_id": "research"} for n in range(16)]
    then = [
        {"step_id": f"b{n}", "agent_id": "research", "after": [f"a{m}" for m in range(16)]} for n in range(16)
    ]
    with pytest.raises(InvalidArgumentError) as caught:
        picture(*first, *then)
    assert caught.value.reason == "WORKFLOW_INVALID"
    assert "256 arrows" in caught.value.message
