from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from meldrag.agents.v1 import workflow_pb2
from services.agents.workflow.values import MISSING, Values, told
from tests.unit.agents.workflow.test_graph import checked, step

GRAPH = checked(
    step("a"),
    step("repair", "code_repair"),
    step("late", "code_repair", message="{a.text}: {a.gaps} {message}", inputs={"command": "pytest"}),
)


@pytest.fixture
def values() -> Values:
    made = Values(GRAPH, "Do it.", {"files": [{"path": "x"}], "nothing": None})
    result = {"gaps": ["one", "two"], "findings": [{"statement": "It is {so}."}]}
    made.put("a", workflow_pb2.STEP_STATE_SUCCEEDED, "The text", result)
    made.put("repair", workflow_pb2.STEP_STATE_FAILED)
    return made


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("a.text", "The text"),
        ("a.state", "SUCCEEDED"),
        ("a.gaps.1", "two"),
        ("a.gaps.2", MISSING),
        ("a.findings.0.statement", "It is {so}."),
        ("a.findings.0.citations", []),
        ("a.confidence", 0),
        ("repair.state", "FAILED"),
        ("repair.text", MISSING),
        ("repair.files", MISSING),
        ("inputs.files.0.path", "x"),
        ("inputs.files.0.content", MISSING),
        ("inputs.nothing", None),
    ],
)
def test_what_stands_at_a_source(values: Values, source: str, value: Any) -> None:
    assert values.read(source) == value


def test_marks_become_values_once(values: Values) -> None:
    assert values.message_of(GRAPH.nodes["a"]) == "Do it."
    assert values.message_of(GRAPH.nodes["late"]) == 'The text: ["one", "two"] Do it.'
    assert values.filled("<{repair.text}> {a.findings.0.statement}") == "<> It is {so}."


def node(*bindings: dict[str, Any]) -> Any:
    return checked(
        *[step("a"), step("repair", "code_repair")], step("b", "code_repair", bindings=bindings)
    ).nodes["b"]


def test_bindings_add_to_the_inputs(values: Values) -> None:
    assert values.inputs_of(GRAPH.nodes["late"]) == {"command": "pytest"}
    filled = values.inputs_of(node({"input": "files", "source": "inputs.files"}))
    assert filled == {"files": [{"path": "x"}]}
    optional = {"input": "files", "source": "repair.files", "optional": True}
    assert values.inputs_of(node(optional)) == {}
    with pytest.raises(LookupError, match=r"nothing stands at repair.files, which 'files' needs"):
        values.inputs_of(node(optional | {"optional": False}))


@pytest.mark.parametrize(
    ("source", "comparison", "value", "holds"),
    [
        ("a.state", "EQUAL", "SUCCEEDED", True),
        ("a.state", "NOT_EQUAL", "SUCCEEDED", False),
        ("repair.text", "NOT_EQUAL", "x", True),
        ("repair.text", "EQUAL", "", False),
        ("a.text", "CONTAINS", "text", True),
        ("a.gaps", "CONTAINS", "two", True),
        ("a.gaps", "CONTAINS", "thr", False),
        ("a.confidence", "GREATER", -1, True),
        ("a.confidence", "LESS", 0, False),
        ("a.text", "GREATER", 0, False),
        ("a.gaps", "PRESENT", None, True),
        ("a.findings.0.citations", "PRESENT", None, False),
        ("inputs.nothing", "ABSENT", None, True),
        ("repair.files", "ABSENT", None, True),
    ],
)
def test_conditions(values: Values, source: str, comparison: str, value: Any, *, holds: bool) -> None:
    plain = {"source": source, "comparison": f"COMPARISON_{comparison}"}
    condition = json_format.ParseDict(
        plain | ({} if value is None else {"value": value}), workflow_pb2.StepCondition()
    )
    assert values.holds(condition) is holds
    assert told(condition).startswith(source)
