"""Changes that are looked at, by what they should find."""

from __future__ import annotations

import ast
import warnings

import pytest

from services.agents.code.patching.candidates import candidates, literals
from services.agents.code.patching.source import Source


def texts(text: str, *, messages: tuple[str, ...] = (), tests: tuple[str, ...] = ()) -> list[str]:
    suspicion = {("a.py", node.lineno): 1.0 for node in Source(text).statements}
    found = candidates({"a.py": text}, suspicion, tests, limit=100_000, messages=messages)
    assert [patch.cost for patch in found] == sorted(patch.cost for patch in found)
    return [patch.apply(text) for patch in found]


@pytest.mark.parametrize(
    ("faulty", "mended"),
    [
        ("    return a < b\n", "    return a <= b\n"),
        ("    return a + b\n", "    return a - b\n"),
        ("    return a[b]\n", "    return a[b - 1]\n"),
        ("    return a - 1\n", "    return a\n"),
        ("    return f(b, a)\n", "    return f(a, b)\n"),
        ("    return f(a, b)\n", "    return f(a - 1, b)\n"),
        ("    return max(a, b)\n", "    return min(a, b)\n"),
        ("    if a and b:\n        return a\n", "    if a or b:\n        return a\n"),
        ("    if a:\n        return b\n", "    if not a:\n        return b\n"),
        ("    return a[b:]\n", "    return a[b + 1:]\n"),
        ("    for x in range(a):\n        b += x\n", "    for x in range(1, a):\n        b += x\n"),
        ("    for x in a:\n        b = x\n", "    for x in a:\n        b += x\n"),
        ("    for x in a:\n        break\n", "    for x in a:\n        continue\n"),
        ("    if a:\n        b += 1\n    return b\n", "    while a:\n        b += 1\n    return b\n"),
        ("    f(a, b)\n", "    return f(a, b)\n"),
        ("    for x in a:\n        yield f(x, b)\n", "    for x in a:\n        yield from f(x, b)\n"),
        ("    return b / a\n", "    if a == 0:\n        return 0\n    return b / a\n"),
        ("    for x in a:\n        b()\n        return b\n", "    for x in a:\n        b()\n    return b\n"),
        ("    c = []\n    c += a\n    return c\n", "    c = []\n    c += a\n    c.append(b)\n    return c\n"),
        ("    a = b\n    b = a\n    return b\n", "    b = a\n    a = b\n    return b\n"),
    ],
)  # fmt: skip
def test_a_common_fault_is_undone(faulty: str, mended: str) -> None:
    assert f"def f(a, b):\n{mended}" in texts(f"def f(a, b):\n{faulty}")


def test_comments_and_layout_stay() -> None:
    text = "def f(a,  b):  # sum\n    return (a # left\n        -b)\n"
    assert text.replace("-b", "+b") in texts(text)


def test_places_are_right_behind_letters_of_more_than_a_byte() -> None:
    text = 'def f(a):\n    return "äöü€", a < 1\n'
    assert text.replace("<", "<=") in texts(text)


def test_nearly_all_changes_can_be_compiled() -> None:
    text = (
        "class Stack:\n"
        "    def __init__(self, size=[]):\n"
        "        self.items = size\n\n"
        "    def push(self, item):\n"
        "        if len(self.items) > 3 and item is not None:\n"
        "            self.items.append(item)\n"
        "        elif item in self.items:\n"
        "            del self.items[0]\n"
        "        else:\n"
        "            raise ValueError(f'no {item}')\n"
        "        for i, x in enumerate(self.items[1:-1]):\n"
        "            self.items[i] = x if x else -x\n"
        "        return {k: v for k, v in zip(self.items, self.items[::2]) if k != v}\n"
    )
    found = texts(text)
    bad = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for changed in found:
            try:
                compile(changed, "a.py", "exec")
            except SyntaxError:
                bad += 1
    assert len(found) > 1_000
    assert bad < 0.02 * len(found)


def test_a_name_without_a_value_gets_one() -> None:
    text = "def f(a):\n    for x in a:\n        total += x\n    return total\n"
    message = "cannot access local variable 'total' where it is not associated with a value"
    assert text.replace("    for", "    total = 0\n    for") in texts(text, messages=(message,))[:20]
    text = "def f(a):\n    return math.floor(a)\n"
    assert texts(text, messages=("name 'math' is not defined",))[0] == f"import math\n{text}"


def test_constants_of_the_tests_are_tried() -> None:
    assert literals(["assert f([]) == -1\nassert f([0]) == -1\n"])[0] in {"-1", "1"}
    text = "def f(a):\n    return None\n"
    assert text.replace("None", "-7") in texts(text, tests=("assert f(1) == -7\n",))


def test_only_suspicious_lines_are_changed() -> None:
    text = "def f(a):\n    b = a + 1\n    return b * 2\n"
    found = candidates({"a.py": text}, {("a.py", 2): 1.0}, (), limit=10_000)
    assert found
    assert all(ast.parse(patch.apply(text)) for patch in found)
    assert {patch.line for patch in found} == {2}


def test_an_endless_recursion_makes_a_base_case_likely() -> None:
    text = "def f(a, b):\n    g, x, y = f(b, a % b)\n    return (g, y, x)\n"
    suspicion = {("a.py", 2): 1.0, ("a.py", 3): 1.0}

    def place(*exceptions: str) -> int:
        found = candidates({"a.py": text}, suspicion, (), limit=100_000, exceptions=exceptions)
        guard = "    if b == 0:\n        return (a, 1, 0)\n"
        return [patch.apply(text) for patch in found].index(text.replace("    g,", f"{guard}    g,", 1))

    assert place("RecursionError") < place()


def test_a_loop_that_does_not_end_may_lack_its_step() -> None:
    text = "def f(a):\n    b = 0\n    while b < a:\n        print(b)\n    return b\n"
    suspicion = {("a.py", line): 1.0 for line in (2, 3, 4, 5)}
    found = candidates({"a.py": text}, suspicion, (), limit=100_000, exceptions=("TimeUp",))
    tried = [patch.apply(text) for patch in found]
    assert text.replace("print(b)\n", "print(b)\n        b += 1\n") in tried[:15]
