"""Documents that are being written now, so that two calls do not write one at once."""

from __future__ import annotations

from contextlib import ExitStack

from services.vector.faults import document_busy


class Claims:
    """External ids and request ids in work. One event loop."""

    def __init__(self) -> None:
        self._held: set[tuple[str, ...]] = set()

    def hold(self, space: str, collection_key: int, external_id: str, request_id: str) -> ExitStack:
        """Holds both until the stack that is returned is closed; an empty id claims nothing.

        Raises AbortedError (DOCUMENT_BUSY).
        """
        wanted = set()
        if external_id:
            wanted.add(("document", str(collection_key), external_id))
        if request_id:
            wanted.add(("request", space, request_id))
        if wanted & self._held:
            raise document_busy(external_id, request_id)
        self._held |= wanted
        held = ExitStack()
        held.callback(self._held.difference_update, wanted)
        return held
