"""What a repair may not change."""

from __future__ import annotations

import pytest

from services.agents.code.execution import Execution, Failure, TestEnd, TestOutcome
from services.agents.code.oracle import fixed_lines, tampering
from services.agents.code.project import Project

SCRIPT = """\
import math

CASES = [(1, 2), (2, 4)]
LIMIT = 3


def double(n):
    return n + math.floor(LIMIT)


def check(n, expected):
    assert double(n) == expected


for n, expected in CASES:
    check(n, expected)
"""
DOCUMENTED = 'def f(n):\n    """One more.\n\n    >>> f(1)\n    2\n    """\n    assert n\n    return n\n'
CHECKS = "def check(found):\n    assert found == 3\n"
COMMANDED = "import sys\n\n\ndef main():\n    return 1\n\n\nsys.exit(main())\n"
MIXED = "def f():\n    return 1\n\n\ndef test_f():\n    assert f() == 2\n"


def ran(*test_ids: str, plugins: tuple[str, ...] = ()) -> Execution:
    return Execution(tuple(TestOutcome(name, TestEnd.FAILED) for name in test_ids), plugins=plugins)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return n + math.floor(LIMIT)", "return 2 * n"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("import math\n", "import math\nimport os\n"),
        ("def double", "def more(n):\n    return n\n\n\ndef double"),
        ("assert double(n) == expected\n", "assert double(n) == expected\n\n\ndef more():\n    pass\n"),
    ],
)
def test_a_program_that_is_its_own_test_may_change_where_it_asserts_nothing(old: str, new: str) -> None:
    changed = {"m.py": SCRIPT.replace(old, new)}
    assert changed["m.py"] != SCRIPT
    assert tampering(Project({"m.py": SCRIPT}), changed, ran("m.py::run")) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("== expected", "== double(n)"),
        ("    assert", "    return\n    assert"),
        ("(2, 4)]", "(2, 5)]"),
        ("in CASES:", "in CASES[:0]:"),
        ("    check(n, expected)\n", "    check(n, double(n))\n"),
        ("def double", "raise SystemExit\n\n\ndef double"),
        ("    return n + math.floor(LIMIT)", "    raise SystemExit"),
        ("for n,", "CASES = []\nfor n,"),
        ("for n,", "def check(*_):\n    pass\n\n\nfor n,"),
        ("for n,", "from math import floor as check\n\nfor n,"),
        ("for n, expected in CASES:\n    check(n, expected)\n", ""),
    ],
)
def test_what_it_asserts_and_all_that_this_reads_stays(old: str, new: str) -> None:
    changed = {"m.py": SCRIPT.replace(old, new)}
    assert changed["m.py"] != SCRIPT
    assert "what m.py asserts" in tampering(Project({"m.py": SCRIPT}), changed, ran("m.py::run"))


@pytest.mark.parametrize(
    ("text", "test_id", "old", "new", "kept"),
    [
        (DOCUMENTED, "m.py::m.f", "return n", "return n + 1", True),
        (DOCUMENTED, "m.py::m.f", "One more", "The next", True),
        (DOCUMENTED, "m.py::m.f", "    2\n", "    1\n", False),
        (DOCUMENTED, "m.py::m.f", ">>> f(1)\n    2\n", "", False),
        (DOCUMENTED, "m.py::m.f", "f(1)", "f(0 + 1)", False),
        (COMMANDED, "m.py::run", "return 1", "return 0", True),
        (COMMANDED, "m.py::run", "sys.exit(main())", "sys.exit(0)", False),
        (COMMANDED, "m.py::run", "return 1", "sys.exit(0)", False),
        ("print(1 / 0)\n", "m.py::run", "1 / 0", "1 / 2", True),
        (MIXED, "m.py::test_f", "return 1", "return 2", True),
        (MIXED, "m.py::test_f", "f() == 2\n", "f() == 2\n\n\ndef test_f():\n    pass\n", False),
        (MIXED, "m.py::test_f", "def test_f", "def unused", False),
        (CHECKS, "test_m.py::test_f", "found", "value", False),
        (CHECKS, "test_m.py::test_f", "    assert", "    print(found)\n    assert", True),
        ("assert f() == (2\n", "m.py::run", "(2", "(2)", False),
        ("def f(:\n    return 2\n\n\nassert f() == 2\n", "m.py::run", "(:", "():", True),
    ],
)
def test_whatever_asserts_something_stays(text: str, test_id: str, old: str, new: str, kept: bool) -> None:
    changed = {"m.py": text.replace(old, new)}
    assert changed["m.py"] != text
    assert (tampering(Project({"m.py": text}), changed, ran(test_id)) == "") == kept


@pytest.mark.parametrize(
    ("path", "plugins"),
    [
        ("test_more.py", ()),
        ("tests/checks.py", ()),
        ("conftest.py", ("conftest.py",)),
        ("hooks.py", ("hooks.py",)),
        ("pytest.ini", ()),
        ("cases.json", ()),
        ("new.py", ()),
        ("test_m.py", ()),
    ],
)
def test_files_of_tests_and_data_stay(path: str, plugins: tuple[str, ...]) -> None:
    files = {"m.py": "x = 1\n", path: "\n"}
    files.pop("new.py", None)
    files.pop("test_m.py", None)
    project = Project(files, {"test_m.py": "\n"})
    assert path in tampering(project, {path: "x = 2\n"}, ran("test_m.py::test_f", plugins=plugins))
    assert tampering(project, {"m.py": "x = 2\n"}, ran("test_m.py::test_f", plugins=plugins)) == ""


def test_a_file_that_could_not_be_collected_is_its_own_test_too() -> None:
    failed = Execution(errors=(Failure("m.py", "NameError", "x"),))
    project = Project({"m.py": f"x\n{MIXED}"})
    assert tampering(project, {"m.py": MIXED.replace("== 2", "== 1")}, failed)


def test_the_search_leaves_alone_what_the_proof_would_not_accept() -> None:
    project = Project({"m.py": SCRIPT, "c.py": CHECKS}, {"test_m.py": "assert\n"})
    assert fixed_lines(project, ran("m.py::run")) == {
        ("c.py", 2),
        *(("m.py", line) for line in (3, 11, 12, 15, 16)),
    }
    assert fixed_lines(project, ran("test_m.py::test_f")) == {("c.py", 2), ("m.py", 12)}
