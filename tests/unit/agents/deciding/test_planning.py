"""Objectives as workflows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.deciding import planning
from services.agents.roster.registry import Registry
from services.agents.routing.route import Route
from services.agents.workflow.graph import marks, validate
from services.chassis.errors import InvalidArgumentError

REGISTRY = Registry()
AGENTS = {h.definition.agent_id: "files" in h.input_schema["properties"] for h in REGISTRY}


async def route(text: str) -> Route:
    """By one word each."""
    words = {"fix": "code_repair", "test": "test_generator", "send": "executor", "decide": "ceo"}
    found = [agent for word, agent in words.items() if word in text.lower()]
    return Route(found[0] if found else "research", 0.9, (), ())


def holds(steps: Sequence[workflow_pb2.WorkflowStep]) -> None:
    """What every plan has to hold: it can be run, and each step says what its failure means."""
    validate(steps, REGISTRY)
    assert all(step.on_failure for step in steps)
    assert all(set(step.after) >= {mark.split(".")[0] for mark in marks(step.message)} for step in steps)


def by_agent(steps: Sequence[workflow_pb2.WorkflowStep], agent_id: str) -> workflow_pb2.WorkflowStep:
    (found,) = [step for step in steps if step.agent_id == agent_id]
    return found


async def test_parts_without_an_order_run_at_once() -> None:
    made = await planning.plan("Find the lease terms and summarise the minutes.", route, AGENTS)
    holds(made.steps)
    assert [step.agent_id for step in made.steps] == ["research", "research"]
    assert not any(step.after for step in made.steps)


@pytest.mark.parametrize(
    "objective",
    [
        "Find the lease terms, then send the landlord a letter.",
        "Find the lease terms. After that, send the landlord a letter.",
        "First find the lease terms. Finally send the landlord a letter.",
        "Find the lease terms and then send the landlord a letter",
    ],
)
async def test_words_that_say_so_put_one_after_the_other_with_an_approval_before_what_acts(
    objective: str,
) -> None:
    made = await planning.plan(objective, route, AGENTS)
    holds(made.steps)
    first, approval, act = made.steps
    assert (first.agent_id, act.agent_id) == ("research", "executor")
    assert first.title.lower().startswith("find the lease terms")
    assert approval.HasField("approval")
    assert "send the landlord a letter" in approval.approval.question
    assert list(approval.after) == [first.step_id]
    assert set(act.after) == {first.step_id, approval.step_id}
    assert f"{{{first.step_id}.text}}" in act.message
    assert "in 2 stages" in made.reason


async def test_a_stage_waits_for_all_of_the_one_before() -> None:
    made = await planning.plan("Find the log and review the config, then test the parser.", route, AGENTS)
    holds(made.steps)
    assert set(by_agent(made.steps, "test_generator").after) == {
        step.step_id for step in made.steps if step.agent_id == "research"
    }


async def test_code_goes_to_those_who_take_it_and_braces_are_no_marks() -> None:
    made = await planning.plan("Fix the template {user.name} of the mail", route, AGENTS)
    holds(made.steps)
    step = by_agent(made.steps, "code_repair")
    assert [(b.input, b.source, b.optional) for b in step.bindings] == [("files", "inputs.files", True)]
    assert "{user.name}" not in step.message
    assert step.message.replace("\u2060", "") == "Fix the template {user.name} of the mail"


async def test_a_bare_decision_has_no_plan() -> None:
    made = await planning.plan("Decide between the two offers", route, AGENTS)
    assert not made.steps
    assert "decision" in made.reason


def proposed(*steps: tuple[str, str, str, list[str]]) -> results_pb2.ProposedPlan:
    return results_pb2.ProposedPlan(
        steps=[
            results_pb2.ProposedStep(step_id=name, agent_id=agent, message=text, after=after, owner="Ann")
            for name, agent, text, after in steps
        ]
    )


def test_a_proposed_plan_gets_the_approvals_that_it_lacks() -> None:
    plan = planning.read(
        proposed(("look", "research", "Look", []), ("mend", "code_repair", "Mend", ["look"])), AGENTS
    )
    holds(plan.steps)
    assert [step.step_id for step in plan.steps] == ["look", "approve_mend", "mend"]
    assert plan.owners == {"look": "Ann", "mend": "Ann"}


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ([], "1 to 12 steps"),
        ([("Look!", "research", "Look", [])], "an id has 1 to 64"),
        ([("a", "research", "Look", []), ("a", "research", "Look", [])], "another step has this id"),
        ([("a" * 60, "executor", "Look", [])], "an id has 1 to 64"),
        ([("a", "nobody", "Look", [])], "'nobody'"),
        ([("a", "research", " ", [])], "no message"),
        ([("a", "research", "Look", ["b"])], "there is no step 'b'"),
        ([("a", "research", "Look", ["b"]), ("b", "research", "Look", ["a"])], "in a circle"),
    ],
)
def test_a_plan_that_cannot_run_is_refused(steps: list[tuple[str, str, str, list[str]]], cause: str) -> None:
    with pytest.raises((ValueError, InvalidArgumentError), match=cause):
        validate(planning.read(proposed(*steps), AGENTS).steps, REGISTRY)
