"""What running a project's tests tells."""

from __future__ import annotations

import json

import pytest

from services.agents.code.execution import Execution, TestEnd, execute, way
from services.agents.code.project import Project
from services.agents.ports import Sandboxed

SUMS = """\
def total(values):
    result = 0
    for value in values:
        result += value
    return result


def first(values):
    return values[0]
"""
TESTS = """\
import unittest

import pytest
from sums import first, total


@pytest.mark.parametrize(("values", "expected"), [([], 0), ([1, 2], 3), ([2], 5)])
def test_total(values, expected):
    assert total(values) == expected


class Firsts(unittest.TestCase):
    def test_of_one(self):
        self.assertEqual(first([7]), 7)

    def test_of_none(self):
        print("asked for the first of none")
        first([])


@pytest.mark.skip
def test_later():
    pass


async def test_coroutine():
    assert total([4]) == 4
"""


def by_name(execution: Execution) -> dict[str, TestEnd]:
    return {test.test_id.split("::", 1)[1]: test.end for test in execution.tests}


async def test_outcomes_frames_locals_and_lines_of_each_test(sandbox: Sandboxed) -> None:
    execution = await execute(sandbox, Project({"sums.py": SUMS}, {"test_sums.py": TESTS}))
    assert by_name(execution) == {
        "test_total[values0-0]": TestEnd.PASSED,
        "test_total[values1-3]": TestEnd.PASSED,
        "test_total[values2-5]": TestEnd.FAILED,
        "Firsts::test_of_one": TestEnd.PASSED,
        "Firsts::test_of_none": TestEnd.FAILED,
        "test_later": TestEnd.SKIPPED,
        "test_coroutine": TestEnd.PASSED,
    }
    assert not execution.clean
    wrong, missing = execution.failing[1], execution.failing[0]
    if wrong.test_id.endswith("none"):
        wrong, missing = missing, wrong
    assert wrong.failure is not None
    assert "assert 2 == 5" in wrong.failure.message
    assert missing.failure is not None
    inner = missing.failure.frames[-1]
    assert (missing.failure.exception, inner.path, inner.line) == ("IndexError", "sums.py", 9)
    assert (inner.function, inner.code, dict(inner.locals)) == ("first", "return values[0]", {"values": "[]"})
    assert "asked for the first of none" in missing.output
    lines = {test.test_id.split("::")[-1]: test.lines.get("sums.py") for test in execution.tests}
    assert lines["test_total[values0-0]"] == (2, 3, 5)
    assert lines["test_total[values1-3]"] == (2, 3, 4, 5)
    assert lines["test_of_one"] == (9,)


async def test_the_same_run_has_the_same_log(sandbox: Sandboxed) -> None:
    project = Project({"sums.py": SUMS}, {"test_sums.py": TESTS})
    first, second = await execute(sandbox, project), await execute(sandbox, project, trace=False)
    assert first.log_sha256 == second.log_sha256
    assert len(first.log_sha256) == 64
    assert Execution.from_json(json.loads(json.dumps(first.to_json()))) == first


async def test_what_does_not_end_or_ends_its_process_costs_only_itself(sandbox: Sandboxed) -> None:
    files = {
        "bad.py": """\
import os


def endless(n):
    while n:
        n += 1


def stubborn(n):
    while True:
        try:
            endless(n)
        except:
            pass


def deaf():
    return sum(iter(int, 1))


def deadly():
    os._exit(0)


def deep(n):
    return deep(n + 1)


def greedy():
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
"""
    }
    names = ("endless(1)", "stubborn(1)", "deaf()", "deadly()", "deep(0)", "greedy()")
    body = "".join(f"def test_{name.split('(')[0]}():\n    bad.{name}\n\n\n" for name in names)
    tests = {"test_bad.py": f"import bad\n\n\n{body}def test_good():\n    assert bad\n"}
    execution = await execute(sandbox, Project(files, tests), test_seconds=0.3)
    ends = by_name(execution)
    assert ends.pop("test_deadly") is TestEnd.CRASHED
    assert ends.pop("test_good") is TestEnd.PASSED
    assert ends.pop("test_deep") is TestEnd.FAILED
    # Memory may be used up before the time is.
    assert ends.pop("test_greedy") in {TestEnd.FAILED, TestEnd.TIMEOUT, TestEnd.CRASHED}
    assert set(ends.values()) == {TestEnd.TIMEOUT}
    lines = {test.test_id.split("::")[-1]: test.lines.get("bad.py") for test in execution.tests}
    assert lines["test_endless"] == (5, 6)
    assert lines["test_deaf"] == (18,)
    assert not execution.missing


async def test_a_program_that_ends_early_has_not_passed(sandbox: Sandboxed) -> None:
    tests = {"test_a.py": "import os\n\n\ndef test_one():\n    os._exit(0)\n"}
    execution = await execute(sandbox, Project({"a.py": ""}, tests))
    assert [test.end for test in execution.tests] == [TestEnd.CRASHED]
    assert not execution.clean


async def test_programs_without_tests_are_their_own_test(sandbox: Sandboxed) -> None:
    script = await execute(sandbox, Project({"a.py": "def f():\n    return 1\n\n\nassert f() == 2, 'no'\n"}))
    assert [(test.end, test.failure and test.failure.message) for test in script.tests] == [
        (TestEnd.FAILED, "no")
    ]
    documented = await execute(
        sandbox, Project({"b.py": 'def g():\n    """\n    >>> g()\n    2\n    """\n    return 1\n'})
    )
    assert [test.end for test in documented.tests] == [TestEnd.FAILED]


async def test_a_tests_file_of_bare_assertions_runs(sandbox: Sandboxed) -> None:
    project = Project(
        {"a.py": "def f():\n    return 2\n"}, {"check.py": "from a import f\n\nassert f() == 2\n"}
    )
    assert (await execute(sandbox, project)).clean


@pytest.mark.parametrize(
    ("command", "ends"),
    [
        ("pytest -k one", [TestEnd.PASSED]),
        ("python -m pytest test_a.py", [TestEnd.PASSED, TestEnd.FAILED]),
        ("python -m unittest test_u", [TestEnd.PASSED]),
        ("python main.py 3", [TestEnd.FAILED]),
        ("python main.py 4", [TestEnd.PASSED]),
    ],
)
async def test_a_command_is_run_as_it_is(sandbox: Sandboxed, command: str, ends: list[TestEnd]) -> None:
    files = {"main.py": "import sys\n\nsys.exit(0 if sys.argv[1] == '4' else 1)\n"}
    tests = {
        "test_a.py": "def test_one():\n    pass\n\n\ndef test_two():\n    assert False\n",
        "test_u.py": "import unittest\n\n\nclass U(unittest.TestCase):\n    def test_u(self):\n        1\n",
    }
    project = Project(files, tests, tuple(command.split()))
    assert [test.end for test in (await execute(sandbox, project)).tests] == ends


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        (Project({"a.go": "package a"}), "Only Python can be run here; the files are Go."),
        (Project({"a.py": "x = 1\n"}), "There are no tests"),
        (Project({"a.py": ""}, {"test_a.js": ""}), "Only tests in Python"),
        (Project({"a.py": ""}, {}, ("make", "test")), "not 'make'"),
        (Project({"a.py": ""}, {}, ("python", "b.py")), "'b.py', which is not among the files"),
    ],
)
def test_what_cannot_be_run_says_why(project: Project, reason: str) -> None:
    assert reason in way(project).reason


@pytest.mark.parametrize(
    ("files", "tests", "reason"),
    [
        (
            {"a.py": "def f(:\n    pass\n"},
            "import a\n\n\ndef test_a():\n    pass\n",
            "a.py, line 1: SyntaxError",
        ),
        ({"a.py": "import nowhere_at_all\n"}, "import a\n\n\ndef test_a():\n    pass\n", "'nowhere_at_all'"),
        ({"a.py": ""}, "class TestNothing:\n    pass\n", "No test was found"),
    ],
)
async def test_code_that_cannot_be_loaded_was_not_run(
    sandbox: Sandboxed, files: dict[str, str], tests: str, reason: str
) -> None:
    execution = await execute(sandbox, Project(files, {"test_a.py": tests}))
    assert not execution.ran
    assert reason in execution.reason
    assert execution.log_sha256 == ""


async def test_a_module_may_have_the_name_of_one_that_pytest_uses(sandbox: Sandboxed) -> None:
    project = Project(
        {"bisect.py": "def f():\n    return 3\n"},
        {"test_b.py": "from bisect import f\n\n\ndef test_f():\n    assert f() == 3\n"},
    )
    assert (await execute(sandbox, project)).clean
