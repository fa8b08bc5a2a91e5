"""Starts a launcher, gives it a job, and takes its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.sandbox import layers
from services.sandbox.layers import Layer
from services.sandbox.model import End, Job, Outcome
from services.sandbox.room import frames, landlock

# What a start and an end may take besides the program's own time, on a busy machine.
_BESIDES_SECONDS = 30.0
# From the moment that nobody waits any more to the end of the launcher.
_CLOSING_SECONDS = 5.0
_STDERR_BYTES = 4000
_PIECE = 1 << 16
# Landlock as the kernel has it.
NEWEST = 1 << 16


class LaunchError(Exception):
    """There was no outcome: the launcher could not shut the program in, or broke."""


@dataclass(frozen=True)
class Launcher:
    """Runs jobs in one layer. folder: where rooms are made. abi: the newest version of Landlock to use."""

    layer: Layer
    folder: Path
    bubblewrap: str = ""
    abi: int = NEWEST

    async def launch(self, job: Job, program: str) -> Outcome:
        """Raises LaunchError. Cancelled, it ends the run before it returns."""
        if self.layer is Layer.LANDLOCK and not self._landlock():
            raise LaunchError("the kernel has no Landlock")
        command = layers.command(self.layer, job.limits.disk_bytes, self.bubblewrap, self._landlock() > 0)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={},
                cwd="/",
            )
        except OSError as error:
            raise LaunchError(f"{command[0]}: {error}") from error
        try:
            async with asyncio.timeout(job.limits.seconds + _BESIDES_SECONDS):
                return await self._exchange(process, job, program)
        except TimeoutError:
            raise LaunchError("the launcher did not answer in time") from None
        finally:
            closing = asyncio.ensure_future(_close(process))
            # Also where this task is cancelled once more.
            await asyncio.shield(closing)

    async def _exchange(self, process: asyncio.subprocess.Process, job: Job, program: str) -> Outcome:
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        complaints = asyncio.ensure_future(process.stderr.read(_STDERR_BYTES))
        try:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(self._frame(job, program))
                await process.stdin.drain()
            return await _outcome(process.stdout, job)
        except asyncio.IncompleteReadError:
            said = (await complaints).decode(errors="replace").strip()
            raise LaunchError(said.rpartition("\n")[2] or "the launcher ended without a word") from None
        finally:
            complaints.cancel()

    def _landlock(self) -> int:
        return min(self.abi, landlock.version())

    def _frame(self, job: Job, program: str) -> bytes:
        alone = self.layer is Layer.BUBBLEWRAP
        head = {
            "layer": self.layer.value,
            "folder": layers.ROOM if alone else str(self.folder),
            "abi": self._landlock(),
            "readable": layers.readable(),
            "program": program,
            "argv": job.argv,
            "environment": {**layers.environment(), **job.environment},
            "files": [(path, len(content)) for path, content in job.files.items()],
            "stdin": len(job.stdin),
            "collect": job.collect,
            "limits": dataclasses.asdict(job.limits),
        }
        return frames.pack(head, [*job.files.values(), job.stdin])


async def _outcome(source: asyncio.StreamReader, job: Job) -> Outcome:
    length = int.from_bytes(await source.readexactly(frames.PREFIX), "big")
    if length > frames.LARGEST_HEAD:
        raise LaunchError("the launcher's answer cannot be read")
    head: Mapping[str, Any] = json.loads(await source.readexactly(length))
    if "failed" in head:
        raise LaunchError(str(head["failed"]))
    stdout = await source.readexactly(head["stdout"])
    stderr = await source.readexactly(head["stderr"])
    return Outcome(
        end=End(head["end"]),
        exit_code=head["exit_code"],
        stdout=stdout,
        stderr=stderr,
        seconds=head["seconds"],
        files={path: await source.readexactly(size) for path, size in head["files"] if path in job.collect},
        detail=head["detail"],
    )


async def _close(process: asyncio.subprocess.Process) -> None:
    """Closes our end, at which the launcher ends the run; waits until it has gone."""
    assert process.stdin is not None  # noqa: S101
    process.stdin.close()
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await _gone(process)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # What it left is ended by its guard or its namespace, which close the pipes.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await _gone(process)


async def _gone(process: asyncio.subprocess.Process) -> None:
    """Waits for the end. What it still says is read away: asyncio tells of an exit only when all pipes are
    closed, and one that nobody reads never is."""
    assert process.stdout is not None  # noqa: S101
    while await process.stdout.read(_PIECE):
        pass
    await process.wait()
