"""The bytes of a file on their way in: on disk, counted and hashed, gone when nobody needs them any more."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Collection
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.chassis.errors import InvalidArgumentError, ResourceExhaustedError

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file that has wholly arrived."""

    path: Path
    size: int
    sha256: str


class Spool:
    """A folder of files by name: those in use, which arrive or are read, and those that are kept."""

    def __init__(self, folder: Path, limit_bytes: int, executor: Executor) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._executor = executor
        self._used: set[str] = set()
        self._kept: set[str] = set()

    def clear(self, but: Collection[str] = ()) -> None:
        """Makes the folder, and removes what an ended process left in it but these names. Blocks."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.iterdir():
            if left.name not in but:
                left.unlink()

    def path(self, name: str) -> Path:
        """Where the file of that name is."""
        return self._folder / name

    def left(self, prefix: str) -> int:
        """How many files there are whose name begins so. Blocks."""
        return sum(path.name.startswith(prefix) for path in self._folder.iterdir())

    def strays(self) -> list[Path]:
        """Files that belong to nothing. Blocks."""
        # What arrives in between is known after the look.
        found = sorted(self._folder.iterdir())
        return [path for path in found if path.name not in self._used | self._kept]

    @property
    def kept(self) -> frozenset[str]:
        """Names of the files that stay without being in use."""
        return frozenset(self._kept)

    def use(self, name: str) -> None:
        """The file is read, or waits for that."""
        self._kept.discard(name)
        self._used.add(name)

    def keep(self, name: str) -> None:
        """The file is not in use any more, and stays."""
        self._used.discard(name)
        self._kept.add(name)

    def drop(self, name: str) -> None:
        """Nobody needs the file any more."""
        with suppress(FileNotFoundError):
            self.path(name).unlink()
        self._used.discard(name)
        self._kept.discard(name)

    def drop_kept(self, prefix: str) -> None:
        """Drops the files whose name begins so and that are not in use."""
        for name in [name for name in self._kept if name.startswith(prefix)]:
            self.drop(name)

    async def receive(
        self, name: str, pieces: AsyncIterator[bytes], declared_bytes: int, declared_sha256: str
    ) -> Spooled:
        """The file, which is in use from now on; nothing is left of one that does not arrive as a whole.

        Raises ResourceExhaustedError (DOCUMENT_TOO_LARGE, STORAGE_FULL), InvalidArgumentError
        (CONTENT_MISMATCH against what was declared, where it was).
        """
        if declared_bytes > self._limit:
            raise self._too_large()
        self._used.add(name)
        try:
            spooled = await self._receive(self.path(name), pieces)
            _compare(declared_bytes, declared_sha256.lower(), spooled)
        except BaseException:
            self.drop(name)
            raise
        return spooled

    async def _receive(self, path: Path, pieces: AsyncIterator[bytes]) -> Spooled:
        loop = asyncio.get_running_loop()
        digest, size = hashlib.sha256(), 0
        with path.open("xb") as file:

            def take(piece: bytes) -> None:
                digest.update(piece)
                file.write(piece)

            try:
                async for piece in pieces:
                    size += len(piece)
                    if size > self._limit:
                        raise self._too_large()
                    await loop.run_in_executor(self._executor, take, piece)
                await loop.run_in_executor(self._executor, _sync, file)
            except OSError as error:
                if is_full(error):
                    raise ResourceExhaustedError("the disk is full", reason="STORAGE_FULL") from error
                raise
        return Spooled(path, size, digest.hexdigest())

    def _too_large(self) -> ResourceExhaustedError:
        return ResourceExhaustedError(
            f"the document has more than {self._limit} bytes",
            reason="DOCUMENT_TOO_LARGE",
            metadata={"limit": str(self._limit), "unit": "bytes"},
        )


def spool_name(collection_key: int, document_id: str = "") -> str:
    """The name of an arriving file; without a document, how those of a collection begin."""
    return f"{collection_key}-{document_id}"


def is_full(error: OSError) -> bool:
    """Whether there is no space left, for anybody or for us."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def is_whole(spooled: Spooled) -> bool:
    """Whether the file is still what arrived. Blocks."""
    try:
        with spooled.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == spooled.sha256
    except FileNotFoundError:
        return False


def _sync(file: BinaryIO) -> None:
    """On the disk, before the record says that it is there."""
    file.flush()
    os.fsync(file.fileno())
    folder = os.open(Path(file.name).parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _compare(declared_bytes: int, declared_sha256: str, spooled: Spooled) -> None:
    for declared, received in (
        (str(declared_bytes or spooled.size), str(spooled.size)),
        (declared_sha256 or spooled.sha256, spooled.sha256),
    ):
        if declared != received:
            raise InvalidArgumentError(
                "what arrived is not what was declared",
                reason="CONTENT_MISMATCH",
                metadata={"declared": declared, "received": received},
            )
