"""The index on a Chroma server instead of in this process: by configuration alone."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.vector.index.chroma import ChromaIndex
from tests.contract.vector.snapshots import all_embedded, exported, imported
from tests.contract.vector.world import Client, eventually, running
from tests.support.redis_server import free_port


@pytest.fixture
async def chroma(tmp_path: Path) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """A real server and its port."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("chroma")),
        *("run", "--host", "127.0.0.1", "--port", str(port), "--path", str(tmp_path / "server")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await eventually(listens)
    yield port, server
    if server.returncode is None:
        server.kill()
    await server.wait()


async def _in_step(client: Client) -> bool:
    keeper, queue = client.application.keeper, client.application.record.index_queue
    return keeper.state.name == "READY" and await queue.pending() == 0


async def test_it_is_fed_asked_and_missed_no_more_than_its_share(
    tmp_path: Path, chroma: tuple[int, asyncio.subprocess.Process]
) -> None:
    port, server = chroma
    settings = {"chromadb_host": "127.0.0.1", "chromadb_port": port, "meld_exact_search_limit": 4}
    async with running(tmp_path / "data", **settings) as client:
        await client.create()
        texts = [f"Sheet {n} about matter{n}." for n in range(30)]
        await client.import_all([{"external_id": str(n), "text": text} for n, text in enumerate(texts)])

        async def all_ready() -> bool:
            return len(await client.list(page_size=100, states=[pb.DOCUMENT_STATE_READY])) == 30

        await eventually(all_ready)
        await eventually(lambda: _in_step(client))
        near = await client.search(texts[21], mode=pb.SEARCH_MODE_DENSE, top_k=1)
        assert near.hits[0].external_id == "21"
        assert not (tmp_path / "data" / "vector" / "chroma").exists()

        server.kill()
        await server.wait()
        found = await client.search("matter21")
        assert found.hits[0].external_id == "21"
        assert (found.mode, found.degraded_reason) == (pb.SEARCH_MODE_LEXICAL, "INDEX_UNAVAILABLE")
        late = (await client.import_all([{"text": "A late sheet."}]))[0]
        assert late.document.state >= pb.DOCUMENT_STATE_EMBEDDING


async def test_after_a_restore_it_holds_the_restored_and_nothing_else(
    tmp_path: Path, chroma: tuple[int, asyncio.subprocess.Process]
) -> None:
    port, _ = chroma
    settings = {"chromadb_host": "127.0.0.1", "chromadb_port": port, "meld_exact_search_limit": 4}
    before, after = ([f"{word} number {n} about thing{n}." for n in range(8)] for word in ("Old", "New"))
    async with running(tmp_path / "data", **settings) as client:
        await client.create()
        data = await exported(client)
        await client.import_all([{"text": text} for text in before])
        await all_embedded(client)
        await eventually(lambda: _in_step(client))
        old = client.application.keeper._index
        await imported(client, data)
        await client.import_all([{"text": text} for text in after])
        await all_embedded(client)
        await eventually(lambda: _in_step(client))
        near = await client.search(after[5], mode=pb.SEARCH_MODE_DENSE, top_k=1)
        assert [hit.text for hit in near.hits] == [after[5]]
        index = client.application.keeper._index
        assert index is not old
        assert isinstance(index, ChromaIndex)
        assert [one.count() for one in index._client.list_collections()] == [len(after)]
