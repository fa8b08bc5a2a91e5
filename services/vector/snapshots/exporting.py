"""A snapshot out: a copy of the record in a temporary file, sent in pieces, gone when the caller has it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from services.chassis import snapshot
from services.vector.application import Application
from services.vector.faults import storage_full
from services.vector.ingest.spool import is_full
from services.vector.record import schema
from services.vector.record.copies import Contents
from services.vector.record.record import FILE
from services.vector.snapshots.exchange import OUTGOING
from services.vector.snapshots.work import in_thread
from services.vector.switch import Switch

SERVICE = "vector"
SUMMARY = "summary.json"


class Exporting:
    """Gives out snapshots of the record that the switch has."""

    def __init__(self, switch: Switch, folder: Path, key: bytes) -> None:
        """folder: the service's own, where the copy is made. key: see services.chassis.snapshot."""
        self._switch = switch
        self._folder = folder / OUTGOING
        self._key = key
        # Two copies at once would only wait for the disk, and take its space twice.
        self._copying = asyncio.Lock()

    async def run(self) -> AsyncGenerator[bytes, None]:
        """The snapshot in pieces of at most snapshot.PIECE_BYTES.

        Raises ResourceExhaustedError (STORAGE_FULL), DataLossError (RECORD_DAMAGED), UnavailableError
        (RECORD_BUSY, RECORD_RESTORING).
        """
        with self._temporary() as folder:
            async with self._copying:
                moment = datetime.now(UTC)
                contents = await self._switch.call(
                    lambda application: _copied(application, folder / FILE), writes=False
                )
            (folder / SUMMARY).write_text(f"{contents.to_json()}\n")
            files = [folder / FILE, folder / SUMMARY]
            manifest = await in_thread(lambda _: _described(files, moment, contents))
            pieces = snapshot.pack(manifest, files, self._key)
            while piece := await in_thread(lambda _: next(pieces, b"")):
                yield piece

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self._folder))
        except OSError as error:
            if is_full(error):
                raise storage_full("a copy of the record") from error
            raise
        try:
            yield folder
        except OSError as error:
            if is_full(error):
                raise storage_full("a copy of the record") from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)


async def _copied(application: Application, target: Path) -> Contents:
    return await in_thread(lambda stop: application.record.copy(target, stop))


def _described(files: list[Path], moment: datetime, contents: Contents) -> snapshot.Manifest:
    parts = tuple(snapshot.describe(file, file.name) for file in files)
    return snapshot.Manifest(SERVICE, schema.VERSION, moment, contents.counts, parts)
