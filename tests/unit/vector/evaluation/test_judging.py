"""From passages to rankings, and quotes in passages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from services.vector.evaluation.golden import GoldenQuery, Judgement
from services.vector.evaluation.judging import (
    CITATION_PRECISION,
    judged_documents,
    judged_quotes,
    quoted,
    span,
)


@dataclass(frozen=True)
class Piece:
    document_id: str
    text: str
    byte_start: int = 0
    extraction_sha256: str = "e"


def quotes(*texts: str, by: str = "", name: str = "") -> GoldenQuery:
    return GoldenQuery("q", "?", tuple(Judgement(by, name, text) for text in texts))


def test_a_document_stands_where_its_first_passage_stands() -> None:
    query = GoldenQuery("q", "?", (Judgement("title", "A", "", 2), Judgement("title", "B", "", 1)))
    hits = [Piece("x", "1"), Piece("x", "2"), Piece("b", "3"), Piece("b", "4")]
    judged = judged_documents(query, ["a", "b"], hits, [1, 10])
    assert judged.first_rank == 2
    assert judged.missed == (0,)
    assert judged.metrics["mrr"] == 0.5
    assert judged.metrics["recall@1"] == 0.0
    assert judged.metrics["recall@10"] == 0.5
    assert judged.metrics["ndcg@10"] == pytest.approx((1 / math.log2(3)) / (2 + 1 / math.log2(3)))
    assert CITATION_PRECISION not in judged.metrics


@pytest.mark.parametrize(
    ("quote", "text", "found"),
    [
        ("built in 1884", "It was built in 1884.", "built in 1884"),
        ("built in 1884", "It was built\n  in 1884.", "built\n  in 1884"),
        ("built \n in 1884", "It was built in 1884.", "built in 1884"),
        ("built in 1885", "It was built in 1884.", None),
        ("Built", "It was built.", None),
        ("a.c", "abc", None),
    ],
)
def test_blanks_alone_may_differ(quote: str, text: str, found: str | None) -> None:
    place = span(quote, text)
    assert (None if place is None else text[slice(*place)]) == found


def test_a_claim_counts_bytes() -> None:
    (one,) = quoted(quotes("Größe 5"), [""], [Piece("a", "Größte: Größe 5.", byte_start=100)])
    assert one.claim.quote == "Größe 5"
    start = 100 + len("Größte: ".encode())
    assert (one.claim.byte_start, one.claim.byte_end) == (start, start + len("Größe 5".encode()))


def test_a_quote_is_looked_for_in_its_document_alone() -> None:
    hits = [Piece("x", "the quote"), Piece("a", "other"), Piece("a", "the quote")]
    (one,) = quoted(quotes("the quote", by="title", name="A"), ["a"], hits)
    assert one.hit == 2
    (anywhere,) = quoted(quotes("the quote"), [""], hits)
    assert anywhere.hit == 0


def test_passages_are_ranked_and_two_quotes_in_one_take_two_places() -> None:
    query = quotes("one", "two", "three")
    hits = [Piece("x", "nothing"), Piece("a", "one two"), Piece("b", "one three")]
    found = quoted(query, ["", "", ""], hits)
    judged = judged_quotes(query, ["", "", ""], hits, found, [3, 4])
    assert judged.first_rank == 2
    assert judged.metrics["recall@3"] == pytest.approx(2 / 3)
    assert judged.metrics["recall@4"] == 1.0
    gain = sum(1 / math.log2(rank + 1) for rank in (2, 3, 4))
    assert judged.metrics["ndcg@4"] == pytest.approx(
        gain / sum(1 / math.log2(rank + 1) for rank in (1, 2, 3))
    )


def test_one_passage_with_all_quotes_is_perfect() -> None:
    query = quotes("one", "two")
    hits = [Piece("a", "one two")]
    judged = judged_quotes(query, ["", ""], hits, quoted(query, ["", ""], hits), [10])
    assert judged.metrics == {"ndcg@10": 1.0, "recall@10": 1.0, "mrr": 1.0, CITATION_PRECISION: 1.0}


def test_what_does_not_verify_was_not_found() -> None:
    query = quotes("one")
    judged = judged_quotes(query, [""], [Piece("a", "one")], [], [10])
    assert judged.metrics == {"ndcg@10": 0.0, "recall@10": 0.0, "mrr": 0.0, CITATION_PRECISION: 0.0}
    assert judged.missed == (0,)


def test_cited_is_the_best_passage_of_the_document() -> None:
    """It is found further down, but an answer would have cited a passage that does not say it."""
    query = quotes("the quote", by="title", name="A")
    hits = [Piece("x", "-"), Piece("a", "not here"), Piece("a", "the quote")]
    judged = judged_quotes(query, ["a"], hits, quoted(query, ["a"], hits), [10])
    assert judged.metrics["recall@10"] == 1.0
    assert judged.metrics[CITATION_PRECISION] == 0.0


def test_without_hits_nothing_is_cited() -> None:
    judged = judged_quotes(quotes("one"), [""], [], [], [10])
    assert CITATION_PRECISION not in judged.metrics
