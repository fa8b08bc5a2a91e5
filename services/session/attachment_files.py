"""The bytes of attachments: files of one folder, which all replicas share.

A file comes in under a name that ends with ".part", is flushed to the disk and gets its
own name before a record names it. That name has the space, the attachment and 64
random bits: no two writers ever meet, and bytes that come back from a snapshot are new
files. A file that a record names never changes. What a killed process left is old and
named by nobody; `AttachmentSweep` removes it.

The file `store` says to whose records the others belong. With other records (an empty
Redis, a wrong address) none of them would have a name, and all would be removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from services.chassis.crash import crash_point
from services.chassis.errors import ServiceError
from services.session import failures
from services.session.store import FileRecords
from services.session.validation import SPACE

_log = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024

_PART = ".part"
_MARK = "store"
_NAME = re.compile(rf"({SPACE})\.([A-Za-z0-9_-]{{1,64}})\.[0-9a-f]{{16}}")
# An ImportSnapshot may last four hours and a PutAttachment half an hour.
_UNNAMED_SECONDS = 5 * 3600.0
_PART_SECONDS = 3600.0
_SWEEP_SECONDS = 300.0
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Received:
    """A file that has wholly arrived and is on the disk, under a name that nobody knows."""

    path: Path
    size: int
    sha256: str


class AttachmentFiles:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def received(self, pieces: AsyncIterator[bytes], limit: int) -> AsyncIterator[Received]:
        """The file that the pieces are, for the block; gone after it unless it was kept.

        Raises ResourceExhaustedError (ATTACHMENT_TOO_LARGE, STORAGE_FULL).
        """
        with _room_named():
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{secrets.token_hex(16)}{_PART}"
            try:
                yield await _received(path, pieces, limit)
            finally:
                path.unlink(missing_ok=True)

    async def keep(self, received: Received, tenant: str, attachment_id: str) -> str:
        """Gives a file its name, which is on the disk too."""
        name = _new_name(tenant, attachment_id)
        with _room_named():
            await asyncio.to_thread(self._rename, received.path, name)
        return name

    def _rename(self, path: Path, name: str) -> None:
        path.rename(self._folder / name)
        _flush_folder(self._folder)

    def copy(self, source: IO[bytes], size: int, sha256: str, owner: tuple[str, str]) -> str:
        """Makes the next `size` bytes of a stream a file of `owner` (tenant, attachment); its name.

        The folder is not flushed. Raises ValueError when the bytes are others. Blocks.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        name = _new_name(*owner)
        path = self._folder / f"{secrets.token_hex(16)}{_PART}"
        digest, left = hashlib.sha256(), size
        try:
            with path.open("xb") as stream:
                while left and (piece := source.read(min(left, PIECE_BYTES))):
                    digest.update(piece)
                    stream.write(piece)
                    left -= len(piece)
                _flush(stream)
            if left or digest.hexdigest() != sha256:
                raise ValueError("the bytes are not those of the attachment")
            path.rename(self._folder / name)
        finally:
            path.unlink(missing_ok=True)
        return name

    def flush(self) -> None:
        """Names of files that were copied are on the disk after this. Blocks."""
        _flush_folder(self._folder)

    def open(self, name: str) -> IO[bytes]:
        """The bytes. They can be read to the end whatever becomes of their name. Raises FileNotFoundError."""
        return (self._folder / name).open("rb")

    def hold(self, name: str, folder: Path) -> Path:
        """Another name of the same bytes in a folder, or a copy where that is on another disk. Blocks.

        Raises FileNotFoundError.
        """
        held = folder / name
        try:
            os.link(self._folder / name, held)
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
                raise
            with self.open(name) as source, held.open("xb") as copy:
                while piece := source.read(PIECE_BYTES):
                    copy.write(piece)
        return held

    def discard(self, names: Iterable[str]) -> None:
        """Removes files that no record names any more. One that stays is removed by the sweep. Blocks."""
        for name in names:
            try:
                (self._folder / name).unlink(missing_ok=True)
            except OSError as error:
                _log.warning("a file stays for now", extra={"fields": {"error": str(error)}})

    def found(self) -> Iterator[tuple[str, float]]:
        """Every name of the folder, and how many seconds ago the file was written."""
        now = time.time()
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    yield entry.name, now - entry.stat(follow_symlinks=False).st_mtime

    def belongs_to(self, key: bytes) -> bool:
        """Whether the files are of the store with this key; those of nobody are from now on. Blocks."""
        if not self._folder.exists():
            return True
        mark = hashlib.sha256(b"attachments of " + key).hexdigest()
        path, draft = self._folder / _MARK, self._folder / f"{secrets.token_hex(16)}{_PART}"
        if not path.exists():
            try:
                draft.write_text(mark)
                with contextlib.suppress(FileExistsError):
                    os.link(draft, path)
            finally:
                draft.unlink(missing_ok=True)
        return path.read_text() == mark


class AttachmentSweep:
    """Removes, now and then, files that have expired, whose session is gone, or that no record names.

    Every replica does it, and none minds what another one has removed.
    """

    def __init__(
        self,
        files: AttachmentFiles,
        records: FileRecords,
        *,
        unnamed_seconds: float = _UNNAMED_SECONDS,
        part_seconds: float = _PART_SECONDS,
        every_seconds: float = _SWEEP_SECONDS,
    ) -> None:
        """unnamed_seconds, part_seconds: the age at which a file goes that nobody names, or is not whole."""
        self._files = files
        self._records = records
        self._unnamed_seconds = unnamed_seconds
        self._part_seconds = part_seconds
        self._every_seconds = every_seconds

    @asynccontextmanager
    async def sweeping(self) -> AsyncIterator[None]:
        """Sweeps in the background of the block."""
        task = asyncio.create_task(self._sweep_for_ever(), name="sweep of attachments")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except ServiceError as error:
                _log.debug("files are not swept now: %s", error.message)
            except Exception as error:
                _log.warning("files are not swept", extra={"fields": {"error": repr(error)}})
            # Replicas that began together do not stay together.
            await asyncio.sleep(self._every_seconds * (0.5 + secrets.randbelow(1000) / 1000))

    async def sweep(self) -> None:
        """Sweeps once. Raises ServiceError (STORE_UNAVAILABLE), OSError."""
        files = self._files
        if not await asyncio.to_thread(files.belongs_to, await self._records.page_token_key()):
            _log.warning(
                "the files of attachments belong to another store than this Redis, and none is removed. If "
                'the data of that are lost for good, remove the file "%s" among them',
                _MARK,
            )
            return
        tenants: set[str] = set()
        found = files.found()
        while batch := await asyncio.to_thread(_batch, found):
            old_parts, unclear = [], []
            for name, age in batch:
                if match := _NAME.fullmatch(name):
                    tenants.add(match[1])
                    if age > self._unnamed_seconds:
                        unclear.append((match[1], match[2], name))
                elif name.endswith(_PART) and age > self._part_seconds:
                    old_parts.append(name)
            unnamed = await self._records.unnamed(unclear) if unclear else []
            await asyncio.to_thread(files.discard, [*old_parts, *unnamed])
        for tenant in tenants:
            async for gone in self._records.forget_dead(tenant):
                await asyncio.to_thread(files.discard, gone)


def _batch(found: Iterator[tuple[str, float]]) -> list[tuple[str, float]]:
    return [item for _, item in zip(range(_BATCH), found, strict=False)]


async def _received(path: Path, pieces: AsyncIterator[bytes], limit: int) -> Received:
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as stream:

        def take(piece: bytes) -> None:
            digest.update(piece)
            stream.write(piece)

        async for piece in pieces:
            size += len(piece)
            if size > limit:
                raise failures.attachment_too_large(limit)
            await asyncio.to_thread(take, piece)
            crash_point("attachment_piece")
        await asyncio.to_thread(_flush, stream)
    crash_point("attachment_received")
    return Received(path, size, digest.hexdigest())


def _new_name(tenant: str, attachment_id: str) -> str:
    return f"{tenant}.{attachment_id}.{secrets.token_hex(8)}"


def _flush(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _room_named() -> Iterator[None]:
    """Says of a full disk that it is full."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise failures.no_room_for_attachment() from error
        raise
