from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from meldrag.agents.v1 import workflow_pb2
from services.agents.roster.registry import Registry
from services.agents.workflow.graph import Graph, validate
from services.chassis.errors import InvalidArgumentError

REGISTRY = Registry()


def step(step_id: str, agent_id: str = "research", **fields: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": agent_id, **fields}


def bound(source: str, name: str = "files", **fields: Any) -> dict[str, Any]:
    return {"bindings": [{"input": name, "source": source, **fields}]}


def checked(*plain: dict[str, Any]) -> Graph:
    return validate([json_format.ParseDict(one, workflow_pb2.WorkflowStep()) for one in plain], REGISTRY)


def test_what_a_step_names_comes_before_it() -> None:
    graph = checked(
        step("d", message="{a.text} and {b.confidence}", after=["c"]),
        step("a"),
        step("b", condition={"source": "a.state", "value": "SUCCEEDED"}),
        step("c", "code_repair", **bound("inputs.files")),
        {"step_id": "ok", "approval": {"question": "Is {b.text} right?"}},
        {"step_id": "all", "after": ["a", "b"], "meld": {}},
    )
    assert {step_id: set(node.before) for step_id, node in graph.nodes.items()} == {
        "a": set(),
        "b": {"a"},
        "c": set(),
        "d": {"a", "b", "c"},
        "ok": {"b"},
        "all": {"a", "b"},
    }
    assert graph.behind("a") == {"b", "d", "ok", "all"}
    assert [node.kind for node in graph.nodes.values()] == ["agent"] * 4 + ["approval", "meld"]


def test_types_that_fit_are_taken() -> None:
    checked(
        step("repair", "code_repair", **bound("inputs.files")),
        step("review", "code_analyzer", **bound("repair.files")),
        step("plan", "auto"),
        step("run", "executor", **bound("plan.steps", "steps")),
        step("again", "executor", **bound("run.plan", "steps")),
    )


def test_braces_that_name_no_step_are_text() -> None:
    assert checked(step("a", message="Mend {x} and {'y': 1} for {message}")).nodes["a"].before == ()


REFUSED: list[tuple[list[dict[str, Any]], str, str, str]] = [
    ([], "", "steps", "1 to 32"),
    ([step(f"s{n}") for n in range(33)], "", "steps", "33 steps"),
    ([step("A")], "A", "steps[0].step_id", "a-z"),
    ([step("inputs")], "inputs", "steps[0].step_id", "is not 'inputs'"),
    ([step("a"), step("a")], "a", "steps[1].step_id", "another step"),
    ([step("a", "")], "a", "agent_id", "an agent, an approval or a meld"),
    ([step("a", approval={"question": "x"})], "a", "agent_id", "not both"),
    ([step("a", "nobody")], "a", "agent_id", "there is no agent 'nobody'"),
    ([step("a", attempts=6)], "a", "attempts", "1 to 5"),
    ([step("a", timeout="0.5s")], "a", "timeout", "1 to 1800 s"),
    ([step("a", message="x" * 8001)], "a", "message", "8001 characters"),
    ([step("a", after=["b"])], "a", "after[0]", "there is no step 'b'"),
    ([step("a", after=["a"])], "a", "after[0]", "after itself"),
    ([step("a", message="{b.text}")], "a", "message", "there is no step 'b'"),
    ([step("a", "code_repair", inputs={"nothing": 1})], "a", "inputs", "nothing"),
    ([step("a"), step("b", message="{a.colour}")], "b", "message", "there is no field 'colour'"),
    ([step("a"), step("b", message="{a.gaps.first}")], "b", "message", "positions from 0"),
    ([step("a", **bound("files"))], "a", "bindings[0].source", "is no source"),
    ([step("a"), step("b", "code_repair", **bound("a.text", "colour"))], "b", "bindings[0].input", "colour"),
    (
        [step("a"), step("b", "code_repair", **bound("a.text"))],
        *("b", "bindings[0].source", "a string stands there, and an array is needed"),
    ),
    (
        [step("a"), step("b", "code_repair", **bound("a.findings"))],
        *("b", "bindings[0].source", "in the list: there is a field 'statement'"),
    ),
    ([{"step_id": "a", "approval": {"question": " "}}], "a", "approval.question", "what is asked"),
    (
        [{"step_id": "a", "approval": {"question": "x", "timeout": "90000s"}}],
        *("a", "approval.timeout", "1 to 86400 s"),
    ),
    ([{"step_id": "a", "message": "x", "approval": {"question": "x"}}], "a", "message", "an approval has no"),
    ([{"step_id": "a", "meld": {}}], "a", "after", "comes after the steps"),
    ([{"step_id": "a", "attempts": 2, "meld": {}}], "a", "attempts", "a meld has no"),
    ([step("a", condition={"source": "a.state"})], "a", "condition.value", "compared with"),
    (
        [step("a"), step("b", condition={"source": "a.text", "comparison": "COMPARISON_LESS", "value": "x"})],
        *("b", "condition.value", "is a number"),
    ),
]


@pytest.mark.parametrize(("plain", "step_id", "path", "cause"), REFUSED)
def test_what_can_never_be_run_is_refused_with_its_place(
    plain: list[dict[str, Any]], step_id: str, path: str, cause: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        checked(*plain)
    error = caught.value
    assert error.reason == "WORKFLOW_INVALID"
    assert (error.metadata["step_id"], error.metadata["path"]) == (step_id, path)
    assert cause in error.metadata["cause"]


def test_a_circle_is_named() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        checked(step("x"), step("a", after=["c", "x"]), step("b", after=["a"]), step("c", message="{b.text}"))
    assert caught.value.metadata["cause"] in {
        f"the steps go round in a circle: {circle}" for circle in ("a, b, c, a", "b, c, a, b", "c, a, b, c")
    }
