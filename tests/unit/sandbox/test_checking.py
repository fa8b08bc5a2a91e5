"""Jobs that make no sense are refused by name, before anything is started."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from services.chassis.errors import InvalidArgumentError
from services.sandbox.checking import check
from services.sandbox.model import Job, Limits

PYTHON = ("python", "-c", "")

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no program": ({"argv": ()}, "argv"),
    "a program of the system": ({"argv": ("sh",)}, "argv"),
    "a program by its path": ({"argv": ("/bin/sh",)}, "argv"),
    "a program by steps up": ({"argv": ("../../bin/sh",)}, "argv"),
    "an empty program": ({"argv": ("",)}, "argv"),
    "a NUL in an argument": ({"argv": ("python", "a\0b")}, "argv"),
    "half a character": ({"argv": ("python", "\ud800")}, "argv"),
    "an endless argument": ({"argv": ("python", "x" * 200_000)}, "argv"),
    "endless arguments": ({"argv": ("python", *["x" * 100_000] * 6)}, "argv"),
    "a variable without a name": ({"environment": {"": "x"}}, "environment"),
    "a variable with a =": ({"environment": {"A=B": "x"}}, "environment"),
    "a NUL in a variable": ({"environment": {"A": "\0"}}, "argv"),
    "an absolute path": ({"files": {"/etc/passwd": b""}}, "/etc/passwd"),
    "steps up": ({"files": {"a/../../b": b""}}, "a/../../b"),
    "a step to nowhere": ({"files": {"./b": b""}}, "./b"),
    "an empty path": ({"files": {"": b""}}, ""),
    "a folder": ({"files": {"a/": b""}}, "a/"),
    "a NUL in a path": ({"files": {"a\0b": b""}}, "'a\\x00b'"),
    "a file and a folder": ({"files": {"a": b"", "a/b": b""}}, "a"),
    "a long name": ({"files": {"x" * 300: b""}}, "x" * 200),
    "a deep path": ({"files": {"/".join("x" * 40): b""}}, "/".join("x" * 40)),
    "too many files": ({"files": {str(number): b"" for number in range(3000)}}, "files"),
    "a large file": ({"files": {"a": bytes(11)}, "limits": Limits(file_bytes=10)}, "files"),
    "large files": ({"files": {"a": bytes(6), "b": bytes(6)}, "limits": Limits(disk_bytes=10)}, "files"),
    "endless input": ({"stdin": bytes(11), "limits": Limits(disk_bytes=10)}, "stdin"),
    "an absolute path to collect": ({"collect": ("/etc/passwd",)}, "/etc/passwd"),
    "steps up to collect": ({"collect": ("../x",)}, "../x"),
    "no time": ({"limits": Limits(seconds=0)}, "seconds"),
    "negative memory": ({"limits": Limits(memory_bytes=-1)}, "memory_bytes"),
    "time that is no number": ({"limits": Limits(seconds=float("nan"))}, "seconds"),
    "endless time": ({"limits": Limits(seconds=float("inf"))}, "seconds"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_jobs(name: str) -> None:
    fields, path = WRONG[name]

    with pytest.raises(InvalidArgumentError) as caught:
        check(Job(**{"argv": PYTHON, **fields}))

    assert caught.value.reason == "INPUTS_INVALID"
    assert caught.value.metadata["path"] == path
    assert caught.value.metadata["cause"]


def test_a_job_of_the_interpreter() -> None:
    job = Job(argv=PYTHON, files={"ä/b c.py": b"x"}, environment={"A": "ä"}, collect=("out/x",))

    assert check(job) == sys.executable


def test_a_program_beside_the_interpreter() -> None:
    assert check(Job(argv=("ruff", "check"))).endswith("/bin/ruff")
