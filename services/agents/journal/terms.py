"""The terms under which a run is done: they stay as they were when it began."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.agents.chat.prices import Price
from services.agents.journal.journal import Journal
from services.agents.ledger import Allowance, Ledger


@dataclass(frozen=True)
class Equipment:
    """What there is here that not every house has."""

    model: bool = False
    sandbox: bool = False
    transcribes: bool = False
    speaks: bool = False
    foreign: bool = False


@dataclass(frozen=True)
class Terms:
    """What a run may use, what that costs, and what there is to do it with."""

    allowance: Allowance
    prices: Mapping[str, Price] = field(default_factory=dict)
    equipment: Equipment = Equipment()

    def plain(self) -> dict[str, Any]:
        """As plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, journal: Journal) -> Terms:
        """Those that a run began under."""
        said = journal.terms
        prices = {model: Price(**price) for model, price in said["prices"].items()}
        return cls(Allowance(**said["allowance"]), prices, Equipment(**said["equipment"]))


def ledger(journal: Journal) -> Ledger:
    """The ledger of a run, with its times out of the journal."""
    terms = Terms.of(journal)
    return Ledger(terms.allowance, prices=terms.prices, clock=journal.clock, remaining=journal.remaining)
