"""Lines that stand twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.agents.code.static.inside.duplicates import duplicates

BLOCK = "\n".join(f"value_{i} = compute({i})" for i in range(10))


def test_a_copy_is_found_whatever_its_indent_blanks_and_comments() -> None:
    copy = "def f():\n" + BLOCK.replace("value", "    value").replace("\n", "\n\n    # a remark\n")
    (found,) = duplicates({"a.py": "import x\n" + BLOCK, "b.py": copy})
    assert (found.path, found.line, found.end_line, found.other_path, found.other_line, found.lines) == (
        *("a.py", 2, 11, "b.py", 2),
        10,
    )


def test_a_copy_in_the_same_file_is_found() -> None:
    (found,) = duplicates({"a.py": f"{BLOCK}\nother = 1\n{BLOCK}"})
    assert (found.line, found.other_line, found.lines) == (1, 12, 10)


def test_short_and_empty_likenesses_are_none() -> None:
    assert duplicates({"a": "\n".join(["}"] * 40), "b": "\n".join(["}"] * 40)}) == []
    assert duplicates({"a": BLOCK[:100], "b": BLOCK[:100]}) == []


@given(st.lists(st.sampled_from(["alpha = 1", "beta = 2", "gamma = 3"]), max_size=60))
def test_every_stretch_that_is_told_is_there(lines: list[str]) -> None:
    for found in duplicates({"a": "\n".join(lines)}):
        first = lines[found.line - 1 : found.line - 1 + found.lines]
        assert first == lines[found.other_line - 1 : found.other_line - 1 + found.lines]
        assert found.line + found.lines <= found.other_line
