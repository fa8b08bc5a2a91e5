"""Watches one run from its start until nothing of it is left."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from services.sandbox.room import confinement, seccomp, space, tree
from services.sandbox.room.confinement import Confinement

# Between two looks at memory, processor, and space.
_LOOK_SECONDS = 0.04
# So many in a row at which a process could not be looked into.
_HIDDEN_LOOKS = 5
# Starts that were allowed may not be seen for this long yet.
_UNSEEN_SECONDS = 0.1
# Who was refused a start is refused again for this long without another count.
_FULL_SECONDS = 0.005
_CHUNK = 1 << 16
# What is still in the pipes when all writers are gone fits in them.
_LAST_CHUNKS = 64


class AbandonedError(Exception):
    """Nobody waits for the run any more."""


@dataclass(frozen=True)
class Bounds:
    """As services.sandbox.model.Limits."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    processes: int
    disk_bytes: int
    output_bytes: int


@dataclass
class Ended:
    """How the program ended: `end` is a name of services.sandbox.model.End in small letters."""

    end: str
    status: int
    seconds: float
    stdout: bytes
    stderr: bytes
    detail: str


@dataclass
class _Stream:
    descriptor: int
    content: bytearray = field(default_factory=bytearray)


class Supervisor:
    """One run. control: readable when nobody waits any more."""

    def __init__(self, how: Confinement, bounds: Bounds, stdin: bytes, control: int) -> None:
        self._how = how
        self._bounds = bounds
        self._stdin = stdin
        self._control = control
        self._started = 0.0
        self._tasks = 1
        self._full_until = 0.0
        self._hidden = 0
        self._allowed: dict[int, float] = {}
        self._end = ""
        self._detail = ""

    def run(self) -> Ended:
        """Starts the program, watches it, and leaves no process. Raises OSError when it could not start,
        AbandonedError."""
        wake, waking = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        stdin = _sealed(self._stdin)
        out, writing_out = os.pipe2(os.O_CLOEXEC)
        err, writing_err = os.pipe2(os.O_CLOEXEC)
        try:
            child, listener = confinement.start(self._how, stdin, writing_out, writing_err)
        finally:
            for descriptor in (stdin, writing_out, writing_err):
                os.close(descriptor)
        self._started = time.monotonic()
        streams = {out: _Stream(out), err: _Stream(err)}
        for descriptor in streams:
            os.set_blocking(descriptor, False)
        try:
            status = self._watch(child, listener, wake, streams)
        finally:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            # Questions that wait are never answered: from here on nothing new can be started.
            tree.kill()
            os.close(listener)
        seconds = time.monotonic() - self._started
        for stream in streams.values():
            self._drain(stream)
        return Ended(
            self._end or ("exited" if os.WIFEXITED(status) else "signalled"),
            status,
            seconds,
            bytes(streams[out].content[: self._bounds.output_bytes]),
            bytes(streams[err].content[: self._bounds.output_bytes]),
            self._detail or _in_words(status),
        )

    def _watch(self, child: int, listener: int, wake: int, streams: dict[int, _Stream]) -> int:
        """The status of the program; 0 when it was not waited for, because a limit was passed."""
        poll = select.poll()
        for descriptor in (self._control, wake, listener, *streams):
            poll.register(descriptor, select.POLLIN)
        looks = self._started
        while not self._end:
            now = time.monotonic()
            if now >= looks:
                self._look()
                # Looking takes at most a third of the time, however much there is to see.
                looks = time.monotonic() + max(_LOOK_SECONDS, 2 * (time.monotonic() - now))
            for descriptor, event in poll.poll(max(0.0, min(looks - now, _LOOK_SECONDS)) * 1000):
                if descriptor == self._control:
                    raise AbandonedError
                if descriptor == wake:
                    os.read(wake, _CHUNK)
                elif descriptor == listener:
                    if event & select.POLLIN:
                        self._answer(listener)
                    else:
                        poll.unregister(listener)
                elif not self._read(streams[descriptor]):
                    poll.unregister(descriptor)
            ended, status = _collect(child)
            if ended:
                self._judge(status)
                # One that found the disk full, and ended by that.
                self._look_at_space()
                return status
        return 0

    def _judge(self, status: int) -> None:
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            self._stop("cpu", f"used more than {self._bounds.cpu_seconds:g} s of processor")

    def _stop(self, end: str, detail: str) -> None:
        if not self._end:
            self._end, self._detail = end, detail

    def _look(self) -> None:
        bounds = self._bounds
        if time.monotonic() - self._started >= bounds.seconds:
            self._stop("time", f"took longer than {bounds.seconds:g} s")
            return
        used = tree.usage()
        times = os.times()
        if used.cpu + times.children_user + times.children_system > bounds.cpu_seconds:
            self._stop("cpu", f"used more than {bounds.cpu_seconds:g} s of processor")
        held = tree.held(self._how.file_bytes)
        # One that is just being executed, or ending, cannot be looked into either.
        self._hidden = self._hidden + 1 if held.hidden else 0
        if self._hidden >= _HIDDEN_LOOKS:
            self._stop("memory", "a process could not be looked into")
        # Shared pages are counted for each process at first, and only if need be for once: that takes longer.
        elif (
            used.memory + held.sockets > bounds.memory_bytes
            and tree.proportional_memory() + held.sockets > bounds.memory_bytes
        ):
            self._stop("memory", f"held more than {bounds.memory_bytes} bytes of memory")
        self._look_at_space(sum(held.nameless.values()))

    def _look_at_space(self, nameless: int = 0) -> None:
        """nameless: bytes of files that only processes know."""
        most = self._bounds.disk_bytes
        if nameless + space.used(self._how.room, most) > most:
            self._stop("disk", f"wrote more than {most} bytes")

    def _read(self, stream: _Stream) -> bool:
        """Whether more may come."""
        try:
            chunk = os.read(stream.descriptor, _CHUNK)
        except BlockingIOError:
            return True
        stream.content += chunk
        if len(stream.content) > self._bounds.output_bytes:
            self._stop("output", f"wrote more than {self._bounds.output_bytes} bytes of output")
        return bool(chunk)

    def _drain(self, stream: _Stream) -> None:
        for _ in range(_LAST_CHUNKS):
            if len(stream.content) > self._bounds.output_bytes or not self._read(stream):
                break
        os.close(stream.descriptor)

    def _answer(self, listener: int) -> None:
        question = seccomp.receive(listener)
        if question is None:
            return
        starts = {number for both in seccomp.STARTS.values() for number in both}
        ask: Callable[[seccomp.Question], int] = self._may_start if question.number in starts else _may_signal
        seccomp.answer(listener, question, ask(question))

    def _may_start(self, question: seccomp.Question) -> int:
        """0, or the error: as many are there as may be."""
        now = time.monotonic()
        if now < self._full_until:
            return errno.EAGAIN
        if self._tasks >= self._bounds.processes:
            # Who asks again has been seen since; others may have been allowed and not have come about yet.
            self._allowed.pop(question.thread, None)
            unseen = sum(1 for since in self._allowed.values() if now - since < _UNSEEN_SECONDS)
            self._tasks = tree.usage().tasks + unseen
            if self._tasks >= self._bounds.processes:
                self._full_until = time.monotonic() + _FULL_SECONDS
                return errno.EAGAIN
            self._allowed = {
                thread: since for thread, since in self._allowed.items() if now - since < _UNSEEN_SECONDS
            }
        self._tasks += 1
        self._allowed[question.thread] = now
        return 0


def _may_signal(question: seccomp.Question) -> int:
    """0, or the error: a signal goes to processes of this run only."""
    target = question.arguments[0] & 0xFFFFFFFF
    target -= (target & 0x80000000) << 1
    if target == 0:
        # The caller's own group. Every group of the run is in a session of the run.
        return 0
    if target == -1:
        return errno.EPERM
    return 0 if tree.contains(abs(target)) else errno.ESRCH


def _collect(child: int) -> tuple[bool, int]:
    """Whether the program ended, and its status. Orphans that ended are taken along."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True, 0
        if process == 0:
            return False, 0
        if process == child:
            return True, status


def _sealed(content: bytes) -> int:
    """A file in memory that nobody can change, at its beginning."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def _in_words(status: int) -> str:
    if os.WIFEXITED(status):
        return f"ended with exit code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    return f"ended by signal {signal.Signals(number).name if number in set(signal.Signals) else number}"
