"""Another embedding model for a collection: built beside, switched at once, and the way back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import Client, WordEmbedder, all_ready, eventually, refused, running, walk

TEXTS = [f"The {bird} number {number} waits in reeds{number}." for number, bird in enumerate(["heron"] * 30)]
NEW = ("other", 32)


async def reembed(client: Client, collection_id: str = "books", **fields: Any) -> list[Any]:
    request = pb.ReembedCollectionRequest(collection_id=collection_id, **fields)
    return await client.stream("ReembedCollection", request)


async def collection(client: Client, collection_id: str = "books") -> pb.Collection:
    request = pb.GetCollectionRequest(collection_id=collection_id)
    return (await client.call("GetCollection", request)).collection


async def change(client: Client, method: str) -> pb.Collection:
    request = getattr(pb, f"{method}Request")(collection_id="books")
    return (await client.call(method, request)).collection


async def ids(client: Client) -> list[str]:
    """Of committed documents."""
    states = [pb.DOCUMENT_STATE_EMBEDDING, pb.DOCUMENT_STATE_READY]
    return [one.document_id for one in await client.list(page_size=1000, states=states)]


async def fill(client: Client) -> None:
    await client.create()
    await client.import_all([{"text": text} for text in TEXTS])
    await eventually(lambda: all_ready(client))


async def index_empty(client: Client) -> bool:
    return await client.application.record.index_queue.pending() == 0


async def best(client: Client, text: str) -> pb.SearchResponse:
    return await client.search(text, mode=pb.SEARCH_MODE_DENSE, top_k=1)


def rows(folder: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "vector" / "record.sqlite3")) as record:
        return record.execute(statement).fetchall()


@pytest.fixture
def new() -> Iterator[WordEmbedder]:
    """The model to go over to; it is the configured one, and the old one is there as well."""
    model = WordEmbedder(*NEW)
    yield model
    model.gate.set()


@pytest.fixture
def old() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
async def client(tmp_path: Path, old: WordEmbedder, new: WordEmbedder) -> AsyncIterator[Client]:
    """Thirty documents with vectors of the old model, in a service that is set to the new one."""
    async with running(tmp_path, old) as before:
        await fill(before)
    async with running(tmp_path, new, others=[old]) as after:
        yield after


async def test_the_old_vectors_answer_until_the_new_ones_are_whole(
    client: Client, old: WordEmbedder, new: WordEmbedder
) -> None:
    new.gate.clear()
    watching = asyncio.create_task(reembed(client))

    async def under_way() -> bool:
        return (await collection(client)).HasField("reembedding")

    await eventually(under_way)
    shown = await collection(client)
    assert (shown.embedding_model, shown.dimension, shown.vectors) == ("words", 64, 30)
    assert shown.embedding_notice == ""
    building = shown.reembedding
    assert (building.embedding_model, building.dimension) == NEW
    assert (building.stage, building.chunks, building.vectors) == (pb.REEMBED_STAGE_EMBEDDING, 30, 0)
    # What comes and goes meanwhile.
    (gone,) = (await client.search("reeds3", mode=pb.SEARCH_MODE_LEXICAL)).hits
    assert (await client.delete(gone.document_id)).state == pb.DELETION_STATE_COMPLETE
    came = await client.ready("A kingfisher dives.")
    assert came.vectors == came.chunks == 1
    hit = (await best(client, TEXTS[5])).hits[0]
    assert hit.text == TEXTS[5]
    assert hit.vector_score == pytest.approx(float(old.vector(TEXTS[5]) @ old.vector(TEXTS[5])), abs=1e-4)
    new.gate.set()
    steps = await watching
    last = steps[-1]
    assert last.reembedding.stage == pb.REEMBED_STAGE_DONE
    assert (last.collection.embedding_model, last.collection.dimension) == NEW
    assert last.collection.vectors == last.collection.chunks == 30
    assert [one.reembedding.vectors for one in steps] == sorted(one.reembedding.vectors for one in steps)
    assert (await best(client, TEXTS[5])).hits[0].text == TEXTS[5]
    assert (await best(client, "A kingfisher dives.")).hits[0].document_id == came.document_id
    assert gone.document_id not in {hit.document_id for hit in (await client.search("heron", top_k=99)).hits}
    # Nothing was left out of it, and nothing was embedded twice.
    assert len(new.passages) == len(set(new.passages)) == 31
    assert {*TEXTS, "a.txt\nA kingfisher dives."} == set(new.passages)
    assert await walk(client, every_tenant=True) == []


async def test_a_question_is_asked_with_the_model_that_made_the_vectors(
    client: Client, old: WordEmbedder, new: WordEmbedder
) -> None:
    asked: list[tuple[str, str]] = []
    for model in (old, new):
        plain = model.embed_queries

        def recorded(texts: Any, *, deadline: float, plain: Any = plain, name: str = model.model) -> Any:
            asked.extend((name, text) for text in texts)
            return plain(texts, deadline=deadline)

        model.embed_queries = recorded  # type: ignore[method-assign]
    await best(client, "heron")
    assert asked == [("words", "heron")]
    await reembed(client)
    asked.clear()
    await best(client, "heron")
    assert asked == [("other", "heron")]


async def test_collections_with_two_models_are_searched_together(client: Client) -> None:
    await client.create("new")
    await client.ready("A kingfisher dives for fish.", collection_id="new")
    for mode in (pb.SEARCH_MODE_HYBRID, pb.SEARCH_MODE_DENSE):
        both = {"collection_ids": ["books", "new"], "mode": mode, "top_k": 5}
        found = await client.search("A kingfisher dives for fish.", **both)
        assert (found.mode, found.degraded_reason) == (mode, "")
        assert found.hits[0].collection_id == "new"
        found = await client.search(TEXTS[7], **both)
        assert TEXTS[7] in [hit.text for hit in found.hits[:2]]
        # The cosines that are told are those of the model of each.
        assert all(-1.0 <= hit.vector_score <= 1.0001 for hit in found.hits)


async def test_the_way_back_honours_what_came_and_went(client: Client) -> None:
    await reembed(client)
    first, second = (await ids(client))[:2]
    await client.delete(first)
    receipt = await client.delete(second)
    assert (receipt.state, receipt.vector_entries) == (pb.DELETION_STATE_COMPLETE, 0)
    came = await client.ready("A kingfisher dives.")
    kept = (await collection(client)).previous_embedding
    assert (kept.embedding_model, kept.vectors) == ("words", 28)
    await change(client, "RevertReembed")

    async def back() -> bool:
        shown = await collection(client)
        return shown.embedding_model == "words" and not shown.HasField("reembedding")

    await eventually(back)
    shown = await collection(client)
    assert (shown.dimension, shown.chunks, shown.vectors) == (64, 29, 29)
    assert shown.previous_embedding.embedding_model == "other"
    assert (await best(client, "A kingfisher dives.")).hits[0].document_id == came.document_id
    assert {first, second}.isdisjoint(await ids(client))
    assert await walk(client, every_tenant=True) == []
    # And forward again, from what is kept.
    steps = await reembed(client)
    assert steps[-1].collection.embedding_model == "other"
    assert (await best(client, "A kingfisher dives.")).hits[0].document_id == came.document_id


async def test_a_way_back_with_nothing_to_build_is_there_at_once(client: Client) -> None:
    await reembed(client)
    assert (await change(client, "RevertReembed")).embedding_model == "words"
    assert (await best(client, TEXTS[2])).hits[0].text == TEXTS[2]


async def test_a_build_that_is_given_up_leaves_nothing(
    client: Client, tmp_path: Path, new: WordEmbedder
) -> None:
    new.gate.clear()
    watching = asyncio.create_task(reembed(client))

    async def under_way() -> bool:
        return (await collection(client)).HasField("reembedding")

    await eventually(under_way)
    with pytest.raises(ServiceError) as error:
        await reembed(client, embedding_model="words")
    assert refused(error.value) == ("ABORTED", "REEMBED_RUNNING")
    shown = await change(client, "CancelReembed")
    assert not shown.HasField("reembedding")
    with pytest.raises(ServiceError) as error:
        await watching
    assert refused(error.value) == ("ABORTED", "REEMBED_CANCELLED")
    new.gate.set()
    await eventually(lambda: cleared(tmp_path))
    await eventually(lambda: index_empty(client))
    assert (await collection(client)).embedding_model == "words"
    assert (await best(client, TEXTS[2])).hits[0].text == TEXTS[2]
    assert await walk(client, every_tenant=True) == []
    # Nothing to give up is no fault.
    assert not (await change(client, "CancelReembed")).HasField("reembedding")


async def cleared(folder: Path) -> bool:
    (count,) = rows(folder, "SELECT count(*) FROM generations WHERE state <> 1")[0]
    return bool(count == 0)


async def test_the_vectors_before_are_forgotten_when_somebody_says_so(client: Client, tmp_path: Path) -> None:
    await reembed(client)
    assert (await collection(client)).HasField("previous_embedding")
    assert not (await change(client, "FinishReembed")).HasField("previous_embedding")
    await eventually(lambda: cleared(tmp_path))
    assert rows(tmp_path, "SELECT DISTINCT length(vector) FROM vectors") == [(4 * NEW[1],)]
    await eventually(lambda: index_empty(client))
    # The index has one collection, that of the new vectors.
    (key,) = rows(tmp_path, "SELECT key FROM generations")[0]
    assert await client.application.keeper.collection_keys() == [key]
    with pytest.raises(ServiceError) as error:
        await change(client, "RevertReembed")
    assert refused(error.value) == ("FAILED_PRECONDITION", "REEMBED_NOTHING_KEPT")
    assert await walk(client, every_tenant=True) == []


async def test_a_repeat_has_nothing_to_do(client: Client, new: WordEmbedder) -> None:
    await reembed(client)
    made = len(new.passages)
    steps = await reembed(client)
    assert [one.reembedding.stage for one in steps] == [pb.REEMBED_STAGE_DONE]
    assert len(new.passages) == made


async def test_a_caller_who_leaves_does_not_stop_it(client: Client, new: WordEmbedder) -> None:
    new.gate.clear()
    request = pb.ReembedCollectionRequest(collection_id="books")
    call = client.stub.ReembedCollection(request, timeout=30, metadata=client.metadata)
    assert (await call.read()).reembedding.stage == pb.REEMBED_STAGE_EMBEDDING
    call.cancel()
    new.gate.set()

    async def done() -> bool:
        return (await collection(client)).embedding_model == "other"

    await eventually(done)


async def test_how_long_the_vectors_before_are_kept(client: Client, tmp_path: Path) -> None:
    for keep in (Duration(seconds=-1), Duration(seconds=31_536_001)):
        with pytest.raises(ServiceError) as error:
            await reembed(client, keep_previous=keep)
        assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    await reembed(client, keep_previous=Duration(seconds=3600))
    shown = await collection(client)
    left = shown.previous_embedding.expire_time.ToMilliseconds() / 1000
    assert 3_000 < left - shown.create_time.ToMilliseconds() / 1000 < 4_200
    # The time comes.
    database = client.application.record._database
    await database.write(lambda c: c.execute("UPDATE generations SET expire_time = 1 WHERE state = 3"))
    client.application.building.wake()
    await eventually(lambda: cleared(tmp_path))


async def test_who_may_not_and_what_cannot(client: Client, new: WordEmbedder) -> None:
    guest = client.person("anna")
    with pytest.raises(ServiceError) as error:
        await reembed(guest)
    assert refused(error.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    grants = [pb.Grant(subject="anna", role=pb.COLLECTION_ROLE_WRITER)]
    await client.call(
        "SetCollectionAccess", pb.SetCollectionAccessRequest(collection_id="books", grants=grants)
    )
    for attempt in (
        reembed(guest),
        change(guest, "CancelReembed"),
        change(guest, "RevertReembed"),
        change(guest, "FinishReembed"),
    ):
        with pytest.raises(ServiceError) as error:
            await attempt
        assert refused(error.value) == ("PERMISSION_DENIED", "COLLECTION_ACCESS_DENIED")
    with pytest.raises(ServiceError) as error:
        await reembed(client, embedding_model="unheard-of")
    assert refused(error.value) == ("FAILED_PRECONDITION", "EMBEDDING_MODEL_UNUSABLE")
    assert "other, words" in error.value.message
    new.down = True
    with pytest.raises(ServiceError) as error:
        await reembed(client)
    assert refused(error.value) == ("UNAVAILABLE", "EMBEDDER_UNAVAILABLE")
    assert not (await collection(client)).HasField("reembedding")


async def test_a_collection_whose_model_is_gone_says_so_takes_words_and_gets_another(
    tmp_path: Path, old: WordEmbedder, new: WordEmbedder
) -> None:
    async with running(tmp_path, old) as client:
        await fill(client)
    async with running(tmp_path, new) as client:
        notice = (await collection(client)).embedding_notice
        assert "holds vectors of words (64 dimensions)" in notice
        assert "set to other (32 dimensions)" in notice
        assert "reembed" in notice
        found = await client.search("reeds4")
        assert [hit.text for hit in found.hits] == [TEXTS[4]]
        assert (found.mode, found.degraded_reason) == (pb.SEARCH_MODE_LEXICAL, "EMBEDDING_MISMATCH")
        with pytest.raises(ServiceError) as error:
            await client.ingest("More.")
        assert refused(error.value) == ("FAILED_PRECONDITION", "EMBEDDING_MISMATCH")
        new.gate.clear()
        watching = asyncio.create_task(reembed(client))

        async def under_way() -> bool:
            return (await collection(client)).HasField("reembedding")

        await eventually(under_way)
        # What is being built takes it.
        came = (await client.ingest("A kingfisher dives."))[-1].document
        new.gate.set()
        assert (await watching)[-1].collection.embedding_notice == ""
        await eventually(lambda: all_ready(client))
        assert (await best(client, "A kingfisher dives.")).hits[0].document_id == came.document_id
        assert await walk(client, every_tenant=True) == []


async def test_nothing_goes_back_to_a_model_that_is_gone(
    tmp_path: Path, old: WordEmbedder, new: WordEmbedder
) -> None:
    async with running(tmp_path, old) as client:
        await fill(client)
    async with running(tmp_path, new) as client:
        await reembed(client)
        with pytest.raises(ServiceError) as error:
            await client.call("RevertReembed", pb.RevertReembedRequest(collection_id="books"))
        assert refused(error.value) == ("FAILED_PRECONDITION", "EMBEDDING_MODEL_UNUSABLE")
        assert "words" in error.value.message
        assert (await collection(client)).embedding_notice == ""
        assert (await best(client, TEXTS[4])).hits[0].text == TEXTS[4]


async def test_other_files_of_the_same_model_are_another_model(tmp_path: Path) -> None:
    async with running(tmp_path, WordEmbedder(revision="one")) as client:
        await fill(client)
        assert (await collection(client)).embedding_revision == "one"
    async with running(tmp_path, WordEmbedder(revision="two")) as client:
        shown = await collection(client)
        assert "revision one" in shown.embedding_notice
        assert "revision two" in shown.embedding_notice
        found = await client.search("reeds4")
        assert (found.mode, found.degraded_reason) == (pb.SEARCH_MODE_LEXICAL, "EMBEDDING_MISMATCH")
        with pytest.raises(ServiceError) as error:
            await best(client, "heron")
        assert refused(error.value) == ("FAILED_PRECONDITION", "EMBEDDING_MISMATCH")
        done = (await reembed(client))[-1].collection
        assert (done.embedding_revision, done.embedding_notice) == ("two", "")
        assert (await best(client, TEXTS[4])).hits[0].text == TEXTS[4]


async def test_passages_that_the_new_model_refuses_are_told_and_do_not_switch(tmp_path: Path) -> None:
    old, new = WordEmbedder(), WordEmbedder(*NEW)
    async with running(tmp_path, old) as client:
        await fill(client)
    new.refused = {TEXTS[9]}
    async with running(tmp_path, new, others=[old]) as client:
        request = pb.ReembedCollectionRequest(collection_id="books")
        call = client.stub.ReembedCollection(request, timeout=30, metadata=client.metadata)
        async for step in call:
            if step.reembedding.stage == pb.REEMBED_STAGE_STALLED:
                break
        assert (step.reembedding.vectors, step.reembedding.refused_chunks) == (29, 1)
        call.cancel()
        assert (await collection(client)).embedding_model == "words"
        # Without that document it is whole.
        found = await client.search("reeds9", mode=pb.SEARCH_MODE_LEXICAL)
        await client.delete(found.hits[0].document_id)

        async def done() -> bool:
            return (await collection(client)).embedding_model == "other"

        await eventually(done)


async def test_a_deleted_collection_leaves_none_of_its_generations(
    client: Client, tmp_path: Path, new: WordEmbedder
) -> None:
    await reembed(client)
    new.gate.clear()
    await client.ingest("A kingfisher dives.")
    request = pb.DeleteCollectionRequest(collection_id="books")
    receipt = (await client.call("DeleteCollection", request)).receipt
    assert (receipt.state, receipt.vector_entries, receipt.deleted_chunks) == (
        pb.DELETION_STATE_COMPLETE,
        0,
        31,
    )
    for table in ("generations", "vectors", "embedding_queue", "index_additions", "index_drops"):
        assert rows(tmp_path, f"SELECT count(*) FROM {table}") == [(0,)]
    assert await client.application.keeper.collection_keys() == []
    assert await walk(client, every_tenant=True) == []


async def test_the_index_answers_after_the_switch_as_before(tmp_path: Path) -> None:
    """Above the limit of exact search it is the vector index that proposes."""
    old, new = WordEmbedder(), WordEmbedder(*NEW)
    async with running(tmp_path, new, others=[old], meld_exact_search_limit=0) as client:
        await client.create()
        await client.import_all([{"text": text} for text in TEXTS])
        await reembed(client, embedding_model="words")
        assert (await collection(client)).embedding_model == "words"
        for number in (0, 11, 29):
            assert (await best(client, TEXTS[number])).hits[0].text == TEXTS[number]
        assert await walk(client, every_tenant=True) == []


async def test_what_a_check_finds_in_either_generation_is_mended(client: Client, new: WordEmbedder) -> None:
    await reembed(client)
    await eventually(lambda: index_empty(client))
    database = client.application.record._database

    def harm(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE vectors SET vector = zeroblob(length(vector)) WHERE chunk_key = 4")
        # A dead build: a row that says so, and passages that nobody queued; and vectors of no generation.
        connection.execute(
            "INSERT INTO generations (collection_key, state, embedding_model, dimension, revision,"
            " create_time) VALUES (1, 2, 'words', 64, '', 0)"
        )

    await database.write(harm)
    found = await walk(client, every_tenant=True)
    assert {one.kind for one in found} == {
        pb.INDEX_FAULT_KIND_EMBEDDING_DAMAGED,
        pb.INDEX_FAULT_KIND_EMBEDDING_MISSING,
    }
    assert sum(one.chunks for one in found if one.kind == pb.INDEX_FAULT_KIND_EMBEDDING_DAMAGED) == 2
    assert all(one.mended for one in await walk(client, "RepairIndex", every_tenant=True))

    async def mended() -> bool:
        return await index_empty(client) and await walk(client, every_tenant=True) == []

    await eventually(mended)

    # The build that was dead comes to its end.
    async def switched() -> bool:
        return (await collection(client)).embedding_model == "words"

    await eventually(switched)
    assert (await best(client, TEXTS[3])).hits[0].text == TEXTS[3]


async def test_a_build_goes_with_a_snapshot_and_goes_on_where_it_is_restored(
    tmp_path: Path, old: WordEmbedder, new: WordEmbedder
) -> None:
    async with running(tmp_path / "a", old) as client:
        await fill(client)
    new.gate.clear()
    async with running(tmp_path / "a", new, others=[old]) as client:
        watching = asyncio.create_task(reembed(client))

        async def under_way() -> bool:
            return (await collection(client)).HasField("reembedding")

        await eventually(under_way)
        copy = await client.stream("ExportSnapshot", pb.ExportSnapshotRequest())
        watching.cancel()
    new.gate.set()
    async with running(tmp_path / "b", new, others=[old]) as client:
        done = await client.stub.ImportSnapshot(
            [pb.ImportSnapshotRequest(data=one.data) for one in copy], timeout=30, metadata=client.metadata
        )
        assert (done.chunks, done.vectors) == (30, 30)

        async def switched() -> bool:
            return (await collection(client)).embedding_model == "other"

        await eventually(switched)
        assert (await best(client, TEXTS[3])).hits[0].text == TEXTS[3]
        assert await walk(client, every_tenant=True) == []


async def test_the_same_request_to_go_back_sent_again_does_not_go_forward(client: Client) -> None:
    await reembed(client)
    request = pb.RevertReembedRequest(collection_id="books", request_id="back")
    first = await client.call("RevertReembed", request)
    assert first.collection.embedding_model == "words"
    assert await client.call("RevertReembed", request) == first
    other = pb.RevertReembedRequest(collection_id="books", request_id="forward")
    assert (await client.call("RevertReembed", other)).collection.embedding_model == "other"
    # Late, when it would do something again.
    assert (await client.call("RevertReembed", request)).collection.embedding_model == "other"


async def test_the_model_is_asked_only_for_who_may_and_before_anything_is_built(
    client: Client, new: WordEmbedder
) -> None:
    new.gate.clear()
    request = pb.ReembedCollectionRequest(collection_id="books")
    call = client.stub.ReembedCollection(request, timeout=30, metadata=client.metadata)
    await call.read()
    call.cancel()
    new.down = True
    # It is under way, so who asks again follows it, whether the model answers now or not.
    call = client.stub.ReembedCollection(request, timeout=30, metadata=client.metadata)
    assert (await call.read()).reembedding.stage == pb.REEMBED_STAGE_EMBEDDING
    call.cancel()
    await change(client, "CancelReembed")
    with pytest.raises(ServiceError) as error:
        await reembed(client)
    assert refused(error.value) == ("UNAVAILABLE", "EMBEDDER_UNAVAILABLE")
    with pytest.raises(ServiceError) as error:
        await reembed(client.person("anna"))
    assert refused(error.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def test_what_answers_stays_in_memory_when_what_was_before_goes(client: Client, tmp_path: Path) -> None:
    await reembed(client)
    await best(client, TEXTS[3])
    misses = client.application.searching._dense._cache.misses  # type: ignore[attr-defined]
    await change(client, "FinishReembed")
    await eventually(lambda: cleared(tmp_path))
    await best(client, TEXTS[3])
    assert client.application.searching._dense._cache.misses == misses  # type: ignore[attr-defined]


async def test_vectors_from_before_revisions_were_known_are_compared_with_those_of_the_model(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, WordEmbedder()) as client:
        await fill(client)
    model = WordEmbedder(revision="one")
    async with running(tmp_path, model) as client:
        await client.create("new")
        await client.ready("A kingfisher dives for fish.", collection_id="new")
        asked: list[str] = []
        plain = model.embed_queries

        def recorded(texts: Any, *, deadline: float) -> Any:
            asked.extend(texts)
            return plain(texts, deadline=deadline)

        model.embed_queries = recorded  # type: ignore[method-assign]
        both = {"collection_ids": ["new", "books"], "mode": pb.SEARCH_MODE_DENSE, "top_k": 31}
        found = await client.search(TEXTS[7], similarity_threshold=-1, **both)
        assert asked == [TEXTS[7]]
        cosines = [hit.vector_score for hit in found.hits]
        assert len(cosines) == 31
        # One scale for all: the passage about something else is among the last.
        assert cosines == sorted(cosines, reverse=True)
        assert found.hits[-1].collection_id == "new"
