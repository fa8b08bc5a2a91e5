"""Chroma, where another thread drops what is being asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from services.vector.index.chroma import ChromaIndex


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ChromaIndex]:
    with closing(ChromaIndex.embedded(tmp_path / "chroma", "house", 1_000)) as index:
        yield index


def test_a_collection_that_was_dropped_under_a_call_has_nothing(index: ChromaIndex) -> None:
    rows = np.eye(3, dtype=np.float32)
    index.add(1, [1, 2, 3], rows)
    assert index.count(1) == 3
    stale = index._collections[1]
    index.drop(1)
    for ask, nothing in (
        (lambda: index.nearest(1, rows[0], 2), []),
        (lambda: index.count(1), 0),
        (lambda: index.keys(1), []),
        (lambda: index.some_keys(1, 0, 9), []),
        (lambda: index.present(1, [1, 2]), []),
        (lambda: index.held(1, [1, 2], 3)[0], []),
        (lambda: index.remove(1, [1]), None),
    ):
        # As a thread leaves it that looked it up before the drop.
        index._collections[1] = stale
        assert ask() == nothing
        assert 1 not in index._collections
