"""Code is measured: what it costs, where, and how that grows. The programs inside run as plain processes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.measuring.profile import Profile, Subject, profile, read_result, run_phase
from services.sandbox.model import End, Job, Outcome
from tests.support.plain_sandbox import PlainSandbox

PAIRS = '''
def pairs(items: list[int]) -> int:
    """Counts equal pairs, the slow way."""
    count = 0
    for i in range(len(items)):
        for j in range(i):
            count += items[i] == items[j]
    return count
'''
SEARCH = """
import bisect


def generate(n):
    return list(range(n)), n // 3


def place(values, wanted):
    return bisect.bisect_left(values, wanted)
"""
SORTING = """
def tidy(items):
    items.sort()
    if items != sorted(items):
        raise ValueError("not sorted")
    return [items for _ in range(3)]
"""


async def measured(seconds: float = 4.0, **files: str) -> Profile:
    return await profile(
        PlainSandbox(), Subject({f"{name}.py": text for name, text in files.items()}), seconds
    )


async def test_a_square_is_a_square_and_its_inner_line_costs_most() -> None:
    made = await measured(app=PAIRS)
    assert made.reason == ""
    assert made.entry["function"] == "pairs"
    assert made.entry["inputs"] == "items: a list of n random integers"
    sizes, costs = made.medians()
    assert sizes[0] == 4
    assert sizes == sorted(sizes)
    assert costs[-1] > costs[0]
    grown = made.time_growth()
    assert grown is not None
    # The machine may be busy: the class is tested on made up costs in test_growth.py.
    assert grown.exponent > 1
    assert made.lines[0]["line"] in {6, 7}
    assert made.lines[0]["code"]
    assert made.functions[0]["function"] == "pairs"
    assert next(chart.title for chart in made.charts()) == "Time of pairs over the size n"
    assert Profile.from_json(json.loads(json.dumps(made.to_json()))).medians() == made.medians()


async def test_a_generator_beside_the_function_makes_its_inputs() -> None:
    subject = Subject({"app.py": SEARCH}, sizes=(16, 64, 256, 1024, 4096))
    made = await profile(PlainSandbox(), subject, 4.0)
    assert made.entry["function"] == "place"
    assert made.entry["inputs"] == "what app.py:generate makes"
    assert [n for n, _ in made.times] == [16, 64, 256, 1024, 4096]
    assert all(len(costs) > 1 for _, costs in made.times)
    # 256 times as large, and eight more steps.
    _, costs = made.medians()
    assert costs[-1] < 40 * costs[0]


async def test_a_call_that_changes_its_arguments_gets_fresh_ones() -> None:
    made = await profile(PlainSandbox(), Subject({"app.py": SORTING}, sizes=(100, 200)), 4.0)
    assert [n for n, _ in made.times] == [100, 200]


async def test_the_entry_that_is_asked_for_is_measured() -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/work.py": "def a(n):\n    return n\n\ndef b(n):\n    return [0] * n\n",
    }
    made = await profile(PlainSandbox(), Subject(files, entry="pkg/work.py:b", sizes=(1000, 20_000)), 4.0)
    assert (made.entry["path"], made.entry["function"]) == ("pkg/work.py", "b")
    assert made.entry["chosen"] == "it was asked for"
    assert [n for n, _ in made.peaks] == [1000, 20_000]
    assert made.peaks[1][1] > 100_000
    assert made.kept == [] or made.kept[0]["path"] == "pkg/work.py"


async def test_a_function_without_arguments_has_no_growth_but_lines() -> None:
    made = await measured(
        app="def main():\n    total = 0\n    for i in range(2000):\n        total += i\n    return total\n"
    )
    assert made.entry["sized"] is False
    assert made.time_growth() is None
    assert made.charts() == []
    assert {row["line"] for row in made.lines} >= {3, 4}


async def test_what_recurses_without_end_is_measured_as_far_as_it_goes() -> None:
    made = await measured(app="def down(n):\n    return 0 if n == 0 else down(n - 1)\n")
    assert made.times[-1][0] < 1024
    assert "recurses too deep" in made.slow


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def f(:\n", "SyntaxError"),
        ("import nothing_of_that_name\ndef f(n): pass\n", "nothing_of_that_name"),
        ("def f(items: list[int]):\n    return 1 / 0\n", "ZeroDivisionError: division by zero at app.py:2"),
        ("def f(thing):\n    return thing\n", "f takes thing, of which no input can be made"),
        ("async def f(n):\n    return n\n", "no function"),
        ("x = 1\n", "no function at the top"),
        ("import sys\nsys.exit(3)\n", "no function at the top"),
        ("def f(n):\n    raise SystemExit(3)\n", "ended the process"),
        ("import os\ndef f(n):\n    os._exit(3)\n", "left no result"),
        ("def f(n):\n    while True: pass\n", "takes too long"),
    ],
)
async def test_code_that_cannot_be_measured_says_why(text: str, told: str) -> None:
    made = await measured(seconds=2.0, app=text)
    assert told in made.reason
    assert made.times == []


async def test_other_languages_are_not_measured() -> None:
    made = await profile(PlainSandbox(), Subject({"app.go": "package main"}))
    assert "Only Python" in made.reason


async def test_what_the_code_prints_disturbs_nothing() -> None:
    made = await measured(seconds=2.0, app="def f(n):\n    print('x' * n)\n")
    assert made.reason == ""


async def test_two_versions_that_compute_the_same_have_the_same_digest() -> None:
    async def digest(text: str) -> Any:
        told = await run_phase(PlainSandbox(), Subject({"app.py": text}), "times", [50], seconds=3.0)
        return told["digest"]

    plain = "def f(items: list[int]):\n    return sum(items)\n"
    other = "def f(items: list[int]):\n    total = 0\n    for i in items: total += i\n    return total\n"
    wrong = "def f(items: list[int]):\n    return sum(items[1:])\n"
    assert await digest(plain) == await digest(other) != await digest(wrong)


class Forger:
    """A sandbox whose code wrote its own result."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    async def run(self, job: Job) -> Outcome:
        return Outcome(End.EXITED, 0, b"", b"", 0.1, {job.collect[0]: self.raw}, "exited")


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"finished": True, "times": "abc"},
        {"finished": True, "times": [[1, [-1]]]},
        {"finished": True, "times": [[1, [float("nan")]]]},
        {"finished": True, "times": [[4, [1.0]]], "entry": {"path": "a"}},
    ],
)
async def test_a_result_that_the_code_forged_breaks_nothing(value: Any) -> None:
    made = await profile(Forger(json.dumps(value).encode()), Subject({"a.py": "x = 1"}))
    assert made.reason
    assert made.times == []


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KEYS = ("error", "entry", "times", "peaks", "lines", "functions", "kept", "finished")


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_whatever_is_told_is_read_or_dropped(told: dict[str, Any]) -> None:
    assert isinstance(read_result(told), dict)
