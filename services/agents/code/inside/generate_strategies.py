"""Kinds as strategies of hypothesis, and functions as the host needs to know them."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from .generate_kinds import Kind
from .generate_targets import Target

_PLAIN = {
    "int": "st.integers(-100, 100)",
    "float": "st.floats(-1e6, 1e6)",
    "str": "st.text(max_size=20)",
    "bool": "st.booleans()",
    "bytes": "st.binary(max_size=20)",
    "none": "st.none()",
    "date": "st.dates()",
    "datetime": "st.datetimes()",
    "decimal": "st.decimals(-1000, 1000, places=2)",
}


def strategy(kind: Kind, depth: int = 0) -> str:
    """The source of a strategy for a kind; empty when there is none."""
    if kind.name in _PLAIN:
        return _PLAIN[kind.name]
    if kind.name == "literal":
        return f"st.sampled_from([{', '.join(kind.words)}])"
    inner = [strategy(part, depth + 1) for part in kind.inner]
    if depth > 2 or not inner or not all(inner):
        return ""
    if kind.name in {"list", "set", "frozenset"}:
        made = {"list": "lists", "set": "sets", "frozenset": "frozensets"}[kind.name]
        return f"st.{made}({inner[0]}, max_size=8)"
    if kind.name == "vartuple":
        return f"st.lists({inner[0]}, max_size=8).map(tuple)"
    if kind.name == "tuple":
        return f"st.tuples({', '.join(inner)})"
    if kind.name == "dict":
        return f"st.dictionaries({inner[0]}, {inner[1]}, max_size=6)"
    if kind.name == "union":
        return f"st.one_of({', '.join(inner)})"
    return ""


def described(target: Target) -> dict[str, Any]:
    """A function as a plain object: its name, path, line and parameters with their strategies."""
    node: Any = target.syntax
    found = []
    for parameter in target.parameters:
        ranked = sorted(parameter.given, key=lambda pair: -pair[1])
        kind = ranked[0][0] if ranked else Kind("any")
        found.append(
            {
                "name": parameter.name,
                "kind": kind.name,
                "inner": kind.inner[0].name if kind.inner else "",
                "strategy": strategy(kind),
                "optional": parameter.optional,
                "variadic": parameter.variadic,
                "keyword_only": parameter.keyword_only,
            }
        )
    return {
        "key": target.key,
        "template": target.template,
        "path": target.path,
        "line": node.lineno if node is not None else 0,
        "documentation": inspect.cleandoc(_doc(node))[:400],
        "parameters": found,
    }


def _doc(node: Any) -> str:
    return (ast.get_docstring(node) if node is not None else "") or ""
