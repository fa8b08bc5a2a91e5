"""What is down degrades what needs it, says so, and comes back by itself."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import Client, WordEmbedder, eventually, refused, running
from tests.support.waits import promised


async def serving(client: Client, name: str) -> bool:
    request = health_pb2.HealthCheckRequest(service=name)
    answer = await health_pb2_grpc.HealthStub(client.channel).Check(request, timeout=5)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_without_the_model_words_answer_and_health_names_it(
    client: Client, embedder: WordEmbedder
) -> None:
    await client.ready("The heron waits in the reeds.")
    embedder.down = True
    found = await client.search("heron")
    assert [hit.text for hit in found.hits] == ["The heron waits in the reeds."]
    assert (found.mode, found.degraded_reason) == (pb.SEARCH_MODE_LEXICAL, "EMBEDDER_UNAVAILABLE")
    for request in (
        client.search("heron", mode=pb.SEARCH_MODE_DENSE),
        client.call("EmbedTexts", pb.EmbedTextsRequest(texts=["x"])),
    ):
        with pytest.raises(ServiceError) as error:
            await request
        assert refused(error.value) == ("UNAVAILABLE", "EMBEDDER_UNAVAILABLE")

    async def embedder_named() -> bool:
        return not await serving(client, "embedder")

    await eventually(embedder_named)
    assert await serving(client, "meldrag.vector.v1.VectorService")
    late = (await client.ingest("The bittern booms."))[-1].document
    assert late.state == pb.DOCUMENT_STATE_EMBEDDING
    embedder.down = False
    await eventually(lambda: serving(client, "embedder"))

    async def ready() -> bool:
        return (await client.get(late.document_id)).state == pb.DOCUMENT_STATE_READY

    await eventually(ready)
    assert (await client.search("bittern")).mode == pb.SEARCH_MODE_HYBRID


async def test_another_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        await client.ready("The heron waits.")
    async with running(tmp_path, WordEmbedder("other", 32)) as client:
        assert (await client.search("heron", mode=pb.SEARCH_MODE_LEXICAL)).hits
        found = await client.search("heron")
        assert [hit.text for hit in found.hits] == ["The heron waits."]
        assert (found.mode, found.degraded_reason) == (pb.SEARCH_MODE_LEXICAL, "EMBEDDING_MISMATCH")
        for request in (
            client.search("heron", mode=pb.SEARCH_MODE_DENSE),
            client.ingest("More text."),
            client.import_all([{"text": "More text."}]),
        ):
            with pytest.raises(ServiceError) as error:
                await request
            assert refused(error.value) == ("FAILED_PRECONDITION", "EMBEDDING_MISMATCH")
            metadata = error.value.metadata
            assert (metadata["collection_model"], metadata["collection_dimension"]) == ("words", "64")
            assert (metadata["configured_model"], metadata["configured_dimension"]) == ("other", "32")
            assert "MELD_EMBEDDING_MODEL=words" in metadata["remedy"]
        await client.create("new")
        assert (await client.ready("Text for the new model.", collection_id="new")).vectors == 1


async def test_a_record_held_by_another_process_does_not_hold_a_caller(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        await client.ready("The heron waits.")
        other = sqlite3.connect(tmp_path / "vector" / "record.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            begun = time.monotonic()
            with pytest.raises(ServiceError) as error:
                await client.call(
                    "CreateCollection", pb.CreateCollectionRequest(collection_id="late"), seconds=0.5
                )
            assert time.monotonic() - begun < promised(1.5)
            assert error.value.code.name == "DEADLINE_EXCEEDED"
            # Readers do not wait for writers.
            assert (await client.search("heron")).hits
            with pytest.raises(ServiceError) as error:
                await client.create("later")
            assert refused(error.value) == ("UNAVAILABLE", "RECORD_BUSY")
        finally:
            other.execute("ROLLBACK")
            other.close()
        await client.create("at-last")


async def test_a_full_disk_refuses_writes_and_serves_reads(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        kept = await client.ready("The heron waits.")
        # SQLite's own limit on the size of the file ends a write as a full disk does.
        database = client.application.record._database
        pages = await database.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await database.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 8}").fetchone())
        with pytest.raises(ServiceError) as error:
            await client.ingest(" ".join(f"word{n}" for n in range(50_000)))
        assert refused(error.value) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
        assert (await client.search("heron")).hits
        assert await client.text(kept.document_id) == b"The heron waits."
        assert await serving(client, "record")
        await database.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
        await client.ready("Space again.")
        assert [one.state for one in await client.list()] == [pb.DOCUMENT_STATE_READY] * 2


async def test_a_chroma_server_that_is_not_there_is_named_and_nothing_else_suffers(tmp_path: Path) -> None:
    async with running(tmp_path, chromadb_host="127.0.0.1", chromadb_port=1) as client:
        await client.create()
        await client.ready("The heron waits.")
        assert (await client.search("heron", mode=pb.SEARCH_MODE_DENSE)).hits
        assert not await serving(client, "index")
        assert await serving(client, "")
