"""What counts as proven."""

from __future__ import annotations

from services.agents.code.execution import execute
from services.agents.code.project import Project
from services.agents.code.proof import Proof, proposed_change, prove
from services.agents.ports import Sandboxed

FAULTY = "def double(n):\n    return n + n + 1\n\n\ndef other(n):\n    return n\n"
TESTS = """\
from m import double, other


def test_double():
    assert double(2) == 4


def test_other():
    assert other(3) == 3
"""
PROJECT = Project({"m.py": FAULTY}, {"test_m.py": TESTS})


async def proof(sandbox: Sandboxed, text: str) -> Proof:
    return await prove(sandbox, PROJECT, {"m.py": text}, await execute(sandbox, PROJECT))


async def test_a_right_change_is_proven(sandbox: Sandboxed) -> None:
    found = await proof(sandbox, FAULTY.replace(" + 1", ""))
    assert (found.ran, found.holds) == (True, True)
    assert found.reason == "All 2 tests pass, in 2 runs."
    assert len(found.execution.log_sha256) == 64


async def test_a_wrong_change_is_not(sandbox: Sandboxed) -> None:
    found = await proof(sandbox, FAULTY.replace("+ 1", "+ 2"))
    assert (found.ran, found.holds) == (True, False)
    assert "test_m.py::test_double" in found.reason


async def test_a_change_that_breaks_another_test_is_not(sandbox: Sandboxed) -> None:
    changed = FAULTY.replace(" + 1", "").replace("    return n\n", "    return 0\n")
    assert "test_other" in (await proof(sandbox, changed)).reason


async def test_a_change_that_keeps_tests_from_running_is_not(sandbox: Sandboxed) -> None:
    skipping = f"import pytest\n\npytest.skip('no', allow_module_level=True)\n{FAULTY}"
    leaving = f"import os\n\nos._exit(0)\n{FAULTY}"
    broken = FAULTY.replace("(n):", "(n:")
    by_chance = (
        "import pathlib\n\nmark = pathlib.Path.home() / 'mark'\nwrong = mark.exists()\nmark.touch()\n"
        + FAULTY.replace("+ 1", "+ wrong").replace("return n\n", "return n + 1 - wrong\n")
    )
    for changed in (skipping, leaving, broken, by_chance):
        found = await proof(sandbox, changed)
        assert not found.holds, changed
        assert found.reason


DIFF = """\
Does this mend it?

```diff
--- a/m.py
+++ b/m.py
@@ -1,3 +1,3 @@
 def double(n):
-    return n + n + 1
+    return n + n

```
"""


def test_a_diff_in_the_request_is_a_change() -> None:
    assert proposed_change(DIFF, PROJECT.files) == {"m.py": FAULTY.replace(" + 1", "")}


def test_a_diff_that_does_not_fit_is_none() -> None:
    assert proposed_change(DIFF.replace("double", "triple"), PROJECT.files) is None
    assert proposed_change(DIFF.replace("m.py", "x.py"), PROJECT.files) is None
    assert proposed_change("Mend it, please.\n\n- first\n+ second\n", PROJECT.files) is None
