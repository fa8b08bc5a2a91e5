"""Where the backup program's settings come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.backup.settings import BackupSettings
from services.chassis.settings import ServiceSettings, load


def test_env_counts_where_the_environment_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("MELD_SNAPSHOT_KEY=of the file\nMELD_AGENTS_ADDRESS=127.0.0.1:1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MELD_AGENTS_ADDRESS", "127.0.0.1:2")
    settings = load(BackupSettings)
    assert settings.snapshot_key == b"of the file"
    assert settings.meld_agents_address == "127.0.0.1:2"
    # A service is given its environment and looks for no file.
    monkeypatch.delenv("MELD_AGENTS_ADDRESS")
    assert load(ServiceSettings).meld_agents_address == "127.0.0.1:50051"
