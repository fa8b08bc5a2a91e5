"""Taking a copy of all that is kept, and going back to one: the rules, over a store."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from services.chassis.errors import InvalidArgumentError
from services.chassis.snapshot import Manifest, Unpacking, describe, pack
from services.session import entries, failures, validation
from services.session.entries import Entry, Verification
from services.session.requests import Once
from services.session.store import SnapshotStore

SERVICE = "session"
PART = "records.ndjson"

_MAX_BYTES = 64 << 30
_WRITE_ENTRIES = 64
# The contract lets no call take longer than four hours; what is older was left by a killed process.
_FOLDER = "snapshot-"
_LEFT_SECONDS = 5 * 3600


class Snapshots:
    """Makes and takes snapshots.

    folder: where their files are while a call works on them. key: MELD_SNAPSHOT_KEY.
    """

    def __init__(self, store: SnapshotStore, folder: Path, key: bytes) -> None:
        self._store = store
        self._folder = folder
        self._key = key

    async def export(self) -> AsyncGenerator[bytes, None]:
        """A snapshot of what is kept now, in pieces.

        Raises AbortedError (IMPORT_RUNNING), DataLossError (RECORD_DAMAGED),
        ResourceExhaustedError (STORAGE_FULL) and UnavailableError (STORE_UNAVAILABLE).
        """
        with _room_named(), self._working() as folder:
            began = datetime.now(UTC)
            path = folder / PART
            counts = await self._written(path)
            part = await asyncio.to_thread(describe, path, PART)
            manifest = Manifest(SERVICE, self._store.schema, began, counts, (part,))
            pieces = pack(manifest, [path], self._key)
            while piece := await asyncio.to_thread(next, pieces, b""):
                yield piece

    async def _written(self, path: Path) -> dict[str, int]:
        """Writes every entry, each checked as an import would, and counts them."""
        verification = Verification()
        waiting: list[Entry] = []
        size = 0

        def write(stream: IO[bytes], some: list[Entry]) -> None:
            with _damage_named(verification):
                for entry in some:
                    verification.take(entry)
                    stream.write(entries.line(entry))

        with path.open("wb") as stream:
            async for entry in self._store.entries():
                waiting.append(entry)
                size += entry.size
                if len(waiting) >= _WRITE_ENTRIES or size >= entries.LINE_BYTES:
                    await asyncio.to_thread(write, stream, waiting)
                    waiting, size = [], 0
            await asyncio.to_thread(write, stream, waiting)
            with _damage_named(verification):
                verification.finish()
        return dict(verification.counts)

    async def take(self, pieces: AsyncIterator[bytes], request_id: str) -> int:
        """Replaces all that is kept by a snapshot, once per request id; the sessions kept now.

        Raises InvalidArgumentError (SNAPSHOT_INVALID, INVALID_FIELD),
        FailedPreconditionError (SNAPSHOT_FOREIGN, SNAPSHOT_NEWER, REQUEST_ID_REUSED),
        AbortedError (IMPORT_RUNNING), DataLossError (IMPORT_INCOMPLETE), and what the
        store raises; all before anything was changed.
        """
        if request_id:
            validation.request_id(request_id)
        async with self._store.importing() as importing:
            with _room_named(), self._working() as folder:
                manifest, digest = await self._received(folder, pieces)
                once = Once(request_id, digest) if request_id else None
                if once is not None and (sessions := await importing.earlier(once)) is not None:
                    return sessions
                path = await asyncio.to_thread(self._verified, folder, manifest)
                created = int(manifest.created_time.timestamp() * 1000)
                return await importing.replace(entries.entries_of(path), manifest.counts, created, once)

    async def _received(self, folder: Path, pieces: AsyncIterator[bytes]) -> tuple[Manifest, bytes]:
        unpacking = Unpacking(folder, SERVICE, self._key, _MAX_BYTES)
        digest = hashlib.sha256()
        try:
            async for piece in pieces:
                digest.update(piece)
                await asyncio.to_thread(unpacking.feed, piece)
            return unpacking.finish(), digest.digest()
        finally:
            unpacking.close()

    def _verified(self, folder: Path, manifest: Manifest) -> Path:
        """The file with the entries, all of which may be kept."""
        if manifest.schema_version > self._store.schema:
            raise failures.snapshot_newer(manifest.schema_version, self._store.schema)
        if manifest.schema_version < 1 or [part.name for part in manifest.parts] != [PART]:
            raise failures.snapshot_invalid("it has other parts than a snapshot of sessions")
        path = folder / PART
        entries.verify(path, manifest.counts)
        return path

    @contextmanager
    def _working(self) -> Iterator[Path]:
        """A folder for one call. Removes those that killed processes left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob(f"{_FOLDER}*"):
            if left.lstat().st_mtime < time.time() - _LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=self._folder) as folder:
            yield Path(folder)


@contextmanager
def _damage_named(verification: Verification) -> Iterator[None]:
    """Says of what an import would refuse which session or run of the store it is."""
    try:
        yield
    except InvalidArgumentError as error:
        subject = verification.subject
        if subject is None:
            raise
        raise failures.record_damaged(subject.kind, subject.entry_id, error.metadata["problem"]) from None


@contextmanager
def _room_named() -> Iterator[None]:
    """Says of a full disk that it is full."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise failures.no_room_for_snapshot() from error
        raise
