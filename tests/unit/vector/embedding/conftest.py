"""The real model, built once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.vector.embedding.minilm import MiniLmEmbedder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "models"


@pytest.fixture(scope="session")
def minilm(models: Path) -> Iterator[MiniLmEmbedder]:
    embedder = MiniLmEmbedder(models)
    embedder.load()
    yield embedder
    embedder.close()
