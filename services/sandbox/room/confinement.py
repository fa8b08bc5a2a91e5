"""What happens in the child between fork and exec: everything is taken away that it does not need."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from dataclasses import dataclass
from typing import NoReturn

from services.sandbox.room import kernel, landlock, seccomp

DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
# Of one process: descriptors.
_OPEN_FILES = 256
_FAILED = 127


@dataclass(frozen=True)
class Confinement:
    """How the child is shut in.

    program: path of what is executed. room: the folder that may be written, with work and tmp in it.
    readable: what else may be read and executed. abi: of Landlock, 0 for none.
    alone: it has a file system of its own, whose size is limited and in which the host's files cannot be
        written; else it writes among the host's files.
    """

    program: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    room: str
    readable: tuple[str, ...]
    abi: int
    alone: bool
    cpu_seconds: float
    memory_bytes: int
    file_bytes: int


def start(how: Confinement, stdin: int, stdout: int, stderr: int) -> tuple[int, int]:
    """Forks and executes. Returns the process and the descriptor of the filter's questions.

    Raises OSError when anything of the confinement cannot be had: then nothing was executed.
    """
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    failed, failing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        mine.close()
        _become(how, (stdin, stdout, stderr), its, failing)
    its.close()
    os.close(failing)
    with mine:
        _data, listeners, _flags, _address = socket.recv_fds(mine, 1, 1)
    with open(failed, "rb") as source:
        reason = source.read()
    if reason or not listeners:
        for listener in listeners:
            os.close(listener)
        os.waitpid(child, 0)
        raise OSError(reason.decode() or "the child ended before it started")
    os.set_inheritable(listeners[0], False)
    return child, listeners[0]


def _become(how: Confinement, standard: tuple[int, int, int], its: socket.socket, failing: int) -> NoReturn:
    try:
        _confine(how, standard, its, failing)
        os.execve(how.program, how.argv, how.environment)
    except BaseException as error:
        # Descriptor 3 from the moment on that the others are closed.
        for descriptor in (failing, 3):
            with contextlib.suppress(OSError):
                os.write(descriptor, f"{type(error).__name__}: {error}".encode())
                break
    finally:
        os._exit(_FAILED)


def _confine(how: Confinement, standard: tuple[int, int, int], its: socket.socket, failing: int) -> None:
    os.setsid()
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Whoever runs out of memory, the service is not the one that goes. The launcher hides itself.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("1000")
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    os.umask(0o077)
    os.chdir(f"{how.room}/work")
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.drop_capabilities()
    machine = os.uname().machine
    asking, refusing = seccomp.questions(machine), seccomp.refusals(machine, how.alone)
    if how.abi:
        landlock.restrict(how.readable, (how.room,), DEVICES, how.abi)
    _limit(how)
    socket.send_fds(its, [b"!"], [seccomp.install(asking, asks=True)])
    seccomp.install(refusing)
    for target, source in enumerate(standard):
        os.dup2(source, target, inheritable=True)
    os.dup2(failing, 3, inheritable=False)
    os.closerange(4, 1 << 20)


def _limit(how: Confinement) -> None:
    seconds = max(1, round(how.cpu_seconds + 1))
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_NICE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, how.file_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, how.memory_bytes),
    ):
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            value = min(value, most)  # noqa: PLW2901
        resource.setrlimit(kind, (value, value))
