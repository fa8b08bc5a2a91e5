"""Delete, and prove it: out of the record and the keyword index at once, out of the vector index right"
" after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from services.chassis import context
from services.vector.access import Caller
from services.vector.documents import Receipt, Request
from services.vector.record.collections import Collections
from services.vector.record.documents import Documents

# How long a caller waits for the vector index before the receipt says PENDING.
_WAIT_SECONDS = 10.0
_WAIT_SHARE = 0.5
_LOOK_SECONDS = 0.25


class FollowsRecord(Protocol):
    """The vector index."""

    def wake(self) -> None:
        """There is something new in its queues."""
        ...

    async def turned(self, seconds: float) -> None:
        """Returns when it did another piece of work, at the latest after `seconds`."""
        ...


class Deletion:
    """Deletes documents and collections that the caller may delete."""

    def __init__(self, collections: Collections, documents: Documents, index: FollowsRecord) -> None:
        self._collections = collections
        self._documents = documents
        self._index = index

    async def document(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> Receipt:
        """Raises what Documents.delete raises."""
        removal = await self._documents.delete(caller, collection_id, document_id, request)
        return await self._receipt(removal.tombstone_id, removal.chunk_keys)

    async def collection(self, caller: Caller, collection_id: str, request: Request | None) -> Receipt:
        """Raises what Collections.delete raises."""
        tombstone_id = await self._collections.delete(caller, collection_id, request)
        return await self._receipt(tombstone_id, ())

    async def _receipt(self, tombstone_id: str, chunk_keys: Sequence[int]) -> Receipt:
        self._index.wake()
        end = time.monotonic() + min(_WAIT_SECONDS, context.remaining() * _WAIT_SHARE)
        receipt = await self._documents.receipt(tombstone_id, chunk_keys)
        while not receipt.complete and time.monotonic() < end:
            await self._index.turned(_LOOK_SECONDS)
            receipt = await self._documents.receipt(tombstone_id, chunk_keys)
        return receipt
