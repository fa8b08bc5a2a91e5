"""What is asked of the sandbox, and what comes back."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """What a run may use. Passing one ends the run, but for those that the kernel refuses within it.

    seconds: wall clock, from the program's start.
    cpu_seconds: of all its processes together.
    memory_bytes: address space of each process (more is a MemoryError in it), and resident memory of all of
        them together (looked at all the time, so a little more may be seen for a moment).
    processes: processes and threads at once; one more is refused (EAGAIN).
    file_bytes: the largest file; longer is refused (EFBIG).
    disk_bytes: all that is written, as it takes up space; a file or folder counts as 4 KiB at least.
    output_bytes: of stdout and of stderr.
    """

    seconds: float = 10.0
    cpu_seconds: float = 10.0
    memory_bytes: int = 512 << 20
    processes: int = 32
    file_bytes: int = 16 << 20
    disk_bytes: int = 64 << 20
    output_bytes: int = 1 << 20


@dataclass(frozen=True)
class Job:
    """A program to run.

    argv: the first is "python" (the interpreter of this service, with its packages), the name of a program
        beside it, such as "ruff", or that of one of the few programs of the system that layers.py names,
        such as "tesseract". The rest is passed on as it is.
    files: relative path to content, written into the working directory before the start.
    environment: added to a clean one. HOME is the working directory, TMPDIR a folder beside it.
    collect: relative paths of files whose content comes back, where they exist and are regular files.
    """

    argv: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)
    collect: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


class End(enum.Enum):
    """Why a run ended: by itself, by a signal, or by a limit."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIME = "time"
    CPU = "cpu"
    MEMORY = "memory"
    OUTPUT = "output"
    DISK = "disk"


@dataclass(frozen=True)
class Outcome:
    """How a run went.

    exit_code: where it ended by itself; None otherwise.
    stdout, stderr: what was written, up to the limit.
    seconds: from the program's start to its end.
    files: the collected ones that exist.
    detail: the end in words, for people.
    """

    end: End
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    files: Mapping[str, bytes]
    detail: str
