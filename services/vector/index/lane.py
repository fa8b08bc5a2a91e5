"""Threads for calls that have no deadline of their own.

A thread that hangs in a native call can be neither stopped nor waited for. These threads are daemons: they do
not hold up the end of the process, and a lane that hangs is left behind for a new one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LaneTimeoutError(Exception):
    """The call did not come back in time; what it did is unknown."""


class Lane:
    """`threads` threads that run calls in the order they came."""

    def __init__(self, name: str, threads: int) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads = threads
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    async def call(self, work: Callable[[], T], seconds: float) -> T:
        """The outcome of `work`. Raises LaneTimeoutError after `seconds`, and whatever `work` raises."""
        future: Future[T] = Future()
        self._calls.put((future, work))
        try:
            async with asyncio.timeout(seconds) as scope:
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if not scope.expired():
                raise
            raise LaneTimeoutError(f"no answer within {seconds:.3g} s") from None

    def close(self) -> None:
        """Ends the threads after the calls that wait; does not wait for them."""
        for _ in range(self._threads):
            self._calls.put(None)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except (
                BaseException
            ) as error:  # handed to the caller; a panic of the native code is a BaseException
                future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            else:
                future.set_result(result)
