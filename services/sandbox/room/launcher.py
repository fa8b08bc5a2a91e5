"""The program beside the foreign code: takes a job on stdin, runs it, and puts the outcome on stdout.

Started by services.sandbox.sandbox, in a namespace of its own (bubblewrap) or as it is (landlock).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from typing import Any

from services.sandbox.room import frames, kernel, space, tree
from services.sandbox.room.confinement import Confinement
from services.sandbox.room.supervisor import AbandonedError, Bounds, Ended, Supervisor

_TRIES = 8


def main() -> None:
    """One job, one outcome. Ends without one when the service has gone."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    # Its end is the end of its input. A signal to all processes of the service should not come first.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    reader = os.fdopen(0, "rb", closefd=False)
    try:
        head = frames.read_head(reader)
        files = [(path, frames.read(reader, size)) for path, size in head["files"]]
        stdin = frames.read(reader, head["stdin"])
    except EOFError:
        return
    with contextlib.suppress(AbandonedError, BrokenPipeError):
        for part in _outcome(head, files, stdin):
            _write(part)


def _outcome(head: dict[str, Any], files: list[tuple[str, bytes]], stdin: bytes) -> Iterator[bytes]:
    try:
        with _room(head) as room:
            space.write(f"{room}/work", iter(files))
            ended = Supervisor(_confinement(head, room), _bounds(head), stdin, 0).run()
            limits = head["limits"]
            collected: list[tuple[str, bytes]] = []
            left = limits["disk_bytes"]
            for path in head["collect"]:
                content = space.content(f"{room}/work", path, min(left, limits["file_bytes"]))
                if content is not None:
                    left -= len(content)
                    collected.append((path, content))
    except OSError as error:
        yield frames.pack({"failed": str(error)}, [])
        return
    yield frames.pack(_said(ended, collected), [ended.stdout, ended.stderr, *(part for _, part in collected)])


def _said(ended: Ended, collected: list[tuple[str, bytes]]) -> dict[str, Any]:
    exited = ended.end == "exited"
    return {
        "end": ended.end,
        "exit_code": os.WEXITSTATUS(ended.status) if exited else None,
        "seconds": ended.seconds,
        "detail": ended.detail,
        "stdout": len(ended.stdout),
        "stderr": len(ended.stderr),
        "files": [(path, len(content)) for path, content in collected],
    }


def _confinement(head: dict[str, Any], room: str) -> Confinement:
    limits = head["limits"]
    places = {"HOME": f"{room}/work", "PWD": f"{room}/work", "TMPDIR": f"{room}/tmp"}  # noqa: S108
    return Confinement(
        program=head["program"],
        argv=(head["program"], *head["argv"][1:]),
        environment={**places, **head["environment"]},
        room=room,
        readable=tuple(head["readable"]),
        abi=head["abi"],
        alone=head["layer"] == "bubblewrap",
        cpu_seconds=limits["cpu_seconds"],
        memory_bytes=limits["memory_bytes"],
        file_bytes=limits["file_bytes"],
    )


def _bounds(head: dict[str, Any]) -> Bounds:
    limits = head["limits"]
    return Bounds(
        seconds=limits["seconds"],
        cpu_seconds=limits["cpu_seconds"],
        memory_bytes=limits["memory_bytes"],
        processes=limits["processes"],
        disk_bytes=limits["disk_bytes"],
        output_bytes=limits["output_bytes"],
    )


@contextlib.contextmanager
def _room(head: dict[str, Any]) -> Iterator[str]:
    """The folder that may be written. A lock beside it says that somebody is at work there."""
    if head["layer"] == "bubblewrap":
        # A file system in memory that goes with the namespace.
        _furnish(head["folder"])
        yield head["folder"]
        return
    room, lock = _locked(head["folder"])
    try:
        os.mkdir(room, 0o700)
        _furnish(room)
        yield room
    finally:
        space.remove(room)
        os.unlink(f"{room}.lock")
        os.close(lock)


def _locked(folder: str) -> tuple[str, int]:
    """A name for a room, and the descriptor of its lock. Raises OSError."""
    for _ in range(_TRIES):
        room = f"{folder}/{os.urandom(8).hex()}"
        lock = os.open(f"{room}.lock", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(f"{room}.lock"):
            return room, lock
        # A sweep came between the two and took it for one that was left.
        os.close(lock)
    raise OSError("no room stays where it is made")


def _furnish(room: str) -> None:
    for name in ("work", "tmp"):
        os.mkdir(f"{room}/{name}", 0o700)


def _write(content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(1, view) :]


def guarded() -> None:
    """`main` in a child of its own: when that is killed, this process ends what it leaves behind.

    For where no process namespace does it.
    """
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        # Without its guard it ends as if nobody waited any more.
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGHUP)
        signal.signal(signal.SIGHUP, _leave)
        if os.getppid() == guard:
            with contextlib.suppress(AbandonedError):
                main()
        return
    devnull = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(devnull, descriptor)
    os.waitpid(child, 0)
    tree.kill()


def _leave(number: int, _frame: object) -> None:
    # Once: what follows is cleaning up.
    signal.signal(number, signal.SIG_IGN)
    raise AbandonedError
