"""Taking a copy of all that is kept, and going back to one: the rules, over a store."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import itertools
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from services.chassis.crash import crash_point
from services.chassis.errors import InvalidArgumentError
from services.chassis.snapshot import PIECE_BYTES, Manifest, Part, Unpacking, describe, pack
from services.session import entries, failures, validation
from services.session.attachment_files import AttachmentFiles
from services.session.entries import Entry, File, Verification
from services.session.requests import Once
from services.session.store import SnapshotStore

SERVICE = "session"
PART = "records.ndjson"
FILES_PART = "attachments.bin"

_MAX_BYTES = 1 << 40
_WRITE_ENTRIES = 64
# Of snapshots: the first that has attachments.
_SCHEMA_OF_FILES = 4
# The first that has users. An older one knows none, so those who are here stay.
_SCHEMA_OF_USERS = 5
# The contract lets no call take longer than four hours; what is older was left by a killed process.
_FOLDER = "snapshot-"
_LEFT_SECONDS = 5 * 3600


class Snapshots:
    """Makes and takes snapshots.

    files: of attachments. folder: where the files of snapshots are while a call works on them. key:
    MELD_SNAPSHOT_KEY.
    """

    def __init__(self, store: SnapshotStore, files: AttachmentFiles, folder: Path, key: bytes) -> None:
        self._store = store
        self._files = files
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
            verification, held = await self._written(path)
            parts = (
                await asyncio.to_thread(describe, path, PART),
                await asyncio.to_thread(_described, held, verification.files),
            )
            manifest = Manifest(SERVICE, self._store.schema, began, dict(verification.counts), parts)
            pieces = pack(manifest, [path, *held], self._key)
            while piece := await asyncio.to_thread(next, pieces, b""):
                yield piece

    async def _written(self, path: Path) -> tuple[Verification, list[Path]]:
        """Writes every entry, each checked as an import would; files of attachments are held beside it."""
        verification, held = Verification(), list[Path]()
        waiting: list[Entry] = []
        size = 0

        def write(stream: IO[bytes], some: list[Entry]) -> None:
            with _damage_named(verification):
                for entry in some:
                    verification.take(entry)
                    stream.write(entries.line(entry))

        with path.open("wb") as stream:
            async for found in self._store.entries():
                entry = found
                if found.kind == "attachment":
                    entry, name = _without_file(found)
                    try:
                        held.append(await asyncio.to_thread(self._files.hold, name, path.parent))
                    except FileNotFoundError:
                        if not await self._store.has(found):
                            # It went after it was read.
                            continue
                        raise failures.record_damaged(
                            "attachment", found.entry_id, "its bytes are missing"
                        ) from None
                waiting.append(entry)
                size += entry.size
                if len(waiting) >= _WRITE_ENTRIES or size >= entries.LINE_BYTES:
                    await asyncio.to_thread(write, stream, waiting)
                    waiting, size = [], 0
            await asyncio.to_thread(write, stream, waiting)
            with _damage_named(verification):
                verification.finish()
        return verification, held

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
                path = folder / PART
                files = await asyncio.to_thread(self._verified, folder, manifest)
                names = await asyncio.to_thread(self._placed, folder / FILES_PART, files)
                created = int(manifest.created_time.timestamp() * 1000)
                found, counts = _with_files(path, names), manifest.counts
                if manifest.schema_version < _SCHEMA_OF_USERS:
                    kept = [entry async for entry in self._store.entries(entries.OF_FIVE)]
                    held = Counter(f"{entry.kind}s" for entry in kept)
                    found, counts = itertools.chain(found, kept), {**counts, **held}
                # Should this fail, nobody knows whether they count: if they do not, the sweep finds them.
                return await importing.replace(found, counts, created, once)

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

    def _verified(self, folder: Path, manifest: Manifest) -> list[File]:
        """The files of attachments. All entries may be kept, and the bytes of the files are there."""
        if manifest.schema_version > self._store.schema:
            raise failures.snapshot_newer(manifest.schema_version, self._store.schema)
        expected = [PART] if manifest.schema_version < _SCHEMA_OF_FILES else [PART, FILES_PART]
        if manifest.schema_version < 1 or [part.name for part in manifest.parts] != expected:
            raise failures.snapshot_invalid("it has other parts than a snapshot of sessions")
        files = entries.verify(folder / PART, manifest.counts)
        if sum(file.size for file in files) != sum(part.size for part in manifest.parts[1:]):
            raise failures.snapshot_invalid("its attachments have other sizes than it says")
        return files

    def _placed(self, path: Path, files: Sequence[File]) -> dict[tuple[str, str], str]:
        """Makes the bytes of a part files of their own, on the disk; their names by tenant and attachment."""
        names: dict[tuple[str, str], str] = {}
        if not files:
            return names
        try:
            with path.open("rb") as source:
                for file in files:
                    owner = file.tenant, file.attachment_id
                    names[owner] = self._files.copy(source, file.size, file.sha256, owner)
                    crash_point("import_file")
            self._files.flush()
        except BaseException as error:
            self._files.discard(names.values())
            if isinstance(error, ValueError):
                raise failures.snapshot_invalid("the bytes of an attachment are others") from None
            raise
        path.unlink()
        return names

    @contextmanager
    def _working(self) -> Iterator[Path]:
        """A folder for one call. Removes those that killed processes left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob(f"{_FOLDER}*"):
            if left.lstat().st_mtime < time.time() - _LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=self._folder) as folder:
            yield Path(folder)


def _without_file(entry: Entry) -> tuple[Entry, str]:
    """What is known of an attachment as another store can have it, and the name of its bytes here."""
    fields = dict(entry.fields)
    return replace(entry, fields=fields), fields.pop("file", b"").decode()


def _with_files(path: Path, names: Mapping[tuple[str, str], str]) -> Iterator[Entry]:
    """The entries of a file, attachments with the names that their bytes have now."""
    for entry in entries.entries_of(path):
        if entry.kind != "attachment":
            yield entry
            continue
        name = names[entry.tenant, entry.entry_id].encode()
        yield replace(entry, fields={**entry.fields, "file": name})


def _described(held: Sequence[Path], files: Sequence[File]) -> Part:
    """The part that files will be, one behind the other; reads each once and looks whether it is whole."""
    together, size = hashlib.sha256(), 0
    for path, file in zip(held, files, strict=True):
        alone = hashlib.sha256()
        with path.open("rb") as stream:
            while piece := stream.read(PIECE_BYTES):
                together.update(piece)
                alone.update(piece)
            if (stream.tell(), alone.hexdigest()) != (file.size, file.sha256):
                raise failures.record_damaged(
                    "attachment", file.attachment_id, "its bytes are not those that were kept"
                )
        size += file.size
    return Part(FILES_PART, size, together.hexdigest())


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
