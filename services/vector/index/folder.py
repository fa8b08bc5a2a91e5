"""Where the embedded index lies: one folder per generation, so that a broken one is left without touching"
" it."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.vector.index.keeper import VectorIndex
from services.vector.record.index_queue import IndexedCollection

_PROBE_SECONDS = 20.0
# Chroma reads its log again at opening, about a thousand entries a second on a free core.
_PROBE_SECONDS_PER_ENTRY = 0.003
_ROOT = Path(__file__).resolve().parents[3]
_ASIDE = "broken"


class BrokenIndexError(Exception):
    """The index cannot be opened or read; the message says how that showed."""


class EmbeddedStore:
    """The generations of an index under one folder."""

    replaceable = True

    def __init__(self, root: Path, sync_threshold: int, probe_seconds: float = _PROBE_SECONDS) -> None:
        self._root = root
        self._sync_threshold = sync_threshold
        self._probe_seconds = probe_seconds

    async def probe(self, prefix: str, generation: int, expected: Sequence[IndexedCollection]) -> None:
        """Opens it in a child process. Raises BrokenIndexError when that fails, crashes or takes too long."""
        folder = self._folder(generation)
        if not folder.exists():
            return
        limit = self._probe_seconds + _PROBE_SECONDS_PER_ENTRY * sum(one.entries for one in expected)
        request = {
            "prefix": prefix,
            "sync_threshold": self._sync_threshold,
            "collections": [
                {"key": one.collection_key, "sample": base64.b64encode(one.sample).decode()}
                for one in expected
            ],
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.vector.index.probe",
            str(folder.absolute()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=_ROOT,
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": os.pathsep.join((str(_ROOT), *sys.path[1:])),
            },
        )
        try:
            async with asyncio.timeout(limit):
                answer, _ = await child.communicate(json.dumps(request).encode())
        except TimeoutError:
            raise BrokenIndexError(f"it did not open within {limit:.0f} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        _judge(child.returncode or 0, answer)

    def open(self, prefix: str, generation: int) -> VectorIndex:
        """Opens or makes a generation; blocks. Other generations that lie about are removed, but for the last
        broken one.
        """
        folder = self._folder(generation)
        folder.mkdir(parents=True, exist_ok=True)
        for other in self._root.glob("g[0-9]*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        index: VectorIndex = _chroma().ChromaIndex.embedded(folder, prefix, self._sync_threshold)
        return index

    def set_aside(self, generation: int) -> None:
        """Keeps a broken generation for a look at it, in place of the one kept before."""
        folder, aside = self._folder(generation), self._root / _ASIDE
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)

    def forget_aside(self) -> int:
        """Removes the broken generation that was kept; how many folders that were. Blocks."""
        aside = self._root / _ASIDE
        if not aside.exists():
            return 0
        shutil.rmtree(aside)
        return 1

    def strays(self, generation: int) -> list[Path]:
        """What lies in the folder of this index and belongs to no part of it. Blocks."""
        if not self._root.is_dir():
            return []
        own = {self._folder(generation).name, _ASIDE}
        return sorted(path for path in self._root.iterdir() if path.name not in own)

    def free_bytes(self) -> int:
        """Space on the disk."""
        self._root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._root).free

    def _folder(self, generation: int) -> Path:
        return self._root / f"g{generation:06d}"


class RemoteStore:
    """The index on a Chroma server, which looks after its own files."""

    replaceable = False

    def __init__(self, host: str, port: int, sync_threshold: int) -> None:
        self._host = host
        self._port = port
        self._sync_threshold = sync_threshold

    async def probe(self, prefix: str, generation: int, expected: Sequence[IndexedCollection]) -> None:
        """Nothing is known before it is opened."""
        del prefix, generation, expected

    def open(self, prefix: str, generation: int) -> VectorIndex:
        """Connects; blocks. Each generation has collections of its own; those of others are removed."""
        index = _chroma().ChromaIndex.remote(
            self._host, self._port, f"{prefix}-{generation}", self._sync_threshold
        )
        index.drop_others(prefix)
        opened: VectorIndex = index
        return opened

    def set_aside(self, generation: int) -> None:
        """A server's index is not set aside."""
        del generation

    def forget_aside(self) -> int:
        """A server's index is not set aside."""
        return 0

    def strays(self, generation: int) -> list[Path]:
        """The server's files are its own affair."""
        del generation
        return []

    def free_bytes(self) -> int:
        """The server's disk is its own affair."""
        return sys.maxsize


def _chroma() -> Any:
    """Chroma's adapter, loaded in the background: the library takes seconds, and words answer meanwhile."""
    return importlib.import_module("services.vector.index.chroma")


def _judge(status: int, answer: bytes) -> None:
    if status < 0:
        raise BrokenIndexError(f"opening it ended with signal {-status}")
    try:
        parsed = json.loads(answer)
    except ValueError:
        raise BrokenIndexError(f"opening it ended with status {status} and no answer") from None
    if "error" in parsed:
        raise BrokenIndexError(str(parsed["error"]))
