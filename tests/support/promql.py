"""What a PromQL expression asks for, as far as a test of names needs it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_NAME = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)\b(?!\s*\()")
_WORDS = frozenset(("and", "or", "unless", "bool", "offset"))


@dataclass(frozen=True)
class Asked:
    """Metrics with the matchers of each selector, (label, operator, value), and the labels grouped by."""

    selectors: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]
    grouped_by: frozenset[str]

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.selectors}


def asked(expression: str) -> Asked:
    """What the expression asks for."""
    selectors = [
        (name, tuple(_MATCHER.findall(matchers))) for name, matchers in _SELECTOR.findall(expression)
    ]
    rest = _SELECTOR.sub("", _STRING.sub("", re.sub(r"\[[^\]]*\]", "", expression)))
    groups = _GROUPING.findall(rest)
    # Strings are gone by now, so selectors with matchers are as well, but for their names.
    plain = _NAME.findall(_GROUPING.sub("", rest))
    selectors += [(name, ()) for name in plain if name not in _WORDS]
    labels = {label.strip() for group in groups for label in group.split(",") if label.strip()}
    return Asked(tuple(selectors), frozenset(labels))
