"""Findings about code: facts that a tool can show again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SEVERITIES = ("error", "warning", "info")
# When two tools say the same of a place, the one that comes first says it.
_TOOLS = ("python", "tree-sitter", "ruff", "bandit", "radon", "vulture", "imports", "duplicates")


@dataclass(frozen=True)
class CodeFinding:
    """A remark on a place. severity: "error", "warning" or "info". line and column count from 1.

    also: other tools that say the same, each as "tool rule".
    """

    tool: str
    rule: str
    severity: str
    path: str
    line: int
    column: int
    message: str
    also: tuple[str, ...] = ()


def merged(rows: Iterable[Mapping[str, Any]]) -> list[CodeFinding]:
    """One finding for each thing at a place, the most severe first, then in the order of the files."""
    said: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        said.setdefault((row["path"], row["line"], row["topic"]), []).append(row)
    found = [_one(same) for same in said.values()]
    return sorted(
        found, key=lambda f: (SEVERITIES.index(f.severity), f.path, f.line, f.column, f.tool, f.rule)
    )


def _one(same: list[Mapping[str, Any]]) -> CodeFinding:
    same = sorted(same, key=lambda row: _TOOLS.index(row["tool"]))
    first = same[0]
    others = dict.fromkeys(f"{row['tool']} {row['rule']}" for row in same[1:])
    return CodeFinding(
        tool=first["tool"],
        rule=first["rule"],
        severity=min((row["severity"] for row in same), key=SEVERITIES.index),
        path=first["path"],
        line=first["line"],
        column=first["column"],
        message=first["message"],
        also=tuple(name for name in others if name != f"{first['tool']} {first['rule']}"),
    )


def checked(rows: Iterable[Mapping[str, Any]], lines: Mapping[str, int]) -> list[Mapping[str, Any]]:
    """The rows that name a file that was given, a line in it, a tool of ours and a severity."""
    return [
        row
        for row in rows
        if row["tool"] in _TOOLS
        and row["severity"] in SEVERITIES
        and 1 <= row["line"] <= max(1, lines.get(row["path"], 0))
        and row["path"] in lines
    ]
