"""What models cost, as the person who pays has written it down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from services.chassis.settings import SettingsError

_PER = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars for so many."""
        return (input_tokens * self.input + output_tokens * self.output) / _PER


def parse_prices(text: str) -> Mapping[str, Price]:
    """The prices by model, out of "model=input/output,model=…". Raises SettingsError."""
    prices = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        model, _, pair = entry.rpartition("=")
        try:
            input_price, output_price = map(float, pair.split("/"))
        except ValueError:
            input_price = output_price = math.nan
        if not model or not all(0 <= price < math.inf for price in (input_price, output_price)):
            raise SettingsError(
                "MELD_MODEL_PRICES: model=input/output, separated by commas, in dollars for a million tokens"
            )
        prices[model.strip()] = Price(input_price, output_price)
    return prices
