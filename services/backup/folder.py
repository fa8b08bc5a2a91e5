"""A backup as a folder: what is in it, how it is made whole, how it is checked.

    20261125_120000/vector.snapshot  session.snapshot  manifest.json  SHA256SUMS

The name is the time in UTC, with a number behind it where it was taken. While it is
written it is called `<name>.partial`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from services.backup.contents import MANIFEST, SUMS, Contents, Copy
from services.backup.copying import SERVICES, Copying, file_of
from services.backup.failure import BackupError, InvalidBackupError
from services.chassis import snapshot

PARTIAL = ".partial"

# How many bytes have been read, and how many there are.
Seen = Callable[[int, int], None]

_NAME = re.compile(r"[0-9]{8}_[0-9]{6}(_[0-9]+)?")
_SUM = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._-]+)")
MAX_MANIFEST = 4_000_000


@contextmanager
def partial(parent: Path, now: datetime) -> Iterator[Path]:
    """A new folder to fill; nothing is left of it unless `complete` was called. Raises BackupError.

    The caller holds the lock of `parent`, so folders of that kind that are there already are of killed ones.
    """
    for left in parent.glob(f"*{PARTIAL}"):
        if _NAME.fullmatch(left.name.removesuffix(PARTIAL)):
            shutil.rmtree(left)
    stem, name, number = now.strftime("%Y%m%d_%H%M%S"), now.strftime("%Y%m%d_%H%M%S"), 1
    while (parent / name).exists():
        number += 1
        name = f"{stem}_{number}"
    folder = parent / f"{name}{PARTIAL}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def complete(folder: Path) -> Path:
    """Gives a filled folder its name, once all of it is on the disk."""
    _sync(folder)
    done = folder.with_name(folder.name.removesuffix(PARTIAL))
    folder.rename(done)
    _sync(folder.parent)
    return done


def write(folder: Path, name: str, pieces: Iterable[bytes]) -> None:
    """Writes a file that only its owner may read, to the disk."""
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        for piece in pieces:
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())


def verify(folder: Path, key: bytes, seen: Seen | None = None) -> Contents:
    """Reads all of a backup, once. Raises InvalidBackupError with a line for each thing that is wrong,
    BackupError where it cannot be read.

    seen: told how far it is; what it raises ends it.
    """
    try:
        wrong = list(_wrong_files(folder))
        if not _regular(folder / MANIFEST):
            raise InvalidBackupError(f"{folder.name} is no backup", *wrong)
        with (folder / MANIFEST).open("rb") as stream:
            manifest = stream.read(MAX_MANIFEST)
        contents = Contents.from_json(manifest)
        sums: dict[str, str] = {}
        if _regular(folder / SUMS):
            sums, unreadable = _sums(folder / SUMS)
            wrong += unreadable
            if sums.get(MANIFEST) != hashlib.sha256(manifest).hexdigest():
                wrong.append(f"{MANIFEST} is not as {SUMS} says")
        there = [folder / file_of(service) for service in SERVICES if _regular(folder / file_of(service))]
        check = _Check(key, sums, seen, sum(path.stat().st_size for path in there))
        for service in SERVICES:
            if (path := folder / file_of(service)) in there:
                wrong += check.wrong(path, service, contents.copies[service])
    except OSError as error:
        raise BackupError(f"{error.filename or folder}: {error.strerror}") from None
    if wrong:
        raise InvalidBackupError(*wrong)
    return contents


class _Check:
    """Reads snapshots, and counts what has been read."""

    def __init__(self, key: bytes, sums: Mapping[str, str], seen: Seen | None, total: int) -> None:
        self._key = key
        self._sums = sums
        self._seen = seen
        self._done = 0
        self._total = total

    def wrong(self, path: Path, service: str, said: Copy) -> Iterator[str]:
        """What is wrong with a snapshot. said: what the manifest says of it."""
        digest, began = hashlib.sha256(), self._done
        with path.open("rb") as stream:
            reading = self._pieces(stream, digest)
            copying = Copying(service, self._key, reading)
            damage: list[str] = []
            try:
                copying.begin()
                for _ in copying.pieces():
                    pass
            except InvalidBackupError as error:
                damage += error.lines
                for _ in reading:
                    # What is left counts for the sums.
                    pass
            finally:
                copying.close()
        size = self._done - began
        if digest.hexdigest() != self._sums.get(path.name):
            yield f"{path.name} is not as {SUMS} says"
        if size != said.size:
            yield f"{path.name} has {size} bytes, and {MANIFEST} says {said.size}"
        elif digest.hexdigest() != said.sha256:
            yield f"{path.name} is not as {MANIFEST} says"
        yield from damage
        if not damage and dict(copying.counts) != dict(said.counts):
            yield f"{path.name} does not hold what {MANIFEST} counts"

    def _pieces(self, stream: IO[bytes], digest: Any) -> Iterator[bytes]:
        while piece := stream.read(snapshot.PIECE_BYTES):
            digest.update(piece)
            self._done += len(piece)
            if self._seen is not None:
                self._seen(self._done, self._total)
            yield piece


def prune(parent: Path, keep: int) -> list[Path]:
    """Removes the oldest complete backups beyond `keep`; what was removed."""
    found = [
        folder
        for folder in parent.iterdir()
        if _NAME.fullmatch(folder.name) and not folder.is_symlink() and (folder / MANIFEST).is_file()
    ]
    removed = sorted(found, key=_age)[:-keep]
    for folder in removed:
        # Under this name a rest of it is never taken for a backup.
        shutil.rmtree(folder.rename(folder.with_name(folder.name + PARTIAL)))
    return removed


def _age(folder: Path) -> tuple[str, int]:
    stem, number = folder.name[:15], folder.name[16:]
    return stem, int(number or 1)


def _wrong_files(folder: Path) -> Iterator[str]:
    expected = {MANIFEST, SUMS, *map(file_of, SERVICES)}
    there = {path.name for path in folder.iterdir()}
    yield from (f"{name} is missing" for name in sorted(expected - there))
    yield from (f"{name} does not belong to a backup" for name in sorted(there - expected))
    for name in sorted(expected & there):
        if not _regular(folder / name):
            yield f"{name} is no regular file"


def _sums(path: Path) -> tuple[dict[str, str], list[str]]:
    """The digests that SHA256SUMS has, by name; what is wrong with it."""
    with path.open("rb") as stream:
        lines = stream.read(MAX_MANIFEST).decode(errors="replace").split("\n")
    sums = {match[2]: match[1] for line in lines if (match := _SUM.fullmatch(line))}
    if [*map(_SUM.fullmatch, lines)].count(None) != 1 or lines[-1] or len(sums) != len(lines) - 1:
        return sums, [f"{SUMS} cannot be read"]
    if set(sums) != {MANIFEST, *map(file_of, SERVICES)}:
        return sums, [f"{SUMS} does not name the files of a backup"]
    return sums, []


def _regular(path: Path) -> bool:
    """A file of its own: opening it neither waits nor leads elsewhere."""
    return path.is_file() and not path.is_symlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def now() -> datetime:
    """The time that names a backup."""
    return datetime.now(UTC)
