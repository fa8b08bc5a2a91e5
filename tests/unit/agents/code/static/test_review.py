"""Opinions are tied to lines that exist."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.code.static.analysis import Analysis
from services.agents.code.static.findings import CodeFinding
from services.agents.code.static.review import MAX_OPINIONS, anchored, shown

FILES = {"a.py": "x = 1\n\ny = 2\n"}


def opinion(path: str, line: int, statement: str = "odd", confidence: float = 0.5) -> results_pb2.CodeOpinion:
    return results_pb2.CodeOpinion(path=path, line=line, statement=statement, confidence=confidence)


def test_an_opinion_about_nothing_is_dropped_and_counted() -> None:
    given = [
        opinion("a.py", 1),
        opinion("a.py", 2),
        opinion("a.py", 0),
        opinion("a.py", -1),
        opinion("a.py", 4),
        opinion("b.py", 1),
        opinion("a.py", 3, " "),
        opinion("a.py", 3, confidence=7),
    ]
    kept, dropped = anchored(given, FILES)
    assert [(o.line, o.confidence) for o in kept] == [(1, 0.5), (3, 1.0)]
    assert dropped == 6


def test_opinions_are_bounded() -> None:
    kept, dropped = anchored([opinion("a.py", 1)] * 60, FILES)
    assert (len(kept), dropped) == (MAX_OPINIONS, 10)


def test_the_model_sees_facts_and_numbered_lines() -> None:
    fact = CodeFinding("ruff", "F401", "warning", "a.py", 1, 1, "unused")
    data = shown(FILES, Analysis(findings=(fact,)))
    assert data["findings of the tools"] == "a.py:1: warning: unused (ruff F401)"
    assert data["a.py"] == "1\tx = 1\n2\t\n3\ty = 2"
