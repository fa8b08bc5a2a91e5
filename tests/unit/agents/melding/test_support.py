"""Whether quotes carry a statement."""

from __future__ import annotations

import pytest

from services.agents.melding.support import carried

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
