"""The best candidates of a search are read word by word, and what is kept for that goes where vectors go."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from meldrag.vector.v1 import vector_pb2 as pb
from services.vector.embedding.ports import EmbedderUnavailableError, Vectors, WordVectors
from tests.contract.vector.snapshots import exported, imported
from tests.contract.vector.world import (
    Client,
    TellingEmbedder,
    WordEmbedder,
    all_ready,
    eventually,
    running,
    walk,
)

# One finds all texts alike as wholes, and knows which of these words mean the same.
MEANINGS = {"vessels": "ship", "ships": "ship", "berth": "anchor", "anchor": "anchor"}
BREAD, SHIPS = "Bread was baked at dawn.", "Ships anchor in the bay."
QUESTION = "Where do vessels berth?"


class Telling(TellingEmbedder):
    """Finds all texts alike as wholes. `telling` holds the words of passages back until it is set."""

    def __init__(self) -> None:
        super().__init__(MEANINGS)
        self.telling = threading.Event()
        self.telling.set()

    def vector(self, text: str) -> Vectors:
        return super().vector("alike")

    def embed_passage_words(
        self, texts: Sequence[str], *, deadline: float
    ) -> tuple[Vectors, list[WordVectors]]:
        if not self.telling.wait(max(0.0, deadline - time.monotonic())):
            raise EmbedderUnavailableError("held back")
        return super().embed_passage_words(texts, deadline=deadline)


async def filled(client: Client) -> None:
    await client.create()
    await client.import_all(
        [{"external_id": "bread", "text": BREAD}, {"external_id": "ships", "text": SHIPS}]
    )
    await eventually(lambda: all_ready(client))


async def order(client: Client, mode: pb.SearchMode = pb.SEARCH_MODE_HYBRID, **fields: Any) -> list[str]:
    return [hit.external_id for hit in (await client.search(QUESTION, mode=mode, **fields)).hits]


async def first_is_found_by_words(client: Client) -> bool:
    return await order(client) == ["ships", "bread"]


def rows(folder: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "vector" / "record.sqlite3", isolation_level=None)) as record:
        return record.execute(statement).fetchall()


async def test_words_that_mean_the_same_tell_what_is_alike_as_a_whole(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        await filled(client)
        assert await order(client) == ["ships", "bread"]
        # By meaning alone the whole decides, and what came first comes first.
        assert await order(client, pb.SEARCH_MODE_DENSE) == ["bread", "ships"]
        explained = await client.search(QUESTION, top_k=1, explain=True)
        assert [hit.external_id for hit in explained.hits] == ["ships"]
        told = {one.chunk_id: one.late_interaction_score for one in (*explained.hits, *explained.dropped)}
        assert len(told) == 2
        assert told.pop(explained.hits[0].chunk_id) > 0.5 > max(told.values())
        plain = await client.search(QUESTION, mode=pb.SEARCH_MODE_DENSE)
        assert [hit.late_interaction_score for hit in plain.hits] == [0, 0]
        assert [one.external_id for one in (await client.search(QUESTION, top_k=1)).hits] == ["ships"]
        assert await walk(client) == []


async def test_a_collection_of_each_person_is_read_beside_others(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        await client.create()
        await client.create("more")
        await client.import_all([{"external_id": "bread", "text": BREAD}])
        await client.import_all([{"external_id": "ships", "text": SHIPS}], "more")
        await eventually(lambda: all_ready(client))

        async def both() -> bool:
            return await order(client, collection_ids=["books", "more"]) == ["ships", "bread"]

        await eventually(both)


async def test_what_an_older_release_embedded_is_read_so_once_it_is_caught_up_with(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        await filled(client)
    rows(tmp_path, "DELETE FROM word_codes WHERE seq = 1")
    embedder = Telling()
    embedder.telling.clear()
    async with running(tmp_path, embedder) as client:
        # Known of one of both, so of none: they would not compare.
        assert await order(client) == ["bread", "ships"]
        collection = await client.call("GetCollection", pb.GetCollectionRequest(collection_id="books"))
        assert collection.collection.vectors == 2
        embedder.telling.set()
        await eventually(lambda: first_is_found_by_words(client))
        # Of those that are there nothing is made again.
        assert embedder.passages == [BREAD]
    assert rows(tmp_path, "SELECT count(*) FROM word_codes") == [(2,)]


async def test_what_is_damaged_is_not_read(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        await filled(client)
        rows(tmp_path, "UPDATE word_codes SET codes = x'00' WHERE seq = 1")
        assert await order(client) == ["bread", "ships"]


async def test_a_model_that_does_not_tell_of_words_searches_without(tmp_path: Path) -> None:
    async with running(tmp_path, WordEmbedder()) as client:
        await filled(client)
        assert (await client.search("Ships anchor")).hits[0].external_id == "ships"
    assert rows(tmp_path, "SELECT count(*) FROM word_codes") == [(0,)]


async def test_the_same_text_again_brings_its_words_with_it(tmp_path: Path) -> None:
    embedder = Telling()
    async with running(tmp_path, embedder) as client:
        await filled(client)
        embedder.telling.clear()
        again = await client.import_all([{"external_id": "again", "text": SHIPS}])
        assert again[0].document.state == pb.DOCUMENT_STATE_READY
        assert sorted((await order(client))[:2]) == ["again", "ships"]
    assert rows(tmp_path, "SELECT count(DISTINCT codes), count(*) FROM word_codes") == [(2, 3)]


async def test_they_go_with_their_document_and_their_collection(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        await filled(client)
        (ships,) = await client.list(external_id="ships")
        await client.delete(ships.document_id)
        assert rows(tmp_path, "SELECT count(*) FROM word_codes") == [(1,)]
        await client.call("DeleteCollection", pb.DeleteCollectionRequest(collection_id="books"))
        assert rows(tmp_path, "SELECT count(*) FROM word_codes") == [(0,)]


async def test_a_snapshot_has_them(tmp_path: Path) -> None:
    async with running(tmp_path / "one", Telling()) as client:
        await filled(client)
        snapshot = await exported(client)
    embedder = Telling()
    embedder.telling.clear()
    async with running(tmp_path / "two", embedder) as client:
        await imported(client, snapshot)
        await eventually(lambda: first_is_found_by_words(client))
