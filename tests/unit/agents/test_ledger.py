"""What a run may use, what it has used, and what it leaves to others."""

from __future__ import annotations

import pytest

from services.agents.chat.prices import Price
from services.agents.ledger import Allowance, Ledger, Spent
from services.agents.ports import ModelDone
from services.chassis.errors import InvalidArgumentError, ResourceExhaustedError


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("limits", "unit"),
    [({"model_calls": 0}, "model calls"), ({"tokens": 0}, "tokens"), ({"seconds": 0}, "seconds")],
)
def test_no_model_is_called_beyond_a_limit(limits: dict[str, float], unit: str) -> None:
    ledger = Ledger.of(**limits)
    with pytest.raises(ResourceExhaustedError) as caught:
        ledger.charge_model_call()
    assert caught.value.metadata == {"limit": "0", "unit": unit}
    assert ledger.model_calls == 0


def test_time_is_read_from_the_ledgers_clock() -> None:
    clock = Clock()
    ledger = Ledger(Allowance(seconds=10), clock)
    clock.now += 4
    ledger.mark_text()
    clock.now += 5
    assert (ledger.first_text, ledger.elapsed(), ledger.seconds_left()) == (4, 9, 1)
    clock.now += 1
    with pytest.raises(ResourceExhaustedError):
        ledger.charge_tool_call()


def test_tokens_of_a_priced_model_cost_and_those_of_another_do_not() -> None:
    ledger = Ledger(prices={"dear": Price(10, 100)})
    ledger.charge_tokens(ModelDone("other", 1000, 1000))
    assert ledger.cost_usd is None
    ledger.charge_tokens(ModelDone("dear", 1000, 100))
    assert ledger.cost_usd == pytest.approx(0.02)
    assert ledger.tokens_left() == Allowance().tokens - 3100


def test_a_run_below_gets_what_is_left_and_is_charged_above() -> None:
    clock = Clock()
    above = Ledger(Allowance(5, 6, 1000, 60, 2), clock, {"dear": Price(10, 100)})
    above.charge_model_call()
    above.charge_tokens(ModelDone("dear", 300, 100))
    clock.now += 10
    below = Ledger(Allowance().within(above.left().text()), clock, above.prices)
    assert below.allowance == Allowance(4, 6, 600, 50, 1)
    below.charge_tool_call()
    below.charge_tokens(ModelDone("dear", 100, 0))
    used = Spent(below.model_calls, below.tool_calls, below.input_tokens, below.output_tokens, below.cost_usd)
    above.charge_run(used)
    assert (above.tool_calls, above.input_tokens) == (1, 400)
    assert above.cost_usd == pytest.approx(0.014)
    assert below.left().hops == 0


def test_what_is_sent_can_only_take_away() -> None:
    own = Allowance(5, 5, 5, 5.0, 5)
    assert own.within("") == own
    assert own.within("model_calls=9;hops=2") == Allowance(5, 5, 5, 5.0, 2)
    assert own.within("seconds=inf") == own


@pytest.mark.parametrize("sent", ["hops", "hops=", "hops=-1", "hops=nan", "money=1", "=1", "hops=2,tokens=1"])
def test_what_is_no_allowance_is_refused(sent: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Allowance().within(sent)
    assert caught.value.metadata["field"] == "meld-ledger"
