"""What is searched for besides the question."""

from __future__ import annotations

from services.agents.model import Passage
from services.agents.researching.queries import formulated


def passages(*texts: str) -> list[Passage]:
    """A passage per text."""
    return [
        Passage(f"d{i}", "t", f"c{i}", "k", text, 0, len(text.encode()), f"x{i}")
        for i, text in enumerate(texts)
    ]


def texts(question: str, *found: str, limit: int = 8) -> dict[str, list[str]]:
    """The queries by origin."""
    by_origin: dict[str, list[str]] = {}
    for query in formulated(question, passages(*found), limit):
        by_origin.setdefault(query.origin, []).append(query.text)
    return by_origin


def test_each_part_is_searched_for() -> None:
    made = texts("When was the pier built? What does the ferry cost?")
    assert made["part"] == ["When was the pier built?", "What does the ferry cost?"]


def test_names_and_quoted_phrases_are_searched_for() -> None:
    made = texts('Did Anna Berg Larsen say that the "outer quay" is unsafe?')
    assert made["phrase"][:2] == ["outer quay", "Anna Berg Larsen"]


def test_what_the_passages_share_becomes_a_query() -> None:
    made = texts(
        "Which boats are slow?",
        "Barges are slow: a barge carries gravel on the canal.",
        "The canal is full of barges with gravel.",
        "Gravel from the canal is heavy.",
    )
    (query,) = made["passages"]
    assert {"gravel", "canal"} <= set(query.split())
    assert "boats" in query


def test_a_short_form_takes_the_place_of_the_long_one_and_back() -> None:
    introduced = "The World Health Organization (WHO) met in Geneva."
    assert (
        "What did the WHO decide?"
        in texts("What did the World Health Organization decide?", introduced)["passages"]
    )
    assert (
        "What did the World Health Organization decide?"
        in texts("What did the WHO decide?", introduced)["passages"]
    )


def test_no_query_repeats_the_question_or_another() -> None:
    made = formulated("harbour depth", passages("The harbour is deep."), 8)
    words = [tuple(sorted(query.text.lower().split())) for query in made]
    assert len(words) == len(set(words))
    assert ("depth", "harbour") not in words


def test_there_are_no_more_than_allowed_and_each_origin_has_its_turn() -> None:
    question = "When was Old Pier built? When was New Quay built? When was East Mole built? Who owns it?"
    made = formulated(question, passages("The mole (M) is old.", "A mole of stone.", "Stone moles."), 3)
    assert len(made) == 3
    assert {query.origin for query in made} == {"part", "phrase", "passages"}


def test_nothing_comes_of_nothing() -> None:
    assert formulated("", []) == []
