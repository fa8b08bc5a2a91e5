"""Whether quotes carry a statement."""

from __future__ import annotations

import pytest

from services.agents.melding.support import Ground, carried

QUOTE = "The harbour of Elmsund is fourteen metres deep."


@pytest.mark.parametrize(
    "statement",
    [QUOTE, "Elmsund's harbour has a depth of 14 m.", "The depth of the harbour is 46 feet."],
)
def test_what_a_quote_says_is_carried(statement: str) -> None:
    assert carried(statement, [QUOTE])


@pytest.mark.parametrize(
    "statement",
    [
        "The harbour of Elmsund is 20 m deep.",
        "The harbour of Elmsund is not deep.",
        "Whales live in the bay.",
        "The harbour of Elmsund, built in 1850, is deep.",
        "",
    ],
)
def test_what_it_does_not_say_is_not(statement: str) -> None:
    assert not carried(statement, [QUOTE])


def test_without_a_quote_nothing_is_carried() -> None:
    assert not carried(QUOTE, [])


def test_two_quotes_carry_together_what_neither_does_alone() -> None:
    statement = "The harbour of Elmsund is 14 m deep and its light burns since 1871."
    light = "The light of Elmsund has burned since 1871."
    assert not carried(statement, [light])
    assert carried(statement, [QUOTE, light])


HANDBOOK = (
    "Each employee has 28 days of paid leave a year. Hotel costs are refunded up to 140 euros a night. "
    "Invoices of more than 1,500 euros need two signatures. Leave is taken by 31 March 2027. "
    "The guarantee lasts two weeks. The archive is kept for ten years. Printers are not serviced on Sundays."
)
LEAVE, HOTEL, SIGNED, TAKEN, GUARANTEE, ARCHIVE, SERVICE = (
    f"{sentence}." for sentence in HANDBOOK.removesuffix(".").split(". ")
)
GROUND = Ground(["How many days of leave have 3 people?", HANDBOOK])


@pytest.mark.parametrize(
    ("statement", "quote"),
    [
        ("Each employee has 28 days of paid leave a year", LEAVE),
        ("Employees get 28 days off, paid, each year", LEAVE),
        ("1. Each employee has 28 days of paid leave a year", LEAVE),
        ("12. Each employee has 28 days of paid leave a year", LEAVE),
        ("Chaque employé a droit à 28 jours de congés payés par an", LEAVE),
        ("Mitarbeiter haben 28 Tage bezahlten Urlaub im Jahr", LEAVE),
        ("Hotels are paid for up to €140 a night", HOTEL),
        ("Above EUR 1500 two people sign", SIGNED),
        ("Rechnungen über 1.500 Euro brauchen zwei Unterschriften", SIGNED),
        ("Leave has to be taken by 2027-03-31", TAKEN),
        ("Leave has to be taken by the end of March 2027", TAKEN),
        ("The guarantee lasts 14 days", GUARANTEE),
        ("The archive is kept for a decade", ARCHIVE),
        ("The handbook names 7 rules", LEAVE),
        ("For 3 people", LEAVE),
        ("Nobody services printers on Sundays", SERVICE),
        ("The handbook speaks of leave and of hotels", LEAVE),
    ],
)
def test_what_was_read_may_be_said_in_other_words(statement: str, quote: str) -> None:
    assert GROUND.carries(statement, quote)


@pytest.mark.parametrize(
    ("statement", "quote"),
    [
        ("Each employee has 99 days of paid leave a year", LEAVE),
        ("Chaque employé a droit à 99 jours de congés payés par an", LEAVE),
        ("Hotel costs are refunded up to 900 euros a night", HOTEL),
        # The number stands elsewhere, and the quote says another.
        ("Each employee has 140 days of paid leave a year", LEAVE),
        ("Leave is taken by 31 March 2028", TAKEN),
        ("Printers are serviced on Sundays", SERVICE),
        ("Each employee has 5 days of paid leave a year", LEAVE),
    ],
)
def test_what_nobody_wrote_is_not_carried(statement: str, quote: str) -> None:
    assert not GROUND.carries(statement, quote)
