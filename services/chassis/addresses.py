"""What a host says about who can reach it."""

from __future__ import annotations

import ipaddress

_EVERY_INTERFACE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach who listens on `host`, a name or an address."""
    return host == "localhost" or is_own_address(host.strip("[]"))


def is_own_address(peer: str) -> bool:
    """Whether the address that somebody calls from is of this machine's loopback, as in 127.0.0.1."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_every_interface(host: str) -> bool:
    """Whether who listens on `host` listens everywhere, so that it is no address to reach it by."""
    return host.strip("[]") in _EVERY_INTERFACE
