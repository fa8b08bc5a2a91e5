"""Backups as files: an archive, or a folder of `make backup`, sent as the archive that it makes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from meldrag_cli.failures import UsageFailure
from meldrag_cli.gateway import Body, Download

MEDIA_TYPE = "application/x-tar"
UNNAMED = "meld-backup.tar"

_PIECE_BYTES = 256 << 10
# A backup has four files; more are no backup.
_MOST_FILES = 10

Seen = Callable[[int], None]


@dataclass(frozen=True)
class Written:
    """An archive on the disk: its path, its size in bytes, its SHA-256 in hex."""

    path: Path
    size: int
    sha256: str


def place(file: Path | None, name: str) -> Path:
    """Where an archive goes that the house calls `name`: a file, or into a folder.

    Raises UsageFailure for one that is there already.
    """
    target = Path(name or UNNAMED) if file is None else file
    if target.is_dir():
        target /= name or UNNAMED
    if target.exists():
        raise UsageFailure("FILE_EXISTS", f"{target} is there already; nothing is written over a file")
    if not target.parent.is_dir():
        raise UsageFailure("FILE_NOT_FOUND", f"{target.parent} is no folder")
    return target


def write(target: Path, download: Download, seen: Seen) -> Written:
    """Writes an archive that only its owner may read; nothing has its name before all of it is on the disk.

    Raises UsageFailure where it cannot be written.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for piece in download.pieces:
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
                    seen(size)
                file.flush()
                os.fsync(file.fileno())
            _name(partial, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
    except FileExistsError:
        raise UsageFailure("FILE_EXISTS", f"{target} is there already; nothing is written over") from None
    except OSError as error:
        raise UsageFailure("NOT_WRITABLE", f"{target}: {error.strerror}") from None
    return Written(target, size, digest.hexdigest())


def _name(partial: Path, target: Path) -> None:
    """Gives a file its name, unless another has it by now."""
    try:
        target.hardlink_to(partial)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        if target.exists():
            raise FileExistsError from None
        partial.rename(target)


def body(path: Path, seen: Seen) -> Body:
    """An archive to be sent. seen: told how many bytes of it are on their way. Raises UsageFailure."""
    try:
        if path.is_dir():
            files = sorted(each for each in path.iterdir())
            if len(files) > _MOST_FILES or not (path / "manifest.json").is_file():
                raise UsageFailure("NOT_A_BACKUP", f"{path} is no folder of a backup")
            entries = [(_head(path.resolve().name, each), each) for each in files]
            size = sum(len(head) + _filled(each.stat().st_size) for head, each in entries)
            return Body(MEDIA_TYPE, size + len(_END), _counted(_packed(entries), seen))
        size = path.stat().st_size
        return Body(MEDIA_TYPE, size, _counted(_read(path), seen))
    except OSError as error:
        raise UsageFailure("NOT_READABLE", f"{path}: {error.strerror}") from None


_END = bytes(2 * tarfile.BLOCKSIZE)


def _head(folder: str, path: Path) -> bytes:
    info = tarfile.TarInfo(f"{folder}/{path.name}")
    info.size, info.mode = path.stat().st_size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def _packed(entries: Iterable[tuple[bytes, Path]]) -> Iterator[bytes]:
    for head, path in entries:
        yield head
        sent = 0
        for piece in _read(path):
            sent += len(piece)
            yield piece
        yield bytes(_filled(sent) - sent)
    yield _END


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _counted(pieces: Iterable[bytes], seen: Seen) -> Iterator[bytes]:
    sent = 0
    for piece in pieces:
        yield piece
        sent += len(piece)
        seen(sent)


def _filled(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
