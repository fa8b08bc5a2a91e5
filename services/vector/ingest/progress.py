"""Who waits for a document's vectors hears of each step."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from services.vector.record.vectors import Progress


class ProgressBoard:
    """Steps of documents, for whoever follows them now. One event loop."""

    def __init__(self) -> None:
        self._followers: defaultdict[str, set[asyncio.Queue[Progress]]] = defaultdict(set)

    def publish(self, steps: Iterable[Progress]) -> None:
        """Tells the followers; a slow one loses all but the newest step, never the last."""
        for step in steps:
            for queue in self._followers.get(step.document_id, ()):
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(step)

    @contextmanager
    def following(self, document_id: str) -> Iterator[asyncio.Queue[Progress]]:
        """Steps of a document from now on."""
        queue: asyncio.Queue[Progress] = asyncio.Queue(maxsize=1)
        self._followers[document_id].add(queue)
        try:
            yield queue
        finally:
            self._followers[document_id].discard(queue)
            if not self._followers[document_id]:
                del self._followers[document_id]
