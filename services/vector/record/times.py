"""Times as the record stores them: microseconds since 1970 UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_micros() -> int:
    """Now, by the wall clock."""
    return time.time_ns() // 1000


def from_micros(micros: int) -> datetime:
    """Exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=micros)


def to_micros(moment: datetime) -> int:
    """Exact to the microsecond; `moment` has a zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
