"""Stops asking a model that keeps failing, and tries it again with one call."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum

_WINDOW_SECONDS = 30.0
_MIN_FAILURES = 5
_FAILURE_SHARE = 0.5
_OPEN_SECONDS = 4.0


class BreakerState(IntEnum):
    """How a breaker stands; the numbers are those of the metric."""

    CLOSED = 0
    """Calls go out."""
    TRYING = 1
    """One call may go out, whose outcome decides."""
    OPEN = 2
    """No call goes out."""


class Breaker:
    """Opens at 5 failures that are half of the calls of the last 30 s.

    While it is open nothing is let through. After 4 s one call is: its success closes the breaker, its
    failure opens it for another 4 s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._opened: float | None = None
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether calls are held back now."""
        return self._opened is not None and self._clock() - self._opened < _OPEN_SECONDS

    @property
    def state(self) -> BreakerState:
        """How it stands now."""
        if self._opened is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.open else BreakerState.TRYING

    def admit(self) -> bool:
        """Whether a call may go out. One that may must be followed by `succeeded`, `failed` or
        `forgotten`.
        """
        if self._opened is None:
            return True
        if self.open or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The call worked."""
        self._note(True)
        if self._probing:
            self._probing = False
            self._opened = None
            self._outcomes.clear()

    def failed(self) -> None:
        """The call failed through the model's fault."""
        self._note(False)
        failures = sum(not good for _, good in self._outcomes)
        if self._probing or (failures >= _MIN_FAILURES and failures >= _FAILURE_SHARE * len(self._outcomes)):
            self._opened = self._clock()
        self._probing = False

    def forgotten(self) -> None:
        """The call says nothing about the model: it was cancelled, or refused for what was asked."""
        self._probing = False

    def _note(self, good: bool) -> None:
        now = self._clock()
        self._outcomes.append((now, good))
        while self._outcomes[0][0] < now - _WINDOW_SECONDS:
            self._outcomes.popleft()
