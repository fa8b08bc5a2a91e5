"""A snapshot in: received beside the living record, verified wholly, then exchanged for it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from services.chassis import snapshot
from services.chassis.crash import crash_point
from services.chassis.errors import DataLossError
from services.vector.application import Application
from services.vector.documents import Request
from services.vector.faults import import_running, snapshot_invalid, storage_full
from services.vector.ingest.spool import is_full
from services.vector.record import copies
from services.vector.record.copies import Contents, Stop
from services.vector.record.record import FILE
from services.vector.snapshots import exchange
from services.vector.snapshots.exporting import SERVICE, SUMMARY
from services.vector.snapshots.work import in_thread
from services.vector.switch import Switch

_log = logging.getLogger(__name__)

_HEAD_LINES = 3
_MOST_HEAD_BYTES = 128 * 1024
# The disk sets the limit: what is received leaves copies.RESERVE_BYTES free.
_MOST_BYTES = 1 << 50


class Restoring:
    """Takes snapshots in, one at a time."""

    def __init__(self, switch: Switch, folder: Path, key: bytes) -> None:
        """folder: the service's own. key: see services.chassis.snapshot."""
        self._switch = switch
        self._folder = folder
        self._key = key
        self._busy = False

    async def run(self, space: str, request_id: str, pieces: AsyncIterator[bytes]) -> Contents:
        """What the record holds now.

        The same request id with the same snapshot answers as the first call did. Raises AbortedError
        (IMPORT_RUNNING), InvalidArgumentError (SNAPSHOT_INVALID), FailedPreconditionError (SNAPSHOT_FOREIGN,
        SNAPSHOT_NEWER, REQUEST_ID_REUSED), ResourceExhaustedError (STORAGE_FULL).
        """
        if self._busy:
            raise import_running()
        self._busy = True
        exchanging: asyncio.Task[None] | None = None
        try:
            head = await _head(pieces)
            request = _request(request_id, head)
            done = await self._switch.call(
                lambda application: _done(application, space, request), writes=False
            )
            if done is not None:
                return done
            await in_thread(lambda _: self._begin())
            contents = await self._receive(head, pieces)
            crash_point("vector.snapshot_verified")
            exchanging = asyncio.create_task(self._exchange(space, request, contents))
        finally:
            if exchanging is None:
                await self._end()
        # From here on it is done whether or not the caller waits.
        await asyncio.shield(exchanging)
        return contents

    async def _receive(self, head: bytes, pieces: AsyncIterator[bytes]) -> Contents:
        incoming = self._folder / exchange.INCOMING
        unpacking = snapshot.Unpacking(incoming, SERVICE, self._key, _MOST_BYTES)
        try:
            await in_thread(lambda _: self._take(unpacking, head))
            async for piece in pieces:
                await in_thread(lambda _, piece=piece: self._take(unpacking, piece))  # type: ignore[misc]
            manifest = unpacking.finish()
        except OSError as error:
            if is_full(error):
                raise storage_full("the snapshot") from error
            raise
        finally:
            unpacking.close()
        crash_point("vector.snapshot_received")
        return await in_thread(lambda stop: _verified(incoming, manifest, stop))

    def _take(self, unpacking: snapshot.Unpacking, piece: bytes) -> None:
        if shutil.disk_usage(self._folder).free < copies.RESERVE_BYTES + len(piece):
            raise storage_full("the snapshot")
        unpacking.feed(piece)

    async def _exchange(self, space: str, request: Request | None, contents: Contents) -> None:
        incoming = self._folder / exchange.INCOMING / FILE

        def change() -> None:
            copies.adopt(incoming, self._folder / FILE, space, request, contents)
            exchange.decide(self._folder)

        try:
            await self._switch.exchange(change)
        finally:
            await self._end()
        _log.info("the record was replaced by a snapshot", extra={"fields": contents.counts})

    def _begin(self) -> None:
        self._clear()
        (self._folder / exchange.INCOMING).mkdir(parents=True)

    async def _end(self) -> None:
        try:
            await in_thread(lambda _: self._clear())
        finally:
            self._busy = False

    def _clear(self) -> None:
        shutil.rmtree(self._folder / exchange.INCOMING, ignore_errors=True)


async def _head(pieces: AsyncIterator[bytes]) -> bytes:
    """The beginning of the stream, with all that names the snapshot; less where it is too short or too long
    to be one, which is found later.
    """
    head = b""
    async for piece in pieces:
        head += piece
        if head.count(b"\n") >= _HEAD_LINES or len(head) > _MOST_HEAD_BYTES:
            break
    return head


def _request(request_id: str, head: bytes) -> Request | None:
    """The header has the hash of every part, and so its own stands for the whole."""
    if not request_id:
        return None
    header = b"\n".join(head.split(b"\n", _HEAD_LINES)[:_HEAD_LINES])
    return Request(request_id, hashlib.sha256(header).hexdigest())


async def _done(application: Application, space: str, request: Request | None) -> Contents | None:
    if request is None:
        return None
    try:
        return await application.record.restored(space, request)
    except DataLossError:
        # A record that cannot be read is what snapshots are for.
        return None


def _verified(incoming: Path, manifest: snapshot.Manifest, stop: Stop) -> Contents:
    """What is in the snapshot, when all that is said of it is true; its record is ready to be adopted."""
    if {part.name for part in manifest.parts} != {FILE, SUMMARY}:
        raise snapshot_invalid("its parts are not those of a record")
    contents = copies.verify(incoming / FILE, manifest.schema_version, stop)
    try:
        summary = Contents.from_json((incoming / SUMMARY).read_text())
    except (ValueError, KeyError, TypeError):
        raise snapshot_invalid("its summary cannot be read") from None
    if contents != summary or contents.counts != dict(manifest.counts):
        raise snapshot_invalid("it does not hold what it says")
    copies.fit(incoming / FILE, stop)
    return contents
