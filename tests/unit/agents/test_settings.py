"""Where the agents service listens."""

from __future__ import annotations

import pytest

from services.agents.settings import AgentsSettings
from services.chassis.settings import load


def test_the_service_listens_on_its_interface_at_the_port_of_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MELD_BIND_HOST", "MELD_AGENTS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    assert load(AgentsSettings).bind == "127.0.0.1:50051"
    # A name that means every replica cannot be listened on.
    monkeypatch.setenv("MELD_BIND_HOST", "0.0.0.0")
    monkeypatch.setenv("MELD_AGENTS_ADDRESS", "agents:7000")
    assert load(AgentsSettings).bind == "0.0.0.0:7000"
