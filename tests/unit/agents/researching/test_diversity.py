"""Which passages are read."""

from __future__ import annotations

from services.agents.model import Passage
from services.agents.researching.diversity import Choice, Listed, chosen, fused


def passage(document: str, text: str, start: int = 0) -> Passage:
    """A passage of a document."""
    return Passage(
        document, document, f"{document}-{start}", "k", text, start, start + len(text.encode()), "x"
    )


PIER = passage("pier", "The pier was built of stone.")
QUAY = passage("quay", "The quay lies in the east.")
LAMP = passage("lamp", "The lamp burns whale oil.")


def test_what_several_queries_find_comes_first() -> None:
    order = [found for found, _ in fused([Listed([PIER, QUAY]), Listed([LAMP, QUAY])])]
    assert order[0] == QUAY
    assert len(order) == 3


def test_a_list_counts_by_its_weight() -> None:
    order = [found for found, _ in fused([Listed([LAMP], 0.3), Listed([PIER, QUAY])])]
    assert order == [PIER, QUAY, LAMP]


def test_one_document_does_not_crowd_out_the_others() -> None:
    many = [passage("pier", f"Stone number {i} of the pier.", 100 * i) for i in range(6)]
    picked = chosen([Listed([*many, QUAY])], Choice(passages=4, per_document=2))
    assert [p.document_id for p in picked].count("pier") == 2
    assert QUAY in picked


def test_of_two_that_say_the_same_one_waits() -> None:
    again = passage("copy", "The pier was built of stone.")
    picked = chosen([Listed([PIER, again, LAMP])], Choice(passages=2, diversity=0.5))
    assert picked == [PIER, LAMP]


def test_nothing_is_chosen_of_nothing() -> None:
    assert chosen([Listed([]), Listed([])]) == []
