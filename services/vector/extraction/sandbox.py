"""Limits a child puts on itself before it touches a file."""

import resource
import sys
from math import ceil
from typing import Final

from services.vector.extraction.model import Limits

_OPEN_FILES: Final = 32


def confine(limits: Limits) -> None:
    """No more memory, processor time, files or processes than a parser needs, and nothing written to disk.

    On systems other than Linux the address space and the process count cannot be limited this way; the wall
    clock of the parent holds there too.
    """
    seconds = ceil(limits.seconds)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CPU, seconds, seconds + 1)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_NPROC, 0)
        _limit(resource.RLIMIT_AS, limits.memory_bytes)


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    """Lowers a limit; one that is lower already stays."""
    hard = soft if hard is None else hard
    allowed = resource.getrlimit(which)[1]
    if allowed != resource.RLIM_INFINITY:
        soft, hard = min(soft, allowed), min(hard, allowed)
    resource.setrlimit(which, (soft, hard))
