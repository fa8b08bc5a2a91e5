"""Asking once more where the house says "later"."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from meldrag_cli.failures import RefusedFailure

# Answers that say "later" are tried again, this often, unless later is further away than this.
_TRIES = 5
_LONGEST_WAIT = 10.0
# Where there is much to do nobody watches each request: the house counts requests by the minute.
MUCH_SECONDS = 65.0
# So a house says that a service behind it has gone, which may be back in some seconds.
_AWAY = frozenset({"UPSTREAM_UNAVAILABLE", "TRANSPORT"})

Answer = TypeVar("Answer")


def passing(refused: RefusedFailure) -> bool:
    """Whether what was refused may be granted later, although nobody changes anything."""
    status = refused.problem.get("status")
    failed = isinstance(status, int) and status >= 500
    return failed or refused.retry_after is not None or refused.reason in _AWAY


def patiently(
    ask: Callable[[], Answer],
    waiting: Callable[[], None] = lambda: None,
    *,
    longest: float = _LONGEST_WAIT,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """What `ask` returns, at its last try. Raises what `ask` raises then.

    waiting: told before each wait. longest: seconds that one wait may take. sleep: waits.
    """
    for tried in range(1, _TRIES):
        try:
            return ask()
        except RefusedFailure as refused:
            wait = refused.retry_after
            if wait is None and refused.reason in _AWAY:
                wait = 2.0 ** (tried - 1)
            if wait is None or wait > longest:
                raise
            waiting()
            sleep(wait)
    return ask()
