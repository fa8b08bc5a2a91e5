"""Backups as files: an archive, or a folder of `make backup`, sent as the archive that it makes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from meldrag_cli.failures import UsageFailure
from meldrag_cli.gateway import Body
from meldrag_cli.writing import Seen

MEDIA_TYPE = "application/x-tar"
UNNAMED = "meld-backup.tar"

_PIECE_BYTES = 256 << 10
# A backup has four files; more are no backup.
_MOST_FILES = 10


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
