"""When a failed call of a model is made again."""

from __future__ import annotations

import random
from collections.abc import Callable

from services.agents.ports import ModelError

MAX_RETRIES = 2
_BASE_SECONDS = 0.5
_CAP_SECONDS = 8.0
# Retries may be this share of the calls, beyond a reserve for a quiet hour.
_BUDGET_SHARE = 0.2
_BUDGET_RESERVE = 10.0


def backoff(retry: int, error: ModelError, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait before the retry of that number (from 0): full jitter, never before the model's own
    time.
    """
    wait: float = draw() * min(_CAP_SECONDS, _BASE_SECONDS * 2**retry)
    return wait if error.retry_after is None else max(wait, error.retry_after)


class RetryBudget:
    """Keeps retries from multiplying an outage: a token bucket that each call fills and each retry
    empties.
    """

    def __init__(self) -> None:
        self._tokens = _BUDGET_RESERVE

    def called(self) -> None:
        """A first call was made."""
        self._tokens = min(_BUDGET_RESERVE, self._tokens + _BUDGET_SHARE)

    def spend(self) -> bool:
        """Takes a retry; False when there is none left."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
