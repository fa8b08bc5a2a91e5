"""Values as the expressions that a test compares with."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import itertools
import math
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# How many items of an iterator are looked at.
TAKEN = 30
_MAX_TEXT = 1_200
_MAX_PAIRS = 12
_MAX_DEPTH = 8

# What is read from a value, as a template of the expression, and what it is to equal.
Pairs = list[tuple[str, str]]


class UnrenderableError(Exception):
    """No expression makes an equal value."""


def render(value: object, classes: Mapping[str, type]) -> str:
    """An expression that equals the value. Raises UnrenderableError."""
    text = _render(value, classes, 0)
    if len(text) > _MAX_TEXT:
        raise UnrenderableError
    return text


def pairs(value: object, classes: Mapping[str, type], depth: int = 0) -> Pairs:
    """What can be compared of a value: of an iterator what it yields, of an object its public attributes."""
    try:
        return [("{}", render(value, classes))]
    except UnrenderableError:
        pass
    if isinstance(value, re.Match):
        return [("{}.group()", repr(value.group())), ("{}.groups()", repr(value.groups()))]
    if isinstance(value, Iterator):
        taken = list(itertools.islice(value, TAKEN))
        return _of_items(taken, f"list(itertools.islice({{}}, {TAKEN}))", classes)
    kind = type(value)
    named: Pairs = [("type({}).__name__", repr(kind.__name__))]
    if isinstance(value, list | tuple):
        return _of_items(list(value), "list({})" if isinstance(value, tuple) else "{}", classes, depth)
    if isinstance(value, dict):
        return _of_entries(value, classes, depth)
    if classes.get(kind.__name__) is kind and depth < 3:
        return (named + _of_attributes(value, classes, depth))[:_MAX_PAIRS]
    if callable(value):
        return [("callable({})", "True")]
    return named


def _of_items(items: list[object], read: str, classes: Mapping[str, type], depth: int = 0) -> Pairs:
    try:
        return [(read, render(items, classes))]
    except UnrenderableError:
        found: Pairs = [(f"len({read})", str(len(items)))]
        if read == "{}" and depth < 3:
            for index, item in enumerate(items[:4]):
                found += [
                    (template.replace("{}", f"{{}}[{index}]"), e)
                    for template, e in pairs(item, classes, depth + 1)
                ]
        return found[:_MAX_PAIRS]


def _of_entries(value: dict[object, object], classes: Mapping[str, type], depth: int) -> Pairs:
    found: Pairs = [("len({})", str(len(value)))]
    for key, item in list(value.items())[:4]:
        try:
            shown = render(key, classes)
        except UnrenderableError:
            continue
        if depth < 3 and "{" not in shown:
            found += [
                (template.replace("{}", f"{{}}[{shown}]"), e)
                for template, e in pairs(item, classes, depth + 1)
            ]
    return found[:_MAX_PAIRS]


def _of_attributes(value: object, classes: Mapping[str, type], depth: int) -> Pairs:
    found: Pairs = []
    names = [*vars(value)] if hasattr(value, "__dict__") else []
    names += [slot for slot in getattr(type(value), "__slots__", ()) if isinstance(slot, str)]
    names += [name for name, member in vars(type(value)).items() if isinstance(member, property)]
    for name in dict.fromkeys(names):
        if name.startswith("_"):
            continue
        try:
            item = getattr(value, name)
        except Exception:
            continue
        if callable(item) and not hasattr(item, "__dict__"):
            continue
        for template, expression in pairs(item, classes, depth + 1):
            found.append((template.replace("{}", f"{{}}.{name}"), expression))
    return found


def _render(value: Any, classes: Mapping[str, type], depth: int) -> str:  # noqa: PLR0912 - one for each kind
    if depth > _MAX_DEPTH:
        raise UnrenderableError
    kind = type(value)

    def inner(item: object) -> str:
        return _render(item, classes, depth + 1)

    if value is None or kind in {bool, bytes} or value is Ellipsis:
        return repr(value)
    if isinstance(value, int) and kind is int:
        if abs(value) > 10**300:
            raise UnrenderableError
        return repr(value)
    if kind is str:
        return _text(repr(value))
    if kind is float:
        return _float(value)
    if isinstance(value, enum.Enum):
        return _member(value, classes)
    if kind is list:
        return "[" + ", ".join(inner(item) for item in value) + "]"
    if kind is tuple:
        parts = [inner(item) for item in value]
        return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"
    if kind in {set, frozenset}:
        parts = sorted(_exact(item, classes, depth + 1) for item in value)
        shown = "{" + ", ".join(parts) + "}" if parts else "set()"
        return shown if kind is set else f"frozenset({shown if parts else ''})"
    if isinstance(value, dict) and kind in {
        dict, collections.Counter, collections.defaultdict, collections.OrderedDict,
    }:  # fmt: skip
        return "{" + ", ".join(f"{_exact(k, classes, depth + 1)}: {inner(v)}" for k, v in value.items()) + "}"
    if kind is collections.deque:
        return f"collections.deque([{', '.join(inner(item) for item in value)}])"
    if kind is bytearray:
        return repr(value)
    return _special(value, classes, depth)


def _special(value: Any, classes: Mapping[str, type], depth: int) -> str:
    kind = type(value)
    if kind in {datetime.date, datetime.datetime, datetime.timedelta, datetime.time, datetime.timezone}:
        return repr(value)
    if kind is decimal.Decimal:
        return f"decimal.{value!r}"
    if kind is fractions.Fraction:
        return f"fractions.{value!r}"
    if isinstance(value, pathlib.PurePath):
        return f"pathlib.{value!r}"
    if kind in {range, complex}:
        return repr(value)
    if isinstance(value, type) and value.__module__ == "builtins":
        return value.__name__
    if classes.get(kind.__name__) is not kind:
        raise UnrenderableError
    if dataclasses.is_dataclass(value) and kind.__dataclass_params__.eq:
        fields = [f for f in dataclasses.fields(value) if f.compare]
        if all(f.init for f in fields) and "__eq__" in vars(kind):
            parts = [
                f"{f.name}={_render(getattr(value, f.name), classes, depth + 1)}" for f in fields if f.init
            ]
            return f"{kind.__name__}({', '.join(parts)})"
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        parts = [f"{n}={_render(getattr(value, n), classes, depth + 1)}" for n in kind._fields]
        return f"{kind.__name__}({', '.join(parts)})"
    return _by_repr(value, classes)


def _by_repr(value: object, classes: Mapping[str, type]) -> str:
    """A repr that makes an equal object, of a class that knows equality."""
    kind = type(value)
    if kind.__eq__ is object.__eq__ or kind.__repr__ is object.__repr__:
        raise UnrenderableError
    shown = repr(value)
    if not shown.startswith(f"{kind.__name__}(") or " at 0x" in shown:
        raise UnrenderableError
    try:
        same = eval(shown, dict(classes)) == value
    except Exception as error:
        raise UnrenderableError from error
    if same is not True:
        raise UnrenderableError
    return shown


def _exact(value: object, classes: Mapping[str, type], depth: int) -> str:
    """For keys and members of sets, where nothing approximate can stand."""
    if type(value) is float:
        if not math.isfinite(value):
            raise UnrenderableError
        return repr(value)
    shown = _render(value, classes, depth)
    if "pytest.approx" in shown:
        raise UnrenderableError
    return shown


def _text(shown: str) -> str:
    if " at 0x" in shown:
        raise UnrenderableError
    return shown


def _float(value: float) -> str:
    if math.isnan(value):
        return "pytest.approx(math.nan, nan_ok=True)"
    if math.isinf(value):
        return "math.inf" if value > 0 else "-math.inf"
    if (value * 1024).is_integer() and abs(value) < 1e15:
        return repr(value)
    return f"pytest.approx({value:.12g})"


def _member(value: enum.Enum, classes: Mapping[str, type]) -> str:
    kind = type(value)
    if classes.get(kind.__name__) is not kind or value.name not in kind.__members__:
        raise UnrenderableError
    return f"{kind.__name__}.{value.name}"


Render = Callable[[object], str]
