"""Answers of several runs under one numbering."""

from __future__ import annotations

from meldrag.agents.v1 import agents_pb2
from services.agents.melding.answers import Binder


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
