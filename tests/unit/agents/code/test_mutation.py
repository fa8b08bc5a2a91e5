"""Mutants: which faults are planted, and that each is one fault in valid code."""

from __future__ import annotations

import ast
import textwrap

import pytest

from services.agents.code import mutation


def mutated(source: str) -> list[str]:
    """The mutants of a body as normal source."""
    text = textwrap.dedent(source)
    return [ast.unparse(ast.parse(m.apply(text))) for m in mutation.mutants("a.py", text)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a + b", "x = a - b"),
        ("x = a / b", "x = a * b"),
        ("x = a < b", "x = a <= b"),
        ("x = a < b", "x = a >= b"),
        ("x = a == b", "x = a != b"),
        ("x = a in b", "x = a not in b"),
        ("x = a and b", "x = a or b"),
        ("x = not a", "x = a"),
        ("x = 5", "x = 6"),
        ("x = 5", "x = 4"),
        ("x = True", "x = False"),
        ("x = 'a'", "x = 'aXX'"),
        ("if a:\n    b()", "if not a:\n    b()"),
        ("b()", "pass"),
        ("f(a, b)", "f(b, a)"),
        ("x += 1", "x -= 1"),
        ("while a:\n    break", "while a:\n    continue"),
        ("x = a[i:j]", "x = a[i + 1:j]"),
        ("x = a[i:j]", "x = a[i:j + 1]"),
        ("def f(a):\n    return a", "def f(a):\n    return None"),
        ("def f(a):\n    raise a", "def f(a):\n    pass"),
        ("x = a if b else c", "x = a if not b else c"),
        ("x = [a for a in b if a]", "x = [a for a in b if not a]"),
    ],
)
def test_a_fault_of_each_kind(source: str, expected: str) -> None:
    assert expected in mutated(source)


def test_what_changes_nothing_for_a_caller_is_left_alone() -> None:
    source = '''
    """Documentation."""
    import os

    def f(a: "int" = None) -> "str":
        """More of it."""

    if __name__ == "__main__":
        f(1)
    '''

    assert mutated(source) == []


def test_a_condition_on_the_name_of_something_else_is_no_start_of_a_program() -> None:
    assert "if not f.__name__ == 'g':\n    a = 1" in mutated("if f.__name__ == 'g':\n    a = 1")


def test_each_mutant_can_be_compiled() -> None:
    text = textwrap.dedent("""
    @f(1, 2)
    def g(a, *b, c=-3, **d):
        match a:
            case {"k": 1, "z": -1}:
                return [x for x in b if (y := x) > 2 and not y]
            case [1, "a", -2, 1 + 2j, None, True]:
                return f"{a + 1:{c}}" "x"
            case P(x=1) | P(y=-1) if c > 2:
                raise V("a" "b", a[c:-1]) from None
        while a: break
        b += (yield a, 1),
        return lambda q=1: f(*b, 1) if a < c <= 3 else await_(a)[1:c]
    """)

    found = mutation.mutants("a.py", text)

    assert len(found) > 40
    for mutant in found:
        compile(mutant.apply(text), "a.py", "exec")


def test_each_mutant_differs_at_its_line_alone() -> None:
    text = "def f(a):\n    é = 'ü' + a\n    if a > 1:\n        return é\n    return 2\n"
    lines = text.splitlines()

    for mutant in mutation.mutants("a.py", text):
        changed = mutant.apply(text).splitlines()
        assert [i for i, line in enumerate(lines, 1) if changed[i - 1] != line] == [mutant.line]


def test_a_sample_is_the_same_each_time_and_in_order() -> None:
    everything = mutation.mutants("a.py", "x = [" + ", ".join(map(str, range(2, 60))) + "]")

    first = mutation.chosen(everything, 10, 7)

    assert first == mutation.chosen(everything, 10, 7)
    assert len(first) == 10
    assert first == sorted(first, key=lambda m: m.start)


def test_lines_that_run_on_a_call_are_told_from_those_of_an_import() -> None:
    text = "A = 1\n\n\ndef f(b=2):\n    return b\n"

    assert mutation.lines_of_functions(text) == {5}
