"""One process of the house: started in a group of its own, known to the guard, stopped as a group."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from services.local import guard

# The shell announces its process id, which is the service's after the exec, on the pipe to the
# guard. It does so itself and before the exec, so the launcher cannot die in between.
_ANNOUNCE_AND_BECOME = 'echo "+$$" >&0 && exec "$@" </dev/null'

# A killed member of a group stays visible until its new parent collects it, which some never do.
_GROUP_CHECKS = 20


class Guard:
    """The process that clears up after a killed launcher (guard.py), and the pipe to it."""

    def __init__(self) -> None:
        self._input = -1
        self._process: asyncio.subprocess.Process | None = None
        self._groups: set[int] = set()

    async def input(self) -> int:
        """The end of the pipe on which a process announces itself; starts the guard where none runs."""
        if self._process is None or self._process.returncode is not None:
            if self._input >= 0:
                os.close(self._input)
            reading, self._input = os.pipe()
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", guard.__file__), stdin=reading, start_new_session=True
                )
            finally:
                os.close(reading)
            for group in self._groups:
                os.write(self._input, f"+{group}\n".encode())
        return self._input

    def know(self, group: int) -> None:
        """Keeps a group that has announced itself, for a guard that has to be started again."""
        self._groups.add(group)

    def forget(self, group: int) -> None:
        """Tells the guard that a process group is gone."""
        self._groups.discard(group)
        with suppress(BrokenPipeError):  # The next guard will not hear of the group at all.
            os.write(self._input, f"-{group}\n".encode())

    async def close(self) -> None:
        """Ends the guard, which first ends the groups that it still knows."""
        if self._process is not None:
            os.close(self._input)
            await self._process.wait()


class Process:
    """A program that is started, possibly again and again, with its output in one log file."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, guard: Guard
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._guard = guard
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id, which is also its group's; None while it does not run."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Starts it. Raises OSError when it cannot be started."""
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _ANNOUNCE_AND_BECOME, "sh", *self._command),
                env=dict(self._environment),
                stdin=await self._guard.input(),
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                # A Ctrl-C at the terminal reaches the launcher alone, which stops the house in order.
                process_group=0,
            )
        finally:
            os.close(log)
        self._guard.know(self._process.pid)

    async def ended(self) -> int:
        """Waits for its end, kills what it left behind, returns its exit code (-N: signal N)."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        code = await self._process.wait()
        group = self._process.pid
        for _ in range(_GROUP_CHECKS):
            if not guard.send(group, signal.SIGKILL):
                break
            await asyncio.sleep(0.01)
        self._guard.forget(group)
        self._process = None
        return code

    def ask_to_stop(self) -> None:
        """Sends SIGTERM to the process; nothing when it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """Kills the whole group; nothing when it is gone."""
        if self._process is not None:
            guard.send(self._process.pid, signal.SIGKILL)

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        with self.log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 32_768))
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-count:])
