"""Where a process may go that is told an address, so that nobody uses it to reach into a private network.

A host is looked up once; each address that it has must be one of the public internet, or be allowed by
setting, and the connection goes to an address that was looked at. A name that leads elsewhere a moment later
(DNS rebinding) leads nowhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_URL_CHARACTERS = 2_000
_PORTS = {"http": 80, "https": 443}
_RESOLVE_SECONDS = 5.0
_MAX_ADDRESSES = 32
# What a host's name may be; an address of the sixth version stands in brackets, which urlsplit takes off.
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Addresses of the fourth version inside of the sixth: mapped, compatible, NAT64, 6to4.
_HOLDING = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)
# Not public, whatever the library of this Python says (3.11 takes most of 192.0.0.0/24 for public): what
# clouds answer their own machines by, what protocols of the IETF use, examples, the NAT64 of a network's own,
# site-local addresses.
_NOT_PUBLIC: tuple[Network, ...] = (
    ipaddress.IPv4Network("168.63.129.16/32"),
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("100::/64"),
    ipaddress.IPv6Network("2001::/23"),
    ipaddress.IPv6Network("3fff::/20"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("fec0::/10"),
)


class AddressError(ValueError):
    """What was given is no address to go to: `rule` says what it must be, `given` is the part that is not."""

    def __init__(self, given: str, rule: str) -> None:
        super().__init__(f"the address {rule}")
        self.given = given
        self.rule = rule


class UnknownHostError(Exception):
    """The host has no address."""


class RefusedHostError(Exception):
    """The host lies where this process does not go. Which address it has is told nobody: that would be a way
    to look into a private network.
    """


@dataclass(frozen=True)
class Target:
    """The parts of an address. host: as its certificate names it. path: with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class Allowed:
    """What may be reached beside the public internet. hosts: in small letters."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()


def allowed(text: str) -> Allowed:
    """What a setting allows: hosts, addresses and networks, separated by commas. Raises ValueError."""
    hosts, networks = set(), list[Network]()
    for word in filter(None, map(str.strip, text.split(","))):
        try:
            networks.append(ipaddress.ip_network(word.strip("[]")))
        except ValueError:
            if "/" in word or not _HOST.fullmatch(word) or ":" in word:
                raise ValueError(f"{word[:100]!r} is no host, address or network") from None
            hosts.add(_folded(word))
    return Allowed(frozenset(hosts), tuple(networks))


def target(url: str) -> Target:
    """The parts of an address. Raises AddressError."""
    if not 0 < len(url) <= MAX_URL_CHARACTERS:
        raise AddressError("", f"must have 1 to {MAX_URL_CHARACTERS} characters")
    if not url.isascii() or not url.isprintable() or set(url) & set(' <>"\\^`{|}'):
        raise AddressError("", "must be printable ASCII; write what is not in percent encoding")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AddressError("", "is no address") from None
    if parts.scheme not in _PORTS:
        raise AddressError(parts.scheme, "must begin with http:// or https://")
    if "@" in parts.netloc:
        raise AddressError("", "must name no user")
    if "#" in url:
        raise AddressError("", "must have no fragment")
    if not _HOST.fullmatch(host) or port == 0:
        raise AddressError("", "must name a host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


async def looked_up(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Reach:
    """Finds the addresses to which one may go. resolve: the addresses of a host and port."""

    def __init__(
        self, allow: Allowed, resolve: Callable[[str, int], Awaitable[list[str]]] = looked_up
    ) -> None:
        self._allow = allow
        self._resolve = resolve

    async def addresses(self, wanted: Target) -> list[str]:
        """Those of the host, each of which may be reached.

        Raises UnknownHostError, RefusedHostError when one of them may not.
        """
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await self._resolve(wanted.host, wanted.port)
        except (OSError, UnicodeError):
            raise UnknownHostError(wanted.host) from None
        if not found:
            raise UnknownHostError(wanted.host)
        if _folded(wanted.host) not in self._allow.hosts:
            for address in found:
                if not self._may(address):
                    raise RefusedHostError(wanted.host)
        return found[:_MAX_ADDRESSES]

    def _may(self, text: str) -> bool:
        try:
            # A scope ("%eth0") stands behind link-local addresses only.
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if any(address in network for network in self._allow.networks):
            return True
        inner = _within(address)
        if inner is not None:
            return self._may(str(inner))
        return public(address)


def public(address: Address) -> bool:
    """Whether an address is one of a host on the public internet."""
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    )


def _within(address: Address) -> ipaddress.IPv4Address | None:
    """The address of the fourth version that one of the sixth leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    for network, shift in _HOLDING:
        if address in network:
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return None


def _folded(host: str) -> str:
    return host.lower().rstrip(".")
