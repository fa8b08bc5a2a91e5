"""The same work for many things, some of them at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")
Done = TypeVar("Done")


def several(
    things: Sequence[Thing], work: Callable[[Thing], Done], jobs: int, stop: threading.Event
) -> Iterator[Done]:
    """What `work` returns for each, in the order in which that is known; `jobs` threads do it.

    stop: once it is set no further thing is begun; whoever sets it reads no further. What `work` raises is
    raised here.
    """
    todo: queue.SimpleQueue[Thing] = queue.SimpleQueue()
    done: queue.SimpleQueue[Done | BaseException] = queue.SimpleQueue()
    for thing in things:
        todo.put(thing)

    def do() -> None:
        while not stop.is_set():
            try:
                thing = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put(work(thing))
            except BaseException as error:
                done.put(error)

    for _ in range(min(jobs, len(things))):
        # Daemons: who presses Ctrl-C does not wait for a file of a gigabyte.
        threading.Thread(target=do, daemon=True).start()
    for _ in things:
        outcome = done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome
