"""Search: modes, scores, filters, limits, explanation, and questions made to break it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from services.vector.search import dense, exact
from tests.contract.vector.world import Client, WordEmbedder, all_ready, eventually, refused, running

LIBRARY = [
    {
        "external_id": "fox",
        "title": "Foxes",
        "text": "Foxes were running through the forest at night.",
        "metadata": {"year": 1999, "kind": "animal", "wild": True},
    },
    {
        "external_id": "cat",
        "title": "Cats",
        "text": "A cat sleeps on the warm stove all day.",
        "metadata": {"year": 2005, "kind": "animal", "wild": False},
    },
    {
        "external_id": "car",
        "title": "Cars",
        "text": "The engine of a car burns petrol.",
        "metadata": {"year": 2005, "kind": "machine"},
    },
    {
        "external_id": "code",
        "title": "Errors",
        "text": "Error code E1234-77 means that the pump stands still.",
        "metadata": {"kind": "machine"},
    },
]


@pytest.fixture
async def library(client: Client) -> Client:
    await client.import_all(LIBRARY)
    await eventually(lambda: _settled(client))
    return client


async def _settled(client: Client, collection_id: str = "books") -> bool:
    got = (
        await client.call("GetCollection", pb.GetCollectionRequest(collection_id=collection_id))
    ).collection
    return got.vectors == got.chunks > 0


def ids(found: pb.SearchResponse) -> list[str]:
    return [hit.external_id for hit in found.hits]


async def test_a_hit_says_all_that_is_needed_to_cite_it(library: Client) -> None:
    found = await library.search("forest at night")
    assert found.mode == pb.SEARCH_MODE_HYBRID
    hit = found.hits[0]
    document = await library.get(hit.document_id)
    text = await library.text(hit.document_id)
    assert (hit.external_id, hit.title, hit.collection_id) == ("fox", "Foxes", "books")
    assert text[hit.span.byte_start : hit.span.byte_end] == hit.text.encode()
    assert hit.extraction_sha256 == document.extraction_sha256
    assert hit.chunk_id
    assert hit.lexical_score > 0
    assert 0 < hit.vector_score <= 1
    assert hit.score >= max(other.score for other in found.hits)
    verdict = await library.call(
        "VerifyCitations",
        pb.VerifyCitationsRequest(
            citations=[
                pb.Citation(
                    document_id=hit.document_id,
                    extraction_sha256=hit.extraction_sha256,
                    span=hit.span,
                    quote=hit.text,
                )
            ]
        ),
    )
    assert verdict.verdicts[0].verified


async def test_keywords_are_stemmed_and_titles_count(library: Client) -> None:
    assert ids(await library.search("run", mode=pb.SEARCH_MODE_LEXICAL)) == ["fox"]
    assert ids(await library.search("foxes", mode=pb.SEARCH_MODE_LEXICAL)) == ["fox"]
    assert ids(await library.search("Errors", mode=pb.SEARCH_MODE_LEXICAL)) == ["code"]


async def test_modes_decide_by_their_own_score(library: Client) -> None:
    lexical = await library.search("warm stove", mode=pb.SEARCH_MODE_LEXICAL)
    assert lexical.mode == pb.SEARCH_MODE_LEXICAL
    scores = [hit.score for hit in lexical.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(hit.lexical_score > 0 for hit in lexical.hits)
    assert all(hit.vector_score == 0 for hit in lexical.hits)
    dense = await library.search("warm stove", mode=pb.SEARCH_MODE_DENSE, similarity_threshold=-1)
    assert len(dense.hits) == 4
    assert [hit.score for hit in dense.hits] == [hit.vector_score for hit in dense.hits]
    assert ids(dense)[0] == ids(lexical)[0] == "cat"


async def test_vector_scores_are_the_exact_cosines(library: Client, embedder: WordEmbedder) -> None:
    found = await library.search("a warm night", mode=pb.SEARCH_MODE_DENSE, similarity_threshold=-1)
    for hit in found.hits:
        expected = float(embedder.vector("a warm night") @ embedder.vector(f"{hit.title}\n{hit.text}"))
        assert hit.vector_score == pytest.approx(expected, abs=1e-5)


async def test_the_words_of_the_whole_document_tell_which_document(client: Client) -> None:
    """Of two like passages the one whose document speaks of the question elsewhere comes first."""
    filler = " ".join(f"filler{n}" for n in range(220))
    await client.import_all(
        [
            {"external_id": "off", "text": f"The harbour has a crane. {filler} Nothing else of note."},
            {
                "external_id": "on",
                "text": f"The harbour has a crane. {filler} Ships unload their cargo of coffee.",
            },
        ]
    )
    found = await client.search("coffee at the harbour crane", mode=pb.SEARCH_MODE_LEXICAL, top_k=10)
    first = [hit for hit in found.hits if "crane" in hit.text]
    assert [hit.external_id for hit in first] == ["on", "off"]


async def test_a_quoted_phrase_must_stand_together(library: Client) -> None:
    assert ids(await library.search('"warm stove"', mode=pb.SEARCH_MODE_LEXICAL)) == ["cat"]
    assert ids(await library.search('"stove warm"', mode=pb.SEARCH_MODE_LEXICAL)) == []


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '""',
        '"""',
        "* OR *",
        "NEAR(fox cat)",
        "title:fox",
        "-fox",
        "^fox",
        "fox AND",
        "(",
        "a'; DROP TABLE chunks; --",
        "{fox cat}:x",
        "fox*",
        "!!!",
        "the",
        "狐",
        "x" * 8000,
        "word " * 1600,
    ],
)
async def test_no_question_is_syntax(library: Client, query: str) -> None:
    for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_HYBRID):
        await library.search(query, mode=mode)
    assert ids(await library.search("fox", mode=pb.SEARCH_MODE_LEXICAL)) == ["fox"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"external_ids": ["cat", "car"]}, {"cat", "car"}),
        ({"metadata": {"kind": "animal"}}, {"fox", "cat"}),
        ({"metadata": {"year": 2005}}, {"cat", "car"}),
        ({"metadata": {"year": 2005, "kind": "machine"}}, {"car"}),
        ({"metadata": {"wild": True}}, {"fox"}),
        ({"metadata": {"wild": 1}}, set()),
        ({"metadata": {"kind": "animal' OR '1'='1"}}, set()),
        ({"media_types": ["text/plain"]}, {"fox", "cat", "car", "code"}),
        ({"media_types": ["TEXT/Plain"]}, {"fox", "cat", "car", "code"}),
        ({"media_types": ["application/pdf"]}, set()),
        ({"document_ids": ["0" * 32]}, set()),
        ({"min_create_time": {"seconds": 4102444800}}, set()),
        ({"max_create_time": {"seconds": 4102444800}}, {"fox", "cat", "car", "code"}),
    ],
)
async def test_filters_hold_in_every_mode(library: Client, condition: dict, expected: set[str]) -> None:
    query = "foxes running cat sleeps car engine error pump"
    for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID):
        found = await library.search(query, mode=mode, filter=condition, similarity_threshold=-1)
        assert set(ids(found)) == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": "x" * 8001}, "query"),
        ({"query": "\0fox"}, "query"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1001}, "top_k"),
        ({"similarity_threshold": 1.5}, "similarity_threshold"),
        ({"similarity_threshold": float("nan")}, "similarity_threshold"),
        ({"mode": 99}, "mode"),
        ({"collection_ids": [f"c-{n}" for n in range(17)]}, "collection_ids"),
        ({"filter": {"metadata": {"$or": [{"a": 1}]}}}, "filter.metadata.$or"),
        ({"filter": {"metadata": {"tenant": {"$ne": "me"}}}}, "filter.metadata.tenant"),
        ({"filter": {"document_ids": ["x"] * 1001}}, "filter.document_ids"),
    ],
)
async def test_requests_out_of_range_are_refused(client: Client, fields: dict, field: str) -> None:
    with pytest.raises(ServiceError) as error:
        await client.search(**{"query": "x", **fields})
    assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert error.value.metadata["field"] == field


async def test_top_k_and_the_threshold_drop_what_the_explanation_names(library: Client) -> None:
    found = await library.search("fox", top_k=1, explain=True, similarity_threshold=0.99)
    assert ids(found) == ["fox"]
    assert found.hits[0].vector_score < 0.99  # by keyword: the threshold is the vector side's
    assert {one.cause for one in found.dropped} == {pb.DROP_CAUSE_THRESHOLD}
    assert len(found.dropped) == 3
    everything = await library.search("fox", top_k=1, explain=True, similarity_threshold=-1)
    assert {one.cause for one in everything.dropped} == {pb.DROP_CAUSE_LIMIT}
    assert len(everything.dropped) == 3
    assert all(one.chunk_id and one.document_id and one.vector_score for one in everything.dropped)
    filtered = await library.search(
        "fox", explain=True, filter={"external_ids": ["cat"]}, similarity_threshold=-1
    )
    assert ids(filtered) == ["cat"]
    assert {one.cause for one in filtered.dropped} == {pb.DROP_CAUSE_FILTER}
    assert (await library.search("fox")).dropped == []


async def test_what_has_no_vector_yet_is_named_where_vectors_decide(
    client: Client, embedder: WordEmbedder
) -> None:
    await client.ready("The heron waits in the reeds.", external_id="there")
    embedder.gate.clear()
    await client.import_all([{"external_id": "waiting", "text": "Another heron waits for its vector."}])
    found = await client.search("heron", mode=pb.SEARCH_MODE_DENSE, explain=True)
    waiting = (await client.list(external_id="waiting"))[0]
    assert ids(found) == ["there"]
    assert [(one.document_id, one.cause) for one in found.dropped] == [
        (waiting.document_id, pb.DROP_CAUSE_NOT_INDEXED)
    ]
    assert found.pending_vectors == 1
    # By keyword it is found; and what a filter leaves out is not said to wait.
    assert set(ids(await client.search("heron", explain=True))) == {"there", "waiting"}
    only = {"external_ids": ["there"]}
    narrowed = await client.search("heron", mode=pb.SEARCH_MODE_DENSE, explain=True, filter=only)
    assert pb.DROP_CAUSE_NOT_INDEXED not in {one.cause for one in narrowed.dropped}
    embedder.gate.set()
    await eventually(lambda: all_ready(client))
    after = await client.search("heron", mode=pb.SEARCH_MODE_DENSE, explain=True)
    assert (set(ids(after)), list(after.dropped)) == ({"there", "waiting"}, [])


async def test_settings_give_the_defaults(tmp_path: Path) -> None:
    async with running(tmp_path, max_results=2, similarity_threshold=0.9) as client:
        await client.create()
        await client.import_all(LIBRARY)
        await eventually(lambda: _settled(client))
        assert len((await client.search("the car engine a cat error", similarity_threshold=-1)).hits) == 2
        assert (await client.search("petrol sleeps", mode=pb.SEARCH_MODE_DENSE)).hits == []


async def test_several_collections_are_searched_as_one(library: Client) -> None:
    await library.create("more")
    await library.import_all([{"external_id": "fox2", "text": "Another fox at night."}], "more")
    await eventually(lambda: _settled(library, "more"))
    found = await library.search("fox night", collection_ids=["books", "more", "books"])
    assert {hit.collection_id for hit in found.hits[:2]} == {"books", "more"}
    assert len({hit.chunk_id for hit in found.hits}) == len(found.hits)
    with pytest.raises(ServiceError) as error:
        await library.search("fox", collection_ids=["books", "none"])
    assert refused(error.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")


async def test_equal_requests_answer_equally_and_ties_stand_in_order_of_arrival(client: Client) -> None:
    await client.import_all([{"external_id": f"{n:02}", "text": "The very same words."} for n in range(20)])
    await eventually(lambda: _settled(client))
    for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID):
        answers = [await client.search("same words", top_k=20, mode=mode) for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        assert ids(answers[0]) == [f"{n:02}" for n in range(20)]


@pytest.fixture
async def indexed(tmp_path: Path, embedder: WordEmbedder) -> AsyncIterator[Client]:
    """A service that asks the vector index for every collection of more than eight passages."""
    async with running(tmp_path, embedder, meld_exact_search_limit=8) as client:
        await client.create()
        yield client


async def test_above_the_exact_limit_the_index_proposes_and_the_record_scores(
    indexed: Client, embedder: WordEmbedder
) -> None:
    texts = [f"alpha{n} beta{n % 7} gamma{n % 3}" for n in range(60)]
    await indexed.import_all([{"external_id": str(n), "text": text} for n, text in enumerate(texts)])

    async def in_the_index() -> bool:
        return await _settled(indexed) and await indexed.application.record.index_queue.pending() == 0

    await eventually(in_the_index)
    await eventually(lambda: _answers(indexed))
    query = "alpha17 beta3"
    nearest = sorted(range(60), key=lambda n: -float(embedder.vector(query) @ embedder.vector(texts[n])))
    found = await indexed.search(query, mode=pb.SEARCH_MODE_DENSE, top_k=5, similarity_threshold=-1)
    assert ids(found) == [str(n) for n in nearest[:5]]
    some = await indexed.search(
        query,
        mode=pb.SEARCH_MODE_DENSE,
        top_k=60,
        similarity_threshold=-1,
        filter={"external_ids": ["3", "30", "31"]},
    )
    assert set(ids(some)) == {"3", "30", "31"}
    await indexed.delete((await indexed.list(external_id="17"))[0].document_id)
    gone = await indexed.search(query, mode=pb.SEARCH_MODE_DENSE, top_k=60, similarity_threshold=-1)
    assert "17" not in ids(gone)
    assert len(gone.hits) == 59


async def _answers(client: Client) -> bool:
    found = await client.search("alpha1", similarity_threshold=-1)
    return found.mode == pb.SEARCH_MODE_HYBRID


async def test_searches_go_on_while_documents_come_and_go(client: Client) -> None:
    """Deleted passages never come back out of the cache, whatever was loaded meanwhile."""
    deleted: set[str] = set()

    async def churn() -> None:
        for n in range(12):
            document = await client.ready(f"common words and number{n}", external_id=f"e{n}")
            if n % 2:
                await client.delete(document.document_id)
                deleted.add(document.document_id)

    writing = asyncio.create_task(churn())
    while not writing.done():
        before = set(deleted)
        found = await client.search("common words", top_k=50, similarity_threshold=-1)
        assert not before & {hit.document_id for hit in found.hits}
    await writing
    dense = await client.search("common", mode=pb.SEARCH_MODE_DENSE, top_k=50, similarity_threshold=-1)
    assert len(dense.hits) == 6


@pytest.mark.parametrize("mode", [pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID])
async def test_behind_the_sieve_the_same_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    async with running(tmp_path) as client:
        await client.create()
        await _behind_the_sieve(client, monkeypatch, mode)


async def _behind_the_sieve(client: Client, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    texts = [f"Number {n} tells of subject{n} and of kind{n % 3}." for n in range(60)]
    await client.import_all(
        [{"external_id": str(n), "text": text, "metadata": {"odd": n % 2}} for n, text in enumerate(texts)]
    )
    await eventually(lambda: all_ready(client))

    async def found() -> list[list[tuple[str, float]]]:
        return [
            [(hit.external_id, round(hit.vector_score, 5)) for hit in answer.hits]
            for n in (3, 17, 58)
            for filtered in (pb.Filter(), pb.Filter(metadata={"odd": n % 2}))
            for answer in [await client.search(texts[n], mode=mode, top_k=1, filter=filtered)]
        ]

    exactly = await found()
    monkeypatch.setattr(dense, "_SIEVED_ROWS", 4)
    monkeypatch.setattr(exact, "_LEAST_PASSED", 8)
    monkeypatch.setattr(exact, "_PASSED_EACH", 1)
    assert await found() == exactly
    assert [hits[0][0] for hits in exactly] == ["3", "3", "17", "17", "58", "58"]
    # What is deleted is behind it neither, and what is new is.
    gone = next(one for one in await client.list(page_size=100) if one.external_id == "17")
    await client.delete(gone.document_id)
    await client.ready("A new thing of subject99.", external_id="new")
    hits = (await client.search(texts[17], mode=mode, top_k=50)).hits
    assert "17" not in {hit.external_id for hit in hits}
    assert (await client.search("A new thing of subject99.", mode=mode, top_k=1)).hits[0].external_id == "new"
