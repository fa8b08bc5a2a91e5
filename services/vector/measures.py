"""What is measured of the record, the index, their files, and the vectors and words in memory."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from opentelemetry import metrics

from services.chassis import telemetry
from services.chassis.errors import ServiceError
from services.vector.record.figures import Figures

_log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 10.0


@dataclass(frozen=True)
class Places:
    """Where the files are. parts: files and folders by what is in them; disk: a folder on their disk."""

    parts: Mapping[str, Sequence[Path]]
    disk: Path


@dataclass(frozen=True)
class Space:
    """Bytes: of each part, free on its disk, and of the whole disk."""

    parts: Mapping[str, int]
    free: int
    capacity: int


class StorageSampler:
    """Looks every ten seconds, so that a scrape reads memory only. What could not be read is not told."""

    def __init__(self, count: Callable[[], Awaitable[Figures]], places: Places) -> None:
        self._count = count
        self._places = places
        self.figures: Figures | None = None
        self.space: Space | None = None

    async def run(self) -> NoReturn:
        """Looks until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def look(self) -> None:
        """Looks once."""
        try:
            self.figures = await self._count()
        except ServiceError as error:
            self.figures = None
            _log.info("the record was not counted: %s", error.message)
        try:
            self.space = await asyncio.to_thread(measured, self._places)
        except OSError as error:
            self.space = None
            _log.info("the files were not measured: %s", error)

    def watch(self, meter: metrics.Meter | None = None) -> None:
        """Exports what was seen last."""

        def figure(name: str, description: str, read: Callable[[Figures], list[telemetry.Reading]]) -> None:
            telemetry.observe(
                name, "", description, lambda: read(self.figures) if self.figures else (), meter
            )

        def space(name: str, description: str, read: Callable[[Space], list[telemetry.Reading]]) -> None:
            telemetry.observe(name, "By", description, lambda: read(self.space) if self.space else (), meter)

        figure("meldrag.collections", "Collections", lambda f: [(f.collections, {})])
        figure("meldrag.documents", "Committed documents", lambda f: [(f.documents, {})])
        figure("meldrag.passages", "Passages of committed documents", lambda f: [(f.passages, {})])
        figure("meldrag.vectors", "Passages that have their vector", lambda f: [(f.vectors, {})])
        figure("meldrag.passages.waiting", "Passages that wait for a vector", lambda f: [(f.waiting, {})])
        figure(
            "meldrag.index.queue",
            "Changes that the vector index has still to learn, counted up to 100000",
            lambda f: [
                (f.additions, {"change": "add"}),
                (f.removals, {"change": "remove"}),
                (f.drops, {"change": "drop"}),
            ],
        )
        space(
            "meldrag.storage.size",
            "Size of the files",
            lambda s: [(size, {"part": part}) for part, size in s.parts.items()],
        )
        space("meldrag.storage.free", "Space left on the disk of the files", lambda s: [(s.free, {})])
        space("meldrag.storage.capacity", "Size of the disk of the files", lambda s: [(s.capacity, {})])


class Cache(Protocol):
    """What is kept in memory of the record."""

    hits: int
    misses: int

    @property
    def bytes(self) -> int:
        """Memory held."""
        ...


def watch_cache(
    name: str, lookups: str, cache: Cache, limit_bytes: int, meter: metrics.Meter | None = None
) -> None:
    """Exports what a cache of this name (vector, word) holds, and how often it had all that was asked for.

    lookups: what is counted, for people.
    """

    def counted() -> list[telemetry.Reading]:
        return [(cache.hits, {"result": "hit"}), (cache.misses, {"result": "miss"})]

    telemetry.observe(f"meldrag.{name}_cache.lookups", "", lookups, counted, meter, counter=True)
    telemetry.observe(f"meldrag.{name}_cache.size", "By", "Memory held", lambda: [(cache.bytes, {})], meter)
    telemetry.observe(
        f"meldrag.{name}_cache.limit", "By", "Memory that may be held", lambda: [(limit_bytes, {})], meter
    )


def measured(places: Places) -> Space:
    """The space as it is now; blocks. Raises OSError."""
    usage = shutil.disk_usage(places.disk)
    parts = {part: sum(map(_size, paths)) for part, paths in places.parts.items()}
    return Space(parts, usage.free, usage.total)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; 0 for what is not there."""
    try:
        if not path.is_dir():
            return path.stat().st_size
        with os.scandir(path) as entries:
            return sum(_size(Path(entry.path)) for entry in entries if not entry.is_symlink())
    except FileNotFoundError:
        # Files come and go under a look.
        return 0
