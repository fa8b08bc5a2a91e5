"""Findings of several tools about one place."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.agents.code.static.findings import SEVERITIES, checked, merged


def row(tool: str, rule: str, severity: str = "warning", line: int = 1, **more: Any) -> dict[str, Any]:
    plain = {"path": "a.py", "column": 1, "message": f"{tool} says", "topic": f"{tool} {rule}"}
    return {"tool": tool, "rule": rule, "severity": severity, "line": line, **plain, **more}


def test_two_tools_that_say_the_same_are_one_finding() -> None:
    (found,) = merged(
        [
            row("vulture", "unused-import", "error", topic="unused import"),
            row("ruff", "F401", topic="unused import", column=8),
        ]
    )
    assert (found.tool, found.rule, found.severity, found.column) == ("ruff", "F401", "error", 8)
    assert found.also == ("vulture unused-import",)


def test_other_lines_and_other_topics_stay_apart() -> None:
    assert len(merged([row("ruff", "F401"), row("ruff", "F401", line=2), row("ruff", "F841")])) == 3


@given(st.lists(st.tuples(st.sampled_from(SEVERITIES), st.integers(1, 5)), max_size=20))
def test_the_most_severe_come_first(given_rows: list[tuple[str, int]]) -> None:
    found = merged(row("ruff", f"R{i}", severity, line) for i, (severity, line) in enumerate(given_rows))
    assert len(found) == len(given_rows)
    keys = [(SEVERITIES.index(f.severity), f.line) for f in found]
    assert keys == sorted(keys)


def test_a_row_about_something_else_is_dropped() -> None:
    rows = [
        row("ruff", "F401", line=2),
        row("ruff", "F401", line=9),
        row("ruff", "F401", line=0),
        row("ruff", "F401", path="b.py"),
        row("nobody", "F401"),
        row("ruff", "F401", severity="fatal"),
    ]
    assert checked(rows, {"a.py": 3}) == rows[:1]
