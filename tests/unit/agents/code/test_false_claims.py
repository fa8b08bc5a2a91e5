"""Changes that let no test tell the truth are never proven."""

from __future__ import annotations

import json

import pytest

from services.agents.code.execution import execute
from services.agents.code.project import Project
from services.agents.code.proof import Proof, prove
from services.agents.ports import Sandboxed
from services.sandbox.model import Job

CODE = "def double(n):\n    return n + n + 1\n"
TESTS = "import m\n\n\ndef test_double():\n    assert m.double(2) == 4\n"
OTHER = "def test_other():\n    assert True\n"
CONFTEST = "import pytest\n"
UNITS = """\
import unittest
import m


class U(unittest.TestCase):
    def test_it(self):
        self.assertEqual(m.double(2), 4)
"""
FORGED = {
    "collected": [],
    "plugins": [],
    "rewritten": [],
    "errors": [],
    "lines": {},
    "detail": "",
    "tests": [
        {"id": name, "outcome": "passed", "seconds": 0, "output": ""}
        for name in ("test_m.py::test_double", "test_unit.py::U::test_it")
    ],
}
PASSING = """\
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call():
    return True
"""


async def proof(sandbox: Sandboxed, project: Project, changes: dict[str, str]) -> Proof:
    return await prove(sandbox, project, changes, await execute(sandbox, project, trace=False))


@pytest.mark.parametrize(
    "body",
    [
        "raise KeyboardInterrupt",
        "raise SystemExit(0)",
        "import pytest\n    pytest.exit('done', returncode=0)",
        "import pytest\n    pytest.skip('not now')",
        "import pytest\n    pytest.xfail('known')",
        "import os\n    os._exit(0)",
        "import os\n    print('test_m.py::test_double PASSED')\n    return 5",
        "import os, signal\n    os.kill(os.getppid(), signal.SIGKILL)",
    ],
)
async def test_a_function_that_ends_its_test_has_not_passed_it(sandbox: Sandboxed, body: str) -> None:
    found = await proof(
        sandbox, Project({"m.py": CODE}, {"test_m.py": TESTS}), {"m.py": f"def double(n):\n    {body}\n"}
    )
    assert not found.holds, body
    assert found.reason


@pytest.mark.parametrize(
    "start",
    [
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "import pytest\npytest.skip('no', allow_module_level=True)",
        "import atexit, os\natexit.register(os._exit, 0)",
        "import pytest, _pytest.python\n_pytest.python.Function.runtest = lambda self: None",
        "import unittest\nunittest.TestCase.assertEqual = lambda *_: None",
        "import pathlib, os, signal\n"
        f"pathlib.Path('.meld/result.json').write_text({json.dumps(FORGED)!r})\n"
        "os.kill(os.getppid(), signal.SIGKILL)",
        "import pathlib\npathlib.Path('test_unit.py').write_text('def test_it():\\n    pass\\n')",
    ],
)
async def test_a_module_that_meddles_with_the_run_proves_nothing(sandbox: Sandboxed, start: str) -> None:
    tests = {"test_m.py": TESTS, "test_unit.py": UNITS}
    found = await proof(sandbox, Project({"m.py": CODE}, tests), {"m.py": f"{start}\n{CODE}"})
    assert not found.holds, start
    assert found.reason


async def test_a_file_that_could_not_be_loaded_is_not_skipped_instead(sandbox: Sandboxed) -> None:
    project = Project({"m.py": f"NOWHERE\n{CODE}"}, {"test_m.py": TESTS, "test_other.py": OTHER})
    skipping = f"import pytest\npytest.skip('no', allow_module_level=True)\n{CODE}"
    found = await proof(sandbox, project, {"m.py": skipping})
    assert not found.holds
    assert "test_m.py" in found.reason


async def test_a_change_without_which_no_test_fails_mends_nothing(sandbox: Sandboxed) -> None:
    project = Project({"m.py": CODE}, {"test_other.py": OTHER})
    found = await proof(sandbox, project, {"m.py": CODE.replace(" + 1", "")})
    assert (found.ran, found.holds) == (True, False)
    assert "without the change none failed" in found.reason


async def test_code_that_makes_itself_a_plugin_proves_nothing(sandbox: Sandboxed) -> None:
    project = Project({"m.py": CODE}, {"test_m.py": f"from m import *\n{TESTS}"})
    found = await proof(sandbox, project, {"m.py": f"pytest_plugins = ['m']\n{PASSING}{CODE}"})
    assert not found.holds
    assert "m.py" in found.reason


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("conftest.py", CONFTEST, PASSING),
        ("pytest.ini", "[pytest]\n", "[pytest]\npython_functions = nothing\n"),
        ("test_m.py", TESTS, TESTS.replace("4", "5")),
        ("hooks.py", CONFTEST, PASSING),
    ],
)
async def test_what_steers_the_tests_is_no_code_to_mend(
    sandbox: Sandboxed, path: str, old: str, new: str
) -> None:
    files = {"m.py": CODE, path: old}
    command = ("pytest", "-p", "hooks") if path == "hooks.py" else ("pytest",)
    tests = {"test_m.py": TESTS} if path != "test_m.py" else {"test_other.py": OTHER}
    found = await proof(sandbox, Project(files, tests, command), {path: new})
    assert not found.holds
    assert path in found.reason


SCRIPT = "def f():\n    return 1\n\n\nassert f() == 2\n"
DOCUMENTED = 'def f():\n    """\n    >>> f()\n    2\n    """\n    return 1\n'


@pytest.mark.parametrize(
    ("text", "new", "holds"),
    [
        (SCRIPT, SCRIPT.replace("return 1", "return 2"), True),
        (SCRIPT, SCRIPT.replace("== 2", "== 1"), False),
        (SCRIPT, SCRIPT.replace("assert f() == 2\n", ""), False),
        (SCRIPT, SCRIPT.replace("assert f() == 2\n", "if not f():\n    assert f() == 2\n"), False),
        (SCRIPT, SCRIPT.replace("return 1", "raise SystemExit"), False),
        (SCRIPT, f"raise SystemExit\n{SCRIPT}", False),
        (DOCUMENTED, DOCUMENTED.replace("return 1", "return 2"), True),
        (DOCUMENTED, DOCUMENTED.replace("    2\n", "    1\n"), False),
    ],
)
async def test_a_file_that_is_its_own_test_keeps_what_it_asserts(
    sandbox: Sandboxed, text: str, new: str, holds: bool
) -> None:
    found = await proof(sandbox, Project({"m.py": text}), {"m.py": new})
    assert found.holds == holds, found.reason


async def test_a_script_of_assertions_has_to_come_to_its_end(sandbox: Sandboxed) -> None:
    project = Project({"m.py": CODE}, {"check.py": "from m import double\n\nassert double(2) == 4\n"})
    found = await proof(sandbox, project, {"m.py": f"import sys\n\nsys.exit(0)\n{CODE}"})
    assert not found.holds
    assert "check.py" in found.reason


async def test_a_failing_part_of_a_test_fails_it(sandbox: Sandboxed) -> None:
    tests = (
        "import unittest\nimport m\n\n\nclass U(unittest.TestCase):\n    def test_all(self):\n"
        "        for n in (0, 1):\n            with self.subTest(n=n):\n"
        "                self.assertEqual(m.double(n), 2 * n)\n\n\n"
        "def test_parts(subtests):\n    for n in (0, 1):\n        with subtests.test(n=n):\n"
        "            assert m.double(n) == 2 * n\n"
    )
    found = await proof(
        sandbox, Project({"m.py": CODE}, {"test_m.py": tests}), {"m.py": "def double(n):\n    return 0\n"}
    )
    assert not found.holds
    right = await proof(
        sandbox, Project({"m.py": CODE}, {"test_m.py": tests}), {"m.py": CODE.replace(" + 1", "")}
    )
    assert right.holds, right.reason


async def test_an_order_that_only_chance_gives_is_none(sandbox: Sandboxed) -> None:
    words = "'one two three four five six seven eight nine'.split()"
    project = Project(
        {"m.py": "def same(a, b):\n    return False\n"},
        {"test_m.py": f"from m import same\n\n\ndef test_it():\n    assert same({words}, {words})\n"},
    )
    code = f"print(min(hash(w) % 97 for w in {words}))"
    job = Job(argv=("python", "-c", code), environment={"PYTHONHASHSEED": "0"})
    told = int((await sandbox.run(job)).stdout)
    lucky = f"def same(a, b):\n    return min(hash(word) % 97 for word in a) == {told}\n"
    assert (await execute(sandbox, project.having({"m.py": lucky}), trace=False)).clean
    found = await proof(sandbox, project, {"m.py": lucky})
    assert not found.holds


async def test_a_module_of_the_project_may_be_named_as_one_that_the_run_needs(sandbox: Sandboxed) -> None:
    project = Project(
        {"mmap.py": "def f():\n    return 3\n"},
        {"test_b.py": "from mmap import f\n\n\ndef test_f():\n    assert f() == 3\n"},
    )
    assert (await execute(sandbox, project)).clean
