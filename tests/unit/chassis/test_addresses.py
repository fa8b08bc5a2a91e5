"""Who can reach a host."""

from __future__ import annotations

import pytest

from services.chassis.addresses import is_every_interface, is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_loopback_is_reached_from_this_machine_alone(host: str) -> None:
    assert is_loopback(host)
    assert not is_every_interface(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "[::]"])
def test_every_interface_is_no_loopback(host: str) -> None:
    assert is_every_interface(host)
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.3", "localhost.example", "::ffff:10.0.0.3", "2001:db8::1"])
def test_others_are_neither(host: str) -> None:
    assert not is_loopback(host)
    assert not is_every_interface(host)
