"""When a message is tried again."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

# Seconds from a failed try to the next: about 75 hours together, as Standard Webhooks recommends.
PAUSES = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
# By how much a pause is longer or shorter, so that what failed together does not come back together.
_JITTER = 0.1
# What a receiver may ask for at most.
MAX_RETRY_AFTER = 86_400.0
# A webhook whose message has failed for the last time is switched off when nothing arrived for so long.
DISABLED_AFTER = 2 * 86_400.0


@dataclass(frozen=True)
class Schedule:
    """The pauses between tries; there is one try more than there are pauses.

    disabled_after: seconds without a success after which a last failure switches the webhook off.
    chance: a number from 0 to 1.
    """

    pauses: tuple[float, ...] = PAUSES
    disabled_after: float = DISABLED_AFTER
    chance: Callable[[], float] = random.random

    def pause(self, attempts: int, retry_after: float = 0.0) -> float | None:
        """Seconds until the next try after so many failed ones; None when there is none.

        retry_after: the least that the receiver asks for.
        """
        if attempts > len(self.pauses):
            return None
        usual = self.pauses[attempts - 1] * (1 + _JITTER * (2 * self.chance() - 1))
        return max(usual, min(retry_after, MAX_RETRY_AFTER))


def retry_after(value: str, clock: Callable[[], float] = time.time) -> float:
    """Seconds that a Retry-After header asks for, as a number or as a date; 0 when it says neither."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return min(float(value[:12]), MAX_RETRY_AFTER)
    try:
        moment = email.utils.parsedate_to_datetime(value)
        if moment.tzinfo is None:
            # A date that names no zone is in UTC, whatever the zone of this machine is.
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - clock()
    except (ValueError, TypeError, OverflowError, OSError):
        return 0.0
    return min(max(0.0, seconds), MAX_RETRY_AFTER)
