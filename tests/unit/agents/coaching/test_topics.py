"""What there is to learn in passages."""

from __future__ import annotations

from services.agents.coaching.topics import topics
from services.agents.model import Passage


def passage(text: str, start: int = 0, document: str = "d") -> Passage:
    return Passage(document, "Title", "c", "k", text, start, start + len(text.encode()), "x")


def test_headings_are_topics_in_the_documents_order_with_a_sentence_that_stands_there() -> None:
    late = passage("## Indexes\n\nAn index costs spåce.\n\n## Empty\n", 500)
    early = passage("# Joins\nA join combines rows.\n\n# Views\n\nA view stores nothing.", 0)
    found = topics([late, early])
    assert [topic.name for topic in found] == ["Joins", "Views", "Indexes"]
    assert found[2].quote.text == "An index costs spåce."
    assert found[2].quote.byte_start == 500 + len("## Indexes\n\n")


def test_without_headings_key_phrases_are_topics() -> None:
    text = (
        "The relational model stores rows. Every query planner uses statistics. "
        "A query planner of the relational model is old."
    )
    names = [topic.name for topic in topics([passage(text)])]
    assert {"relational model stores", "query planner"} & set(names) or "query planner uses" in " ".join(
        names
    )
    assert len(names) == len(set(names))
    for topic in topics([passage(text)]):
        assert topic.name in topic.quote.text.lower()


def test_there_are_no_topics_in_nothing_and_not_too_many_in_much() -> None:
    assert topics([]) == []
    many = "\n\n".join(f"# Part {n}\n\nThis is part {n} here." for n in range(20))
    assert len(topics([passage(many)])) == 8
