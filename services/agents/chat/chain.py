"""One chat model made of several endpoints that are asked in order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from services.agents.chat.breaker import Breaker
from services.agents.chat.capabilities import Capabilities
from services.agents.chat.measures import ModelMeasures
from services.agents.chat.retry import MAX_RETRIES, RetryBudget, backoff
from services.agents.ports import Meter, ModelDone, ModelError, Piece, Prompt

# Longer than this nobody waits for a first word; the documents' own sentences are there at once.
_MAX_WAIT_SECONDS = 20.0


class Endpoint(Protocol):
    """One model at one place. It makes a single attempt; it never repeats one."""

    @property
    def model(self) -> str:
        """Its name."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do besides writing text."""
        ...

    def attempt(self, prompt: Prompt, seconds: float) -> AsyncGenerator[Piece]:
        """As ChatModel.stream, once."""
        ...

    async def reach(self) -> None:
        """Raises ModelError when nothing listens at its address."""
        ...


class ModelChain:
    """Asks its endpoints in order until one begins to answer.

    An endpoint that fails before its first text is followed by the next one. When none is left, what may be
    repeated is repeated after a pause, twice at most and within the retry budget. From the first text on
    there is no second try and no other endpoint: one answer has one author.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        measures: ModelMeasures | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._links = [(endpoint, Breaker(clock)) for endpoint in endpoints]
        self._measures = measures or ModelMeasures({})
        self._measures.watch([(endpoint.model, breaker) for endpoint, breaker in self._links])
        self._budget = RetryBudget()
        self._clock = clock
        self._sleep = sleep
        self._draw = draw

    async def ping(self) -> None:
        """Raises ModelError when every endpoint is held back or out of reach. Asks no model anything."""
        failure = ModelError("no model is configured", model="")
        for endpoint, breaker in self._links:
            try:
                if breaker.open:
                    raise ModelError(f"{endpoint.model} keeps failing", model=endpoint.model)
                await endpoint.reach()
            except ModelError as error:
                failure = error
            else:
                return
        raise failure

    async def stream(self, prompt: Prompt, seconds: float, meter: Meter) -> AsyncGenerator[Piece]:
        """Text as it comes, then one ModelDone. Raises ModelError, or what the meter raises."""
        deadline = self._clock() + seconds
        self._budget.called()
        refused = self._unable(prompt)
        failure: ModelError | None = None
        retries = 0
        while True:
            repeatable: ModelError | None = None
            for position, (endpoint, breaker) in enumerate(self._links):
                if position in refused:
                    continue
                if not breaker.admit():
                    self._measures.held_back(endpoint.model)
                    continue
                attempt = self._attempt(endpoint, breaker, prompt, deadline - self._clock(), meter)
                try:
                    async with aclosing(attempt) as pieces:
                        async for piece in pieces:
                            yield piece
                    return
                except ModelError as error:
                    if error.truncated:
                        raise
                    failure = error
                    if error.repeatable:
                        repeatable = error
                    else:
                        refused.add(position)
            if failure is None:
                raise ModelError("held back after repeated failures", model=self._links[0][0].model)
            if repeatable is None or retries >= MAX_RETRIES:
                raise failure
            wait = backoff(retries, repeatable, self._draw)
            if wait > min(_MAX_WAIT_SECONDS, deadline - self._clock()) or not self._budget.spend():
                raise failure
            retries += 1
            await self._sleep(wait)

    def _unable(self, prompt: Prompt) -> set[int]:
        """The endpoints that cannot be asked this. Raises ModelError when none can."""
        if not prompt.needs:
            return set()
        unable = {
            position
            for position, (endpoint, _) in enumerate(self._links)
            if not prompt.needs <= endpoint.capabilities
        }
        if len(unable) == len(self._links):
            names = " and ".join(sorted(need.value for need in prompt.needs))
            raise ModelError(f"no model with {names} is configured", model="")
        return unable

    async def _attempt(
        self, endpoint: Endpoint, breaker: Breaker, prompt: Prompt, seconds: float, meter: Meter
    ) -> AsyncGenerator[Piece]:
        """One attempt, whose outcome the breaker learns."""
        began, outcome = self._clock(), ""
        try:
            meter.charge_model_call()
            outcome = "abandoned"
            async with aclosing(endpoint.attempt(prompt, seconds)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, ModelDone):
                        self._measures.used(piece)
                    yield piece
        except ModelError as error:
            outcome = "failed" if error.ill else "refused"
            (breaker.failed if error.ill else breaker.forgotten)()
            raise
        except BaseException:
            breaker.forgotten()
            raise
        else:
            outcome = "answered"
            breaker.succeeded()
        finally:
            # Without an outcome there was no call: the run had none left.
            if outcome:
                self._measures.called(endpoint.model, outcome, self._clock() - began)
