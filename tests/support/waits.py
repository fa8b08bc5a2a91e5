"""How long a test waits for what is promised within a time."""

from __future__ import annotations

import os
from typing import Final

# Beside other workers a promise is stretched this much at least: no average shows their load in time.
_BESIDE_OTHERS: Final = 4.0
# The longest that anything is stretched; a wait must end before whoever runs the tests loses patience.
_MOST: Final = 10.0


def strain() -> float:
    """How many times longer things may take here than on an idle machine, 1 to 10.

    1 only where tests run one at a time on a machine that nobody else keeps busy.
    """
    crowd = _BESIDE_OTHERS if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1 else 1.0
    return min(_MOST, max(crowd, os.getloadavg()[0] / (os.cpu_count() or 1)))


def promised(seconds: float) -> float:
    """A promised time, stretched as far as this machine is kept busy."""
    return seconds * strain()
