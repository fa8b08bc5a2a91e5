"""What is measured of models, through the chain that asks them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.agents.chat.chain import ModelChain
from services.agents.chat.measures import ModelMeasures
from services.agents.chat.prices import parse_prices
from services.agents.ledger import Ledger
from services.agents.ports import ModelDone, ModelError, Prompt, TextPiece
from services.chassis.errors import ResourceExhaustedError
from tests.support.measured import Measured
from tests.unit.agents.chat.test_chain import Endpoint, Time, failure

PROMPT = Prompt(())


class Telling(Endpoint):
    """An endpoint that tells its tokens."""

    async def attempt(self, prompt: Prompt, seconds: float) -> AsyncGenerator[TextPiece | ModelDone]:
        yield TextPiece("fine")
        yield ModelDone(self.model, 1000, 500)


def chain_of(*endpoints: Endpoint, prices: str = "") -> tuple[ModelChain, Measured]:
    measured, time = Measured(), Time()
    measures = ModelMeasures(parse_prices(prices), measured.meter)
    return ModelChain(endpoints, measures=measures, clock=time, sleep=time.sleep, draw=lambda: 0.5), measured


async def told(chain: ModelChain, ledger: Ledger | None = None) -> None:
    async for _ in chain.stream(PROMPT, 60, ledger or Ledger.of(model_calls=20)):
        pass


async def test_calls_by_outcome_and_their_time() -> None:
    refusal = failure(repeatable=False, ill=False)
    chain, measured = chain_of(Endpoint("a", refusal), Endpoint("b", failure(), "fine"))
    await told(chain)
    counts = {"a refused": 1, "b failed": 1, "b answered": 1}
    assert measured.values("meldrag.model.calls") == counts
    assert measured.values("meldrag.model.call.duration") == counts


async def test_a_caller_that_leaves_abandons_its_call() -> None:
    chain, measured = chain_of(Endpoint("a", ["one", "two"]))
    async with aclosing(chain.stream(PROMPT, 60, Ledger.of(model_calls=20))) as pieces:
        await anext(pieces)
    assert measured.values("meldrag.model.calls") == {"a abandoned": 1}


async def test_a_call_that_the_run_may_not_make_is_none() -> None:
    chain, measured = chain_of(Endpoint("a", "fine"))
    with pytest.raises(ResourceExhaustedError):
        await told(chain, Ledger.of(model_calls=0))
    assert measured.values("meldrag.model.calls") == {}


async def test_tokens_and_cost_where_the_price_is_known() -> None:
    chain, measured = chain_of(Telling("dear"), prices="dear=2/10,other=1/1")
    await told(chain)
    await told(chain)
    assert measured.values("meldrag.model.tokens") == {"input dear": 2000, "output dear": 1000}
    assert measured.values("meldrag.model.cost_usd")["dear"] == pytest.approx(0.014)


async def test_nothing_is_said_of_an_unknown_price_or_of_tokens_that_were_not_told() -> None:
    chain, measured = chain_of(Telling("free"))
    await told(chain)
    assert measured.values("meldrag.model.cost_usd") == {}
    silent, measured = chain_of(Endpoint("silent", "fine"), prices="silent=1/1")
    await told(silent)
    assert measured.values("meldrag.model.tokens") == {}
    assert measured.values("meldrag.model.cost_usd") == {}


async def test_the_breakers_states_are_told_and_the_calls_that_they_hold_back() -> None:
    chain, measured = chain_of(Endpoint("a", *[failure()] * 9))
    assert measured.values("meldrag.model.breaker.state") == {"a": 0}
    for _ in range(3):
        with pytest.raises(ModelError):
            await told(chain)
    assert measured.values("meldrag.model.breaker.state") == {"a": 2}
    assert measured.values("meldrag.model.calls")["a held_back"] >= 1
    chain._clock.now += 10  # type: ignore[attr-defined]
    assert measured.values("meldrag.model.breaker.state") == {"a": 1}
