"""The sandbox that this machine has."""

from __future__ import annotations

import pytest

from services.agents.ports import Sandboxed
from services.sandbox.sandbox import open_sandbox


@pytest.fixture
async def sandbox() -> Sandboxed:
    box = await open_sandbox()
    if box.layer is None:
        pytest.skip(box.reason)
    return box
