"""What several searches found together."""

from __future__ import annotations

from typing import Any

import pytest

from services.agents.answering.extractive import Evidence
from services.agents.model import Passage
from services.agents.ports import Likeness
from services.agents.researching import research
from services.agents.researching.queries import Query
from services.agents.researching.research import Gathered, Searched
from services.chassis.errors import ResourceExhaustedError, UnavailableError


def passage(document: str, text: str, similarity: float = 0.0) -> Passage:
    """The only passage of a document."""
    size = len(text.encode())
    return Passage(document, document.title(), document, "k", text, 0, size, "x", vector_score=similarity)


PILOT = passage("pilot", "The harbour of Brava is fourteen metres deep.", 0.8)
GUIDE = passage("guide", "The harbour of Brava is 12 m deep.", 0.7)
LAMP = passage("lamp", "The lamp burns whale oil.")


async def test_queries_are_told_with_what_each_gave() -> None:
    gathered = Gathered(
        [
            Searched(Query("deep harbour", "question"), (PILOT, GUIDE)),
            Searched(Query("harbour", "phrase"), (GUIDE, LAMP)),
            Searched(Query("lamp", "passages"), failure="busy"),
        ]
    )
    told = [(q.found_count, q.new_count, q.chosen_count, q.failure) for q in gathered.queries()]
    assert told == [(2, 2, 2, ""), (2, 1, 1, ""), (0, 0, 0, "busy")]


async def test_searches_that_fail_say_why_and_a_defect_is_raised() -> None:
    class Search:
        async def __call__(self, query: str, top_k: int | None = None) -> tuple[Passage, ...]:
            match query:
                case "down":
                    raise UnavailableError("it is down", reason="RETRIEVAL_UNAVAILABLE")
                case "spent":
                    raise ResourceExhaustedError("all is spent", reason="BUDGET_EXHAUSTED")
                case "defect":
                    raise LookupError("a defect")
            return (LAMP,)

    queries = [Query(text, "part") for text in ("lamp", "down", "spent")]
    found = await research.search_all(Search(), queries)
    assert [(item.passages, item.failure) for item in found] == [
        ((LAMP,), ""),
        ((), "it is down"),
        ((), "all is spent"),
    ]
    with pytest.raises(LookupError):
        await research.search_all(Search(), [Query("defect", "part")])


async def test_sentences_of_two_documents_that_disagree_are_found() -> None:
    evidence = Evidence([PILOT, GUIDE, LAMP], None)
    quotes = await research.disagreeing(evidence, ["How deep is the harbour of Brava?"])
    assert {quote.passage.document_id for quote in quotes} == {"pilot", "guide"}
    (conflict,) = await research.contradictions([(quote, 7 + i) for i, quote in enumerate(quotes)])
    assert [list(side.citations) for side in conflict.sides] == [[7], [8]]


async def test_documents_that_agree_do_not_contradict() -> None:
    same = passage("chart", "The depth of the harbour of Brava is 14 m.")
    evidence = Evidence([PILOT, same], None)
    assert await research.disagreeing(evidence, ["How deep is the harbour of Brava?"]) == []


FIELDS = "\n".join(f"Orchard: Field {i}; Kilos: {i * 13}; Variety: Cox" for i in range(2, 20))


async def test_a_table_and_its_copy_do_not_contradict() -> None:
    evidence = Evidence([passage("harvest", FIELDS), passage("copy", FIELDS)], None)
    assert await research.disagreeing(evidence, ["How many kilos has Field 7?"]) == []


async def test_rows_of_a_table_that_lists_several_values_contradict_nothing() -> None:
    table = "Variety: Cox; Weight: 12 kg\nVariety: Cox; Weight: 14 kg"
    evidence = Evidence([passage("ours", table), passage("theirs", table)], None)
    assert await research.disagreeing(evidence, ["What is the weight of Cox?"]) == []
    barred = "Variety | Weight\nCox | 12 kg\nCox | 14 kg"
    evidence = Evidence([passage("ours", barred), passage("theirs", barred)], None)
    assert await research.disagreeing(evidence, ["What is the weight of Cox?"]) == []


async def test_rows_of_two_tables_with_another_value_contradict() -> None:
    ours = "Stone: Gneiss; Density: 2.65; Foreman: Strand\nStone: Basalt; Density: 2.91; Foreman: Venn"
    theirs = ours.replace("2.65", "2.75")
    evidence = Evidence([passage("ours", ours), passage("theirs", theirs)], None)
    found = await research.disagreeing(evidence, ["What is the density of gneiss?"])
    assert [quote.text for quote in found] == [ours.split("\n", maxsplit=1)[0], theirs.split("\n")[0]]


def test_sources_are_in_order_of_what_they_gave() -> None:
    told = research.sources([LAMP, PILOT, GUIDE], ["guide", "guide", "pilot"])
    assert [(s.title, s.finding_count, s.passage_count) for s in told] == [
        ("Guide", 2, 1),
        ("Pilot", 1, 1),
        ("Lamp", 0, 1),
    ]


def test_confidence_says_what_it_is_made_of() -> None:
    evidence = Evidence([PILOT, GUIDE], None)
    sure, basis = research.confidence(evidence, "How deep is the harbour of Brava?", 2, 0)
    doubted, why = research.confidence(evidence, "How deep is the harbour of Brava?", 2, 1)
    assert sure == pytest.approx(0.9)
    assert basis.startswith("High. The passages hold 100% of the question's words")
    assert "2 documents" in basis
    assert doubted == pytest.approx(0.675)
    assert "contradict" in why
    # 0.8, by a model of which any two texts have so much.
    evidence.likeness = Likeness(4.0, -3.2)
    alike, _ = research.confidence(evidence, "How deep is the harbour of Brava?", 2, 0)
    assert alike == pytest.approx(0.5)
    nothing: Any = research.confidence(evidence, "How deep is it?", 0, 0)
    assert nothing == (0.0, "Nothing was found that answers the question.")
