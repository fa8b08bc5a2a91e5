"""Files that Python cannot read."""

from __future__ import annotations

import pytest

from services.agents.code.patching import syntax


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("def f(a)\n    return a\n", "def f(a):\n    return a\n"),
        ("def f(a:\n    return a\n", "def f(a):\n    return a\n"),
        ("x = [1, 2\ny = 3\n", "x = [1, 2]\ny = 3\n"),
        ("x = (1))\n", "x = (1)\n"),
        ("if x = 1:\n    y = x == 2\n", "if x == 1:\n    y = x == 2\n"),
        ('x = f("a)\n', 'x = f("a")\n'),
        ("if a:\n    b\nelse if c:\n    d\n", "if a:\n    b\nelif c:\n    d\n"),
        ("print 1\n", "print(1)\n"),
        ("def f(a):\n    b = a\n     return b\n", "def f(a):\n    b = a\n    return b\n"),
        ("def f(a)  # why\n    return a\n", "def f(a):  # why\n    return a\n"),
    ],
)
def test_a_small_slip_is_mended(broken: str, whole: str) -> None:
    assert not syntax.readable(broken)
    assert syntax.mended({"a.py": broken, "b.py": "x = 1\n", "c.txt": "("}) == {"a.py": whole}


@pytest.mark.parametrize("text", ["%%% what is this ???\n", "def f(:\n  ) x (\n]]\n"])
def test_what_needs_more_is_left_alone(text: str) -> None:
    assert syntax.mended({"a.py": text}) is None


def test_what_can_be_read_is_left_alone() -> None:
    assert syntax.mended({"a.py": "x = 1\n"}) is None
