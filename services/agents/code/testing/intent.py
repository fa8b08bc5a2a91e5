"""Cases of somebody who knows what is intended, a model say, as tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from services.agents.code.testing.model import Intended
from services.agents.code.testing.writing import Block, Case

_MAX_TEXT = 500
_MAX_SHOWN = 300


def block(case: Intended, unique: Callable[[str], str]) -> Block | None:
    """The case as a test; None when its parts are not Python expressions."""
    texts = [*case.arguments, *([] if case.raises else [case.expected])]
    if not all(_is_expression(text.partition("=")[2] if _is_keyword(text) else text) for text in texts):
        return None
    if not re.fullmatch(r"[A-Za-z_][\w.]*", case.function):
        return None
    call = f"{case.function}({', '.join(case.arguments)})"
    if case.raises:
        if not re.fullmatch(r"[A-Za-z_][\w.]*", case.raises):
            return None
        text = f"with pytest.raises({case.raises}):\n    {call}"
    else:
        operator = "is" if case.expected in {"True", "False", "None"} else "=="
        expected = f"pytest.approx({case.expected})" if _is_float(case.expected) else case.expected
        text = f"assert {call} {operator} {expected}"
    name = unique(f"test_{re.sub(r'[^0-9a-zA-Z]+', '_', case.function)}_as_intended")
    return Block(name, cases=[Case(text=text)], comment=" ".join(case.why.split()))


def observed(error: str) -> str:
    """What pytest told of a failure, in short."""
    lines = [line[2:].strip() for line in error.splitlines() if line.startswith("E ")]
    return (lines[0] if lines else error.strip().splitlines()[-1])[:_MAX_SHOWN]


def _is_keyword(text: str) -> bool:
    return re.match(r"[A-Za-z_]\w*\s*=[^=]", text) is not None


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return 0 < len(text) <= _MAX_TEXT and "\n" not in text


def _is_float(text: str) -> bool:
    node = ast.parse(text.strip(), mode="eval").body
    return isinstance(node, ast.Constant) and isinstance(node.value, float)
