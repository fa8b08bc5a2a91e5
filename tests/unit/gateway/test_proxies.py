"""Whose word counts for where a request comes from."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.proxies import CLIENT_KEY, SCHEME_KEY, Proxies, address_of, networks_of

TRUSTED = networks_of("10.0.0.0/8, 192.168.7.1, fd00::/8")


def seen(peer: str, chain: str | None = None, scheme: str | None = None) -> tuple[str, str, bool]:
    """Client, scheme and whether the request was passed on, as the application sees them."""
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    if chain is not None:
        environ["HTTP_X_FORWARDED_FOR"] = chain
    if scheme is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = scheme
    inner: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        inner.append(environ)
        return []

    Proxies(application, TRUSTED)(environ, None)
    (one,) = inner
    return one["REMOTE_ADDR"], one["wsgi.url_scheme"], CLIENT_KEY in one and SCHEME_KEY in one


@pytest.mark.parametrize("peer", ["203.0.113.9", "192.168.7.2", "fe80::1", "", "@unix"])
def test_nobody_else_is_believed(peer: str) -> None:
    assert seen(peer, "198.51.100.1", "https") == (peer, "http", False)


@pytest.mark.parametrize("peer", ["10.1.2.3", "192.168.7.1", "::ffff:10.1.2.3", "fd00::5"])
def test_a_trusted_proxy_tells_who_called_it_and_how(peer: str) -> None:
    assert seen(peer, "198.51.100.1", "https") == ("198.51.100.1", "https", True)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        # What the client wrote itself stands on the left of what the proxy knows.
        ("1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1, 10.9.9.9, 198.51.100.1", "198.51.100.1"),
        ("1.1.1.1, 198.51.100.1, 10.0.0.7, 10.0.0.8", "198.51.100.1"),
        ("198.51.100.1,10.0.0.7", "198.51.100.1"),
        # All are ours: the first of them called.
        ("10.0.0.6, 10.0.0.7", "10.0.0.6"),
        # What cannot be read ends what is known.
        ("198.51.100.1, unknown", "10.1.2.3"),
        ("198.51.100.1, , 10.0.0.7", "10.0.0.7"),
        ("198.51.100.1, 10.0.0.7.", "10.1.2.3"),
        ("", "10.1.2.3"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "10.1.2.3"),
        (",".join(["10.0.0.1"] * 800), "10.0.0.1"),
    ],
)
def test_the_rightmost_address_that_is_none_of_ours_is_the_client(chain: str, client: str) -> None:
    assert seen("10.1.2.3", chain)[0] == client


@pytest.mark.parametrize(
    ("told", "scheme"),
    [
        ("HTTPS", "https"),
        ("http", "http"),
        ("http, https", "https"),
        ("https, http", "http"),
        ("gopher", "http"),
        ("", "http"),
    ],
)
def test_the_last_scheme_is_the_word_of_the_proxy_that_called(told: str, scheme: str) -> None:
    assert seen("10.1.2.3", "198.51.100.1", told)[1] == scheme


@pytest.mark.parametrize("text", ["proxy", "10.0.0.0/33", "10.0.0.1;10.0.0.2", "0.0.0.0/0", "::/0"])
def test_a_setting_that_names_no_network_or_everybody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        networks_of(text)


def test_nothing_named_is_nobody() -> None:
    assert networks_of(" , ") == ()
    assert address_of("") is None
