"""Delete, and prove it: out of the record and the keyword index at once, out of the vector index right
after.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from services.chassis import context
from services.vector.access import Caller
from services.vector.documents import Receipt, Request
from services.vector.index.keeper import IndexState, IndexUnavailableError
from services.vector.ingest.spool import spool_name
from services.vector.record.documents import Removal
from services.vector.record.record import Record
from services.vector.record.tombstones import Tombstone

# How long a caller waits for the vector index before the receipt says PENDING.
_WAIT_SECONDS = 10.0
# For an index that cannot be asked and is not just being opened, as while it is made anew.
_WAIT_UNASKED_SECONDS = 2.0
_WAIT_SHARE = 0.5
_LOOK_SECONDS = 0.25
_PAGE_KEYS = 1_000


class FollowsRecord(Protocol):
    """The vector index."""

    @property
    def state(self) -> IndexState:
        """READY when it answers."""
        ...

    def wake(self) -> None:
        """There is something new in its queues."""
        ...

    async def turned(self, seconds: float) -> None:
        """Returns when it did another piece of work, at the latest after `seconds`."""
        ...

    async def count(self, collection_key: int) -> int:
        """Entries that it has of a collection. Raises IndexUnavailableError."""
        ...

    async def present(self, collection_key: int, keys: Sequence[int]) -> list[int]:
        """Those of the entries that it has. Raises IndexUnavailableError."""
        ...


class Deletion:
    """Deletes documents and collections that the caller may delete."""

    def __init__(
        self,
        record: Record,
        index: FollowsRecord,
        forgotten: Callable[[str], None],
        files_left: Callable[[str], int],
    ) -> None:
        """forgotten: drops files of failed uploads whose name begins so. files_left: how many files of
        uploads there are whose name begins so; blocks.
        """
        self._record = record
        self._index = index
        self._forgotten = forgotten
        self._files_left = files_left

    async def document(
        self, caller: Caller, collection_id: str, document_id: str, request: Request | None
    ) -> Receipt:
        """Raises what Documents.delete raises."""
        removal = await self._record.documents.delete(caller, collection_id, document_id, request)
        return await self._awaited(caller.space, removal.tombstone_id)

    async def cancelled(self, caller: Caller, removal: Removal) -> Receipt:
        """The receipt of an ingest that was taken back."""
        return await self._awaited(caller.space, removal.tombstone_id)

    async def collection(self, caller: Caller, collection_id: str, request: Request | None) -> Receipt:
        """Raises what Collections.delete raises."""
        tombstone_id = await self._record.collections.delete(caller, collection_id, request)
        return await self._awaited(caller.space, tombstone_id)

    async def receipt(self, space: str, tombstone_id: str) -> Receipt:
        """What is left now. Raises NotFoundError (DELETION_NOT_FOUND)."""
        return await self._receipt(await self._record.tombstones.get(space, tombstone_id))

    async def _awaited(self, space: str, tombstone_id: str) -> Receipt:
        tombstone = await self._record.tombstones.get(space, tombstone_id)
        self._forgotten(spool_name(tombstone.collection_key, tombstone.document_id))
        self._index.wake()
        began = hopeful = time.monotonic()
        most = min(_WAIT_SECONDS, context.remaining() * _WAIT_SHARE)
        receipt = await self._receipt(tombstone)
        while not receipt.complete:
            now = time.monotonic()
            if receipt.asked or self._index.state is IndexState.OPENING:
                hopeful = now
            if now - began >= most or now - hopeful >= _WAIT_UNASKED_SECONDS:
                break
            await self._index.turned(_LOOK_SECONDS)
            receipt = await self._receipt(tombstone)
        return receipt

    async def _receipt(self, tombstone: Tombstone) -> Receipt:
        """What the record says, and what the vector index and the disk show."""
        receipt = await self._record.tombstones.receipt(tombstone)
        name = spool_name(tombstone.collection_key, tombstone.document_id)
        files = await asyncio.to_thread(self._files_left, name)
        entries, asked = receipt.vector_entries, True
        if not entries:
            try:
                entries = await self._left_in_index(tombstone)
            except IndexUnavailableError:
                asked = False
        return replace(receipt, files=files, vector_entries=entries, asked=asked)

    async def _left_in_index(self, tombstone: Tombstone) -> int:
        """Entries that the index has although it was told to remove them; they are queued again."""
        left = 0
        for key in tombstone.generations:
            found: list[int] = []
            if not tombstone.document_id:
                count = await self._index.count(key)
            else:
                for start in range(tombstone.first_chunk, tombstone.last_chunk + 1, _PAGE_KEYS):
                    page = range(start, min(start + _PAGE_KEYS, tombstone.last_chunk + 1))
                    found += await self._index.present(key, page)
                count = len(found)
            if count:
                await self._record.tombstones.remove_again(tombstone, key, found)
            left += count
        return left
