from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import AlreadyExistsError, PermissionDeniedError
from tests.unit.gateway.scripted_services import ScriptedServices

COLLECTION = vector_pb2.Collection(
    collection_id="papers",
    description="d",
    embedding_model="m",
    dimension=384,
    documents=2,
    chunks=5,
    vectors=4,
    owner="anna",
    role=vector_pb2.COLLECTION_ROLE_OWNER,
    grants=[
        vector_pb2.Grant(group="cooks", role=vector_pb2.COLLECTION_ROLE_READER),
        vector_pb2.Grant(subject="ben", role=vector_pb2.COLLECTION_ROLE_WRITER),
    ],
)
SHOWN = {
    "id": "papers",
    "name": "papers",
    "description": "d",
    "embedding_model": "m",
    "dimension": 384,
    "documents": 2,
    "chunks": 5,
    "vectors": 4,
    "created": None,
    "owner": "anna",
    "role": "OWNER",
    "access": [{"group": "cooks", "role": "READER"}, {"user": "ben", "role": "WRITER"}],
    "embedding_revision": None,
    "embedding_notice": None,
    "reembedding": None,
    "previous_embedding": None,
}


def test_a_collection_is_created_once_per_idempotency_key(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["CreateCollection"] = vector_pb2.CreateCollectionResponse(collection=COLLECTION)
    answer = http.post(
        "/api/v1/collections",
        json={"name": "papers", "description": "d"},
        headers={"Idempotency-Key": "key-1"},
    )
    assert (answer.status_code, answer.json) == (201, SHOWN)
    assert answer.headers["Location"] == "/api/v1/collections/papers"
    assert services.requests["CreateCollection"] == [
        vector_pb2.CreateCollectionRequest(collection_id="papers", description="d", request_id="key-1")
    ]


@pytest.mark.parametrize("key", ["", "k" * 129, "a b", "ä"], ids=["empty", "129", "space", "not ASCII"])
def test_a_bad_idempotency_key_is_400(http: FlaskClient, services: ScriptedServices, key: str) -> None:
    answer = http.post("/api/v1/collections", json={"name": "papers"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert not services.requests


def test_a_collection_that_exists_is_409(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["CreateCollection"] = AlreadyExistsError("it exists", reason="COLLECTION_EXISTS")
    answer = http.post("/api/v1/collections", json={"name": "papers"})
    assert (answer.status_code, answer.json["reason"]) == (409, "COLLECTION_EXISTS")


def test_collections_are_read_and_listed(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetCollection"] = vector_pb2.GetCollectionResponse(collection=COLLECTION)
    services.script["ListCollections"] = vector_pb2.ListCollectionsResponse(collections=[COLLECTION])
    assert http.get("/api/v1/collections/papers").json == SHOWN
    assert http.get("/api/v1/collections").json == {"collections": [SHOWN], "next_page_token": None}


def test_a_delete_answers_with_what_is_left(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["DeleteCollection"] = vector_pb2.DeleteCollectionResponse(
        receipt=vector_pb2.DeletionReceipt(
            resource="collections/papers",
            state=vector_pb2.DELETION_STATE_PENDING,
            vector_entries=3,
            tombstone_id="t",
            deleted_documents=2,
            deleted_chunks=5,
        )
    )
    assert http.delete("/api/v1/collections/papers").json == {
        "resource": "collections/papers",
        "state": "PENDING",
        "deleted": {"documents": 2, "chunks": 5, "evaluations": 0},
        "left": {
            "record_documents": 0,
            "record_chunks": 0,
            "record_evaluations": 0,
            "record_originals": 0,
            "lexical_entries": 0,
            "vector_entries": 3,
            "files": 0,
        },
        "tombstone_id": "t",
        "deleted_at": None,
        "purged_at": None,
    }


@pytest.mark.parametrize(
    "query",
    [
        "page_size=0",
        "page_size=-1",
        "page_size=1000000000",
        "page_size=x",
        "page_size=1_0",
        "page_size=1&page_size=2",
        "limit=5",
        "page_size=%D9%A1",
    ],
)
def test_a_bad_page_is_400(http: FlaskClient, services: ScriptedServices, query: str) -> None:
    answer = http.get(f"/api/v1/collections?{query}")
    assert answer.status_code == 400
    assert not services.requests


def test_access_is_put_as_it_is_shown(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["SetCollectionAccess"] = vector_pb2.SetCollectionAccessResponse(collection=COLLECTION)
    answer = http.put(
        "/api/v1/collections/papers/access",
        json={"access": SHOWN["access"]},
        headers={"Idempotency-Key": "key-1"},
    )
    assert (answer.status_code, answer.json) == (200, SHOWN)
    assert services.requests["SetCollectionAccess"] == [
        vector_pb2.SetCollectionAccessRequest(
            collection_id="papers", grants=COLLECTION.grants, request_id="key-1"
        )
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access": {}},
        {"access": ["anna"]},
        {"access": [{"role": "reader"}]},
        {"access": [{"user": "a", "group": "b", "role": "reader"}]},
        {"access": [{"user": "a", "role": "owner"}]},
        {"access": [{"user": 1, "role": "reader"}]},
        {"access": [{"user": "a", "role": "reader", "tenant_id": "other"}]},
        {"access": [], "owner": "me"},
    ],
)
def test_access_that_makes_no_sense_is_400(
    http: FlaskClient, services: ScriptedServices, body: dict[str, object]
) -> None:
    assert http.put("/api/v1/collections/papers/access", json=body).status_code == 400
    assert not services.requests


def test_who_may_not_do_it_gets_403(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["SetCollectionAccess"] = PermissionDeniedError(
        "this needs to be owner of the collection papers", reason="COLLECTION_ACCESS_DENIED"
    )
    answer = http.put("/api/v1/collections/papers/access", json={"access": []})
    assert (answer.status_code, answer.json["reason"]) == (403, "COLLECTION_ACCESS_DENIED")
