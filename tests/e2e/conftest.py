"""The house that end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.launched import House, launched


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A ready house without a model, started by the launcher on free ports."""
    with launched(tmp_path_factory.mktemp("house"), {"MELD_WEBHOOK_ALLOW": "127.0.0.1"}) as started:
        yield started
