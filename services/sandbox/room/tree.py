"""The processes of a run: all that descend from the supervisor, who inherits those without a parent."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")
# Where a chain of parents ends at the latest.
_DEEPEST = 4096
# What a local socket holds at most, by the kernel's default.
_SOCKET_BYTES = 212_992
# A table of memory that is longer is not read to its end.
_LONGEST_TABLE = 1 << 20
# Of /proc/PID/maps: device and number of a file that is mapped and has no name any more.
_NAMELESS = re.compile(rb"^\S+ \S+ \S+ (\S+) (\d+) +[^\n]* \(deleted\)$", re.MULTILINE)
_DEAD = (b"Z", b"X")
_PAUSE_SECONDS = 0.001


@dataclass(frozen=True)
class Usage:
    """What the living processes hold: processes and threads, bytes resident, seconds of processor used."""

    tasks: int
    memory: int
    cpu: float


@dataclass(frozen=True)
class Held:
    """What processes hold open. nameless: bytes of files without a name, by device and number.

    sockets: bytes that the open sockets can hold. hidden: there is a process that cannot be looked into.
    """

    nameless: dict[tuple[int, int], int]
    sockets: int
    hidden: bool


def descendants() -> list[int]:
    """Processes below this one that are there now, dead ones that nobody collected included."""
    children = _children if os.path.exists("/proc/thread-self/children") else _all_children()
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        for child in children(waiting.pop()):
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


def _all_children() -> Callable[[int], list[int]]:
    """From a look at every process, for kernels that keep no list of children."""
    parents: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parents.setdefault(int(_fields(int(name))[1]), []).append(int(name))
    return lambda process: parents.get(process, [])


def _fields(task: int) -> list[bytes]:
    """Of man 5 proc, stat, from the third on: state, parent, ... Raises OSError."""
    return _read(f"/proc/{task}/stat").rpartition(b")")[2].split()


def usage() -> Usage:
    """Of all descendants together."""
    tasks = memory = 0
    cpu = 0.0
    for process in descendants():
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = _fields(process)
            # User and system time, its own and of the children it waited for.
            cpu += sum(int(value) for value in fields[11:15]) / _TICK
            tasks += int(fields[17])
            memory += int(fields[21]) * _PAGE
    return Usage(tasks, memory, cpu)


def proportional_memory() -> int:
    """Bytes resident in all descendants; what several share is counted once."""
    total = 0
    for process in descendants():
        with contextlib.suppress(OSError, IndexError, ValueError):
            resident = int(_fields(process)[21]) * _PAGE
            try:
                table = _read(f"/proc/{process}/smaps_rollup")
            except OSError:
                table = b""
            parts = [line.split()[1] for line in table.splitlines() if line.startswith(b"Pss:")]
            total += int(parts[0]) * 1024 if parts else resident
    return total


def contains(task: int) -> bool:
    """Whether a process, or the process of a thread, descends from this one."""
    me = os.getpid()
    for _ in range(_DEEPEST):
        if task <= 1:
            return False
        try:
            task = int(_fields(task)[1])
        except (OSError, IndexError, ValueError):
            return False
        if task == me:
            return True
    return False


def held(largest_file: int) -> Held:
    """What all descendants hold open together. largest_file: what a file counts that is only mapped."""
    nameless: dict[tuple[int, int], int] = {}
    sockets: set[int] = set()
    hidden = False
    for process in descendants():
        try:
            for about in _open(process):
                if stat.S_ISSOCK(about.st_mode):
                    sockets.add(about.st_ino)
                elif about.st_nlink == 0 and stat.S_ISREG(about.st_mode):
                    nameless[about.st_dev, about.st_ino] = about.st_blocks * 512
            table = _read(f"/proc/{process}/maps", _LONGEST_TABLE)
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            hidden = hidden or _lives(process)
            continue
        hidden = hidden or len(table) >= _LONGEST_TABLE
        for match in _NAMELESS.finditer(table):
            major, minor = match[1].split(b":")
            file = os.makedev(int(major, 16), int(minor, 16)), int(match[2])
            nameless.setdefault(file, largest_file)
    return Held(nameless, len(sockets) * _SOCKET_BYTES, hidden)


def _open(process: int) -> Iterator[os.stat_result]:
    folder = f"/proc/{process}/fd"
    for name in os.listdir(folder):
        # Closed since.
        with contextlib.suppress(FileNotFoundError):
            yield os.stat(f"{folder}/{name}")


def _lives(process: int) -> bool:
    try:
        return _fields(process)[0] not in _DEAD
    except (OSError, IndexError):
        return False


def kill() -> None:
    """Ends all descendants. Comes to an end when nobody can start new ones any more."""
    while True:
        for process in descendants():
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        try:
            # Whose parent died becomes a child of this process, so the last child is the last of all.
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        time.sleep(_PAUSE_SECONDS)


def _read(path: str, most: int = 1 << 16) -> bytes:
    """At most so much of a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while len(content) < most and (chunk := os.read(descriptor, most - len(content))):
            content += chunk
        return content
    finally:
        os.close(descriptor)
