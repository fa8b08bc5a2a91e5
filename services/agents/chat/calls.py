"""Calls of a model whose answer comes whole or not at all, such as those of sound."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.agents.chat.breaker import Breaker
from services.agents.chat.measures import ModelMeasures
from services.agents.chat.retry import MAX_RETRIES, RetryBudget, backoff
from services.agents.ports import Meter, ModelDone, ModelError

T = TypeVar("T")

# Longer than this nobody waits before a call is made again.
_MAX_WAIT_SECONDS = 20.0


class WholeCalls:
    """Calls one model: repeats what may be repeated, twice at most and within the retry budget, and holds
    back while the model keeps failing.
    """

    def __init__(
        self,
        model: str,
        *,
        measures: ModelMeasures | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._model = model
        self._breaker = Breaker(clock)
        self._measures = measures or ModelMeasures({})
        self._measures.watch([(model, self._breaker)])
        self._budget = RetryBudget()
        self._clock = clock
        self._sleep = sleep
        self._draw = draw

    async def make(
        self,
        attempt: Callable[[float], Awaitable[T]],
        done: Callable[[T], ModelDone],
        seconds: float,
        meter: Meter,
    ) -> T:
        """What an attempt gives. attempt: calls once, within so many seconds. done: the tokens of its answer.

        Raises ModelError, and what the meter raises before the first attempt; a retry that the meter refuses
        leaves the failure before it.
        """
        deadline = self._clock() + seconds
        self._budget.called()
        retries = 0
        while True:
            if not self._breaker.admit():
                self._measures.held_back(self._model)
                raise ModelError("held back after repeated failures", model=self._model)
            try:
                return await self._once(attempt, done, deadline - self._clock(), meter)
            except ModelError as error:
                wait = backoff(retries, error, self._draw)
                if (
                    not error.repeatable
                    or retries >= MAX_RETRIES
                    or wait > min(_MAX_WAIT_SECONDS, deadline - self._clock())
                    or not self._budget.spend()
                ):
                    raise
            retries += 1
            await self._sleep(wait)

    async def _once(
        self,
        attempt: Callable[[float], Awaitable[T]],
        done: Callable[[T], ModelDone],
        seconds: float,
        meter: Meter,
    ) -> T:
        """One attempt, whose outcome the breaker learns."""
        began, outcome = self._clock(), ""
        try:
            meter.charge_model_call()
            outcome = "abandoned"
            answer = await attempt(seconds)
        except ModelError as error:
            outcome = "failed" if error.ill else "refused"
            (self._breaker.failed if error.ill else self._breaker.forgotten)()
            raise
        except BaseException:
            self._breaker.forgotten()
            raise
        else:
            outcome = "answered"
            self._breaker.succeeded()
            self._measures.used(done(answer))
            return answer
        finally:
            # Without an outcome there was no call: the run had none left.
            if outcome:
                self._measures.called(self._model, outcome, self._clock() - began)
