"""What a process of the gateway bounds: streams at once, the end of streams, waiting for a service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from services.gateway.problem import ProblemError

# A service that was not missed for this long has been there meanwhile, as far as anybody can tell.
_FORGET_SECONDS = 30.0


class StreamSlots:
    """Bounds the streams of a process, so that other requests always find a thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = threading.BoundedSemaphore(limit)

    def take(self) -> Callable[[], None]:
        """Takes a slot and returns what gives it back, once. Raises ProblemError 503 when none is free."""
        if not self._free.acquire(blocking=False):
            raise ProblemError(
                503,
                "TOO_MANY_STREAMS",
                f"{self._limit} streams are open already",
                metadata={"limit": str(self._limit)},
                retry_after=2.0,
            )
        given = threading.Lock()

        def give_back() -> None:
            if given.acquire(blocking=False):
                self._free.release()

        return give_back


class Drain:
    """Says when streams have to end because the process stops."""

    def __init__(self) -> None:
        self._at = float("inf")

    def begin(self, grace: float) -> None:
        """Streams may go on for `grace` seconds. Safe in a signal handler: it takes no lock."""
        self._at = min(self._at, time.monotonic() + grace)

    def due(self) -> bool:
        """Whether a stream must end now."""
        return time.monotonic() >= self._at


class Patience:
    """How long requests wait for a service that has gone, counted from when it was first missed.

    All requests share that moment: a service that stays away is waited for once, not by each of them, so
    that they do not pile up. An outage that nobody has met for a while is another one the next time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # When each was missed first and last.
        self._missed: dict[str, tuple[float, float]] = {}

    def lost(self, service: str) -> bool:
        """Notes that the service cannot be reached; whether it is worth waiting for."""
        now = time.monotonic()
        first, last = self._missed.get(service, (now, now))
        if now - last > max(self._seconds, _FORGET_SECONDS):
            first = now
        self._missed[service] = (first, now)
        return now - first < self._seconds

    def found(self, service: str) -> None:
        """Notes that the service answers."""
        self._missed.pop(service, None)
