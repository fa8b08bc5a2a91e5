"""What each process is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.local.members import environment
from services.local.settings import SettingError, read


def test_no_port_for_metrics_unless_one_is_named(tmp_path: Path) -> None:
    settings = read({}, tmp_path / ".env", tmp_path)
    assert "MELD_METRICS_PORT" not in environment(settings, "agents")


def test_three_processes_get_three_ports_for_metrics(tmp_path: Path) -> None:
    settings = read({"MELD_METRICS_PORT": "9464"}, tmp_path / ".env", tmp_path)
    ports = [environment(settings, name)["MELD_METRICS_PORT"] for name in ("agents", "vector", "session")]
    assert ports == ["9464", "9465", "9466"]


def test_the_third_port_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="MELD_METRICS_PORT"):
        read({"MELD_METRICS_PORT": "65534"}, tmp_path / ".env", tmp_path)
