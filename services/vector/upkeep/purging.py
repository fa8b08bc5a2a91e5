"""No byte of what was deleted in any file of the data directory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from services.vector.faults import index_unavailable, purge_running
from services.vector.index.keeper import IndexUnavailableError
from services.vector.record import purging as record
from services.vector.record.times import from_micros, now_micros
from services.vector.upkeep.files import remove

_log = logging.getLogger(__name__)


class Renewable(Protocol):
    """The vector index."""

    @property
    def in_files(self) -> bool:
        """Whether it is in files of this service."""
        ...

    async def renew(self) -> int:
        """Leaves it for a new one; how many folders went. Raises IndexUnavailableError."""
        ...

    async def strays(self) -> list[Path]:
        """Files in its place that belong to no part of it."""
        ...


@dataclass(frozen=True, slots=True)
class Purge:
    """What was done. Sizes in bytes."""

    chunks: int
    size_before: int
    size_after: int
    removed_files: int
    index_files_renewed: bool
    end: datetime


class Purging:
    """One purge at a time."""

    def __init__(
        self,
        purging: record.Purging,
        index: Renewable,
        stray_uploads: Callable[[], list[Path]],
    ) -> None:
        """stray_uploads: files of uploads that have ended; blocks."""
        self._record = purging
        self._index = index
        self._stray_uploads = stray_uploads
        self._busy = False

    async def run(self) -> Purge:
        """Raises AbortedError (PURGE_RUNNING), ResourceExhaustedError (STORAGE_FULL), UnavailableError
        (RECORD_BUSY, INDEX_UNAVAILABLE). What was done until then stays done; a repeat does it all.
        """
        if self._busy:
            raise purge_running()
        self._busy = True
        try:
            return await self._run()
        finally:
            self._busy = False

    async def _run(self) -> Purge:
        began = now_micros()
        before = await asyncio.to_thread(self._record.size)
        chunks = await self._record.rewrite()
        try:
            # Chroma keeps vectors in its files after their removal, and a vector tells much of its text.
            removed = await self._index.renew()
        except IndexUnavailableError as error:
            raise index_unavailable(str(error)) from error
        for path in [*await asyncio.to_thread(self._stray_uploads), *await self._index.strays()]:
            await asyncio.to_thread(remove, path)
            removed += 1
        await self._record.done(began, chunks)
        after = await asyncio.to_thread(self._record.size)
        _log.info("purged what was deleted", extra={"fields": {"chunks": chunks, "bytes": after}})
        return Purge(chunks, before, after, removed, self._index.in_files, from_micros(now_micros()))
