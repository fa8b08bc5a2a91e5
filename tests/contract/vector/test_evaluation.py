"""Evaluations: measured, kept, read again, deleted; golden sets that cannot be used; who may see what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.test_search import LIBRARY, _settled
from tests.contract.vector.world import Client, WordEmbedder, eventually, refused, running, translated

HYBRID, DENSE, LEXICAL = (
    pb.SearchMode.Value(f"SEARCH_MODE_{name}") for name in ("HYBRID", "DENSE", "LEXICAL")
)


@pytest.fixture
async def library(client: Client) -> Client:
    await client.import_all(LIBRARY)
    await eventually(lambda: _settled(client))
    return client


def golden(query_id: str, query: str, *judgements: pb.Judgement, line: int = 0) -> pb.GoldenQuery:
    return pb.GoldenQuery(query_id=query_id, query=query, judgements=judgements, line=line)


def document(external_id: str, **fields: Any) -> pb.Judgement:
    return pb.Judgement(external_id=external_id, **fields)


SET = [
    golden("q1", "foxes in the forest", document("fox")),
    golden("q2", "warm stove", document("cat", grade=2), document("fox", grade=0)),
    golden("q3", "petrol", pb.Judgement(title="Cars")),
]
QUOTES = [
    golden("q1", "foxes in the forest", document("fox", quote="running through the forest")),
    golden("q2", "warm stove", pb.Judgement(quote="sleeps on the\nwarm stove")),
    golden("q3", "petrol", pb.Judgement(quote="burns diesel")),
]


async def run(
    client: Client, queries: Sequence[pb.GoldenQuery] = SET, **header: Any
) -> list[pb.RunEvaluationResponse]:
    header.setdefault("collection_id", "books")
    requests = [
        pb.RunEvaluationRequest(header=pb.EvaluationHeader(**header)),
        *(pb.RunEvaluationRequest(query=query) for query in queries),
    ]
    return await client.stream("RunEvaluation", requests)


async def evaluated(client: Client, *args: Any, **header: Any) -> pb.Evaluation:
    return (await run(client, *args, **header))[-1].evaluation


async def listed(client: Client, **fields: Any) -> list[str]:
    page = await client.call("ListEvaluations", pb.ListEvaluationsRequest(collection_id="books", **fields))
    return [one.evaluation_id for one in page.evaluations]


async def queries_of(client: Client, evaluation: pb.Evaluation) -> list[pb.EvaluatedQuery]:
    request = pb.ListEvaluationQueriesRequest(collection_id="books", evaluation_id=evaluation.evaluation_id)
    return list((await client.call("ListEvaluationQueries", request)).queries)


async def get(client: Client, evaluation_id: str) -> pb.Evaluation:
    request = pb.GetEvaluationRequest(collection_id="books", evaluation_id=evaluation_id)
    return (await client.call("GetEvaluation", request)).evaluation


async def delete(client: Client, evaluation_id: str, **fields: Any) -> None:
    request = pb.DeleteEvaluationRequest(collection_id="books", evaluation_id=evaluation_id, **fields)
    await client.call("DeleteEvaluation", request)


def means(report: pb.SettingReport) -> dict[str, float]:
    return {one.metric: one.mean for one in report.metrics}


async def test_an_evaluation_says_how_well_queries_are_answered(library: Client) -> None:
    steps = await run(library, label="first try", cutoffs=[1, 10])
    assert [(step.done, step.total) for step in steps] == [(0, 3), (1, 3), (2, 3), (3, 3), (3, 3)]
    report = steps[-1].evaluation
    assert (report.label, report.queries, report.judgements) == ("first try", 3, 4)
    assert (report.embedding_model, report.dimension, report.documents) == ("words", 64, 4)
    assert (report.index_generation, report.pending_vectors) == (1, 0)
    (setting,) = report.settings
    assert (setting.setting.name, setting.setting.mode, setting.setting.top_k) == ("hybrid", HYBRID, 10)
    assert list(means(setting)) == ["ndcg@1", "recall@1", "ndcg@10", "recall@10", "mrr"]
    assert set(means(setting).values()) == {1.0}
    assert all(one.low == one.high == 1.0 and one.queries == 3 for one in setting.metrics)
    p50, p95, longest = (
        getattr(setting, f"latency_{name}").ToNanoseconds() for name in ("p50", "p95", "max")
    )
    assert 0 < p50 <= p95 <= longest <= report.elapsed.ToNanoseconds()
    assert not report.comparisons


async def test_it_is_kept_with_its_queries(library: Client) -> None:
    report = await evaluated(library)
    assert await get(library, report.evaluation_id) == report
    queries = await queries_of(library, report)
    assert [(one.query_id, one.query) for one in queries] == [(one.query_id, one.query) for one in SET]
    assert all(one.outcomes[0].first_rank == 1 and one.outcomes[0].hits for one in queries)


async def test_two_settings_side_by_side(library: Client) -> None:
    """By keyword the query without a word of its document is lost."""
    queries = [*SET, golden("q4", "motor vehicle", document("car"))]
    report = await evaluated(
        library,
        queries,
        settings=[
            pb.EvaluationSetting(mode=DENSE, top_k=4, similarity_threshold=-1),
            pb.EvaluationSetting(name="words", mode=LEXICAL),
        ],
    )
    assert [one.setting.name for one in report.settings] == ["dense, top_k 4, threshold -1", "words"]
    compared = {one.metric: one for one in report.comparisons}
    assert list(compared) == ["ndcg@10", "recall@10", "mrr"]
    first, second = map(means, report.settings)
    recall = compared["recall@10"]
    assert (recall.wins, recall.losses, recall.ties, recall.p_value) == (0, 1, 3, 1.0)
    assert recall.difference == pytest.approx(second["recall@10"] - first["recall@10"]) == -0.25
    missed = (await queries_of(library, report))[-1].outcomes
    assert [list(one.missed) for one in missed] == [[], [1]]


async def test_quotes_are_looked_for_in_passages_and_verified(library: Client) -> None:
    report = await evaluated(library, QUOTES)
    assert means(report.settings[0]) == pytest.approx(
        {"ndcg@10": 2 / 3, "recall@10": 2 / 3, "mrr": 2 / 3, "citation_precision": 2 / 3}
    )
    outcomes = [one.outcomes[0] for one in await queries_of(library, report)]
    assert [one.metrics["citation_precision"] for one in outcomes] == [1.0, 1.0, 0.0]
    assert [list(one.missed) for one in outcomes] == [[], [], [1]]


async def test_a_filter_and_a_threshold_are_part_of_the_setting(library: Client) -> None:
    setting = pb.EvaluationSetting(
        filter=pb.Filter(external_ids=["cat"]), similarity_threshold=0.25, name="cats alone"
    )
    report = await evaluated(library, settings=[setting])
    kept = report.settings[0].setting
    assert (kept.filter, kept.similarity_threshold) == (setting.filter, 0.25)
    assert means(report.settings[0])["recall@10"] == pytest.approx(1 / 3)


async def test_equal_sets_have_equal_hashes(library: Client) -> None:
    first, again = await evaluated(library), await evaluated(library)
    other = await evaluated(library, SET[:2])
    assert first.golden_sha256 == again.golden_sha256 != other.golden_sha256
    assert await listed(library) == [one.evaluation_id for one in (other, again, first)]
    assert means(first.settings[0]) == means(again.settings[0])


async def test_lists_have_pages(library: Client) -> None:
    made = [(await evaluated(library)).evaluation_id for _ in range(3)]
    page = await library.call(
        "ListEvaluations", pb.ListEvaluationsRequest(collection_id="books", page_size=2)
    )
    assert [one.evaluation_id for one in page.evaluations] == [made[2], made[1]]
    assert await listed(library, page_size=2, page_token=page.next_page_token) == [made[0]]
    request = pb.ListEvaluationQueriesRequest(collection_id="books", evaluation_id=made[0], page_size=2)
    page = await library.call("ListEvaluationQueries", request)
    assert [one.query_id for one in page.queries] == ["q1", "q2"]
    request.page_token = page.next_page_token
    page = await library.call("ListEvaluationQueries", request)
    assert [one.query_id for one in page.queries] == ["q3"]
    assert not page.next_page_token


@pytest.mark.parametrize(
    ("judgement", "says"),
    [
        (document("wolf", line=7), "line 7, query q9: there is no document of external id 'wolf'"),
        (pb.Judgement(document_id="0" * 32), "line 3, query q9: there is no document of document id"),
        (pb.Judgement(title="Wolves"), "line 3, query q9: there is no document of title 'Wolves'"),
        (document("fox", quote="sleeps on the stove"), "does not hold the quote 'sleeps on the stove'"),
        (pb.Judgement(), "neither a document nor a quote"),
        (document("fox", grade=-1), "grade"),
    ],
)
async def test_a_bad_line_is_an_error_that_names_it(
    library: Client, judgement: pb.Judgement, says: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        await run(library, [*SET, golden("q9", "wolves", judgement, line=3)])
    assert refused(caught.value) == ("INVALID_ARGUMENT", "GOLDEN_SET_INVALID")
    assert says in caught.value.message
    assert caught.value.metadata["query_id"] == "q9"
    assert await listed(library) == []


async def test_a_document_of_another_collection_is_as_good_as_none(library: Client) -> None:
    await library.create("films")
    (foreign,) = await library.import_all([{"title": "Wolves", "text": "About wolves."}], "films")
    said = []
    for document_id in (foreign.document.document_id, "0" * 32):
        with pytest.raises(ServiceError) as caught:
            await run(library, [golden("q", "wolves", pb.Judgement(document_id=document_id))])
        said.append(caught.value.message.replace(document_id, "ID"))
    assert said[0] == said[1]


async def test_a_title_of_two_documents_names_neither(library: Client) -> None:
    await library.import_all([{"title": "Cars", "text": "Other cars."}])
    with pytest.raises(ServiceError, match="is that of 2 documents"):
        await run(library)


async def test_one_document_under_two_names_is_judged_once(library: Client) -> None:
    with pytest.raises(ServiceError, match="another judgement names too"):
        await run(library, [golden("q", "cars", document("car"), pb.Judgement(title="Cars"))])


@pytest.mark.parametrize(
    "header",
    [
        {"settings": [pb.EvaluationSetting()] * 3},
        {"settings": [pb.EvaluationSetting(name="a"), pb.EvaluationSetting(name="a", mode=DENSE)]},
        {"settings": [pb.EvaluationSetting(top_k=1001)]},
        {"settings": [pb.EvaluationSetting(similarity_threshold=2)]},
        {"cutoffs": [0]},
        {"cutoffs": [1, 2, 3, 4, 5, 6]},
        {"label": "two\nlines"},
        {"label": "x" * 201},
    ],
)
async def test_a_header_that_makes_no_sense_is_refused(library: Client, header: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        await run(library, **header)
    assert refused(caught.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_a_setting_against_itself(library: Client) -> None:
    report = await evaluated(library, settings=[pb.EvaluationSetting()] * 2)
    assert [one.setting.name for one in report.settings] == ["hybrid", "hybrid (2)"]
    assert all(one.ties == 3 and one.p_value == 1.0 for one in report.comparisons)


async def test_a_repeated_call_answers_with_what_the_first_made(library: Client) -> None:
    first = await evaluated(library, request_id="r1")
    again = await run(library, request_id="r1")
    assert [step.existing for step in again] == [True]
    assert again[0].evaluation == first
    with pytest.raises(ServiceError) as caught:
        await run(library, SET[:1], request_id="r1")
    assert refused(caught.value) == ("FAILED_PRECONDITION", "REQUEST_ID_REUSED")


async def test_search_by_keyword_is_never_measured_as_hybrid(library: Client, embedder: WordEmbedder) -> None:
    embedder.down = True
    with pytest.raises(ServiceError) as caught:
        await run(library)
    assert refused(caught.value) == ("UNAVAILABLE", "EMBEDDER_UNAVAILABLE")
    report = await evaluated(library, settings=[pb.EvaluationSetting(mode=LEXICAL)])
    assert means(report.settings[0])["recall@10"] == 1.0
    assert await listed(library) == [report.evaluation_id]


async def test_one_at_a_time_and_a_caller_that_leaves_ends_it(library: Client) -> None:
    first = [
        pb.RunEvaluationRequest(header=pb.EvaluationHeader(collection_id="books")),
        *(
            pb.RunEvaluationRequest(query=golden(f"q{n}", "foxes in the forest", document("fox")))
            for n in range(5_000)
        ),
    ]
    call = library.stub.RunEvaluation(first, timeout=60, metadata=library.metadata)
    assert (await call.read()).total == 5_000
    with pytest.raises(ServiceError) as caught:
        await run(library)
    assert refused(caught.value) == ("ABORTED", "EVALUATION_RUNNING")
    call.cancel()

    async def free() -> bool:
        try:
            return bool(await evaluated(library))
        except ServiceError as error:
            if error.reason != "EVALUATION_RUNNING":
                raise
            return False

    await eventually(free)
    assert len(await listed(library)) == 1


async def test_who_may_see_and_who_may_delete(library: Client) -> None:
    report = await evaluated(library)
    stranger = library.person("eve")
    for work in (run(stranger), get(stranger, report.evaluation_id), listed(stranger)):
        with pytest.raises(ServiceError) as caught:
            await work
        assert refused(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")

    grant = pb.Grant(subject="eve", role=pb.COLLECTION_ROLE_READER)
    await library.call(
        "SetCollectionAccess", pb.SetCollectionAccessRequest(collection_id="books", grants=[grant])
    )
    assert await listed(stranger) == [report.evaluation_id]
    with pytest.raises(ServiceError) as caught:
        await delete(stranger, report.evaluation_id)
    assert refused(caught.value) == ("PERMISSION_DENIED", "COLLECTION_ACCESS_DENIED")
    own = await evaluated(stranger)
    assert own.subject == "eve"
    await delete(stranger, own.evaluation_id, request_id="d1")
    await delete(stranger, own.evaluation_id, request_id="d1")
    with pytest.raises(ServiceError) as caught:
        await delete(stranger, own.evaluation_id)
    assert refused(caught.value) == ("NOT_FOUND", "EVALUATION_NOT_FOUND")
    assert await listed(library) == [report.evaluation_id]


async def test_an_evaluation_of_another_collection_is_not_there(library: Client) -> None:
    report = await evaluated(library)
    await library.create("films")
    for method, kind in (
        ("GetEvaluation", pb.GetEvaluationRequest),
        ("ListEvaluationQueries", pb.ListEvaluationQueriesRequest),
        ("DeleteEvaluation", pb.DeleteEvaluationRequest),
    ):
        with pytest.raises(ServiceError) as caught:
            await library.call(method, kind(collection_id="films", evaluation_id=report.evaluation_id))
        assert refused(caught.value) == ("NOT_FOUND", "EVALUATION_NOT_FOUND")


async def test_they_go_with_their_collection_and_nothing_is_left_in_the_files(
    tmp_path: Path, embedder: WordEmbedder
) -> None:
    canary = "zanzibarcanary"
    async with running(tmp_path, embedder) as client:
        await client.create()
        await client.import_all(LIBRARY)
        await eventually(lambda: _settled(client))
        await evaluated(client, [golden("q1", f"foxes {canary}", document("fox"))], label=canary)
        assert canary.encode() in _bytes(tmp_path)
        deleted = await client.call("DeleteCollection", pb.DeleteCollectionRequest(collection_id="books"))
        assert (deleted.receipt.record_evaluations, deleted.receipt.deleted_evaluations) == (0, 1)
        await client.create()
        assert await listed(client) == []
        await client.call("PurgeDeleted", pb.PurgeDeletedRequest(), seconds=60)
        assert canary.encode() not in _bytes(tmp_path)


async def test_a_snapshot_has_them(library: Client, tmp_path: Path) -> None:
    report = await evaluated(library)
    pieces = await library.stream("ExportSnapshot", pb.ExportSnapshotRequest())
    async with running(tmp_path / "other", WordEmbedder()) as other:
        requests = [pb.ImportSnapshotRequest(data=piece.data) for piece in pieces]
        await other.stub.ImportSnapshot(iter(requests), timeout=60, metadata=other.metadata)
        assert await get(other, report.evaluation_id) == report
        assert len(await queries_of(other, report)) == 3


async def test_others_are_answered_meanwhile(library: Client) -> None:
    """An evaluation holds nobody up: a search comes back while one is under way."""
    call = library.stub.RunEvaluation(
        [
            pb.RunEvaluationRequest(header=pb.EvaluationHeader(collection_id="books")),
            *(pb.RunEvaluationRequest(query=golden(f"q{n}", "foxes", document("fox"))) for n in range(5_000)),
        ],
        timeout=60,
        metadata=library.metadata,
    )
    done = (await call.read()).done
    assert done == 0

    async def watch() -> None:
        """Reads on as steps come, so that none waits to be read."""
        nonlocal done
        while (step := await call.read()) is not grpc.aio.EOF:
            done = step.done

    watching = asyncio.create_task(watch())
    assert (await library.search("warm stove")).hits[0].external_id == "cat"
    assert done < 5_000
    assert not watching.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


def _bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_through_the_vector_index(tmp_path: Path, embedder: WordEmbedder) -> None:
    """Chroma proposes, since no collection is small enough to be scored whole."""
    async with running(tmp_path, embedder, meld_exact_search_limit=0) as client:
        await client.create()
        await client.import_all(LIBRARY)
        await eventually(lambda: _settled(client))

        async def answered() -> bool:
            try:
                report = await evaluated(client, QUOTES[:2], settings=[pb.EvaluationSetting(mode=DENSE)])
            except ServiceError as error:
                if error.reason != "INDEX_UNAVAILABLE":
                    raise
                return False
            return means(report.settings[0])["citation_precision"] == 1.0

        await eventually(answered)


async def test_two_collections_at_a_time(library: Client) -> None:
    calls = []
    for name in ("films", "songs"):
        await library.create(name)
        await library.import_all(LIBRARY[:1], name)
        requests = [
            pb.RunEvaluationRequest(
                header=pb.EvaluationHeader(collection_id=name, settings=[pb.EvaluationSetting(mode=LEXICAL)])
            ),
            *(pb.RunEvaluationRequest(query=golden(f"q{n}", "foxes", document("fox"))) for n in range(5_000)),
        ]
        calls.append(library.stub.RunEvaluation(requests, timeout=60, metadata=library.metadata))
        assert (await calls[-1].read()).total == 5_000
    with pytest.raises(ServiceError) as caught:
        await run(library)
    assert refused(caught.value) == ("ABORTED", "EVALUATION_RUNNING")
    for call in calls:
        call.cancel()


async def test_a_collection_keeps_so_many(library: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await evaluated(library)
    monkeypatch.setattr("services.vector.record.evaluations.MOST_KEPT", 1)
    with pytest.raises(ServiceError) as caught:
        await run(library)
    assert refused(caught.value) == ("RESOURCE_EXHAUSTED", "EVALUATIONS_FULL")
    await delete(library, first.evaluation_id)
    assert await evaluated(library)


async def test_the_collection_that_goes_takes_the_evaluation_under_way(library: Client) -> None:
    """Nothing is kept of it, also when another collection takes the name."""
    requests = [
        pb.RunEvaluationRequest(header=pb.EvaluationHeader(collection_id="books")),
        *(pb.RunEvaluationRequest(query=golden(f"q{n}", "foxes", document("fox"))) for n in range(60)),
    ]
    call = library.stub.RunEvaluation(requests, timeout=60, metadata=library.metadata)
    await call.read()
    await library.call("DeleteCollection", pb.DeleteCollectionRequest(collection_id="books"))
    await library.create()

    async def rest() -> None:
        with translated():
            while await call.read() is not grpc.aio.EOF:
                pass

    with pytest.raises(ServiceError) as caught:
        await rest()
    assert refused(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    assert await listed(library) == []
