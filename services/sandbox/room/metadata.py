"""Modes and times of files, changed by the supervisor in the place of the run.

Landlock does not watch these calls, so the filter does not let them through where the host's files are in
sight. The supervisor reads what was asked, and does it itself to what it finds below the room, on a way
without links. What the caller changes meanwhile, in its memory or among its files, leads nowhere else.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time

from services.sandbox.room.seccomp import METADATA_ASKED, Question

_AT_FDCWD = -100
_LONGEST_PATH = 4096
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TIMES = struct.Struct("=4q")
_NOW, _OMIT = (1 << 30) - 1, (1 << 30) - 2
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Metadata:
    """Does what a question asks, below one folder. machine: of the system call numbers."""

    def __init__(self, room: str, machine: str) -> None:
        self._room = room
        column = 0 if machine == "x86_64" else 1
        self._names = {both[column]: name for name, both in METADATA_ASKED.items() if both[column] >= 0}

    def knows(self, question: Question) -> bool:
        """Whether the question is about modes or times."""
        return question.number in self._names

    def change(self, question: Question) -> int:
        """0 when it is done, or the error."""
        try:
            self._change(self._names[question.number], question.thread, question.arguments)
        except FileNotFoundError:
            return errno.ENOENT
        except (OSError, ValueError, OverflowError):
            return errno.EPERM
        return 0

    def _change(self, name: str, thread: int, arguments: tuple[int, ...]) -> None:
        first, second, third, _flags, *_ = arguments
        if name == "chmod":
            self._set_mode(self._named(thread, _AT_FDCWD, first), second)
        elif name == "fchmod":
            self._set_mode(self._held(thread, first), second)
        elif name == "fchmodat":
            self._set_mode(self._named(thread, first, second), third)
        else:
            path = self._named(thread, first, second) if second else self._held(thread, first)
            self._set_times(path, _memory(thread, third, _TIMES.size) if third else b"")

    def _named(self, thread: int, folder: int, address: int) -> str:
        """The full path that is meant by one in the caller's memory."""
        path = os.fsdecode(_text(thread, address))
        if not path:
            raise ValueError("an empty path")
        if path.startswith("/"):
            return path
        number = _number(folder)
        where = "cwd" if number == _AT_FDCWD else f"fd/{number}"
        return f"{os.readlink(f'/proc/{thread}/{where}')}/{path}"

    def _held(self, thread: int, descriptor: int) -> str:
        return os.readlink(f"/proc/{thread}/fd/{_number(descriptor)}")

    def _set_mode(self, path: str, mode: int) -> None:
        descriptor = self._open(path)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", mode & 0o777)
        finally:
            os.close(descriptor)

    def _set_times(self, path: str, times: bytes) -> None:
        descriptor = self._open(path)
        try:
            about = os.fstat(descriptor)
            now = time.time_ns()
            seconds = _TIMES.unpack(times) if times else (0, _NOW, 0, _NOW)
            chosen = [
                {_NOW: now, _OMIT: before}.get(nanoseconds, whole * 1_000_000_000 + nanoseconds)
                for whole, nanoseconds, before in (
                    (*seconds[:2], about.st_atime_ns),
                    (*seconds[2:], about.st_mtime_ns),
                )
            ]
            os.utime(f"/proc/self/fd/{descriptor}", ns=(chosen[0], chosen[1]))
        finally:
            os.close(descriptor)

    def _open(self, path: str) -> int:
        """What is at a path below the room. Raises OSError, ValueError where it is none, or a link."""
        full = os.path.normpath(path)
        if not full.startswith(f"{self._room}/"):
            raise ValueError("outside of the room")
        here = os.open(self._room, _STEP)
        for part in full[len(self._room) + 1 :].split("/"):
            try:
                there = os.open(part, _STEP, dir_fd=here)
            finally:
                os.close(here)
            here = there
        if stat.S_ISLNK(os.fstat(here).st_mode):
            os.close(here)
            raise ValueError("a link")
        return here


def _number(argument: int) -> int:
    """A descriptor as the kernel takes it: the low half, signed."""
    low = argument & 0xFFFFFFFF
    return low - (1 << 32) if low & 0x80000000 else low


def _memory(thread: int, address: int, size: int) -> bytes:
    descriptor = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.pread(descriptor, size, address)
    finally:
        os.close(descriptor)
    if len(content) < size:
        raise ValueError("not all of it is there")
    return content


def _text(thread: int, address: int) -> bytes:
    """Up to the first NUL. Raises OSError, ValueError when it is too long."""
    text = b""
    while len(text) < _LONGEST_PATH:
        # A page may be the last one that is there.
        part = _memory(thread, address + len(text), _PAGE - (address + len(text)) % _PAGE)
        before, found, _ = part.partition(b"\0")
        text += before
        if found:
            return text
    raise ValueError("too long")
