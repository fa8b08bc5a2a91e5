"""Fixtures of the vector service's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.vector.world import Client, WordEmbedder, running


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
async def client(tmp_path: Path, embedder: WordEmbedder) -> AsyncIterator[Client]:
    """A running service with the empty collection `books`."""
    async with running(tmp_path, embedder) as client:
        await client.create()
        yield client
