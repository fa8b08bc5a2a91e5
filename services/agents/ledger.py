"""What a run has used, and how much it may use."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from services.agents.ports import ModelDone
from services.chassis.errors import ResourceExhaustedError


@dataclass
class Ledger:
    """Counts a run's calls, tokens and seconds. Times are seconds since the request came."""

    max_model_calls: int
    started: float = field(default_factory=time.monotonic)
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    first_text: float | None = None

    def charge_model_call(self) -> None:
        """Counts a call of the model. Raises ResourceExhaustedError (BUDGET_EXHAUSTED) beyond the limit."""
        if self.model_calls >= self.max_model_calls:
            raise ResourceExhaustedError(
                f"the run may call a model {self.max_model_calls} times",
                reason="BUDGET_EXHAUSTED",
                metadata={"limit": str(self.max_model_calls), "unit": "model calls"},
            )
        self.model_calls += 1

    def charge_tokens(self, done: ModelDone) -> None:
        """Adds tokens as told by the model, and notes which it was."""
        self.input_tokens += done.input_tokens
        self.output_tokens += done.output_tokens
        self.model = done.model

    def mark_text(self) -> None:
        """Notes when the first text came."""
        if self.first_text is None:
            self.first_text = self.elapsed()

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.monotonic() - self.started
