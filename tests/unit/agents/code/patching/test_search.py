"""Changes that are tried in the sandbox."""

from __future__ import annotations

import json

import pytest

from services.agents.code.execution import execute
from services.agents.code.patching.search import Trials, search
from services.agents.code.project import Project
from services.agents.ports import Sandboxed

COUNT = """\
def count(n):
    total = 0
    while n > 0:
        total += 1
    return total
"""
COUNT_TESTS = """\
import pytest
from m import count


@pytest.mark.parametrize("n", [1, 2, 5])
def test_count(n):
    assert count(n) == n


def test_nothing():
    assert count(0) == 0
"""
SMALLEST = "def smallest(values):\n    values.sort()\n    return values[-1]\n"


async def found(sandbox: Sandboxed, text: str, tests: str) -> tuple[Trials, list[str]]:
    project = Project({"m.py": text}, {"test_m.py": tests})
    execution = await execute(sandbox, project, test_seconds=0.3)
    trials = await search(sandbox, project, execution, seconds=25, enough=3, extra_seconds=1)
    return trials, [patch.apply(text) for patch in trials.plausible]


async def test_a_change_behind_one_that_does_not_end_is_tried_too(sandbox: Sandboxed) -> None:
    trials, texts = await found(sandbox, COUNT, COUNT_TESTS)
    assert COUNT.replace("        total += 1\n", "        total += 1\n        n -= 1\n") in texts
    assert Trials.from_json(json.loads(json.dumps(trials.to_json()))) == trials


@pytest.mark.parametrize(
    "tests",
    [
        # A list of the module, which the code changes.
        "from m import smallest\n\nVALUES = [[3, 1, 2], [2, 1]]\n\n\ndef test_all():\n"
        "    for values in VALUES:\n        assert values[0] != 1\n        assert smallest(values) == 1\n",
        # A fixture.
        "import pytest\nfrom m import smallest\n\n\n@pytest.fixture\ndef values():\n    return [3, 1]\n\n\n"
        "def test_one(values):\n    assert smallest(values) == 1\n",
        # A class of unittest.
        "import unittest\nfrom m import smallest\n\n\nclass S(unittest.TestCase):\n    def test_one(self):\n"
        "        self.assertEqual(smallest([3, 1, 2]), 1)\n",
        # No function at all.
        "from m import smallest\n\nassert smallest([3, 1, 2]) == 1\n",
    ],
)
async def test_tests_of_every_kind_are_served(sandbox: Sandboxed, tests: str) -> None:
    trials, texts = await found(sandbox, SMALLEST, tests)
    assert texts
    assert all(text != SMALLEST for text in texts)
    assert {patch.line for patch in trials.plausible} <= {2, 3}


async def test_changes_that_mend_a_part_point_to_their_lines(sandbox: Sandboxed) -> None:
    text = "def ends(a, b):\n    first = a + 1\n    second = b + 1\n    return first, second\n"
    tests = (
        "from m import ends\n\n\ndef test_first():\n    assert ends(1, 5)[0] == 1\n\n\n"
        "def test_second():\n    assert ends(2, 4)[1] == 4\n"
    )
    trials, _ = await found(sandbox, text, tests)
    assert trials.lines is not None
    assert set(trials.lines) >= {("m.py", 2), ("m.py", 3)}
