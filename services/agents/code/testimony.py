"""What a program told that ran inside the sandbox beside code that nobody trusts: every value is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from services.agents.ports import JsonObject

_MAX_WORDS = 500
_MAX_NUMBER = 1e15


def rows(value: Any, kinds: Mapping[str, type], limit: int) -> list[JsonObject]:
    """The first rows of a list, each as `row` makes them."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError("no list")
    return [row(item, kinds) for item in value[:limit]]


def row(value: Mapping[str, Any], kinds: Mapping[str, type]) -> JsonObject:
    """An object with exactly these values: str (at most 500 characters), int, float (finite, not negative),
    bool or list (of at most 100 such strings).

    Raises ValueError, TypeError, KeyError or AttributeError when it is another one.
    """
    made: JsonObject = {}
    for name, kind in kinds.items():
        if kind is str:
            made[name] = str(value[name])[:_MAX_WORDS]
        elif kind is list:
            made[name] = [str(item)[:_MAX_WORDS] for item in list(value[name])[:100]]
        else:
            made[name] = kind(amount(value[name]))
    return made


def whole(value: Any) -> int:
    """A whole number that is not negative."""
    return int(amount(value))


def amount(value: Any) -> float:
    """A finite number that is not negative."""
    number = float(value)
    if not (math.isfinite(number) and 0 <= number < _MAX_NUMBER):
        raise ValueError(f"{number} is no amount")
    return number
