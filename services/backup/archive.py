"""A backup as one file: a tar archive of its folder.

    20261125_120000/session.snapshot  vector.snapshot  manifest.json  SHA256SUMS

`tar xf` makes the folder of it, and `tar cf` an archive of a folder. What is read may come from anybody, so
nothing but these four regular files is taken, by plain names, and no bit of it is passed over: sums are over
the heads, and what fills blocks up must be zero.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from services.backup import folder as folders
from services.backup.contents import MANIFEST, SUMS
from services.backup.copying import SERVICES, file_of
from services.backup.failure import InvalidBackupError
from services.backup.making import Making

MEDIA_TYPE = "application/x-tar"

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
# tar itself fills its last record up.
_RECORD = tarfile.RECORDSIZE
_FILES = frozenset((MANIFEST, SUMS, *map(file_of, SERVICES)))
# In the folder's own name, in "./", or in none.
_NAME = re.compile(r"((?:[0-9]{8}_[0-9]{6}(?:_[0-9]+)?|\.)/)?([A-Za-z0-9.]*)")
_CHECKSUM = re.compile(rb"[0-7]{6}\0 ")
_CHECKSUM_PLACE = slice(148, 156)
_SPECIAL_MODE = 0o7000


def size(making: Making) -> int:
    """Bytes of the whole archive."""
    return sum(_BLOCK + _filled(each) for each in making.sizes().values()) + len(_END)


def pieces(making: Making, name: str, moment: datetime) -> Iterator[bytes]:
    """The archive of a backup that is called `name`. Raises BackupError."""
    for file in making.files():
        yield _head(f"{name}/{file.name}", file.size, moment)
        yield from file.pieces
        yield bytes(_filled(file.size) - file.size)
    yield _END


def unpack(data: Iterable[bytes], folder: Path) -> None:
    """Writes the files of an archive into an empty folder. Raises InvalidBackupError, OSError, and what
    `data` raises.

    That the files are those of a backup, and whole, is for folder.verify to say.
    """
    source = _Source(data)
    seen: set[str] = set()
    parent: str | None = None
    while (block := source.exactly(_BLOCK)) != bytes(_BLOCK):
        entry = _entry(block)
        match = _NAME.fullmatch(entry.name + ("/" if entry.isdir() and not entry.name.endswith("/") else ""))
        if match is None or (parent is not None and (match[1] or "") != parent):
            raise InvalidBackupError("the archive holds a name that no backup has")
        parent = match[1] or ""
        name = match[2]
        if name in seen:
            raise InvalidBackupError(f"{name or 'the folder'} stands twice in the archive")
        seen.add(name)
        if entry.isdir() and parent and not name and entry.size == 0:
            continue
        if name not in _FILES or not entry.isreg():
            raise InvalidBackupError("the archive holds what does not belong to a backup")
        if name in (MANIFEST, SUMS) and entry.size > folders.MAX_MANIFEST:
            raise InvalidBackupError(f"{name} is larger than any")
        folders.write(folder, name, source.pieces(entry.size))
        if source.exactly(_filled(entry.size) - entry.size).strip(b"\0"):
            raise InvalidBackupError(f"the archive was changed behind {name}")
    if missing := sorted(_FILES - seen):
        raise InvalidBackupError(*(f"{name} is missing" for name in missing))
    source.end()


def _head(name: str, length: int, moment: datetime) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = length, 0o600, int(moment.timestamp())
    # Sizes beyond 8 GiB fit into its heads.
    return info.tobuf(tarfile.GNU_FORMAT)


def _entry(block: bytes) -> tarfile.TarInfo:
    try:
        entry = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError):
        raise InvalidBackupError("the archive is no tar file, or was changed") from None
    if not _CHECKSUM.fullmatch(block[_CHECKSUM_PLACE]) or entry.size < 0:
        raise InvalidBackupError("the archive was changed")
    # Links, devices, sparse and renamed files have other types.
    plain = entry.type in (tarfile.REGTYPE, tarfile.DIRTYPE) and not entry.linkname
    if not plain or entry.mode & _SPECIAL_MODE:
        raise InvalidBackupError("the archive holds what is no plain file")
    return entry


def _filled(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK


class _Source:
    """Bytes that come in pieces, taken in others."""

    def __init__(self, data: Iterable[bytes]) -> None:
        self._data = iter(data)
        self._rest = memoryview(b"")

    def exactly(self, count: int) -> bytes:
        """So many bytes. Only for few."""
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[bytes]:
        """So many bytes as they come."""
        while count:
            if not self._rest:
                piece = next(self._data, b"")
                if not piece:
                    raise InvalidBackupError("the archive ends too early")
                self._rest = memoryview(piece)
            now, self._rest = self._rest[:count], self._rest[count:]
            count -= len(now)
            yield bytes(now)

    def end(self) -> None:
        """Nothing follows but what fills the last record up. The first block of the end was taken."""
        if self.exactly(_BLOCK).strip(b"\0"):
            raise InvalidBackupError("the archive was changed at its end")
        left = 0
        while True:
            rest, self._rest = bytes(self._rest), memoryview(b"")
            left += len(rest)
            if rest.strip(b"\0") or left > _RECORD:
                raise InvalidBackupError("something follows the archive")
            if not (piece := next(self._data, b"")):
                break
            self._rest = memoryview(piece)
        if left % _BLOCK:
            raise InvalidBackupError("the archive ends too early")
