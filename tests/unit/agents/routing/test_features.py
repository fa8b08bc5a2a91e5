"""What requests are compared by."""

from __future__ import annotations

import math

from services.agents.routing.features import ConceptSpace, WordSpace, load_concepts


def test_rare_words_weigh_more_and_a_vector_has_length_one() -> None:
    space = WordSpace(["draw a chart", "draw a cat", "draw a dog"])
    vector = space.vector("draw a chart")
    assert vector["chart"] > vector["draw"]
    assert math.isclose(sum(value * value for value in vector.values()), 1)
    assert space.vector("xyzzy") == {}


def test_concepts_are_met_by_stems_phrases_and_beginnings() -> None:
    space = ConceptSpace({"mend": ["fix", "get rid of", "korrig*"], "sound": ["recording"]})
    assert set(space.vector("Fixing two recordings")) == {"mend", "sound"}
    assert set(space.vector("get rid of it")) == {"mend"}
    assert set(space.vector("Bitte korrigiere das")) == {"mend"}
    assert space.vector("prefix the rid") == {}


def test_more_than_one_word_of_a_concept_counts_more() -> None:
    space = ConceptSpace({"mend": ["fix", "repair"]})
    assert space.vector("fix and repair")["mend"] > space.vector("fix")["mend"]


def test_no_concept_is_without_words() -> None:
    assert all(len(set(phrases)) > 10 for phrases in load_concepts().values())
