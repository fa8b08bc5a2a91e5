"""A backup as a folder: what is in it, how it is made whole, how it is checked.

    20261125_120000/vector.snapshot  session.snapshot  manifest.json  SHA256SUMS

The name is the time in UTC, with a number behind it where it was taken. While it is
written it is called `<name>.partial`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from services.backup.canaries import Canary
from services.backup.conversations import Conversation
from services.backup.failure import BackupError
from services.chassis import snapshot
from services.chassis.errors import ServiceError

FORMAT = 1
SERVICES = ("vector", "session")
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
PARTIAL = ".partial"

_NAME = re.compile(r"[0-9]{8}_[0-9]{6}(_[0-9]+)?")
_SUM = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._-]+)")
_MAX_MANIFEST = 4_000_000
_NO_LIMIT = 1 << 60


def file_of(service: str) -> str:
    """The name of a service's snapshot."""
    return f"{service}.snapshot"


@dataclass(frozen=True)
class Copy:
    """The snapshot of one service: size in bytes, SHA-256 in hex, what is in it by kind."""

    size: int
    sha256: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Contents:
    """What manifest.json says.

    contracts: SHA-256 of those that the program was built with. expiring: sessions and
    messages that had so little time left that a restore may not find them any more; None where that was
    not counted.
    """

    contracts: str
    created_time: datetime
    copies: Mapping[str, Copy]
    canaries: tuple[Canary, ...]
    conversations: tuple[Conversation, ...]
    expiring: Mapping[str, int] | None

    def to_json(self) -> bytes:
        """The file."""
        said = {
            "format": FORMAT,
            "contracts": self.contracts,
            "created_time": self.created_time.isoformat(timespec="seconds"),
            "files": {
                file_of(name): {"size": copy.size, "sha256": copy.sha256, "counts": dict(copy.counts)}
                for name, copy in self.copies.items()
            },
            "canaries": [canary.to_json() for canary in self.canaries],
            "conversations": [conversation.to_json() for conversation in self.conversations],
            "expiring": None if self.expiring is None else dict(self.expiring),
        }
        return json.dumps(said, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Contents:
        """Out of the file. Raises BackupError."""
        try:
            said: Any = json.loads(data)
            if int(said["format"]) > FORMAT:
                raise BackupError(f"{MANIFEST} was written by a newer release")
            copies = {}
            for name in SERVICES:
                file = said["files"][file_of(name)]
                counts = {str(kind): int(count) for kind, count in file["counts"].items()}
                copies[name] = Copy(int(file["size"]), str(file["sha256"]), counts)
            # Absent in backups of releases before.
            expiring = said.get("expiring")
            return cls(
                str(said["contracts"]),
                datetime.fromisoformat(said["created_time"]),
                copies,
                tuple(map(Canary.from_json, said["canaries"])),
                tuple(map(Conversation.from_json, said.get("conversations", ()))),
                None if expiring is None else {str(kind): int(count) for kind, count in expiring.items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise BackupError(f"{MANIFEST} cannot be read") from None


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


def write(folder: Path, name: str, pieces: Iterable[bytes]) -> tuple[int, str]:
    """Writes a file that only its owner may read, to the disk; its size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        for piece in pieces:
            stream.write(piece)
            digest.update(piece)
            size += len(piece)
        stream.flush()
        os.fsync(stream.fileno())
    return size, digest.hexdigest()


def write_contents(folder: Path, contents: Contents) -> None:
    """Writes manifest.json and SHA256SUMS, which names every other file."""
    sums = {file_of(name): copy.sha256 for name, copy in contents.copies.items()}
    _, sums[MANIFEST] = write(folder, MANIFEST, [contents.to_json()])
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    write(folder, SUMS, [lines.encode()])


def copied(service: str, key: bytes, pieces: Iterable[bytes], counts: dict[str, int]) -> Iterator[bytes]:
    """Passes a snapshot on while it is checked, and puts its counts into `counts` at the end.

    Raises BackupError when it is not whole or has another key.
    """
    unpacking = snapshot.Unpacking(None, service, key, _NO_LIMIT)
    try:
        for piece in pieces:
            unpacking.feed(piece)
            yield piece
        counts.update(unpacking.finish().counts)
    except ServiceError as error:
        raise BackupError(f"{file_of(service)}: {error.message}") from None
    finally:
        unpacking.close()


def verify(folder: Path, key: bytes) -> Contents:
    """Reads all of a backup. Raises BackupError with a line for each thing that is wrong."""
    try:
        wrong = list(_wrong_files(folder))
        if not _regular(folder / MANIFEST):
            raise BackupError(f"{folder} is no backup", *wrong)
        with (folder / MANIFEST).open("rb") as stream:
            contents = Contents.from_json(stream.read(_MAX_MANIFEST))
        wrong += _wrong_sums(folder)
        for service in SERVICES:
            if _regular(folder / file_of(service)):
                wrong += _wrong_copy(folder / file_of(service), service, contents.copies[service], key)
    except OSError as error:
        raise BackupError(f"{error.filename or folder}: {error.strerror}") from None
    if wrong:
        raise BackupError(*wrong)
    return contents


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


def _wrong_sums(folder: Path) -> Iterator[str]:
    if not _regular(folder / SUMS):
        return
    lines = (folder / SUMS).read_text(errors="replace").split("\n")
    sums = {match[2]: match[1] for line in lines if (match := _SUM.fullmatch(line))}
    if [*map(_SUM.fullmatch, lines)].count(None) != 1 or lines[-1] or len(sums) != len(lines) - 1:
        yield f"{SUMS} cannot be read"
    elif set(sums) != {MANIFEST, *map(file_of, SERVICES)}:
        yield f"{SUMS} does not name the files of a backup"
    manifest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    if sums.get(MANIFEST) != manifest:
        yield f"{MANIFEST} is not as {SUMS} says"
    for service in SERVICES:
        path = folder / file_of(service)
        if _regular(path) and sums.get(path.name) != _sha256(path):
            yield f"{path.name} is not as {SUMS} says"


def _wrong_copy(path: Path, service: str, said: Copy, key: bytes) -> Iterator[str]:
    size = path.stat().st_size
    if size != said.size:
        yield f"{path.name} has {size} bytes, and {MANIFEST} says {said.size}"
    elif _sha256(path) != said.sha256:
        yield f"{path.name} is not as {MANIFEST} says"
    counts: dict[str, int] = {}
    try:
        with path.open("rb") as stream:
            for _ in copied(service, key, _pieces(stream), counts):
                pass
    except BackupError as error:
        yield from error.lines
        return
    if counts != dict(said.counts):
        yield f"{path.name} does not hold what {MANIFEST} counts"


def _regular(path: Path) -> bool:
    """A file of its own: opening it neither waits nor leads elsewhere."""
    return path.is_file() and not path.is_symlink()


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(snapshot.PIECE_BYTES):
        yield piece


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def now() -> datetime:
    """The time that names a backup."""
    return datetime.now(UTC)
