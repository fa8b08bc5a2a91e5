from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.local.preflight import StartError, check_ports, sole_launcher
from services.local.settings import Address


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_named_with_its_variable(taken: int) -> None:
    with pytest.raises(StartError, match=f"^port {taken} is in use \\(set REDIS_PORT\\)$"):
        check_ports([Address("127.0.0.1", taken, "REDIS_PORT")])


def test_a_port_held_by_a_connection_that_is_closing_is_free(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()  # the server's side closes first and so keeps the port in TIME_WAIT

    check_ports([Address("127.0.0.1", port, "REDIS_PORT")])


def test_one_port_for_two_is_refused_before_anything_is_bound(taken: int) -> None:
    twice = [Address("127.0.0.1", 50060, "FLASK_PORT"), Address("127.0.0.1", 50060, "REDIS_PORT")]

    with pytest.raises(StartError, match="FLASK_PORT and REDIS_PORT"):
        check_ports(twice)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartError, match="cannot listen on 203"):
        check_ports([Address("203.0.113.1", 50061, "FLASK_PORT")])


def test_a_data_directory_has_one_launcher_at_a_time(tmp_path: Path) -> None:
    with (
        sole_launcher(tmp_path / "data"),
        pytest.raises(StartError, match="is in use by another"),
        sole_launcher(tmp_path / "data"),
    ):
        pytest.fail("the second launcher got in")
    with sole_launcher(tmp_path / "data"):
        pass


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StartError, match="MELD_DATA_DIR"), sole_launcher(tmp_path / "file" / "data"):
        pytest.fail("got in")
