"""How a replica names itself."""

from __future__ import annotations

import socket

import pytest

from services.agents.adapters.replica_client import replica_name


def test_a_replica_is_named_by_its_address_and_its_process() -> None:
    first, second = replica_name("127.0.0.1:50051"), replica_name("127.0.0.1:50051")
    assert first.partition("#")[0] == "127.0.0.1:50051"
    assert first != second


@pytest.mark.parametrize("bind", ["0.0.0.0:50051", "[::]:50051", ":50051"])
def test_where_it_listens_everywhere_the_address_of_its_host_counts(
    bind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "container")
    monkeypatch.setattr(socket, "gethostbyname", {"container": "172.20.0.7"}.__getitem__)
    assert replica_name(bind).startswith("172.20.0.7:50051#")


def test_a_host_without_an_address_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise socket.gaierror(name)

    monkeypatch.setattr(socket, "gethostbyname", unknown)
    assert replica_name("0.0.0.0:50051").startswith("127.0.0.1:50051#")
