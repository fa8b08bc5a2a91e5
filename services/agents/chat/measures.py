"""What is measured of chat models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry import metrics

from services.agents.chat.breaker import Breaker
from services.agents.chat.prices import Price
from services.agents.ports import ModelDone
from services.chassis import telemetry


class ModelMeasures:
    """Calls by outcome, their time, tokens, cost where the price is known, and the breakers' states.

    Outcomes: answered; failed, through the model's fault; refused, for what was asked; abandoned, when the
    caller left; held_back, when the breaker let no call out.
    """

    def __init__(self, prices: Mapping[str, Price], meter: metrics.Meter | None = None) -> None:
        self._prices = prices
        self._meter = meter or telemetry.meter()
        self._watched: list[tuple[str, Breaker]] = []
        create = self._meter.create_counter
        self._calls = create("meldrag.model.calls", "", "Calls of a model by outcome")
        self._tokens = create("meldrag.model.tokens", "", "Tokens that a model read and wrote")
        self._cost = create("meldrag.model.cost_usd", "", "US dollars, where the price is known")
        self._duration = self._meter.create_histogram(
            "meldrag.model.call.duration",
            "s",
            "Time from a call of a model to the end of its answer",
            explicit_bucket_boundaries_advisory=telemetry.SECONDS,
        )

    def called(self, model: str, outcome: str, seconds: float) -> None:
        """A call ended."""
        attributes = {"model": model, "outcome": outcome}
        self._calls.add(1, attributes)
        self._duration.record(seconds, attributes)

    def held_back(self, model: str) -> None:
        """A call was not made."""
        self._calls.add(1, {"model": model, "outcome": "held_back"})

    def used(self, done: ModelDone) -> None:
        """A model told its tokens; 0 and 0 is what one says that does not tell."""
        if not done.input_tokens and not done.output_tokens:
            return
        self._tokens.add(done.input_tokens, {"model": done.model, "direction": "input"})
        self._tokens.add(done.output_tokens, {"model": done.model, "direction": "output"})
        if price := self._prices.get(done.model):
            self._cost.add(price.of(done.input_tokens, done.output_tokens), {"model": done.model})

    def watch(self, breakers: Sequence[tuple[str, Breaker]]) -> None:
        """Exports the states of these breakers too, each with its model."""
        self._watched += breakers
        if len(self._watched) > len(breakers):
            return
        telemetry.observe(
            "meldrag.model.breaker.state",
            "",
            "0: calls go out, 1: one call may, 2: none may",
            lambda: [(float(breaker.state), {"model": model}) for model, breaker in self._watched],
            self._meter,
        )
