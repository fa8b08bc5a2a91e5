"""Documents that are being written now, so that two calls do not write one at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.vector.faults import document_busy


class Claims:
    """External ids and request ids in work. One event loop."""

    def __init__(self) -> None:
        self._held: set[tuple[str, ...]] = set()

    @contextmanager
    def claim(self, space: str, collection_key: int, external_id: str, request_id: str) -> Iterator[None]:
        """Holds both for the block; an empty id claims nothing. Raises AbortedError (DOCUMENT_BUSY)."""
        wanted = set()
        if external_id:
            wanted.add(("document", str(collection_key), external_id))
        if request_id:
            wanted.add(("request", space, request_id))
        if wanted & self._held:
            raise document_busy(external_id, request_id)
        self._held |= wanted
        try:
            yield
        finally:
            self._held -= wanted
