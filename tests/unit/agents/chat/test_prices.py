"""What models cost."""

from __future__ import annotations

import pytest

from services.agents.chat.prices import Price, parse_prices
from services.chassis.settings import SettingsError


def test_prices_are_dollars_for_a_million_tokens() -> None:
    prices = parse_prices(" gpt-4=30/60, org/model=v1=0.1/0 ,")
    assert prices == {"gpt-4": Price(30, 60), "org/model=v1": Price(0.1, 0)}
    assert prices["gpt-4"].of(1_000_000, 500_000) == pytest.approx(60)
    assert parse_prices("") == {}


@pytest.mark.parametrize("text", ["gpt-4", "gpt-4=30", "gpt-4=a/b", "=1/2", "gpt-4=-1/2", "m=nan/1"])
def test_what_is_no_price_is_refused_by_the_name_of_its_variable(text: str) -> None:
    with pytest.raises(SettingsError, match="MELD_MODEL_PRICES"):
        parse_prices(text)
