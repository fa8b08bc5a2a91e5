"""Calls that come whole: repeated where that may help, counted, held back."""

from __future__ import annotations

import pytest

from services.agents.chat.breaker import BreakerState
from services.agents.chat.calls import WholeCalls
from services.agents.chat.measures import ModelMeasures
from services.agents.ledger import Ledger
from services.agents.ports import ModelDone, ModelError
from services.chassis.errors import ResourceExhaustedError
from tests.support.measured import Measured
from tests.unit.agents.chat.test_chain import Time, failure


class Bench:
    """Calls of a scripted model."""

    def __init__(self, *script: str | ModelError, model_calls: int = 20) -> None:
        self.script = list(script)
        self.seconds: list[float] = []
        self.time = Time()
        self.measured = Measured()
        self.ledger = Ledger.of(model_calls=model_calls)
        measures = ModelMeasures({}, self.measured.meter)
        self.calls = WholeCalls(
            "m", measures=measures, clock=self.time, sleep=self.time.sleep, draw=lambda: 1.0
        )

    async def attempt(self, seconds: float) -> str:
        self.seconds.append(seconds)
        step = self.script.pop(0)
        if isinstance(step, ModelError):
            raise step
        return step

    async def make(self, seconds: float = 60) -> str:
        return await self.calls.make(self.attempt, lambda _: ModelDone("m", 3, 4), seconds, self.ledger)


async def test_an_answer_is_charged_once() -> None:
    bench = Bench("fine")
    assert await bench.make() == "fine"
    assert bench.ledger.model_calls == 1
    assert bench.seconds == [60]


async def test_what_may_be_repeated_is_twice_at_most_and_each_is_charged() -> None:
    bench = Bench(failure(), failure(), "fine")
    assert await bench.make() == "fine"
    assert bench.ledger.model_calls == 3
    assert bench.time.slept == [0.5, 1.0]
    bench = Bench(failure(), failure(), failure(), "late")
    with pytest.raises(ModelError):
        await bench.make()
    assert bench.script == ["late"]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        pytest.param(failure(repeatable=False), 60, id="not repeatable"),
        pytest.param(failure(retry_after=30.0), 60, id="wants to be left alone for longer"),
        pytest.param(failure(), 0.2, id="no time left"),
    ],
)
async def test_what_does_not_help_is_not_done(error: ModelError, seconds: float) -> None:
    bench = Bench(error, "never asked")
    with pytest.raises(ModelError):
        await bench.make(seconds)
    assert len(bench.seconds) == 1


async def test_a_model_that_keeps_failing_is_held_back_and_tried_again_with_one_call() -> None:
    bench = Bench(*(failure(repeatable=False) for _ in range(5)), "fine")
    for _ in range(5):
        with pytest.raises(ModelError, match="scripted"):
            await bench.make()
    with pytest.raises(ModelError, match="held back"):
        await bench.make()
    assert bench.script == ["fine"]
    bench.time.now += 5
    assert await bench.make() == "fine"


async def test_a_run_without_calls_left_makes_none() -> None:
    bench = Bench("fine", model_calls=0)
    with pytest.raises(ResourceExhaustedError):
        await bench.make()
    assert bench.script == ["fine"]


def test_breakers_of_several_models_are_told_by_one_gauge() -> None:
    measured = Measured()
    measures = ModelMeasures({}, measured.meter)
    for name in ("listener", "speaker"):
        WholeCalls(name, measures=measures)
    told = measured.values("meldrag.model.breaker.state")
    closed = float(BreakerState.CLOSED)
    assert told == {"listener": closed, "speaker": closed}
