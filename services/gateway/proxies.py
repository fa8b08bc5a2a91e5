"""Where a request comes from, when proxies of ours have passed it on.

What a request says of itself in X-Forwarded-For and X-Forwarded-Proto counts only as far as those are trusted
who wrote it: each proxy adds whom it was called by at the right, so the rightmost address that is none of our
proxies is the client, and everything to its left is what the client says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Environ = dict[str, Any]

CLIENT_KEY = "meldrag.client_told"
"""True in the environ of a request whose client's address a trusted proxy has told."""
SCHEME_KEY = "meldrag.scheme_told"
"""True in the environ of a request whose client's scheme a trusted proxy has told."""

_SCHEMES = frozenset(("http", "https"))


class Proxies:
    """WSGI middleware: REMOTE_ADDR and the scheme are the client's, where a trusted proxy tells them."""

    def __init__(self, inner: Callable[[Environ, Any], Iterable[bytes]], trusted: Sequence[Network]) -> None:
        """trusted: addresses whose word counts; none for nobody's."""
        self._inner = inner
        self._trusted = tuple(trusted)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Passes the request on, with what is known of the client."""
        peer = address_of(environ.get("REMOTE_ADDR", ""))
        if peer is not None and within(peer, self._trusted):
            client, told = self._client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
            environ["REMOTE_ADDR"] = str(client)
            if told:
                environ[CLIENT_KEY] = True
            # The last is the word of the proxy that called us.
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in _SCHEMES:
                environ["wsgi.url_scheme"] = scheme
                environ[SCHEME_KEY] = True
        return self._inner(environ, start_response)

    def _client(self, peer: Address, chain: str) -> tuple[Address, bool]:
        """The rightmost address that is not trusted, and whether all up to it were told; the last that was
        understood where all are.
        """
        client = peer
        for entry in reversed(chain.split(",")):
            told = address_of(entry.strip())
            if told is None:
                return client, False
            client = told
            if not within(client, self._trusted):
                break
        return client, True


def address_of(text: str) -> Address | None:
    """The address in an entry of X-Forwarded-For, with or without a port; None where it names none."""
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # An interface of this machine is nothing that another one can name.
        return None if address.scope_id else address.ipv4_mapped or address
    return address


def networks_of(text: str) -> tuple[Network, ...]:
    """Addresses and networks as they stand in a setting, separated by commas.

    Raises ValueError for what is neither, and for a network that holds every address.
    """
    networks = []
    for item in filter(None, (item.strip() for item in text.split(","))):
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise ValueError("must be addresses or networks as in 10.0.0.0/8, separated by commas") from None
        if network.prefixlen == 0:
            raise ValueError("a network of every address would believe everybody")
        networks.append(network)
    return tuple(networks)


def within(address: Address, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks."""
    return any(address in network for network in networks)
