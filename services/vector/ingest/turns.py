"""Who is next: people take turns, and of one person's work the oldest comes first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class _Waiting:
    name: str
    turn: asyncio.Future[None]


class Turns:
    """So many at a time; the rest waits. One event loop.

    Whose turn it is goes round among the spaces in which something waits, so ten thousand files of one hold
    up the only file of another by one turn.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._free = slots
        # In the order of their turns; a space that had one goes to the end.
        self._queues: dict[str, deque[_Waiting]] = {}

    @asynccontextmanager
    async def turn(self, space: str, name: str) -> AsyncIterator[None]:
        """Waits for the turn and holds it for the block. name: to find its place by."""
        waiting = _Waiting(name, asyncio.get_running_loop().create_future())
        self._queues.setdefault(space, deque()).append(waiting)
        self._next()
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.done() and not waiting.turn.cancelled():
                self._give_back()
            else:
                self._leave(space, waiting)
            raise
        try:
            yield
        finally:
            self._give_back()

    def places(self) -> dict[str, int]:
        """Turns until its own of each that waits: 1 is the next."""
        queues = [list(queue) for queue in self._queues.values()]
        places: dict[str, int] = {}
        for rank in range(max(map(len, queues), default=0)):
            for queue in queues:
                if rank < len(queue):
                    places[queue[rank].name] = len(places) + 1
        return places

    def _give_back(self) -> None:
        self._free += 1
        self._next()

    def _next(self) -> None:
        while self._free and self._queues:
            space = next(iter(self._queues))
            queue = self._queues[space]
            waiting = queue.popleft()
            # Its task was cancelled, and has not come to leave yet.
            gone = waiting.turn.cancelled()
            if not queue:
                del self._queues[space]
            elif not gone:
                self._queues[space] = self._queues.pop(space)
            if gone:
                continue
            self._free -= 1
            waiting.turn.set_result(None)

    def _leave(self, space: str, waiting: _Waiting) -> None:
        queue = self._queues.get(space)
        if queue is not None and waiting in queue:
            queue.remove(waiting)
            if not queue:
                del self._queues[space]
