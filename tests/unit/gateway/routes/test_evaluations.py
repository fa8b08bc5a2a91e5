"""Evaluations over HTTP: golden sets in, reports, queries and tables out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import InvalidArgumentError, NotFoundError
from tests.unit.gateway.scripted_services import ScriptedServices

URL = "/api/v1/collections/papers/evaluations"
REPORT = vector_pb2.Evaluation(
    evaluation_id="e1",
    collection_id="papers",
    label="first",
    golden_sha256="ab",
    queries=2,
    settings=[
        vector_pb2.SettingReport(
            setting=vector_pb2.EvaluationSetting(
                name="words",
                mode=vector_pb2.SEARCH_MODE_LEXICAL,
                top_k=10,
                similarity_threshold=0.5,
                filter=vector_pb2.Filter(external_ids=["x"]),
            ),
            metrics=[vector_pb2.MetricSummary(metric="mrr", mean=0.5, low=0.25, high=0.75, queries=2)],
            latency_p50={"nanos": 1_234_000},
        )
    ],
)
QUERY = {"query": "who?", "relevant": [{"external_id": "x"}]}
PAGES = {
    "": vector_pb2.ListEvaluationQueriesResponse(
        queries=[
            vector_pb2.EvaluatedQuery(
                query_id="1",
                query='=HYPERLINK("x")',
                outcomes=[
                    vector_pb2.QueryOutcome(
                        metrics={"mrr": 0.5},
                        hits=3,
                        first_rank=2,
                        missed=[1, 3],
                        elapsed={"nanos": 2_000_000},
                    )
                ],
            )
        ],
        next_page_token="more",
    ),
    "more": vector_pb2.ListEvaluationQueriesResponse(
        queries=[
            vector_pb2.EvaluatedQuery(query_id="2", query="a, b\n", outcomes=[vector_pb2.QueryOutcome()])
        ]
    ),
}


async def evaluated(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for _ in requests:
        pass
    for done in range(3):
        yield vector_pb2.RunEvaluationResponse(done=done, total=2)
    yield vector_pb2.RunEvaluationResponse(done=2, total=2, evaluation=REPORT)


async def paged(request: Any) -> Any:
    return PAGES[request.page_token]


@pytest.fixture
def asked(services: ScriptedServices) -> list[Any]:
    """The messages of an evaluation, as the service got them."""
    got: list[Any] = []

    async def noted(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            got.append(request)
        async for step in evaluated(_none()):
            yield step

    services.script["RunEvaluation"] = noted
    return got


async def _none() -> AsyncIterator[Any]:
    for nothing in ():
        yield nothing


def post_lines(http: FlaskClient, text: str) -> TestResponse:
    return http.post(URL, data=text.encode(), content_type="application/x-ndjson")


def test_a_set_as_json(http: FlaskClient, asked: list[Any]) -> None:
    answer = http.post(
        URL,
        json={
            "label": "first",
            "cutoffs": [1, 10],
            "settings": [{"mode": "lexical", "top_k": 5, "filter": {"media_types": ["text/plain"]}}],
            "queries": [
                {
                    "id": "a",
                    "query": "who?",
                    "line": 4,
                    "relevant": [{"title": "X", "grade": 0}, {"quote": "it was", "line": 5}],
                },
                QUERY,
            ],
        },
        headers={"Idempotency-Key": "k"},
    )
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{URL}/e1"
    header, first, second = (getattr(one, one.WhichOneof("part")) for one in asked)
    assert (header.collection_id, header.label, list(header.cutoffs), header.request_id) == (
        "papers",
        "first",
        [1, 10],
        "k",
    )
    (setting,) = header.settings
    assert (setting.mode, setting.top_k, list(setting.filter.media_types)) == (3, 5, ["text/plain"])
    assert not setting.HasField("similarity_threshold")
    assert (first.query_id, first.line, second.query_id, second.line) == ("a", 4, "2", 0)
    nothing, quote = first.judgements
    assert (nothing.title, nothing.grade, nothing.HasField("grade")) == ("X", 0, True)
    assert (quote.WhichOneof("document"), quote.quote, quote.HasField("grade")) == (None, "it was", False)


def test_a_set_as_lines_knows_its_lines(http: FlaskClient, asked: list[Any]) -> None:
    answer = post_lines(http, f'{{"label": "l"}}\n\n{json.dumps(QUERY)}\n{json.dumps({**QUERY, "line": 9})}')
    assert answer.status_code == 201
    header, first, second = (getattr(one, one.WhichOneof("part")) for one in asked)
    assert (header.label, header.collection_id) == ("l", "papers")
    assert [(one.query_id, one.line) for one in (first, second)] == [("1", 3), ("2", 9)]


def test_the_header_may_be_left_out(http: FlaskClient, asked: list[Any]) -> None:
    assert post_lines(http, json.dumps(QUERY)).status_code == 201
    assert [one.WhichOneof("part") for one in asked] == ["header", "query"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("not JSON", "line 2: Expecting value"),
        ('{"query": 1, "relevant": []}', "line 2: query: a string"),
        ('{"query": "q"}', "line 2: relevant: a list of objects"),
        ('{"query": "q", "relevant": [], "surplus": 1}', 'line 2: "surplus" is not a field'),
        ('{"query": "q", "relevant": [{"title": "a", "external_id": "b"}]}', "one of its names"),
        ('{"query": "q", "relevant": [{"grade": -1}]}', "line 2: relevant[0].grade: must be between"),
    ],
)
def test_a_bad_line_is_named(http: FlaskClient, asked: list[Any], lines: str, says: str) -> None:
    answer = post_lines(http, f"{json.dumps(QUERY)}\n{lines}")
    assert answer.status_code == 400
    assert says in answer.json["detail"]
    assert answer.json["metadata"]["line"] == "2"
    assert not asked


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"queries": {}},
        {"queries": [QUERY], "cutoffs": [1.5]},
        {"queries": [QUERY], "cutoffs": [True]},
        {"queries": [QUERY], "cutoffs": 10},
        {"queries": [QUERY], "settings": [{"explain": True}]},
        {"queries": [QUERY], "settings": [{"mode": "magic"}]},
        {"queries": [QUERY], "surplus": 1},
    ],
)
def test_a_body_that_makes_no_sense_is_400(http: FlaskClient, asked: list[Any], body: Any) -> None:
    assert http.post(URL, json=body).status_code == 400
    assert not asked


def test_other_bodies_are_415(http: FlaskClient) -> None:
    assert http.post(URL, data=b"a,b", content_type="text/csv").status_code == 415


def test_progress_comes_as_events(http: FlaskClient, asked: list[Any]) -> None:
    answer = http.post(URL, json={"queries": [QUERY]}, headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.content_type) == (200, "text/event-stream")
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    assert [block[0] for block in blocks] == ["event: progress"] * 3 + ["event: end"]
    assert json.loads(blocks[1][1].removeprefix("data: ")) == {"done": 1, "total": 2}
    assert json.loads(blocks[3][1].removeprefix("data: "))["id"] == "e1"


def test_a_set_that_the_service_refuses_is_a_400_also_for_who_wants_events(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RunEvaluation"] = InvalidArgumentError(
        "line 7, query q: no such document", reason="GOLDEN_SET_INVALID", metadata={"line": "7"}
    )
    answer = http.post(URL, json={"queries": [QUERY]}, headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.json["reason"]) == (400, "GOLDEN_SET_INVALID")
    assert answer.json["metadata"] == {"line": "7"}


def test_a_report_as_it_is_shown(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetEvaluation"] = vector_pb2.GetEvaluationResponse(evaluation=REPORT)
    answer = http.get(f"{URL}/e1")
    assert answer.json["settings"] == [
        {
            "name": "words",
            "mode": "LEXICAL",
            "top_k": 10,
            "similarity_threshold": 0.5,
            "filter": {"external_ids": ["x"]},
            "metrics": {"mrr": {"mean": 0.5, "low": 0.25, "high": 0.75, "queries": 2}},
            "latency_seconds": {"p50": 0.001234, "p95": 0.0, "max": 0.0},
        }
    ]
    assert http.get(f"{URL}/e1", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_lists(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListEvaluations"] = vector_pb2.ListEvaluationsResponse(
        evaluations=[REPORT], next_page_token="t"
    )
    answer = http.get(f"{URL}?page_size=1")
    assert [one["id"] for one in answer.json["evaluations"]] == ["e1"]
    assert answer.json["next_page_token"] == "t"
    services.script["ListEvaluationQueries"] = paged
    answer = http.get(f"{URL}/e1/queries?page_token=more")
    assert answer.json == {
        "queries": [
            {
                "id": "2",
                "query": "a, b\n",
                "outcomes": [
                    {"metrics": {}, "first_rank": None, "hits": 0, "missed": [], "elapsed_seconds": 0.0}
                ],
            }
        ],
        "next_page_token": None,
    }


def test_all_queries_as_csv(http: FlaskClient, services: ScriptedServices) -> None:
    """Text that a spreadsheet would compute is kept from it."""
    services.script["GetEvaluation"] = vector_pb2.GetEvaluationResponse(evaluation=REPORT)
    services.script["ListEvaluationQueries"] = paged
    answer = http.get(f"{URL}/e1/queries.csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert "evaluation-e1.csv" in answer.headers["Content-Disposition"]
    assert list(csv.reader(io.StringIO(answer.text, newline=""))) == [
        ["query_id", "query", "setting", "mrr", "first_rank", "hits", "missed", "elapsed_seconds"],
        ["1", '\'=HYPERLINK("x")', "words", "0.5", "2", "3", "1 3", "0.002"],
        ["2", "a, b\n", "words", "", "0", "0", "", "0.0"],
    ]


def test_deleted_and_missing(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["DeleteEvaluation"] = vector_pb2.DeleteEvaluationResponse()
    assert http.delete(f"{URL}/e1", headers={"Idempotency-Key": "k"}).status_code == 204
    (request,) = services.requests["DeleteEvaluation"]
    assert (request.collection_id, request.evaluation_id, request.request_id) == ("papers", "e1", "k")
    services.script["GetEvaluation"] = NotFoundError("no", reason="EVALUATION_NOT_FOUND")
    for path in (f"{URL}/e1", f"{URL}/e1/queries.csv"):
        answer = http.get(path)
        assert (answer.status_code, answer.json["reason"]) == (404, "EVALUATION_NOT_FOUND")
