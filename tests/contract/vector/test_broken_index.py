"""A damaged vector index is set aside and made again from the record, while words go on finding."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from tests.contract.vector.world import Client, WordEmbedder, eventually, running

TEXTS = [f"Entry {number} of the register speaks of subject{number}." for number in range(40)]
SETTINGS = {"meld_exact_search_limit": 8, "meld_index_sync_threshold": 10}


def _segment(root: Path) -> Path:
    (folder,) = [path for path in sorted(root.glob("g*/*")) if path.is_dir()]
    return folder


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def _stale(root: Path) -> None:
    (database,) = root.glob("g*/chroma.sqlite3")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE max_seq_id SET seq_id = 3")
    connection.close()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "vectors deleted": lambda root: (_segment(root) / "data_level0.bin").unlink(),
    "vectors empty": lambda root: (_segment(root) / "data_level0.bin").write_bytes(b""),
    "header flipped": lambda root: _flip(_segment(root) / "header.bin"),
    "ids deleted": lambda root: (_segment(root) / "index_metadata.pickle").unlink(),
    "graph gone": lambda root: shutil.rmtree(_segment(root)),
    "database cut": lambda root: _cut(next(iter(root.glob("g*/chroma.sqlite3")))),
    "database gone": lambda root: next(iter(root.glob("g*/chroma.sqlite3"))).unlink(),
    "counter stale": _stale,
}


async def _whole(client: Client) -> bool:
    queue, keeper = client.application.record.index_queue, client.application.keeper
    return keeper.state.name == "READY" and await queue.pending() == 0


@pytest.fixture
async def filled(tmp_path: Path) -> Path:
    async with running(tmp_path, **SETTINGS) as client:
        await client.create()
        await client.import_all([{"external_id": str(n), "text": text} for n, text in enumerate(TEXTS)])

        async def embedded() -> bool:
            documents = await client.list(page_size=100)
            return all(one.state == pb.DOCUMENT_STATE_READY for one in documents)

        await eventually(embedded)
        await eventually(lambda: _whole(client))
    return tmp_path


@pytest.mark.parametrize("damage", DAMAGES)
async def test_it_heals_without_the_embedding_model(filled: Path, damage: str) -> None:
    DAMAGES[damage](filled / "vector" / "chroma")
    embedder = WordEmbedder()
    async with running(filled, embedder, **SETTINGS) as client:
        found = await client.search("subject17", mode=pb.SEARCH_MODE_LEXICAL)
        assert [hit.external_id for hit in found.hits] == ["17"]
        hybrid = await client.search("subject17")
        assert hybrid.hits[0].external_id == "17"
        if hybrid.mode == pb.SEARCH_MODE_LEXICAL:
            assert hybrid.degraded_reason == "INDEX_UNAVAILABLE"
        await eventually(lambda: _whole(client))
        assert client.application.keeper._index.count(1) == len(TEXTS)
        for number in (0, 17, 39):
            near = await client.search(TEXTS[number], mode=pb.SEARCH_MODE_DENSE, top_k=1)
            assert near.mode == pb.SEARCH_MODE_DENSE
            assert near.hits[0].external_id == str(number)
        assert embedder.passages == []


async def test_an_index_that_breaks_while_it_runs_is_replaced(filled: Path) -> None:
    async with running(filled, **SETTINGS) as client:
        await eventually(lambda: _whole(client))
        keeper = client.application.keeper
        keeper._index = _Failing(keeper._index)
        new = (await client.import_all([{"text": "A late entry on subject99."}]))[0].document
        assert (await client.search("subject99", mode=pb.SEARCH_MODE_LEXICAL)).hits

        async def replaced() -> bool:
            return not isinstance(keeper._index, _Failing) and await _whole(client)

        await eventually(replaced)
        near = await client.search("A late entry on subject99.", mode=pb.SEARCH_MODE_DENSE, top_k=1)
        assert near.hits[0].document_id == new.document_id
        folders = sorted(path.name for path in (filled / "vector" / "chroma").iterdir())
        assert folders == ["broken", "g000002"]


async def test_only_the_last_broken_index_is_kept(filled: Path) -> None:
    root = filled / "vector" / "chroma"
    for generation in (2, 3):
        DAMAGES["graph gone"](root)
        async with running(filled, **SETTINGS) as client:
            await eventually(lambda: _whole(client))
        assert sorted(path.name for path in root.iterdir()) == ["broken", f"g{generation:06d}"]


async def test_below_the_exact_limit_a_broken_index_is_not_even_noticed(filled: Path) -> None:
    DAMAGES["graph gone"](filled / "vector" / "chroma")
    async with running(filled) as client:
        near = await client.search(TEXTS[5], mode=pb.SEARCH_MODE_DENSE, top_k=1)
        assert near.hits[0].external_id == "5"


class _Failing:
    """An index that fails at every write."""

    def __init__(self, index: object) -> None:
        self._inner = index

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def add(self, *arguments: object) -> None:
        raise RuntimeError("Failed to apply logs to the hnsw segment writer")
