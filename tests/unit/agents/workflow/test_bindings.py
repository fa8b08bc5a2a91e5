"""Lists that several bindings fill."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from meldrag.agents.v1 import workflow_pb2
from services.agents.roster.registry import Registry
from services.agents.workflow import graph
from services.agents.workflow.values import Values
from services.chassis.errors import InvalidArgumentError

REGISTRY = Registry()


def made(*plain: dict[str, Any]) -> graph.Graph:
    return graph.validate(
        [json_format.ParseDict(step, workflow_pb2.WorkflowStep()) for step in plain], REGISTRY
    )


def file(path: str, content: str) -> dict[str, str]:
    return {"path": path, "content": content}


def test_what_was_changed_takes_the_place_of_what_was_given() -> None:
    drawn = made(
        {"step_id": "repair", "agent_id": "code_repair"},
        {
            "step_id": "test",
            "agent_id": "test_generator",
            "bindings": [
                {"input": "files", "source": "inputs.files"},
                {"input": "files", "source": "repair.files", "optional": True},
                {"input": "tests", "source": "inputs.tests"},
            ],
        },
    )
    given = {"files": [file("a.py", "1"), file("b.py", "2")], "tests": [file("t.py", "3")]}
    values = Values(drawn, "Mend it.", given)
    assert values.inputs_of(drawn.nodes["test"])["files"] == given["files"]
    changed = {"files": [file("b.py", "two"), file("c.py", "4")]}
    values.put("repair", workflow_pb2.STEP_STATE_SUCCEEDED, "mended", changed)
    assert values.inputs_of(drawn.nodes["test"]) == {
        "files": [file("a.py", "1"), file("b.py", "two"), file("c.py", "4")],
        "tests": given["tests"],
    }
    # What was given is still as it was.
    assert values.read("inputs.files.1.content") == "2"


def test_an_input_that_is_no_list_is_filled_once() -> None:
    both = [{"input": "command", "source": "inputs.a"}, {"input": "command", "source": "inputs.b"}]
    with pytest.raises(InvalidArgumentError) as caught:
        made({"step_id": "a", "agent_id": "code_repair", "bindings": both})
    assert caught.value.metadata["path"] == "bindings[1].input"
    assert "no list" in caught.value.message


def test_a_name_that_can_never_stand_there_is_no_condition() -> None:
    condition = {"source": "a.verdict", "value": "FAILED"}
    with pytest.raises(InvalidArgumentError) as caught:
        made(
            {"step_id": "a", "agent_id": "code_repair"},
            {"step_id": "b", "agent_id": "research", "condition": condition},
        )
    assert caught.value.metadata["path"] == "condition.value"
    assert "VERDICT_FAILED" in caught.value.message
