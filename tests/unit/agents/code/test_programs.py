"""Programs of the house run beside code that nobody trusts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.code import inside, programs
from services.sandbox.model import End, Limits, Outcome
from tests.support.plain_sandbox import PlainSandbox


def outcome(raw: bytes | None, end: End = End.EXITED, said: bytes = b"") -> Outcome:
    [path] = programs.job(inside, "run_tests", {}, {}, Limits()).collect
    files = {} if raw is None else {path: raw}
    return Outcome(end, 1, b"", said, 0.1, files, "it took too long")


async def test_a_program_is_not_led_astray_by_modules_of_the_files() -> None:
    boom = "raise SystemExit('the code was executed')\n"
    files = {
        "json.py": boom,
        "pytest.py": boom,
        "meld_inside.py": boom,
        "test_a.py": "def test_a():\n    pass\n",
    }
    request = {"arguments": ["test_a.py"], "scripts": [], "script_argv": [], "sizes": {}}
    request |= {"seconds": 20.0, "test_seconds": 2.0, "trace": False}
    ended = await PlainSandbox().run(programs.job(inside, "run_tests", files, request, Limits(30.0)))
    told = programs.result(ended)
    assert told is not None, ended.stderr
    assert [test["outcome"] for test in told["tests"]] == ["passed"]


@pytest.mark.parametrize("value", [None, [], 3, "text", float("nan")])
def test_what_is_no_object_is_no_result(value: Any) -> None:
    assert programs.result(outcome(json.dumps(value).encode())) is None


@given(st.binary(max_size=200) | st.just(b"[" * 100_000))
def test_whatever_is_left_is_an_object_or_none(raw: bytes) -> None:
    assert isinstance(programs.result(outcome(raw)), dict | None)


def test_nothing_is_no_result() -> None:
    assert programs.result(outcome(None)) is None


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (outcome(None, End.TIME, b"half a line"), "it took too long"),
        (outcome(None, End.EXITED, b"Traceback\nValueError: boom\n"), "ValueError: boom"),
        (outcome(None), "it left no result"),
    ],
)
def test_why_there_is_no_result(ended: Outcome, why: str) -> None:
    assert programs.why_no_result(ended) == why
