"""Keeps a program on this machine: whatever it connects to elsewhere fails, and is told of at its end."""

from __future__ import annotations

import sys
from typing import Any

STRAYED: list[str] = []

_HERE = {"127.0.0.1", "::1", "localhost", "", None}


def keep() -> None:
    """From here on."""
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        # A path is a socket of this machine.
        host = address[0] if isinstance(address, tuple) else ""
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in _HERE:
        STRAYED.append(f"{event} {host}")
        raise ConnectionRefusedError(f"{host} is not this machine")
