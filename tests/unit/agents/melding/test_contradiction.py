"""Contradictions and agreements between two statements."""

from __future__ import annotations

import pytest

from bench.melding import NEITHER, SAME, labelled, said
from services.agents.melding.claims import claims
from services.agents.melding.contradiction import clash, same


def kind(one: str, other: str) -> str:
    """The kind of contradiction; "" when there is none."""
    found = clash(claims(one), claims(other))
    return found.kind.value if found else ""


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_said_is_right(split: str) -> None:
    pairs = labelled(split)
    told = [(pair, said(pair, None)) for pair in pairs]
    conflicts = [pair for pair, answer in told if answer not in {SAME, NEITHER}]
    wrong = [pair for pair in conflicts if pair.label in {SAME, NEITHER}]
    there = [pair for pair in pairs if pair.label not in {SAME, NEITHER}]
    assert len(wrong) <= 0.05 * len(conflicts), wrong
    assert len(conflicts) - len(wrong) >= 0.6 * len(there)


@pytest.mark.parametrize("split", ["train", "test"])
def test_contradictions_are_the_same_from_both_sides(split: str) -> None:
    for pair in labelled(split):
        there, back = kind(pair.one, pair.other), kind(pair.other, pair.one)
        assert there == back, pair


@pytest.mark.parametrize("split", ["train", "test"])
def test_nothing_contradicts_itself(split: str) -> None:
    for pair in labelled(split):
        assert kind(pair.one, pair.one) == ""
        assert kind(pair.other, pair.other) == ""


def test_a_denied_opposite_is_the_same() -> None:
    assert same(claims("The gate is not open."), claims("The gate is closed."), None)
    assert kind("The gate is not open.", "The gate is closed.") == ""


def test_a_second_clause_is_compared_as_well() -> None:
    one = "The harbour of Elmsund is old and has 12 berths."
    assert kind(one, "The harbour of Elmsund has 20 berths.") == "number"


def test_it_stands_for_what_the_document_is_about() -> None:
    one = claims("It was built in 1884.", "The lighthouse")
    assert clash(one, claims("The lighthouse was built in 1890."))
    assert not clash(claims("It was built in 1884."), claims("The lighthouse was built in 1890."))


def test_what_is_compared_the_other_way_round_is_opposite() -> None:
    one = "Rowing is more popular than sailing."
    assert kind(one, "Sailing is more popular than rowing.") == "opposite"


def test_no_effect_denies_a_change() -> None:
    assert kind("The drug has no effect on mortality.", "The drug reduces mortality.") == "negation"


def test_close_embeddings_do_not_make_opposites_the_same() -> None:
    one, other = "The drug induces sleep.", "The drug prevents sleep."
    assert not same(claims(one), claims(other), 0.99)


def test_a_question_claims_nothing() -> None:
    assert claims("Is the harbour deep?") == []
