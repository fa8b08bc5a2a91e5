"""Refuses jobs that make no sense, before anything is started."""

from __future__ import annotations

import dataclasses

from services.chassis.errors import InvalidArgumentError
from services.sandbox import layers
from services.sandbox.model import Job

_LONGEST_PATH, _LONGEST_PART, _DEEPEST = 1024, 200, 32
_MOST_FILES = 2000
_LONGEST_ARGUMENT, _LONGEST_ARGUMENTS = 120_000, 500_000


def check(job: Job) -> str:
    """Path of the program. Raises InvalidArgumentError (INPUTS_INVALID) that names what is wrong."""
    _limits(job)
    program = layers.program(job.argv[0]) if job.argv else None
    if program is None:
        raise _wrong("argv", f"there is no program {job.argv[0]!r} here" if job.argv else "is empty")
    passed = [*job.argv, *job.environment, *job.environment.values()]
    for text in passed:
        if "\0" in text or not _is_text(text) or len(text.encode()) > _LONGEST_ARGUMENT:
            raise _wrong("argv", f"no argument or variable of a program: {text[:80]!r}")
    if any(not name or "=" in name for name in job.environment):
        raise _wrong("environment", "a name of a variable is empty or has a =")
    if sum(len(text) for text in passed) > _LONGEST_ARGUMENTS:
        raise _wrong("argv", "too long altogether")
    _files(job)
    return program


def _limits(job: Job) -> None:
    for limit in dataclasses.fields(job.limits):
        value = getattr(job.limits, limit.name)
        if not 0 < value < 1 << 50:
            raise _wrong(limit.name, "a limit is greater than 0")


def _files(job: Job) -> None:
    if len(job.files) > _MOST_FILES or len(job.collect) > _MOST_FILES:
        raise _wrong("files", f"more than {_MOST_FILES}")
    folders: set[str] = set()
    for path in (*job.files, *job.collect):
        _path(path)
    for path in job.files:
        parts = path.split("/")
        folders.update("/".join(parts[:count]) for count in range(1, len(parts)))
    if both := folders & set(job.files):
        raise _wrong(min(both), "is a file and a folder")
    sizes = [len(content) for content in job.files.values()]
    if max(sizes, default=0) > job.limits.file_bytes:
        raise _wrong("files", f"one is larger than {job.limits.file_bytes} bytes")
    if len(job.stdin) > job.limits.disk_bytes:
        raise _wrong("stdin", f"larger than {job.limits.disk_bytes} bytes")
    if sum(sizes) > job.limits.disk_bytes:
        raise _wrong("files", f"together larger than {job.limits.disk_bytes} bytes")


def _path(path: str) -> None:
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise _wrong(path[:200], "is no relative path without . and ..")
    if "\0" in path or not _is_text(path):
        raise _wrong(repr(path[:200]), "has characters that no path has")
    if (
        len(path) > _LONGEST_PATH
        or len(parts) > _DEEPEST
        or any(len(p.encode()) > _LONGEST_PART for p in parts)
    ):
        raise _wrong(path[:200], "is too long or too deep")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong(what: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{what}: {why}", reason="INPUTS_INVALID", metadata={"path": what, "cause": why}
    )
