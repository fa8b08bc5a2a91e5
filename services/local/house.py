"""Starts the processes in order, keeps them running, stops them in reverse order."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.local.logs import rotate
from services.local.process import Process
from services.local.readiness import Probe

# All in seconds.
START_LIMIT = 300.0
RESTART_WINDOW = 60.0
RESTART_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0)
# A process is gone, or was asked this long ago, before one that it calls is asked to stop.
HEAD_START = 0.5
STOP_LIMIT = 3.5
_POLL = 0.1
_PATIENCE = 10.0
_LOG_CHECK = 10.0


class GiveUpError(Exception):
    """The house cannot run. The message is for the person who started it."""


@dataclass(frozen=True)
class Member:
    """A process of the house.

    ready: tells whether it can work. title: what is said of it once it is. first_start: said while it
    starts, where that takes longer than the next time. comes_first: those after it wait until it is ready.
    """

    process: Process
    ready: Probe
    title: str
    first_start: str = ""
    comes_first: bool = False


@dataclass(frozen=True)
class Limits:
    """Ends of a process within a minute before it is given up, bytes of a log, old logs that are kept."""

    restarts: int
    log_size: int
    log_backups: int


class House:
    """The processes, while they run."""

    def __init__(
        self, members: Sequence[Member], limits: Limits, record: Path, say: Callable[[str], None]
    ) -> None:
        """record: a JSON file that tells who runs as which process, there while the house runs.

        say: tells the person at the terminal a line.
        """
        self._members = members
        self._limits = limits
        self._record = record
        self._say = say
        self._began = time.monotonic()
        self._ready: set[str] = set()
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event, when_ready: str) -> None:
        """Starts all, says `when_ready`, keeps all running until `stop` is set; `hurry` shortens the end.

        Nothing runs any more when it returns or raises. Raises GiveUpError when a process does not stay up.
        """
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        starting = asyncio.create_task(self._start(failed, when_ready))
        logs = asyncio.create_task(self._limit_logs())
        asked = asyncio.create_task(stop.wait())
        try:
            starting.add_done_callback(lambda task: _pass_on(task, failed))
            logs.add_done_callback(lambda task: _pass_on(task, failed))
            await asyncio.wait((failed, asked), return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                await failed
        finally:
            starting.cancel()
            logs.cancel()
            asked.cancel()
            await self._stop(hurry)

    async def _start(self, failed: asyncio.Future[None], when_ready: str) -> None:
        async with asyncio.TaskGroup() as watches:
            for member in self._members:
                keeper = asyncio.create_task(self._keep(member))
                keeper.add_done_callback(lambda task: _pass_on(task, failed))
                self._keepers[member.process.name] = keeper
                watch = watches.create_task(self._watch(member))
                if member.comes_first:
                    await watch
        self._say(f"\n  {when_ready}\n")

    async def _watch(self, member: Member) -> None:
        """Waits until a member is ready for the first time, and tells of it."""
        name, began = member.process.name, time.monotonic()
        told = began
        if member.first_start:
            self._say(f"  {name:<8} {member.first_start}")
        while not await member.ready():
            now = time.monotonic()
            if now - began > START_LIMIT:
                raise GiveUpError(f"{name} was not ready within {START_LIMIT:.0f} s{_end_of(member.process)}")
            if now - told > _PATIENCE:
                told = now
                self._say(f"  {name:<8} still starting after {now - began:.0f} s, see {member.process.log}")
            await asyncio.sleep(_POLL)
        self._ready.add(name)
        self._say(f"  {name:<8} ready after {time.monotonic() - self._began:4.1f} s   {member.title}")

    async def _keep(self, member: Member) -> None:
        """Starts a member, and again when it ends. Raises GiveUpError when that does not help."""
        process, ends = member.process, deque[float]()
        while not self._stopping:
            try:
                await process.start()
            except OSError as error:
                raise GiveUpError(f"{process.name} cannot be started: {error}") from error
            self._write_record()
            code = await process.ended()
            if self._stopping:
                return
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            if code >= 0 and process.name not in self._ready:
                # It left by itself before it ever worked: the next try would end the same way.
                raise GiveUpError(f"{process.name} {how}{_end_of(process)}")
            ends.append(time.monotonic())
            while ends[0] < ends[-1] - RESTART_WINDOW:
                ends.popleft()
            if len(ends) > self._limits.restarts:
                raise GiveUpError(
                    f"{process.name} {how}, {len(ends)} times within {RESTART_WINDOW:.0f} s{_end_of(process)}"
                )
            delay = RESTART_DELAYS[min(len(ends), len(RESTART_DELAYS)) - 1]
            self._say(f"  {process.name:<8} {how}; starting it again" + (f" in {delay:g} s" if delay else ""))
            await asyncio.sleep(delay)

    async def _stop(self, hurry: asyncio.Event) -> None:
        """Stops all in reverse order; kills what is left after STOP_LIMIT, or at once when `hurry` is set."""
        self._stopping = True
        began = time.monotonic()
        hurried = asyncio.create_task(hurry.wait())
        for member in reversed(self._members):
            keeper = self._keepers.get(member.process.name)
            if keeper is None:
                continue
            if member.process.pid is None:
                keeper.cancel()
            member.process.ask_to_stop()
            await _settled({keeper}, HEAD_START, hurried)
        keepers = set(self._keepers.values())
        await _settled(keepers, STOP_LIMIT - (time.monotonic() - began), hurried)
        for member in self._members:
            member.process.kill()
        if keepers:
            await asyncio.wait(keepers)
        hurried.cancel()
        self._record.unlink(missing_ok=True)

    async def _limit_logs(self) -> None:
        while True:
            for member in self._members:
                rotate(member.process.log, self._limits.log_size, self._limits.log_backups)
            await asyncio.sleep(_LOG_CHECK)

    def _write_record(self) -> None:
        running = {member.process.name: member.process.pid for member in self._members}
        fresh = self._record.with_suffix(".new")
        fresh.write_text(json.dumps({"launcher": os.getpid(), **running}, indent=1) + "\n")
        fresh.replace(self._record)


def _pass_on(task: asyncio.Task[None], failed: asyncio.Future[None]) -> None:
    """Makes the first failure of any task the failure of the house."""
    if task.cancelled() or failed.done():
        return
    error = task.exception()
    # A task group wraps what its tasks raise; the first of them is what went wrong.
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        failed.set_exception(error)


async def _settled(
    tasks: Collection[asyncio.Task[None]], seconds: float, hurried: asyncio.Task[bool]
) -> None:
    """Waits until the tasks are done, the time is up or somebody is in a hurry."""
    end = time.monotonic() + seconds
    while pending := {task for task in tasks if not task.done()}:
        left = end - time.monotonic()
        if left <= 0 or hurried.done():
            return
        await asyncio.wait((*pending, hurried), timeout=left, return_when=asyncio.FIRST_COMPLETED)


def _end_of(process: Process) -> str:
    lines = process.last_lines()
    return f"; the end of {process.log}:\n{lines}" if lines else ""
