"""Deletes while something fails: the text is never found again, the receipt converges, and a check finds
nothing.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from services.vector.index.folder import EmbeddedStore
from services.vector.index.keeper import IndexUnavailableError
from tests.contract.vector.processes import process
from tests.contract.vector.test_upkeep import kinds, settled
from tests.contract.vector.world import Client, eventually, running, walk
from tests.support.redis_server import free_port

KEPT = [f"Kept text number {number} about topic{number}." for number in range(12)]
GONE = "\n\n".join(f"Part {number} speaks of zebras and of stripes{number}. " * 6 for number in range(20))
SETTINGS = {"meld_index_sync_threshold": 4, "meld_exact_search_limit": 8}


async def fill(client: Client) -> pb.Document:
    """Twelve documents that stay and one, of several passages, that will go; all in the index."""
    await client.create()
    await client.import_all([{"external_id": str(n), "text": text} for n, text in enumerate(KEPT)])
    document = await client.ready(GONE)
    assert document.chunks > 3
    await eventually(lambda: settled(client))
    return document


async def finds(client: Client) -> bool:
    """Whether the text comes back from any search, or can be read or cited."""
    for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID):
        try:
            found = await client.search("zebras and stripes7", mode=mode, top_k=50)
        except ServiceError as error:
            # Vectors alone cannot answer without their index.
            if (mode, error.reason) != (pb.SEARCH_MODE_DENSE, "INDEX_UNAVAILABLE"):
                raise
            continue
        if any("zebras" in hit.text for hit in found.hits):
            return True
    return False


def deletion(document: pb.Document, request_id: str = "d") -> pb.DeleteDocumentRequest:
    return pb.DeleteDocumentRequest(
        collection_id="books", document_id=document.document_id, request_id=request_id
    )


def nothing_left(receipt: pb.DeletionReceipt) -> bool:
    return receipt.state == pb.DELETION_STATE_COMPLETE and not (
        receipt.record_documents
        or receipt.record_chunks
        or receipt.lexical_entries
        or receipt.vector_entries
        or receipt.files
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "gone"),
    [
        ("vector.before_record_delete", False),
        ("vector.after_record_delete", True),
        ("vector.before_index_remove", True),
        ("vector.after_index_remove", True),
    ],
)
@pytest.mark.parametrize("whole", [False, True], ids=["document", "collection"])
async def test_a_kill_in_the_middle_of_a_delete(tmp_path: Path, place: str, gone: bool, whole: bool) -> None:
    async with running(tmp_path, **SETTINGS) as client:
        document = await fill(client)
        await client.create("others")
        await client.import_all([{"text": "A text of others."}], "others")
        await eventually(lambda: settled(client))
    method, request = "DeleteDocument", deletion(document)
    if whole:
        method = "DeleteCollection"
        request = pb.DeleteCollectionRequest(collection_id="books", request_id="d")
    async with process(tmp_path, MELD_CRASH_AT=place, MELD_INDEX_SYNC_THRESHOLD="4") as second:
        await eventually(lambda: second.serving("index"), 60)
        with pytest.raises(ServiceError):
            await second.client.call(method, request)
        assert await second.died() == -9
    async with running(tmp_path, **SETTINGS) as client:
        if gone and not whole:
            assert not await finds(client)
        # The caller heard nothing, and asks again.
        receipt = (await client.call(method, request)).receipt
        asked = pb.GetDeletionRequest(tombstone_id=receipt.tombstone_id)

        async def converged() -> bool:
            return nothing_left((await client.call("GetDeletion", asked)).receipt)

        await eventually(converged, 60)
        assert receipt.deleted_documents == (13 if whole else 1)
        if whole:
            with pytest.raises(ServiceError) as error:
                await finds(client)
            assert error.value.reason == "COLLECTION_NOT_FOUND"
        else:
            assert not await finds(client)
            near = await client.search(KEPT[7], mode=pb.SEARCH_MODE_DENSE, top_k=1)
            assert near.hits[0].external_id == "7"
        await eventually(lambda: settled(client), 60)
        assert await walk(client, every_tenant=True) == []


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_a_repair_leaves_what_can_be_repaired(tmp_path: Path) -> None:
    async with running(tmp_path, **SETTINGS) as client:
        document = await fill(client)
        await client.application.record._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE texts SET piece = zeroblob(length(piece)) WHERE document_key ="
                    " (SELECT key FROM documents WHERE document_id = ?)",
                    (document.document_id,),
                ).rowcount
            )
        )
    async with process(
        tmp_path, MELD_CRASH_AT="vector.lexicon_step", MELD_INDEX_SYNC_THRESHOLD="4"
    ) as second:
        await eventually(lambda: second.serving("index"), 60)
        with pytest.raises(ServiceError):
            await walk(second.client, "RepairIndex", every_tenant=True)
        assert await second.died() == -9
    async with running(tmp_path, **SETTINGS) as client:
        await eventually(lambda: settled(client), 60)
        # Words answer as before, from the index that was to be replaced.
        found = await client.search("topic7", mode=pb.SEARCH_MODE_LEXICAL)
        assert [hit.external_id for hit in found.hits] == ["7"]
        assert not await finds(client)
        left = await walk(client, "RepairIndex", every_tenant=True)
        assert kinds(left) == {"LEXICAL_ORPHAN"}
        assert await walk(client, every_tenant=True) == []


async def test_writers_beside_a_keyword_index_that_is_made_anew_are_in_it(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        document = await fill(client)
        victims = [one for one in await client.list(page_size=100) if one.external_id in ("0", "11")]

        async def write() -> None:
            for number in range(10):
                await client.import_all([{"text": f"Written beside about beside{number}."}])
            for one in (*victims, document):
                await client.delete(one.document_id)

        mending = client.application.record.mending
        await asyncio.gather(write(), *(mending.rebuild_lexicon(1) for _ in range(1)))
        await eventually(lambda: settled(client))
        assert await walk(client, every_tenant=True) == []
        assert (await client.search("beside9", mode=pb.SEARCH_MODE_LEXICAL)).hits
        assert not await finds(client)


class _Refusing:
    """An index that refuses to remove."""

    def __init__(self, index: object) -> None:
        self._inner = index

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def remove(self, *arguments: object) -> None:
        raise RuntimeError("compaction failed")


async def test_an_index_that_refuses_a_delete_is_made_again_without_it(tmp_path: Path) -> None:
    async with running(tmp_path, **SETTINGS) as client:
        document = await fill(client)
        client.application.keeper._index = _Refusing(client.application.keeper._index)  # type: ignore[assignment]
        receipt = (await client.call("DeleteDocument", deletion(document))).receipt
        assert not await finds(client)
        asked = pb.GetDeletionRequest(tombstone_id=receipt.tombstone_id)
        await eventually(lambda: settled(client))
        assert nothing_left((await client.call("GetDeletion", asked)).receipt)
        assert await walk(client, every_tenant=True) == []
        assert not await finds(client)


class _Deaf:
    """An index that says it removed and did not."""

    def __init__(self, index: object) -> None:
        self._inner = index
        self.deaf = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def remove(self, *arguments: object) -> None:
        if not self.deaf:
            self._inner.remove(*arguments)  # type: ignore[attr-defined]


async def test_a_receipt_believes_the_index_itself_and_not_its_word(tmp_path: Path) -> None:
    async with running(tmp_path, **SETTINGS) as client:
        document = await fill(client)
        deaf = _Deaf(client.application.keeper._index)
        client.application.keeper._index = deaf  # type: ignore[assignment]
        receipt = (await client.call("DeleteDocument", deletion(document), seconds=2)).receipt
        assert (receipt.state, receipt.vector_entries) == (pb.DELETION_STATE_PENDING, document.chunks)
        assert not await finds(client)
        deaf.deaf = False
        asked = pb.GetDeletionRequest(tombstone_id=receipt.tombstone_id)

        async def converged() -> bool:
            client.application.keeper.wake()
            return nothing_left((await client.call("GetDeletion", asked)).receipt)

        await eventually(converged)
        assert await walk(client, every_tenant=True) == []


async def test_a_receipt_proves_nothing_while_the_index_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> list[int]:
        raise IndexUnavailableError("it does not answer")

    async with running(tmp_path, **SETTINGS) as client:
        document = await fill(client)
        with monkeypatch.context() as patch:
            patch.setattr(client.application.keeper, "present", silent)
            receipt = (await client.call("DeleteDocument", deletion(document), seconds=2)).receipt
            assert (receipt.state, receipt.vector_entries) == (pb.DELETION_STATE_PENDING, 0)
            assert not await finds(client)
        asked = pb.GetDeletionRequest(tombstone_id=receipt.tombstone_id)
        assert nothing_left((await client.call("GetDeletion", asked)).receipt)


async def test_a_delete_right_after_a_start_waits_for_the_index_to_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, **SETTINGS) as client:
        document = await fill(client)
    probe, opened = EmbeddedStore.probe, asyncio.Event()

    async def slow(*arguments: Any) -> None:
        await asyncio.wait_for(opened.wait(), 60)
        await probe(*arguments)

    monkeypatch.setattr(EmbeddedStore, "probe", slow)
    async with running(tmp_path, **SETTINGS) as client:
        deleting = asyncio.create_task(client.call("DeleteDocument", deletion(document), seconds=60))
        # Longer than it would wait for an index that is made anew.
        await asyncio.sleep(3)
        assert not deleting.done()
        opened.set()
        assert nothing_left((await deleting).receipt)


async def server(port: int, folder: Path) -> asyncio.subprocess.Process:
    """A real Chroma server that listens."""
    child = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("chroma")),
        *("run", "--host", "127.0.0.1", "--port", str(port), "--path", str(folder)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await eventually(listens)
    return child


async def test_a_delete_while_chroma_is_stopped_is_pending_and_converges(tmp_path: Path) -> None:
    port = free_port()
    chroma = await server(port, tmp_path / "server")
    try:
        settings = {"chromadb_host": "127.0.0.1", "chromadb_port": port, "meld_exact_search_limit": 4}
        async with running(tmp_path / "data", **settings) as client:
            document = await fill(client)
            chroma.kill()
            await chroma.wait()
            receipt = (await client.call("DeleteDocument", deletion(document), seconds=6)).receipt
            assert (receipt.state, receipt.vector_entries) == (pb.DELETION_STATE_PENDING, document.chunks)
            assert (receipt.record_documents, receipt.lexical_entries) == (0, 0)
            assert not await finds(client)
            found = await walk(client, every_tenant=True)
            assert kinds(found) == {"DELETION_PENDING", "VECTOR_UNAVAILABLE"}
            chroma = await server(port, tmp_path / "server")

            async def converged() -> bool:
                client.application.keeper.wake()
                again = await client.call("DeleteDocument", deletion(document), seconds=6)
                return nothing_left(again.receipt)

            await eventually(converged, 90)
            await eventually(lambda: settled(client), 60)
            assert not await finds(client)
            assert await walk(client, every_tenant=True) == []
            near = await client.search(KEPT[7], mode=pb.SEARCH_MODE_DENSE, top_k=1)
            assert near.hits[0].external_id == "7"
    finally:
        if chroma.returncode is None:
            chroma.kill()
        await chroma.wait()
