"""What is damaged by hand in each store is found, named and mended; what the record lost is set aside."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from services.vector.upkeep import checking
from tests.contract.vector.world import Client, WordEmbedder, eventually, refused, running, walk

TEXTS = [
    f"Entry {number} of the register speaks of subject{number} and of nothing else." for number in range(12)
]


async def settled(client: Client) -> bool:
    keeper, queue = client.application.keeper, client.application.record.index_queue
    figures = await client.application.record.figures()
    return keeper.state.name == "READY" and await queue.pending() == 0 and figures.waiting == 0


def kinds(faults: list[pb.IndexFault]) -> set[str]:
    return {pb.IndexFaultKind.Name(fault.kind).removeprefix("INDEX_FAULT_KIND_") for fault in faults}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve documents of one passage each, all with their vectors, in a data directory at rest."""
    folder = tmp_path_factory.mktemp("house")
    async with running(folder) as client:
        await client.create()
        await client.import_all([{"external_id": str(n), "text": text} for n, text in enumerate(TEXTS)])
        await eventually(lambda: settled(client))
    return folder


@pytest.fixture
def filled(house: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(house, tmp_path / "data"))


def sql(folder: Path, *statements: str) -> None:
    """By hand, past all rules."""
    with closing(sqlite3.connect(folder / "vector" / "record.sqlite3", isolation_level=None)) as record:
        record.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            record.execute(statement)


FLIP = (
    "UPDATE {table} SET {column} = CAST(substr({column}, 1, 4) || x'5a' || substr({column}, 6) AS BLOB)"
    " WHERE {where}"
)

# Name: statements by hand, what is found, what of it cannot be mended.
DAMAGES: dict[str, tuple[list[str], set[str]]] = {
    "text flipped": (
        [FLIP.format(table="texts", column="piece", where="document_key = 4")],
        {"TEXT_DAMAGED"},
    ),
    "text removed": (["DELETE FROM texts WHERE document_key = 4"], {"TEXT_DAMAGED"}),
    "text not UTF-8": (
        ["UPDATE texts SET piece = x'ff' || substr(piece, 2) WHERE document_key = 4"],
        {"TEXT_DAMAGED"},
    ),
    "hash of the extraction changed": (
        ["UPDATE documents SET extraction_sha256 = 'aa' WHERE key = 4"],
        {"TEXT_DAMAGED"},
    ),
    "title not UTF-8": (
        ["UPDATE documents SET title = CAST(x'ff' AS TEXT) WHERE key = 4"],
        {"CHUNK_DAMAGED"},
    ),
    "passage moved": (["UPDATE chunks SET byte_start = 3 WHERE document_key = 4"], {"CHUNK_DAMAGED"}),
    "passage removed": (
        ["DELETE FROM chunks WHERE document_key = 4"],
        {"CHUNK_DAMAGED", "RECORD_ORPHAN", "LEXICAL_ORPHAN", "COUNT_WRONG"},
    ),
    "vector flipped": (
        [FLIP.format(table="vectors", column="vector", where="chunk_key = 4")],
        {"EMBEDDING_DAMAGED"},
    ),
    "vector cut": (["UPDATE vectors SET vector = x'00' WHERE chunk_key = 4"], {"EMBEDDING_DAMAGED"}),
    "vector flipped in a record of an older release": (
        [
            "UPDATE vectors SET sha256 = NULL",
            "UPDATE vectors SET vector = (SELECT vector FROM vectors WHERE chunk_key = 5)"
            " WHERE chunk_key = 4",
        ],
        {"VECTOR_STALE"},
    ),
    "vector removed": (
        ["DELETE FROM vectors WHERE chunk_key = 4"],
        {"EMBEDDING_MISSING", "COUNT_WRONG", "VECTOR_ORPHAN"},
    ),
    "counts wrong": (
        ["UPDATE documents SET vectors = 7 WHERE key = 4", "UPDATE collections SET chunks = 99"],
        {"COUNT_WRONG"},
    ),
    "words removed": (
        [
            "INSERT INTO lexical_1 (lexical_1, rowid, title, headings, body)"
            f" VALUES ('delete', 4, '', '', '{TEXTS[3]}')"
        ],
        {"LEXICAL_MISSING"},
    ),
    "words of nothing": (
        ["INSERT INTO lexical_1 (rowid, title, headings, body) VALUES (999, '', '', 'ghost')"],
        {"LEXICAL_ORPHAN"},
    ),
    "a document of nothing": (
        ["INSERT INTO lexical_documents_1 (rowid, title, body) VALUES (999, '', 'ghost')"],
        {"LEXICAL_ORPHAN"},
    ),
    "other words": (
        [
            "INSERT INTO lexical_1 (lexical_1, rowid, title, headings, body)"
            f" VALUES ('delete', 4, '', '', '{TEXTS[3]}')",
            "INSERT INTO lexical_1 (rowid, title, headings, body) VALUES (4, '', '', 'quite other words')",
        ],
        {"LEXICAL_STALE"},
    ),
    "keyword index damaged": (
        ["UPDATE lexical_1_data SET block = zeroblob(length(block)) WHERE id > 10"],
        {"LEXICAL_STALE"},
    ),
    "keyword index gone": (["DROP TABLE lexical_1"], {"LEXICAL_MISSING"}),
    "an unfinished keyword index": (
        ["CREATE VIRTUAL TABLE lexical_1_next USING fts5 (body, content='')"],
        {"RECORD_ORPHAN"},
    ),
    "a document without its row": (
        ["DELETE FROM documents WHERE key = 4"],
        {"RECORD_ORPHAN", "LEXICAL_ORPHAN", "COUNT_WRONG"},
    ),
    "an original of nothing": (["INSERT INTO originals VALUES (99, 0, 1, x'5a')"], {"RECORD_ORPHAN"}),
    "a grant of nothing": (["INSERT INTO grants VALUES (99, 'group:everyone', 2)"], {"RECORD_ORPHAN"}),
    "an evaluation of nothing": (
        [
            "INSERT INTO evaluations (key, evaluation_id, collection_key, subject, report)"
            " VALUES (7, 'e', 99, '', x'')",
            "INSERT INTO evaluated_queries VALUES (7, 0, x'')",
        ],
        {"RECORD_ORPHAN"},
    ),
    "words of no vector": (["INSERT INTO word_codes VALUES (99, x'00')"], {"RECORD_ORPHAN"}),
    "an evaluated query of nothing": (
        ["INSERT INTO evaluated_queries VALUES (7, 0, x'')"],
        {"RECORD_ORPHAN"},
    ),
}
LOST = ("text", "hash", "passage", "title")


@pytest.mark.parametrize("name", DAMAGES)
async def test_damage_of_the_record_is_found_and_mended(filled: Path, name: str) -> None:
    statements, expected = DAMAGES[name]
    async with running(filled) as client:
        assert await walk(client, every_tenant=True) == []
        sql(filled, *statements)
        found = await walk(client, every_tenant=True)
        assert kinds(found) == expected
        assert not any(fault.mended for fault in found)
        dry = await walk(client, "RepairIndex", every_tenant=True, dry_run=True)
        assert kinds(dry) == expected
        done = await walk(client, "RepairIndex", every_tenant=True)
        assert expected >= kinds(done)
        assert all(fault.mended for fault in done)
        await eventually(lambda: settled(client))
        assert await walk(client, "RepairIndex", every_tenant=True) == []
        assert await walk(client, every_tenant=True) == []
        for number in (0, 3, 11):
            hits = (await client.search(f"subject{number}", mode=pb.SEARCH_MODE_LEXICAL)).hits
            lost = number == 3 and (name.startswith(LOST) or name == "a document without its row")
            assert [hit.external_id for hit in hits] == ([] if lost else [str(number)])
            near = (await client.search(TEXTS[number], mode=pb.SEARCH_MODE_DENSE, top_k=1)).hits
            assert (near[0].external_id == str(number)) is not lost
        if name.startswith(LOST):
            (aside,) = await client.list(states=[pb.DOCUMENT_STATE_FAILED])
            assert (aside.external_id, aside.error.reason) == ("3", "DOCUMENT_DAMAGED")
            # The original takes its place.
            await client.import_all([{"external_id": "3", "text": TEXTS[3]}])
            await eventually(lambda: settled(client))
            assert [one.external_id for one in await client.list(states=[pb.DOCUMENT_STATE_FAILED])] == []
            assert (await client.search("subject3")).hits[0].external_id == "3"
            assert await walk(client, every_tenant=True) == []


async def test_a_damaged_document_can_be_deleted_and_the_receipt_converges_by_a_repair(filled: Path) -> None:
    async with running(filled) as client:
        sql(filled, *DAMAGES["text not UTF-8"][0])
        (document,) = [one for one in await client.list() if one.external_id == "3"]
        request = pb.DeleteDocumentRequest(collection_id="books", document_id=document.document_id)
        receipt = (await client.call("DeleteDocument", request, seconds=2)).receipt
        # Words that are not known any more cannot be taken out one by one.
        assert (receipt.state, receipt.lexical_entries) == (pb.DELETION_STATE_PENDING, 1)
        assert (receipt.record_documents, receipt.record_chunks) == (0, 0)
        assert (await client.search("subject3", mode=pb.SEARCH_MODE_LEXICAL)).hits == []
        assert kinds(await walk(client, "RepairIndex")) == {"LEXICAL_ORPHAN"}
        asked = pb.GetDeletionRequest(tombstone_id=receipt.tombstone_id)
        after = (await client.call("GetDeletion", asked)).receipt
        assert (after.state, after.lexical_entries) == (pb.DELETION_STATE_COMPLETE, 0)
        assert await walk(client) == []


def _remove(index: Any, folder: Path) -> None:
    index.remove(1, [4, 5])


def _strange(index: Any, folder: Path) -> None:
    embedder = WordEmbedder()
    index.add(1, [900, 901], embedder.embed_queries(["ghost", "spirit"], deadline=0))


def _other(index: Any, folder: Path) -> None:
    index.add(1, [4], WordEmbedder().embed_queries(["something else"], deadline=0))


def _collection(index: Any, folder: Path) -> None:
    index.add(77, [4], WordEmbedder().embed_queries(["ghost"], deadline=0))


def _empty(index: Any, folder: Path) -> None:
    index.drop(1)


def _files(index: Any, folder: Path) -> None:
    (folder / "vector" / "spool" / "left").write_bytes(b"ghost")
    (folder / "vector" / "chroma" / "g000000").mkdir()


INDEX_DAMAGES: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "entries removed": (_remove, "VECTOR_MISSING"),
    "entries of nothing": (_strange, "VECTOR_ORPHAN"),
    "another vector": (_other, "VECTOR_STALE"),
    "a collection of nothing": (_collection, "VECTOR_ORPHAN"),
    "a collection dropped": (_empty, "VECTOR_MISSING"),
    "files of nothing": (_files, "FILE_ORPHAN"),
}


@pytest.mark.parametrize("name", INDEX_DAMAGES)
async def test_damage_of_the_vector_index_and_of_files_is_found_and_mended(filled: Path, name: str) -> None:
    damage, expected = INDEX_DAMAGES[name]
    async with running(filled) as client:
        await eventually(lambda: settled(client))
        damage(client.application.keeper._index, filled)
        assert kinds(await walk(client, every_tenant=True)) == {expected}
        done = await walk(client, "RepairIndex", every_tenant=True)
        assert (kinds(done), all(fault.mended for fault in done)) == ({expected}, True)
        await eventually(lambda: settled(client))
        assert await walk(client, every_tenant=True) == []
        index = client.application.keeper._index
        assert sorted(index.keys(1)) == list(range(1, 13))
        assert index.collection_keys() == [1]


@pytest.fixture
async def two(client: Client) -> Client:
    other = client.of("other")
    await other.create("theirs")
    await other.import_all([{"text": "A text of theirs."}], "theirs")
    await client.import_all([{"text": "A text of ours."}])
    await eventually(lambda: settled(client))
    return client


async def test_a_tenant_sees_its_own_and_the_house_sees_all(two: Client, tmp_path: Path) -> None:
    sql(tmp_path, "UPDATE texts SET piece = zeroblob(length(piece))")
    (own,) = [fault for fault in await walk(two) if fault.kind == pb.INDEX_FAULT_KIND_TEXT_DAMAGED]
    assert (own.collection_id, own.tenant_id) == ("books", "")
    (one,) = [
        fault
        for fault in await walk(two.of("other"), collection_id="theirs")
        if fault.kind == pb.INDEX_FAULT_KIND_TEXT_DAMAGED
    ]
    assert one.collection_id == "theirs"
    damaged = [
        fault
        for fault in await walk(two, every_tenant=True)
        if fault.kind == pb.INDEX_FAULT_KIND_TEXT_DAMAGED
    ]
    assert {(fault.collection_id, fault.tenant_id) for fault in damaged} == {
        ("books", two.tenant),
        ("theirs", "other"),
    }
    # A tenant's repair leaves the other's documents alone.
    await walk(two, "RepairIndex")
    assert [one.state for one in await two.list()] == [pb.DOCUMENT_STATE_FAILED]
    assert [one.state for one in await two.of("other").list("theirs")] == [pb.DOCUMENT_STATE_READY]


@pytest.mark.parametrize("method", ["CheckIndex", "RepairIndex"])
async def test_a_walk_goes_on_for_who_began_it_alone(
    two: Client, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A page of no time has no step, and the one behind it begins where it did.
    monkeypatch.setattr(checking, "_PAGE_SECONDS", 0.0)
    request = getattr(pb, f"{method}Request")
    token = (await two.call(method, request())).next_page_token
    assert token
    with pytest.raises(ServiceError) as error:
        await two.of("other").call(method, request(page_token=token))
    assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
    monkeypatch.undo()
    assert not (await two.call(method, request(page_token=token))).next_page_token


async def test_what_cannot_be_asked_is_refused(two: Client) -> None:
    with pytest.raises(ServiceError) as error:
        await two.call("CheckIndex", pb.CheckIndexRequest(collection_id="theirs"))
    assert error.value.reason == "COLLECTION_NOT_FOUND"
    with pytest.raises(ServiceError) as error:
        await two.call("CheckIndex", pb.CheckIndexRequest(collection_id="books", every_tenant=True))
    assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    with pytest.raises(ServiceError) as error:
        await two.call("RepairIndex", pb.RepairIndexRequest(page_token="bm9uZQ=="))
    assert error.value.reason == "INVALID_PAGE_TOKEN"
    with pytest.raises(ServiceError) as error:
        await two.of("other").call("GetDeletion", pb.GetDeletionRequest(tombstone_id="0" * 32))
    assert refused(error.value) == ("NOT_FOUND", "DELETION_NOT_FOUND")
