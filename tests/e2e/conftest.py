"""The house that end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.launched import House, launched


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A ready house without a model, started by the launcher on free ports, that may go to this machine."""
    here = {"MELD_WEBHOOK_ALLOW": "127.0.0.1", "MELD_FETCH_ALLOW": "127.0.0.1"}
    with launched(tmp_path_factory.mktemp("house"), here) as started:
        yield started
