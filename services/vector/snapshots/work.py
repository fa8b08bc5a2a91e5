"""Blocking work whose caller may leave: it is told to stop, and its end is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from services.vector.record.copies import Stop

T = TypeVar("T")


async def in_thread(work: Callable[[Stop], T]) -> T:
    """The outcome of `work` in a thread. Nothing of it runs any more when this returns or raises."""
    stop = Stop()
    future = asyncio.get_running_loop().run_in_executor(None, work, stop)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            stop.ask()
            cancelled = error
    if cancelled is not None:
        # Its own failure, if it has one, interests nobody any more.
        future.exception()
        raise cancelled
    return future.result()
