"""What must hold before anything is started."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.local.settings import Address


class StartError(Exception):
    """The house cannot be started here and now. The message is one line."""


@contextmanager
def sole_launcher(directory: Path) -> Iterator[None]:
    """Holds the data directory, made when missing, for this launcher. Raises StartError.

    Not services.chassis.lock, which loads gRPC and telemetry: a second before the first word is said.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"{directory} cannot be used: {error.strerror} (set MELD_DATA_DIR)") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"{directory} is in use by another `make run` (set MELD_DATA_DIR)") from None
        yield
    finally:
        os.close(descriptor)


def check_ports(wanted: Iterable[Address]) -> None:
    """Raises StartError when an address is wanted twice or cannot be listened on."""
    taken: dict[int, str] = {}
    for address in wanted:
        if other := taken.get(address.port):
            raise StartError(f"{other} and {address.variable} name the same port {address.port}")
        taken[address.port] = address.variable
        with socket.socket() as probe:
            # As a server does it: connections of an earlier run that are still closing do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address.host, address.port))
                probe.listen()
            except OSError as error:
                problem = f"cannot listen on {address}: {error.strerror}"
                if error.errno == errno.EADDRINUSE:
                    problem = f"port {address.port} is in use"
                raise StartError(f"{problem} (set {address.variable})") from None
