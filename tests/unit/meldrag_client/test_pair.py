"""The client for threads and the one for an event loop: the same calls, taking the same."""

from __future__ import annotations

import inspect

import pytest

from meldrag_client import AsyncMeld, Meld

# What begins and ends them has other names with `async`.
OTHER_NAMES = {"__enter__": "__aenter__", "__exit__": "__aexit__"}
METHODS = [name for name, _ in inspect.getmembers(Meld, inspect.isfunction) if not name.startswith("_")] + [
    "__init__"
]


def test_neither_has_a_call_that_the_other_has_not() -> None:
    def calls(kind: type) -> set[str]:
        found = {name for name, _ in inspect.getmembers(kind, inspect.isfunction)}
        return {name for name in found if not name.startswith("_")}

    assert calls(Meld) == calls(AsyncMeld)
    assert all(hasattr(AsyncMeld, name) for name in OTHER_NAMES.values())


@pytest.mark.parametrize("name", METHODS)
def test_a_call_takes_the_same(name: str) -> None:
    ours, theirs = getattr(Meld, name), getattr(AsyncMeld, name)

    def parameters(function: object) -> list[tuple[str, object, object]]:
        found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        return [(each.name, each.kind, each.default) for each in found]

    assert parameters(ours) == parameters(theirs)
    assert inspect.getdoc(theirs) in (inspect.getdoc(ours), f"See Meld.{name}.")
