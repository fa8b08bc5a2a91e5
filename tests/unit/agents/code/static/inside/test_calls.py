"""Who calls whom."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.code.static.inside.calls import Call, calls
from services.agents.code.static.inside.modules import modules


def graph(files: dict[str, str]) -> list[Call]:
    return calls(modules({path: ast.parse(textwrap.dedent(text)) for path, text in files.items()}))


def edges(files: dict[str, str]) -> set[tuple[str, str]]:
    return {(call.caller, call.callee) for call in graph(files) if not call.reason}


def test_functions_methods_and_constructors() -> None:
    text = """
        class Base:
            def __init__(self): self.prepare()
            def prepare(self): pass
            def shared(self): pass
        class Special(Base):
            def run(self):
                self.shared()
                super().prepare()
                helper(len([]))
            @classmethod
            def make(cls): return cls.other()
            @staticmethod
            def other(): pass
        def helper(x): return x
        def main(given: Special):
            made = Special()
            made.run()
            given.make()
            Special().shared()
        main(None)
    """
    assert edges({"app.py": text}) == {
        ("app.py:Base.__init__", "app.py:Base.prepare"),
        ("app.py:Special.run", "app.py:Base.shared"),
        ("app.py:Special.run", "app.py:Base.prepare"),
        ("app.py:Special.run", "app.py:helper"),
        ("app.py:Special.make", "app.py:Special.other"),
        ("app.py:main", "app.py:Base.__init__"),
        ("app.py:main", "app.py:Special.run"),
        ("app.py:main", "app.py:Special.make"),
        ("app.py:main", "app.py:Base.shared"),
        ("app.py:<module>", "app.py:main"),
    }


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("from pkg.b import f", "f()"),
        ("from pkg.b import f as g", "g()"),
        ("from .b import f", "f()"),
        ("from . import b", "b.f()"),
        ("import pkg.b", "pkg.b.f()"),
        ("import pkg.b as other", "other.f()"),
        ("from pkg import passed", "passed()"),
    ],
)
def test_names_are_followed_through_imports(line: str, call: str) -> None:
    found = edges(
        {
            "pkg/a.py": f"{line}\n{call}",
            "pkg/__init__.py": "from pkg.b import f as passed",
            "pkg/b.py": "def f(): pass",
        }
    )
    assert ("pkg/a.py:<module>", "pkg/b.py:f") in found


def test_what_is_known_at_run_time_only_is_named_with_its_reason() -> None:
    text = """
        def apply(f, things):
            f()
            for thing in things:
                thing.go()
            nowhere()
            (lambda: 1)()
    """
    unresolved = {(call.callee, call.line) for call in graph({"app.py": text}) if call.reason}
    assert ("f", 3) in unresolved
    assert ("thing.go", 5) in unresolved
    assert ("nowhere", 6) in unresolved
    assert not edges({"app.py": text})


def test_builtins_and_other_packages_are_neither() -> None:
    text = """
        import os, json as j
        from re import compile
        print(os.path.join('a'), j.dumps(1), compile('a'), 'a'.upper())
    """
    assert graph({"app.py": text}) == []


def test_a_local_name_hides_the_function_of_that_name() -> None:
    text = "def f(): pass\ndef g(f): f()\ndef h():\n    f = 1\n    f()\n"
    assert edges({"app.py": text}) == set()


def test_functions_within_functions() -> None:
    text = "def outer():\n    def inner(): pass\n    inner()\n"
    assert edges({"app.py": text}) == {("app.py:outer", "app.py:outer.inner")}


@given(st.text(alphabet="abf()=.:\n  cdeifl", max_size=80))
def test_whatever_parses_is_read(text: str) -> None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    assert isinstance(calls(modules({"a.py": tree})), list)
