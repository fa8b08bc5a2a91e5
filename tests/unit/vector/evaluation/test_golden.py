"""Golden sets as they arrive: what is refused, and where it stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.chassis.errors import InvalidArgumentError
from services.vector.evaluation.golden import MOST_QUERIES, Gathered, GoldenQuery, GoldenSet, Judgement

FOX = Judgement("external_id", "fox", "")


def gathered(*queries: GoldenQuery) -> GoldenSet:
    set_ = Gathered()
    for query in queries:
        set_.add(query)
    return set_.checked()


def refused(*queries: GoldenQuery) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        gathered(*queries)
    assert caught.value.reason == "GOLDEN_SET_INVALID"
    return caught.value


def query(*judgements: Judgement, query_id: str = "q1", text: str = "foxes?", line: int = 0) -> GoldenQuery:
    return GoldenQuery(query_id, text, judgements or (FOX,), line)


def test_a_good_set_is_taken_as_it_is() -> None:
    assert gathered(query(), query(query_id="q2")).judgements == 2


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (query(text=" "), "its text must have"),
        (query(text="a\0b"), "NUL"),
        (query(query_id=""), "its id must have"),
        (query(query_id="a\nb"), "its id must have"),
        (query(replace(FOX, grade=0)), "nothing is relevant"),
        (query(replace(FOX, grade=101)), "0 to 100"),
        (query(Judgement("", "", "")), "neither a document nor a quote"),
        (query(Judgement("title", "", "")), "name of a document"),
        (query(replace(FOX, quote="  ")), "blank"),
        (query(FOX, Judgement("", "", "runs at night")), "either all"),
        (query(FOX, FOX), "judged twice"),
        (query(*(Judgement("", "", f"q{n}") for n in range(101))), "at most 100 quotes"),
        (GoldenQuery("q1", "foxes?", ()), "1 to 1000 judgements"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_query(bad: GoldenQuery, says: str) -> None:
    error = refused(bad)
    assert says in error.message
    assert error.metadata["problems"] == "1"


def test_the_line_is_that_of_the_judgement_else_that_of_the_query() -> None:
    error = refused(query(line=3, text=" "), query(replace(FOX, grade=-1, line=9), query_id="q2", line=4))
    assert "line 3, query q1:" in error.message
    assert "line 9, query q2:" in error.message
    assert (error.metadata["line"], error.metadata["query_id"]) == ("3", "q1")
    assert error.metadata["problems"] == "3"


def test_many_problems_are_counted_and_the_first_are_told() -> None:
    error = refused(*(query(query_id=f"q{n}", text=" ") for n in range(30)))
    assert error.metadata["problems"] == "30"
    assert error.message.endswith("and 20 more")


def test_an_id_stands_once() -> None:
    assert "twice in the set" in refused(query(), query()).message


def test_an_empty_set_is_refused() -> None:
    assert "no query" in refused().message


def test_a_set_has_an_end() -> None:
    error = refused(*(query(query_id=f"q{n}") for n in range(MOST_QUERIES + 1)))
    assert f"more than {MOST_QUERIES} queries" in error.message


def test_the_hash_is_of_what_is_said_and_not_of_where() -> None:
    one, moved = gathered(query(line=1)), gathered(query(line=7))
    assert one.sha256 == moved.sha256
    assert one.sha256 != gathered(query(replace(FOX, grade=2))).sha256
    assert one.sha256 != gathered(query(text="foxes")).sha256
