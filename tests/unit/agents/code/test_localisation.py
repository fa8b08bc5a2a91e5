"""Ranks of lines."""

from __future__ import annotations

import math

from services.agents.code.execution import Execution, Failure, Frame, TestEnd, TestOutcome
from services.agents.code.localisation import locate, ochiai
from services.agents.code.project import Project

MIDDLE = """\
def middle(x, y, z):
    result = z
    if y < z:
        if x < y:
            result = y
        elif x < z:
            result = y
    elif x > y:
        result = y
    elif x > z:
        result = x
    return result
"""


def ran(name: str, end: TestEnd, *lines: int, failure: Failure | None = None) -> TestOutcome:
    return TestOutcome(name, end, lines={"m.py": lines}, failure=failure)


def test_ochiai_is_that_of_the_paper() -> None:
    assert ochiai(1, 1, 1) == 1 / math.sqrt(2)
    assert ochiai(2, 0, 2) == 1.0
    assert ochiai(0, 5, 1) == 0.0


def test_the_line_that_only_failing_tests_run_is_first() -> None:
    execution = Execution(
        tests=(
            ran("1", TestEnd.PASSED, 2, 3, 4, 6, 12),
            ran("2", TestEnd.PASSED, 2, 3, 4, 5, 12),
            ran("3", TestEnd.PASSED, 2, 3, 8, 9, 12),
            ran("4", TestEnd.PASSED, 2, 3, 8, 10, 12),
            ran("5", TestEnd.FAILED, 2, 3, 4, 6, 7, 12),
        )
    )
    suspects = locate(Project({"m.py": MIDDLE}), execution)
    assert (suspects[0].path, suspects[0].line) == ("m.py", 7)
    assert all(0 < suspect.score <= 1 for suspect in suspects)
    assert [suspect.score for suspect in suspects] == sorted((s.score for s in suspects), reverse=True)
    # Lines that no failing test runs are out of the question, and so are definitions.
    assert {suspect.line for suspect in suspects} == {2, 3, 4, 6, 7, 12}


def test_what_the_failure_does_not_depend_on_comes_later() -> None:
    text = "def f(a):\n    noise = a * 2\n    b = a + 1\n    noise += 1\n    return b * 2\n"
    execution = Execution(tests=(ran("1", TestEnd.FAILED, 2, 3, 4, 5),))
    order = [suspect.line for suspect in locate(Project({"m.py": text}), execution)]
    assert set(order[:2]) == {3, 5}


def test_the_line_of_the_exception_goes_before_equals() -> None:
    text = "def f(a):\n    b = a[0] + 1\n    c = b + 2\n    return c / 3\n"
    failure = Failure("1", "IndexError", "", (Frame("m.py", 2, "f", ""),))
    execution = Execution(tests=(ran("1", TestEnd.FAILED, 2, failure=failure),))
    first = locate(Project({"m.py": text}), execution)[0]
    assert first.line == 2
    assert "where the error came up" in first.reasons


def test_evidence_of_changes_counts_more_than_the_spectrum() -> None:
    execution = Execution(tests=(ran("1", TestEnd.FAILED, 2, 3, 4, 5), ran("2", TestEnd.PASSED, 2, 3, 4, 12)))
    project = Project({"m.py": MIDDLE})
    assert locate(project, execution)[0].line == 5
    assert locate(project, execution, {("m.py", 3): 0.9})[0].line == 3


def test_a_result_of_another_kind_points_to_what_is_returned() -> None:
    text = "def f(a):\n    b = 0\n    for c in a:\n        b += c\n    return a\n"
    failure = Failure("1", "AssertionError", "assert [1] == 1\n +  where [1] = f([1])")
    execution = Execution(tests=(ran("1", TestEnd.FAILED, 2, 3, 4, 5, failure=failure),))
    assert locate(Project({"m.py": text}), execution)[0].line == 5


def test_without_any_line_that_ran_each_statement_may_be_the_cause() -> None:
    execution = Execution(tests=(TestOutcome("1", TestEnd.TIMEOUT),))
    assert len(locate(Project({"m.py": MIDDLE}), execution)) == 11


def test_nothing_is_suspicious_when_all_is_well() -> None:
    assert locate(Project({"m.py": MIDDLE}), Execution(tests=(ran("1", TestEnd.PASSED, 2),))) == ()


def test_the_line_of_a_file_that_cannot_be_loaded_is_first() -> None:
    error = Failure("t.py", "NameError", "x", (Frame("t.py", 1, "", ""), Frame("m.py", 3, "", "")))
    suspects = locate(Project({"m.py": MIDDLE}), Execution(errors=(error,)))
    assert [(suspect.line, suspect.score) for suspect in suspects] == [(3, 1.0)]
