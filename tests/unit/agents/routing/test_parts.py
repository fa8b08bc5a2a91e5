"""Parts of a request and its priority."""

from __future__ import annotations

import pytest

from services.agents.routing.parts import priority, split


@pytest.mark.parametrize(
    ("request_text", "parts"),
    [
        ("What does the contract say?", ["What does the contract say?"]),
        (
            "Find the bug and then fix it, and write a test.",
            ["Find the bug", "fix it", "write a test."],
        ),
        ("Summarise the report. Draw a chart of it.", ["Summarise the report.", "Draw a chart of it."]),
        ("Compare bread and butter", ["Compare bread and butter"]),
        ("Why?", ["Why?"]),
        ("  ", [""]),
    ],
)
def test_splits_at_demands(request_text: str, parts: list[str]) -> None:
    assert split(request_text) == parts


def test_at_most_eight_parts_and_nothing_is_lost() -> None:
    parts = split(" ".join(f"Write chapter {number} now." for number in range(20)))
    assert len(parts) == 8
    assert "chapter 19" in parts[-1]


@pytest.mark.parametrize(
    ("request_text", "level"),
    [
        ("Production is down, fix it!", "high"),
        ("I need this ASAP", "high"),
        ("Whenever you have time, look at this", "low"),
        ("No rush, not urgent", "low"),
        ("Look at this", "normal"),
    ],
)
def test_priority_by_its_words(request_text: str, level: str) -> None:
    assert priority(request_text) == level
