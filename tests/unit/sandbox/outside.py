"""The world around the sandbox in the tests: everything in it notices when it is touched."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from services.sandbox import folders, sandbox

_libc = ctypes.CDLL(None, use_errno=True)


class World:
    """Files, listeners, a process, and memory that others share. `changes` tells what became of them."""

    def __init__(self, folder: Path) -> None:
        # What must not come out, and what everything is called.
        self.token = "token-" + secrets.token_hex(8)
        self.mark = "mark-" + secrets.token_hex(8)
        self.folder = folder
        self._stack = ExitStack()
        self._signals: list[int] = []

    def __enter__(self) -> World:
        self._files()
        self._listeners = {
            "tcp": self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": self._listen(socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "stream")),
            "unix_datagram": self._listen(socket.AF_UNIX, socket.SOCK_DGRAM, str(self.folder / "datagram")),
            "abstract": self._listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.mark),
        }
        port = self._listeners["tcp"].getsockname()[1]
        with contextlib.suppress(OSError):
            self._listeners["tcp6"] = self._listen(socket.AF_INET6, socket.SOCK_STREAM, ("::1", port))
        self.victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", self.mark])
        self._stack.callback(self.victim.wait)
        self._stack.callback(self.victim.kill)
        self._process = self._about_process()
        self._stack.callback(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        signal.signal(signal.SIGUSR1, lambda number, _: self._signals.append(number))
        self._shared()
        os.environ["MELD_TEST_SECRET"] = self.token
        self._stack.callback(os.environ.pop, "MELD_TEST_SECRET")
        # A descriptor that a careless start would pass on.
        descriptor = os.open(self.folder / "secret", os.O_RDWR)
        os.set_inheritable(descriptor, True)
        self._stack.callback(os.close, descriptor)
        self._before = self._about_files()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _files(self) -> None:
        (self.folder / "secret").write_text(self.token)
        (self.folder / "precious").write_text("precious")
        (self.folder / "program").write_text(f"#!/bin/sh\ncat {self.folder}/secret\n")
        (self.folder / "program").chmod(0o755)
        os.mkfifo(self.folder / "pipe")

    def _listen(self, family: int, kind: int, address: Any) -> socket.socket:
        listener = self._stack.enter_context(socket.socket(family, kind))
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        return listener

    def _shared(self) -> None:
        key = secrets.randbits(30) | 1
        memory = _libc.shmget(key, 4096, 0o1666)
        assert memory >= 0
        self._stack.callback(_libc.shmctl, memory, 0, None)
        posix = Path("/dev/shm") / self.mark
        posix.write_text(self.token)
        self._stack.callback(posix.unlink)
        self._key = key

    def description(self) -> dict[str, Any]:
        """What the code inside gets to know, so that it need not search."""
        return {
            "folder": str(self.folder),
            **{name: str(self.folder / name) for name in ("secret", "precious", "program", "pipe")},
            "tcp": self._listeners["tcp"].getsockname()[1],
            "udp": self._listeners["udp"].getsockname()[1],
            "unix": str(self.folder / "stream"),
            "unix_datagram": str(self.folder / "datagram"),
            "abstract": self.mark,
            "victim": self.victim.pid,
            "service": os.getpid(),
            "shm_key": self._key,
            "posix_shm": self.mark,
            "packages": sysconfig.get_path("purelib"),
            "source": sandbox.__file__,
            "rooms": str(folders.base()),
        }

    def changes(self) -> list[str]:
        """What was done to this world; nothing should have been."""
        found = [f"{name} was reached" for name in self._reached()]
        if self.victim.poll() is not None:
            found.append("the process was ended")
        elif self._about_process() != self._process:
            found.append("the process was changed")
        if self._signals:
            found.append("the service got a signal")
        if self._about_files() != self._before:
            found.append(f"files changed: {self._before} became {self._about_files()}")
        planted = [*folders.base().glob("planted*"), *Path("/dev/shm").glob("planted*")]
        planted += [*Path(sysconfig.get_path("purelib")).glob("planted*")]
        planted += [*Path(sysconfig.get_path("stdlib")).glob("planted*")]
        return [*found, *(f"{path} was made" for path in planted)]

    def _reached(self) -> Iterator[str]:
        ready, _, _ = select.select(list(self._listeners.values()), [], [], 0)
        return (name for name, listener in self._listeners.items() if listener in ready)

    def _about_process(self) -> tuple[object, ...]:
        process = psutil.Process(self.victim.pid)
        affinity, limit = process.cpu_affinity(), process.rlimit(psutil.RLIMIT_NOFILE)
        return process.nice(), str(process.ionice()), affinity, limit, psutil.Process().nice()

    def _about_files(self) -> dict[str, tuple[object, ...]]:
        return {
            path.name: (
                about.st_mode,
                about.st_uid,
                about.st_size,
                about.st_nlink,
                about.st_mtime_ns,
                os.listxattr(path),
            )
            for path in sorted(self.folder.iterdir())
            for about in [path.lstat()]
        }
