"""The processes of a run: all that descend from the supervisor, who inherits those without a parent."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from dataclasses import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")
# Where a chain of parents ends at the latest.
_DEEPEST = 4096


@dataclass(frozen=True)
class Usage:
    """What the living processes hold: processes and threads, bytes resident, seconds of processor used."""

    tasks: int
    memory: int
    cpu: float


def descendants() -> list[int]:
    """Processes below this one that are there now, dead ones that nobody collected included."""
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        for child in _children(waiting.pop()):
            found.append(child)
            waiting.append(child)
    return found


def _children(process: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(OSError):
                children += map(int, _read(f"/proc/{process}/task/{thread}/children").split())
    return children


def usage() -> Usage:
    """Of all descendants together."""
    tasks = memory = 0
    cpu = 0.0
    for process in descendants():
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = _read(f"/proc/{process}/stat").rpartition(b")")[2].split()
            # Fields 14 to 17 of man 5 proc: user and system time, its own and of the children it waited for.
            cpu += sum(int(value) for value in fields[11:15]) / _TICK
            tasks += int(fields[17])
            memory += int(fields[21]) * _PAGE
    return Usage(tasks, memory, cpu)


def proportional_memory() -> int:
    """Bytes resident in all descendants, those that several share counted once."""
    total = 0
    for process in descendants():
        with contextlib.suppress(OSError, IndexError, ValueError):
            for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
                if line.startswith(b"Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def contains(task: int) -> bool:
    """Whether a process, or the process of a thread, descends from this one."""
    me = os.getpid()
    for _ in range(_DEEPEST):
        if task <= 1:
            return False
        try:
            task = int(_read(f"/proc/{task}/stat").rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            return False
        if task == me:
            return True
    return False


def unlinked() -> dict[tuple[int, int], int]:
    """Bytes of files that have no name any more and are still open, by device and number."""
    found: dict[tuple[int, int], int] = {}
    for process in descendants():
        folder = f"/proc/{process}/fd"
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    about = os.stat(f"{folder}/{name}")
                    if about.st_nlink == 0 and stat.S_ISREG(about.st_mode):
                        found[about.st_dev, about.st_ino] = about.st_blocks * 512
    return found


def kill() -> None:
    """Ends all descendants. Comes to an end when nobody can start new ones any more."""
    while True:
        for process in descendants():
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        try:
            # Whose parent died becomes a child of this process, so the last child is the last of all.
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)
