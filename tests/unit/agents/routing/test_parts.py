"""Parts of a request and its priority. How often they are right is measured by bench/routing.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.agents.routing.parts import joined, pieces, priority, split
from services.agents.routing.route import Alternative, Route


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
        ("Is it true? Why?", ["Is it true? Why?"]),
        ("Teach me to read and write music", ["Teach me to read and write music"]),
        ("We have two offers. Which one is better?", ["We have two offers. Which one is better?"]),
        ("1. Profile the importer\n2. Write tests\n", ["Profile the importer", "Write tests"]),
        ("Read this text aloud: Find the key. Open it.", ["Read this text aloud: Find the key. Open it."]),
        ("Why? ```\nfind x; write y\n```", ["Why? ```\nfind x; write y\n```"]),
        ("Make subtitles, plus a poster for it", ["Make subtitles", "a poster for it"]),
        ("Schreibe Tests und behebe danach den Fehler", ["Schreibe Tests", "behebe danach den Fehler"]),
        ("Résume le rapport et dis-moi quoi faire", ["Résume le rapport", "dis-moi quoi faire"]),
        ("  ", [""]),
    ],
)
def test_splits_at_demands(request_text: str, parts: list[str]) -> None:
    assert split(request_text) == parts


def test_at_most_eight_parts_and_nothing_is_lost() -> None:
    parts = split(" ".join(f"Write chapter {number} now." for number in range(20)))
    assert len(parts) == 8
    assert "chapter 19" in parts[-1]


def test_each_piece_stands_where_it_says() -> None:
    request = "Hello! Please find the bug, then fix it; and also draw a chart of  it."
    found = pieces(request)
    assert len(found) == 3
    assert [request[one.start : one.end] for one in found] == [one.text for one in found]


def routed(*agents: tuple[str, float]) -> list[Route]:
    return [Route(agent_id, confidence, (), ()) for agent_id, confidence in agents]


REQUEST = "Find the bug, fix it, and draw a chart"
WHOLE = Route("code_repair", 0.7, (), (Alternative("code_debugger", 0.2), Alternative("image", 0.1)))


def parts_of(*agents: tuple[str, float], whole: Route = WHOLE) -> list[tuple[str, str]]:
    made = joined(REQUEST, list(zip(pieces(REQUEST), routed(*agents), strict=True)), whole)
    return [(part.text, route.agent_id) for part, route in made]


def test_each_agent_gets_a_part() -> None:
    assert parts_of(("code_debugger", 0.9), ("code_repair", 0.9), ("image", 0.9)) == [
        ("Find the bug", "code_debugger"),
        ("fix it", "code_repair"),
        ("draw a chart", "image"),
    ]


def test_pieces_for_one_agent_are_one_part() -> None:
    assert parts_of(("code_repair", 0.9), ("code_repair", 0.5), ("image", 0.9)) == [
        ("Find the bug, fix it", "code_repair"),
        ("draw a chart", "image"),
    ]


def test_what_is_not_clearly_anothers_stays_with_its_neighbour() -> None:
    assert parts_of(("ceo", 0.3), ("code_repair", 0.9), ("audio", 0.6)) == [(REQUEST, "code_repair")]


def test_a_procedure_is_not_taken_apart() -> None:
    whole = Route("executor", 0.8, (), (Alternative("image", 0.1), Alternative("code_debugger", 0.1)))
    assert parts_of(("code_debugger", 0.5), ("executor", 0.9), ("image", 0.55), whole=whole) == [
        (REQUEST, "executor")
    ]


def test_long_requests_are_cut_in_bounded_time() -> None:
    for text in ("and find x " * 2_900, '{"a ' * 8_000, "- a\n" * 8_000, "a.b(" * 8_000):
        assert 1 <= len(split(text)) <= 8


@pytest.mark.parametrize(
    ("request_text", "level"),
    [
        ("Production is down, fix it!", "high"),
        ("I need this ASAP", "high"),
        ("Whenever you have time, look at this", "low"),
        ("No rush, not urgent", "low"),
        ("Look at this", "normal"),
        ("Sort the tickets by urgency", "normal"),
        ("Is it urgent? 'I need this immediately, now'", "high"),
        ('Who takes this: "I need it immediately, at once"', "normal"),
        ("Bitte dringend lesen", "high"),
        ("Sin prisa: resume el informe", "low"),
    ],
)
def test_priority_by_its_words(request_text: str, level: str) -> None:
    assert priority(request_text) == level


def test_nine_of_ten_labelled_priorities_are_read_rightly() -> None:
    labelled = json.loads(Path(__file__).with_name("priorities.json").read_text("utf-8"))
    cases = [(level, text) for level, texts in labelled.items() for text in texts]
    assert sum(priority(text) == level for level, text in cases) >= 0.9 * len(cases)
