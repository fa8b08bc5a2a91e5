"""Answers of several runs under one numbering."""

from __future__ import annotations

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.agents.melding.answers import Binder
from services.agents.melding.melding import conflict_told


def cited(number: int, document: str, start: int = 0) -> agents_pb2.Citation:
    """A citation."""
    return agents_pb2.Citation(
        number=number,
        document_id=document,
        title=document,
        quote="quote",
        byte_start=start,
        byte_end=start + 5,
    )


def test_marks_and_citations_are_renumbered_together() -> None:
    binder = Binder()
    one = agents_pb2.RunResult(agent_id="research", text="A is so. [1]", citations=[cited(1, "x")])
    two = agents_pb2.RunResult(
        agent_id="ceo", text="B is so. [1] A is so. [2] `[1]`", citations=[cited(1, "y"), cited(2, "x")]
    )
    binder.answer("first", one)
    answer = binder.answer("second", two)
    assert answer.text == "B is so. [2] A is so. [1] `[1]`"
    assert [[s.number for s in statement.sources] for statement in answer.statements] == [[2], [1]]
    assert [(c.number, c.document_id) for c in binder.citations()] == [(1, "x"), (2, "y")]


def test_the_same_bytes_have_one_number() -> None:
    binder = Binder()
    for step in ("a", "b"):
        result = agents_pb2.RunResult(text="It is so. [3]", citations=[cited(3, "x", 7)])
        assert binder.answer(step, result).text == "It is so. [1]"
    assert len(binder.citations()) == 1


def test_a_contradiction_that_a_step_named_is_what_its_sides_say() -> None:
    sides = [
        results_pb2.ConflictSide(statement="The bay is 14 m deep.", citations=[1]),
        results_pb2.ConflictSide(statement="The bay is 12 m deep.", citations=[2]),
    ]
    conflict = results_pb2.Conflict(topic="bay deep", kind="number", sides=sides)
    result = agents_pb2.RunResult(
        agent_id="research",
        text=f"It is old. [1]\n\n{conflict_told(conflict)}",
        citations=[cited(1, "x"), cited(2, "y")],
        result=results_pb2.AgentResult(research=results_pb2.ResearchResult(contradictions=[conflict])),
    )
    answer = Binder().answer("look", result)
    assert [statement.text for statement in answer.statements] == [
        "It is old.",
        "The bay is 14 m deep.",
        "The bay is 12 m deep.",
    ]
    assert "contradict each other" in answer.text
