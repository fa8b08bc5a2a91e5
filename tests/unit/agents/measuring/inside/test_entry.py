"""Which function is measured, and with what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.agents.measuring.inside.entry import Entry, NoEntryError, find


@pytest.fixture(autouse=True)
def own_modules() -> Iterator[None]:
    """Modules of one test are not those of the next."""
    path, known = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def found(folder: Path, text: str, entry: str = "", generator: str = "") -> Entry:
    (folder / "subject_of_test.py").write_text(text)
    return find(folder, ["subject_of_test.py"], entry, generator, 1)


@pytest.mark.parametrize(
    ("signature", "kind", "size"),
    [
        ("n", int, None),
        ("n: int", int, None),
        ("text: str", str, 7),
        ("x: bytes", bytes, 7),
        ("x: list[int]", list, 7),
        ("x: 'list[float]'", list, 7),
        ("x: typing.Sequence[int]", list, 7),
        ("x: typing.Dict[str, int]", dict, 7),
        ("x: set[int]", set, 7),
        ("x: tuple[int, ...]", tuple, 7),
        ("items, flag=False", list, 7),
        ("grid", list, 7),
    ],
)
def test_inputs_are_made_from_the_signature(
    tmp_path: Path, signature: str, kind: type, size: int | None
) -> None:
    entry = found(tmp_path, f"import typing\ndef f({signature}):\n    return None\n")
    (value,) = entry.arguments(7)
    assert isinstance(value, kind)
    assert size is None or len(value) == size
    assert entry.arguments(7) == (value,)


def test_a_bench_comes_first_then_what_nobody_calls(tmp_path: Path) -> None:
    text = "def part(n): return n\n\ndef whole(n): return part(n) + part(n)\n\ndef other(n):\n    return n\n"
    assert found(tmp_path, text).function == "whole"
    own_modules_of(tmp_path)
    assert found(tmp_path, text + "\ndef bench_it(k): return whole(k)\n").function == "bench_it"


def own_modules_of(folder: Path) -> None:
    """The next import reads the file again."""
    sys.modules.pop("subject_of_test", None)
    for cached in folder.rglob("*.pyc"):
        cached.unlink()


def test_a_generator_gives_one_argument_or_a_tuple_of_them(tmp_path: Path) -> None:
    text = "def make(n): return [n], n\n\ndef f(a, b): return a\n"
    entry = found(tmp_path, text, "subject_of_test.py:f", "subject_of_test.py:make")
    assert entry.arguments(3) == ([3], 3)


def test_methods_can_be_asked_for(tmp_path: Path) -> None:
    text = "class A:\n    @staticmethod\n    def f(n): return n\n"
    assert found(tmp_path, text, "subject_of_test.py:A.f").call(3) == 3


@pytest.mark.parametrize(
    ("text", "entry", "told"),
    [
        ("def f(n): pass", "subject_of_test.py:g", "has no function 'g'"),
        ("def f(n): pass", "elsewhere.py:f", "not of the form"),
        ("def f(*, n): pass", "subject_of_test.py:f", "by name only"),
        ("async def f(n): pass", "subject_of_test.py:f", "asynchronous"),
        ("def f(what): pass", "", "no input can be made"),
        ("", "", "no function at the top"),
    ],
)
def test_what_cannot_be_measured_says_why(tmp_path: Path, text: str, entry: str, told: str) -> None:
    with pytest.raises(NoEntryError, match=told):
        found(tmp_path, text, entry)
