"""Modules and circles of imports."""

from __future__ import annotations

import ast

from hypothesis import given
from hypothesis import strategies as st

from services.agents.code.static.inside.modules import cycles, modules


def circles(**files: str) -> list[list[tuple[str, int]]]:
    return cycles(modules({f"{name}.py": ast.parse(text) for name, text in files.items()}))


def test_a_circle_is_told_with_the_lines_of_its_imports() -> None:
    assert circles(a="import b", b="x = 1\nfrom c import y", c="\n\nimport a", d="import a") == [
        [("a.py", 1), ("b.py", 2), ("c.py", 3)]
    ]


def test_the_shortest_circle_of_a_knot_is_told() -> None:
    assert [len(c) for c in circles(a="import b", b="import c", c="import a\nimport d", d="import c")] == [2]


def test_imports_in_functions_and_for_type_checkers_close_no_circle() -> None:
    late = "def f():\n    import a\n"
    checking = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n"
    assert circles(a="import b", b=late) == []
    assert circles(a="import b", b=checking) == []


def test_packages_and_relative_imports() -> None:
    found = circles(
        **{"src/pkg/__init__": "", "src/pkg/a": "from . import b", "src/pkg/b": "from .a import x"}
    )
    assert [[path for path, _ in circle] for circle in found] == [["src/pkg/a.py", "src/pkg/b.py"]]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=25))
def test_a_circle_is_told_exactly_when_there_is_one(edges: list[tuple[int, int]]) -> None:
    texts = {f"m{i}": "\n".join(f"import m{b}" for a, b in edges if a == i and b != i) for i in range(8)}
    reach = {i: {b for a, b in edges if a == i and a != b} for i in range(8)}
    for _ in range(8):
        reach = {i: far | {c for b in far for c in reach[b]} for i, far in reach.items()}
    found = circles(**texts)
    assert bool(found) == any(i in far for i, far in reach.items())
    for circle in found:
        names = [path.removesuffix(".py") for path, _ in circle]
        for name, following in zip(names, names[1:] + names[:1], strict=True):
            assert f"import {following}" in texts[name].split("\n")
