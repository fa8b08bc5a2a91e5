"""Changes as text."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from services.agents.code.patching.patch import Edit, Patch, unified_diff


def patch(*edits: tuple[int, int, str], path: str = "a.py") -> Patch:
    return Patch(path, tuple(Edit(*edit) for edit in edits), 1, "test", 1.0)


def test_edits_leave_the_rest_as_it_is() -> None:
    text = "x = 1  # one\n\n\ny = 2\n"
    assert patch((4, 5, "3"), (19, 20, "4")).apply(text) == "x = 3  # one\n\n\ny = 4\n"


def test_changes_that_meet_are_not_joined() -> None:
    first = patch((4, 5, "3"))
    assert first.joined(patch((4, 6, "5"))) is None
    assert first.joined(patch((8, 9, "5"), path="b.py")) is None
    both = first.joined(patch((10, 11, "5")))
    assert both is not None
    assert both.apply("x = 1\ny = 2\n") == "x = 3\ny = 5\n"
    assert both.cost == 2.0


@pytest.mark.parametrize("text", ["a\nb\nc\n", "a\nb\nc", "ä\r\nb\r\nc\r\n", "a\n\x0cb\u2028c\nd\n"])
def test_the_diff_is_one_that_git_applies(tmp_path: Path, text: str) -> None:
    new = text.replace("b", "B")
    (tmp_path / "a.py").write_bytes(text.encode())
    diff = unified_diff({"a.py": text}, {"a.py": new})
    done = subprocess.run(
        ["git", "apply", "--no-index", "-"],
        cwd=tmp_path,
        input=diff.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.py").read_bytes() == new.encode()


def test_no_change_has_no_diff() -> None:
    assert unified_diff({"a.py": "a\n"}, {"a.py": "a\n"}) == ""
