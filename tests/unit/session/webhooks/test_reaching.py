"""Where messages may go."""

from __future__ import annotations

import socket

import pytest

from services.chassis.errors import InvalidArgumentError, PermissionDeniedError
from services.chassis.reaching import Target, allowed
from services.session.webhooks.reaching import Reach, target

PRIVATE = [
    *("127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1"),
    *("224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
    *(
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::"),
    *("64:ff9b:1::1", "2001:0:7f00:1::", "not an address"),
]


def reach(*addresses: str, allow: str = "") -> Reach:
    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        return list(addresses)

    return Reach(allowed(allow), resolve)


WANTED = Target("https", "hooks.example.org", 443, "/")


@pytest.mark.parametrize("address", PRIVATE)
async def test_nothing_private_is_reached(address: str) -> None:
    with pytest.raises(PermissionDeniedError) as refused:
        await reach("93.184.216.34", address).addresses(WANTED)
    assert refused.value.reason == "WEBHOOK_ADDRESS_REFUSED"
    # Not even which address it is.
    assert address not in refused.value.message


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34"])
async def test_the_public_internet_is_reached(address: str) -> None:
    assert await reach(address).addresses(WANTED) == [address]


@pytest.mark.parametrize(
    ("allow", "addresses", "good"),
    [
        ("10.1.0.0/16", ("10.1.2.3",), True),
        ("10.1.0.0/16", ("10.2.2.3",), False),
        ("10.1.0.0/16", ("10.1.2.3", "10.2.2.3"), False),
        ("10.1.0.0/16", ("::ffff:10.1.2.3",), True),
        ("10.1.2.3, ::1", ("10.1.2.3", "::1"), True),
        ("Hooks.Example.Org", ("10.2.2.3",), True),
        ("example.org", ("10.2.2.3",), False),
    ],
)
async def test_what_is_allowed_by_setting(allow: str, addresses: tuple[str, ...], good: bool) -> None:
    asked = reach(*addresses, allow=allow)
    if good:
        assert await asked.addresses(WANTED) == list(addresses)
    else:
        with pytest.raises(PermissionDeniedError):
            await asked.addresses(WANTED)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "http://a", "a/b", "a b"])
def test_a_setting_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no host, address or network"):
        allowed(text)


@pytest.mark.parametrize("text", ["::1", "[::1", "::1]", "[::1]"])
def test_brackets_of_an_address_may_be_left_out_on_either_side(text: str) -> None:
    assert [str(network) for network in allowed(text).networks] == ["::1/128"]
    assert allowed(text).hosts == frozenset()


@pytest.mark.parametrize(
    "host", ["0x7f000001", "2130706433", "127.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_other_spellings_of_this_machine_are_this_machine(host: str) -> None:
    with pytest.raises(PermissionDeniedError):
        await Reach(allowed("")).addresses(target("url", f"http://{host}/"))


async def test_a_host_that_is_not_known() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, f"{host}:{port} is not known")

    with pytest.raises(InvalidArgumentError) as refused:
        await Reach(allowed(""), resolve).addresses(target("url", "http://no-such-host.invalid/"))
    assert refused.value.reason == "WEBHOOK_ADDRESS_UNKNOWN"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://example.org", Target("https", "example.org", 443, "/")),
        ("http://Example.org:8080/a/b?c=d", Target("http", "example.org", 8080, "/a/b?c=d")),
        ("http://[2606:4700::1111]:81/", Target("http", "2606:4700::1111", 81, "/")),
    ],
)
def test_the_parts_of_an_address(url: str, parts: Target) -> None:
    assert target("url", url) == parts


def test_what_the_host_header_says() -> None:
    assert target("url", "https://example.org:443/").authority == "example.org"
    assert target("url", "http://example.org:443/").authority == "example.org:443"
    assert target("url", "http://[::1]:81/").authority == "[::1]:81"


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "ftp://example.org/", "gopher://example.org/", "file:///etc/passwd"),
        *("http://", "http:///path", "http://user@example.org/", "http://u:p@example.org/"),
        *("http://example.org/\r\nX: y", "http://example.org/ x", "http://exämple.org/", "http://a\x00b/"),
        *("http://example.org:0/", "http://example.org:65536/", "http://example.org:a/", "http://a#b"),
        *("http://[::1%25eth0]/", "http://[::1/", "http://exa_mple.org\\@10.0.0.1/", "http://a,b/"),
        "http://example.org/" + "a" * 2000,
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        target("url", url)
    assert refused.value.reason == "INVALID_FIELD"
