"""Named places where a test may kill the process.

Durability is proven by killing a service at the worst moments. The moments are
named in the code that they are in, and the environment says which one kills.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "MELD_CRASH_AT"

_passed: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Sends SIGKILL to this process when MELD_CRASH_AT is `name`, or `name:N` at the Nth passing."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    place, _, times = wanted.partition(":")
    if place == name:
        _passed[name] += 1
        if _passed[name] >= int(times or 1):
            os.kill(os.getpid(), signal.SIGKILL)
