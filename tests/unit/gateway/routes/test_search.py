from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import FailedPreconditionError, InvalidArgumentError
from tests.unit.gateway.scripted_services import ScriptedServices

URL = "/api/v1/collections/papers/search"


def test_hits_come_with_scores_and_places(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["Search"] = vector_pb2.SearchResponse(
        hits=[
            vector_pb2.Hit(
                document_id="d",
                external_id="e",
                title="T",
                chunk_id="c",
                collection_id="papers",
                text="text",
                span=vector_pb2.Span(byte_start=4, byte_end=8),
                extraction_sha256="ab",
                page=2,
                location="Prices!B7",
                score=0.5,
                lexical_score=3.0,
                vector_score=0.25,
                late_interaction_score=0.75,
                headings=["A", "B"],
            )
        ],
        mode=vector_pb2.SEARCH_MODE_LEXICAL,
        degraded_reason="the index is being rebuilt",
        pending_vectors=7,
    )
    answer = http.post(URL, json={"query": "q"})
    assert answer.json == {
        "hits": [
            {
                "document_id": "d",
                "external_id": "e",
                "title": "T",
                "chunk_id": "c",
                "collection": "papers",
                "text": "text",
                "byte_start": 4,
                "byte_end": 8,
                "extraction_sha256": "ab",
                "page": 2,
                "location": "Prices!B7",
                "headings": ["A", "B"],
                "score": 0.5,
                "lexical_score": 3.0,
                "vector_score": 0.25,
                "late_interaction_score": 0.75,
            }
        ],
        "mode": "LEXICAL",
        "degraded_reason": "the index is being rebuilt",
        "pending_vectors": 7,
    }


def test_every_parameter_reaches_the_service(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["Search"] = vector_pb2.SearchResponse(
        dropped=[vector_pb2.DroppedCandidate(document_id="d", cause=vector_pb2.DROP_CAUSE_LIMIT, score=0.1)]
    )
    body = {
        "query": "q",
        "top_k": 3,
        "mode": "Dense",
        "similarity_threshold": 0,
        "explain": True,
        "filter": {
            "document_ids": ["d"],
            "external_ids": ["e"],
            "media_types": ["text/plain"],
            "created_from": "2030-01-31T12:00:00Z",
            "created_before": "2031-01-31T12:00:00Z",
            "metadata": {"year": 1999, "open": True, "kind": "a"},
        },
    }
    answer = http.post(URL, json=body)
    assert answer.json is not None
    assert answer.json["dropped"][0]["cause"] == "LIMIT"
    asked = services.requests["Search"][0]
    assert list(asked.collection_ids) == ["papers"]
    assert (asked.query, asked.top_k, asked.mode) == ("q", 3, vector_pb2.SEARCH_MODE_DENSE)
    assert asked.HasField("similarity_threshold")
    assert asked.similarity_threshold == 0
    assert asked.explain
    assert dict(asked.filter.metadata) == {"year": 1999.0, "open": True, "kind": "a"}
    assert asked.filter.min_create_time.ToJsonString() == "2030-01-31T12:00:00Z"
    assert list(asked.filter.external_ids) == ["e"]


@pytest.mark.parametrize("name", ["document_ids", "external_ids", "media_types"])
def test_a_condition_that_names_nothing_is_refused(
    http: FlaskClient, services: ScriptedServices, name: str
) -> None:
    services.script["Search"] = vector_pb2.SearchResponse()
    answer = http.post(URL, json={"query": "q", "filter": {name: []}})
    assert (answer.status_code, answer.json and answer.json["reason"]) == (400, "INVALID_FIELD")
    assert answer.json is not None
    assert answer.json["metadata"]["field"] == f"filter.{name}"
    assert http.post(URL, json={"query": "q", "filter": {name: None}}).status_code == 200
    assert len(services.requests["Search"]) == 1


def test_what_is_left_out_is_left_to_the_service(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["Search"] = vector_pb2.SearchResponse()
    http.post(URL, json={"query": "q"})
    assert services.requests["Search"] == [vector_pb2.SearchRequest(collection_ids=["papers"], query="q")]


def test_several_collections_are_searched_at_once(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["Search"] = vector_pb2.SearchResponse()
    assert http.post("/api/v1/search", json={"query": "q", "collections": ["a", "b"]}).status_code == 200
    assert list(services.requests["Search"][0].collection_ids) == ["a", "b"]


BAD: list[dict[str, Any]] = [
    *({"query": "q", "top_k": top_k} for top_k in (0, -1, 10**9 * 10, "5", 2.5, True)),
    {"query": 5},
    {"query": "a\0b"},
    {"query": "q", "filter": {"document_ids": ["a\0b"]}},
    {"top_k": 5},
    {"query": "q", "mode": "fast"},
    {"query": "q", "similarity_threshold": "0.5"},
    {"query": "q", "tenant_id": "other"},
    {"query": "q", "user_id": "other"},
    {"query": "q", "filter": {"$or": [{"a": 1}]}},
    {"query": "q", "filter": {"tenant": {"$ne": "me"}}},
    {"query": "q", "filter": {"metadata": {"tenant": {"$ne": "me"}}}},
    {"query": "q", "filter": {"created_from": "yesterday"}},
    {"query": "q", "filter": [1]},
    {"query": "q", "explain": 1},
    {"query": "q", **{f"field_{number}": number for number in range(9_000)}},
]


@pytest.mark.parametrize("body", BAD, ids=lambda body: str(body)[:60])
def test_a_wrong_field_is_400_and_never_reaches_the_service(
    http: FlaskClient, services: ScriptedServices, body: dict[str, Any]
) -> None:
    answer = http.post(URL, json=body)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["reason"] in ("INVALID_FIELD", "UNKNOWN_FIELD")
    assert not services.requests


def test_what_only_the_service_can_judge_comes_back_as_its_problem(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["Search"] = InvalidArgumentError(
        "query: only blanks", reason="INVALID_FIELD", metadata={"field": "query"}
    )
    assert http.post(URL, json={"query": " \u200b"}).status_code == 400
    services.script["Search"] = FailedPreconditionError("other model", reason="EMBEDDING_MISMATCH")
    assert http.post(URL, json={"query": "q"}).status_code == 409


def test_citations_are_checked_in_order(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["VerifyCitations"] = vector_pb2.VerifyCitationsResponse(
        verdicts=[
            vector_pb2.CitationVerdict(verified=True, page=3, location="slide 3"),
            vector_pb2.CitationVerdict(fault=vector_pb2.CITATION_FAULT_QUOTE_DIFFERS),
        ]
    )
    claim = {"document_id": "d", "extraction_sha256": "ab", "byte_start": 0, "byte_end": 3, "quote": "äb"}
    # A citation as a run gave it may be sent back whole.
    whole = {**claim, "title": "T", "page": 3, "location": "slide 3", "number": 1, "collection": "c"}
    answer = http.post("/api/v1/citations/verify", json={"citations": [claim, whole]})
    assert answer.json == {
        "results": [
            {"verified": True, "fault": None, "page": 3, "location": "slide 3"},
            {"verified": False, "fault": "QUOTE_DIFFERS", "page": None, "location": None},
        ]
    }
    sent = services.requests["VerifyCitations"][0].citations
    assert sent[0] == sent[1]
    assert (sent[0].span.byte_start, sent[0].span.byte_end, sent[0].quote) == (0, 3, "äb")


@pytest.mark.parametrize("missing", ["document_id", "extraction_sha256", "byte_start", "byte_end", "quote"])
def test_a_citation_with_a_part_missing_is_400(
    http: FlaskClient, services: ScriptedServices, missing: str
) -> None:
    claim = {"document_id": "d", "extraction_sha256": "ab", "byte_start": 0, "byte_end": 3, "quote": "q"}
    del claim[missing]
    answer = http.post("/api/v1/citations/verify", json={"citations": [claim]})
    assert answer.status_code == 400
    assert not services.requests
