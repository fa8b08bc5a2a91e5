"""What a model claims, and whether its quotes stand."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.deciding.claims import find, verified
from services.agents.model import Passage
from tests.unit.agents.roster.test_results import Sources

TEXT = "Ada delivers\nin ten days. Bob is cheap."
PASSAGE = Passage("d", "Offers", "c", "k", TEXT, 7, 7 + len(TEXT), "x")


def claim(statement: str, quote: str = "") -> results_pb2.QuotedClaim:
    return results_pb2.QuotedClaim(statement=statement, quote=quote)


async def test_a_claim_is_cited_by_the_words_that_stand_there_and_dropped_where_they_do_not() -> None:
    kept, dropped = await verified(
        [
            claim("Ada is fast.", "“Ada delivers in ten days.”"),
            claim("Bob is best.", "Bob is the best"),
            claim("Talk to both."),
            claim("Bob is cheap.", "Bob is cheap."),
            claim(" "),
        ],
        [PASSAGE],
        Sources(refuse="cheap"),
    )
    assert [(finding.statement, list(finding.citations)) for finding in kept] == [
        ("Ada is fast.", [1]),
        ("Talk to both.", []),
    ]
    assert dropped == 2


def test_a_quote_has_its_exact_place() -> None:
    quote = find("delivers in ten", [PASSAGE])
    assert quote is not None
    assert (quote.text, quote.byte_start, quote.byte_end) == ("delivers\nin ten", 11, 26)
    assert find("  ", [PASSAGE]) is None
