"""The start of the process: what cannot be is one line and an exit code."""

from __future__ import annotations

import socket

import pytest

from services.gateway.__main__ import main


def test_a_port_in_use_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("FLASK_HOST", "127.0.0.1")
        monkeypatch.setenv("FLASK_PORT", str(port))
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"gateway: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_an_address_open_to_all_is_refused_in_one_line_that_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLASK_HOST", "0.0.0.0")
    monkeypatch.setenv("MELD_LOGIN", "off")
    monkeypatch.delenv("MELD_ALLOW_ANONYMOUS", raising=False)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("gateway: FLASK_HOST: ")
    assert "MELD_ALLOW_ANONYMOUS=yes" in line
    assert line.count("\n") == 1
