"""What a run has used, and how much it may use."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from services.agents.chat.prices import Price
from services.agents.ports import ModelDone
from services.chassis import context
from services.chassis.errors import InvalidArgumentError, ResourceExhaustedError

# The metadata in which a call that starts a run tells what is left for it.
KEY = "meld-ledger"

# Kept of the deadline for an answer from what there is, should a model or a tool take all the rest.
_RESERVE_SECONDS = 2.0
_RESERVE_SHARE = 0.2


@dataclass(frozen=True)
class Allowance:
    """How much a run may use.

    model_calls: retries included. tokens: read and written by models. seconds: since the request came.
    hops: how many runs may stand below each other, this one counted.
    """

    model_calls: int = 16
    tool_calls: int = 256
    tokens: int = 200_000
    seconds: float = 1800.0
    hops: int = 4

    def text(self) -> str:
        """As it travels in metadata: "model_calls=3;tool_calls=…"."""
        return ";".join(f"{name}={value}" for name, value in dataclasses.asdict(self).items())

    def within(self, text: str) -> Allowance:
        """The smaller of this and what a caller sent, field by field; this one where it sent nothing.

        Raises InvalidArgumentError (INVALID_FIELD) for a text that is none.
        """
        own = dataclasses.asdict(self)
        given: dict[str, float] = {}
        for entry in filter(None, text.split(";")):
            name, _, value = entry.partition("=")
            try:
                given[name] = float(value)
            except ValueError:
                given[name] = math.nan
            if name not in own or not given[name] >= 0:
                raise InvalidArgumentError(
                    f"the metadata {KEY} has names of an allowance and numbers of 0 or more: {entry[:50]!r}",
                    reason="INVALID_FIELD",
                    metadata={"field": KEY, "value": entry[:50]},
                )
        return Allowance(
            **{name: type(value)(min(value, given.get(name, value))) for name, value in own.items()}
        )


@dataclass(frozen=True)
class Spent:
    """What a run below another one has used. cost_usd: None where no model with a price was charged."""

    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None


@dataclass
class Ledger:
    """Counts a run's calls, tokens, money and seconds. Times are seconds since the request came.

    clock: seconds that only grow; every time that a run tells is read from it. prices: by model, in US
    dollars. remaining: seconds until the caller's deadline. cost_usd: None until a model with a price was
    charged. Made within the call that it counts for.
    """

    allowance: Allowance = field(default_factory=Allowance)
    clock: Callable[[], float] = time.monotonic
    prices: Mapping[str, Price] = field(default_factory=dict)
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    model: str = ""
    first_text: float | None = None
    remaining: Callable[[], float] = context.remaining
    started: float = field(init=False)
    _reserve: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._reserve = min(_RESERVE_SECONDS, _RESERVE_SHARE * self.remaining())

    @classmethod
    def of(cls, **limits: float) -> Self:
        """A ledger with these limits and no others than the defaults."""
        return cls(dataclasses.replace(Allowance(), **limits))  # type: ignore[arg-type] # names of Allowance

    def charge_model_call(self) -> None:
        """Counts a call of a model. Raises ResourceExhaustedError (BUDGET_EXHAUSTED) beyond a limit."""
        self._check("model calls", self.model_calls, self.allowance.model_calls)
        self._check("tokens", self.input_tokens + self.output_tokens, self.allowance.tokens)
        self._check("seconds", self.elapsed(), self.allowance.seconds)
        self.model_calls += 1

    def charge_tool_call(self) -> None:
        """Counts a use of a tool. Raises ResourceExhaustedError (BUDGET_EXHAUSTED) beyond a limit."""
        self._check("tool calls", self.tool_calls, self.allowance.tool_calls)
        if not self.seconds_left():
            raise exhausted("seconds", self.allowance.seconds)
        self.tool_calls += 1

    def charge_tokens(self, done: ModelDone) -> None:
        """Adds tokens as told by the model, and notes which it was."""
        self.input_tokens += done.input_tokens
        self.output_tokens += done.output_tokens
        self.model = done.model
        if price := self.prices.get(done.model):
            self._pay(price.of(done.input_tokens, done.output_tokens))

    def charge_run(self, other: Spent) -> None:
        """Adds what a run below this one has used."""
        self.model_calls += other.model_calls
        self.tool_calls += other.tool_calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        if other.cost_usd is not None:
            self._pay(other.cost_usd)

    def left(self) -> Allowance:
        """What a run that this one starts may use. Nothing is set aside: runs that are started side by side
        may together use more, and are refused when they are charged here.
        """
        may = self.allowance
        return Allowance(
            max(0, may.model_calls - self.model_calls),
            max(0, may.tool_calls - self.tool_calls),
            self.tokens_left(),
            max(0.0, may.seconds - self.elapsed()),
            max(0, may.hops - 1),
        )

    def tokens_left(self) -> int:
        """Tokens that models may still read and write."""
        return max(0, self.allowance.tokens - self.input_tokens - self.output_tokens)

    def seconds_left(self) -> float:
        """For a model or a tool: up to the run's limit or the caller's deadline, less a reserve in which the
        run can end with what there is.
        """
        left = self.allowance.seconds - self.elapsed()
        if math.isfinite(deadline := self.remaining()):
            left = min(left, deadline - self._reserve)
        return max(0.0, left)

    def mark_text(self) -> None:
        """Notes when the first text came."""
        if self.first_text is None:
            self.first_text = self.elapsed()

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return self.clock() - self.started

    def _pay(self, dollars: float) -> None:
        self.cost_usd = (self.cost_usd or 0.0) + dollars

    @staticmethod
    def _check(unit: str, used: float, limit: float) -> None:
        if used >= limit:
            raise exhausted(unit, limit)


def exhausted(unit: str, limit: float) -> ResourceExhaustedError:
    """What a run meets at one of its limits."""
    return ResourceExhaustedError(
        f"the run has reached its limit of {limit:g} {unit}",
        reason="BUDGET_EXHAUSTED",
        metadata={"limit": f"{limit:g}", "unit": unit},
    )
