"""Tests written for real code, run by the programs that stand in the sandbox."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from services.agents.code.project import Project
from services.agents.code.testing.generation import Effort, Generation
from services.agents.code.testing.model import Generated, Intended
from services.agents.ports import Sandboxed

pytestmark = pytest.mark.slow

EFFORT = Effort(seconds=4.0, mutants=25, mutant_seconds=40.0, repetitions=2, examples=30)
PARKING = '''
"""What parking costs."""


def fee(minutes, member=False):
    """The fee in cents: the first half hour is free."""
    if minutes < 0:
        raise ValueError("time does not go back")
    if minutes <= 30:
        return 0
    hours = (minutes + 59) // 60
    total = min(hours * 200, 1500)
    return total // 2 if member else total
'''
CHANCE = """
import random
import time


def lot(sides: int):
    return random.random() * sides


def now():
    return time.time()


def order(words: list[str]):
    return list(set(words))


def forever(n: int):
    while n != 3:
        pass
    return n


def twice(n: int):
    return 2 * n
"""


async def generated(
    sandbox: Sandboxed,
    files: dict[str, str],
    tests: dict[str, str] | None = None,
    expected: tuple[Intended, ...] = (),
) -> Generated:
    generation = Generation(sandbox, Project(files, tests or {}), EFFORT)
    return await generation.generate(expected)


@pytest.mark.timeout(240)
async def test_tests_run_all_of_the_code_and_find_most_faults(sandbox: Sandboxed, tmp_path: Path) -> None:
    generation = Generation(sandbox, Project({"parking.py": PARKING}), EFFORT)

    made = await generation.score(await generation.generate())

    assert made.after is not None
    assert (made.after.line, made.after.branch) == (1.0, 1.0)
    assert (made.mutation_score() or 0) >= 0.7
    assert made.killed + len(made.survivors) == made.mutants - made.left
    assert list(made.files) == ["test_parking.py"]
    (tmp_path / "parking.py").write_text(PARKING)
    (tmp_path / "test_parking.py").write_text(made.files["test_parking.py"])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        ".",
    ]
    assert (
        await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True)
    ).returncode == 0
    (tmp_path / "parking.py").write_text(PARKING.replace("minutes + 59", "minutes + 60"))
    assert (
        await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True)
    ).returncode == 1


@pytest.mark.timeout(240)
async def test_an_expectation_that_the_code_does_not_meet_is_told(sandbox: Sandboxed) -> None:
    met = Intended("fee", ("30",), "0", "", "The first half hour is free.")
    unmet = Intended("fee", ("61", "True"), "150", "", "Members pay three quarters.")

    made = await generated(sandbox, {"parking.py": PARKING}, expected=(met, unmet))

    assert [(d.case, d.observed) for d in made.disagreements] == [(unmet, "assert 200 == 150")]
    assert "# The first half hour is free.\ndef test_fee_as_intended():" in made.files["test_parking.py"]
    assert "three quarters" not in made.files["test_parking.py"]


@pytest.mark.timeout(240)
async def test_only_what_given_tests_lack_is_added(sandbox: Sandboxed) -> None:
    given = "from parking import fee\n\n\ndef test_free():\n    assert fee(10) == 0\n"

    made = await generated(sandbox, {"parking.py": PARKING}, {"tests/test_parking.py": given})

    assert made.before is not None
    assert made.after is not None
    assert made.before.line < made.after.line == 1.0
    assert list(made.files) == ["tests/test_parking_observed.py"]
    assert made.given == ("tests/test_parking.py",)


@pytest.mark.timeout(240)
async def test_what_is_not_the_same_each_time_is_not_kept(sandbox: Sandboxed) -> None:
    made = await generated(sandbox, {"chance.py": CHANCE})

    text = made.files["test_chance.py"]
    assert "twice(" in text
    assert "now(" not in text
    again = Generation(sandbox, Project({"chance.py": CHANCE}), Effort(repetitions=4))
    assert await again.unstable(made.files) == set()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.js": "let a = 1"}, "Tests are written for Python only; the files are JavaScript."),
        ({"a.py": "def f(:\n"}, "a.py is not Python: invalid syntax (a.py, line 1)"),
    ],
)
async def test_code_that_cannot_be_tested_is_told(
    sandbox: Sandboxed, files: dict[str, str], reason: str
) -> None:
    assert (await generated(sandbox, files)).reason == reason


@pytest.mark.timeout(120)
async def test_code_that_cannot_be_imported_is_told(sandbox: Sandboxed) -> None:
    made = await generated(sandbox, {"a.py": "import nowhere_at_all\n\n\ndef f():\n    return 1\n"})

    assert made.reason == ("a.py cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all'")
    assert made.files == {}
