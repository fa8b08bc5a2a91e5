"""No byte of what was deleted in the record's file: what is freed is overwritten at once (secure_delete), and
the rest goes when the keyword indexes are merged, the file is written anew and its log is cut off.

SQLite overwrites cells that it frees, but pages that were balanced before keep older copies of cells in
their gaps, and FTS5 only marks the words of an entry that was removed.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from services.chassis.crash import crash_point
from services.chassis.errors import UnavailableError
from services.vector.record import lexicon
from services.vector.record.database import Connection, Database

_UNPURGED, _PURGED_TIME = "unpurged_chunks", "purged_time"
# A step of a merge takes about a tenth of a second; writers come in between.
_MERGE_PAGES = 500
_MOST_STEPS = 1_000_000
_LOG_SECONDS = 30.0
_AGAIN_SECONDS = 0.2


def note(connection: Connection, chunks: int) -> None:
    """So many passages go, in this transaction; bytes of them may be left until a purge."""
    connection.execute(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE"
        " SET value = CAST(CAST(value AS INTEGER) + ?2 AS TEXT)",
        (_UNPURGED, str(chunks)),
    )


def last(connection: Connection) -> int:
    """When the last purge began, in microseconds; 0 when there was none."""
    return _number(connection, _PURGED_TIME)


def unpurged(connection: Connection) -> int:
    """Passages that went since."""
    return _number(connection, _UNPURGED)


def _number(connection: Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


class Purging:
    """Writes the record anew."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unpurged(self) -> int:
        """Passages that went since the last purge."""
        return await self._database.read(unpurged)

    async def rewrite(self) -> int:
        """Returns how many passages had gone when it began.

        Raises ResourceExhaustedError (STORAGE_FULL), UnavailableError (RECORD_BUSY) when readers do not let
        go of the log in time.
        """
        gone = await self.unpurged()
        await self._merge()
        crash_point("vector.before_record_rewrite")
        await self._database.rewrite()
        crash_point("vector.after_record_rewrite")
        await self._cut_log()
        return gone

    async def done(self, began: int, chunks: int) -> None:
        """All is done for what went before `began` (microseconds); `chunks` as `rewrite` returned it."""

        def work(connection: Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [
                    (_PURGED_TIME, str(began)),
                    (_UNPURGED, str(max(0, unpurged(connection) - chunks))),
                ],
            )

        await self._database.write(work)

    def size(self) -> int:
        """Bytes of the record's files."""
        path = self._database.path
        files = (path, path.with_name(f"{path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    @property
    def folder(self) -> Path:
        """Where the record lies."""
        return self._database.path.parent

    async def _merge(self) -> None:
        for name in await self._database.read(lexicon.names):
            for step in range(_MOST_STEPS):
                if not await self._database.write(partial(_merged, name, step == 0)):
                    break

    async def _cut_log(self) -> None:
        end = time.monotonic() + _LOG_SECONDS
        while not await self._database.cut_log():
            if time.monotonic() > end:
                raise UnavailableError(
                    "readers hold the record's log",
                    reason="RECORD_BUSY",
                    retry_after=5.0,
                )
            await asyncio.sleep(_AGAIN_SECONDS)


def _merged(name: str, first: bool, connection: Connection) -> bool:
    if name not in lexicon.names(connection):
        # Its collection was deleted meanwhile.
        return False
    return lexicon.merge(connection, name, _MERGE_PAGES, first=first)
