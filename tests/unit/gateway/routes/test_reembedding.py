"""Another embedding model over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import AbortedError, FailedPreconditionError
from tests.unit.gateway.scripted_services import ScriptedServices

BUILDING = vector_pb2.Reembedding(
    embedding_model="new",
    dimension=4,
    stage=vector_pb2.REEMBED_STAGE_EMBEDDING,
    chunks=5,
    vectors=2,
    refused_chunks=1,
)
PREVIOUS = vector_pb2.PreviousEmbedding(embedding_model="old", dimension=3, embedding_revision="r", vectors=5)
UNDER_WAY = vector_pb2.Collection(
    collection_id="papers", embedding_model="old", dimension=3, embedding_notice="n", reembedding=BUILDING
)
DONE = vector_pb2.Collection(
    collection_id="papers", embedding_model="new", dimension=4, previous_embedding=PREVIOUS
)
SHOWN = {
    "embedding_model": "new",
    "dimension": 4,
    "embedding_revision": None,
    "stage": "EMBEDDING",
    "chunks": 5,
    "vectors": 2,
    "refused_chunks": 1,
    "began": None,
    "reverts": False,
}


def steps() -> list[Any]:
    last = vector_pb2.Reembedding()
    last.CopyFrom(BUILDING)
    last.stage = vector_pb2.REEMBED_STAGE_DONE
    return [
        vector_pb2.ReembedCollectionResponse(reembedding=BUILDING),
        vector_pb2.ReembedCollectionResponse(reembedding=last, collection=DONE),
    ]


def test_it_is_begun_and_goes_on_alone(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ReembedCollection"] = steps()
    services.script["GetCollection"] = vector_pb2.GetCollectionResponse(collection=UNDER_WAY)
    answer = http.post(
        "/api/v1/collections/papers/reembed",
        json={"embedding_model": "new", "keep_previous_seconds": 60},
        headers={"Idempotency-Key": "k"},
    )
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith("/api/v1/collections/papers")
    assert answer.json["reembedding"] == SHOWN
    assert answer.json["embedding_notice"] == "n"
    (asked,) = services.requests["ReembedCollection"]
    assert (asked.collection_id, asked.embedding_model, asked.keep_previous.seconds, asked.request_id) == (
        "papers",
        "new",
        60,
        "k",
    )


def test_its_steps_are_events(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ReembedCollection"] = steps()
    answer = http.post("/api/v1/collections/papers/reembed", json={}, headers={"Accept": "text/event-stream"})
    blocks = [block for block in answer.data.decode().split("\n\n") if block.startswith("event: ")]
    names = [block.split("\n")[0].removeprefix("event: ") for block in blocks]
    told = [json.loads(block.split("data: ", 1)[1]) for block in blocks]
    assert names == ["embedding", "done"]
    assert told[0] == {"reembedding": SHOWN, "collection": None}
    assert told[1]["collection"]["previous_embedding"] == {
        "embedding_model": "old",
        "dimension": 3,
        "embedding_revision": "r",
        "vectors": 5,
        "expires": None,
    }
    assert not services.requests["ReembedCollection"][0].HasField("keep_previous")


@pytest.mark.parametrize(
    ("method", "path", "rpc"),
    [
        ("DELETE", "reembed", "CancelReembed"),
        ("POST", "reembed/revert", "RevertReembed"),
        ("POST", "reembed/finish", "FinishReembed"),
    ],
)
def test_it_is_given_up_undone_and_ended(
    http: FlaskClient, services: ScriptedServices, method: str, path: str, rpc: str
) -> None:
    services.script[rpc] = getattr(vector_pb2, f"{rpc}Response")(collection=DONE)
    answer = http.open(f"/api/v1/collections/papers/{path}", method=method)
    assert (answer.status_code, answer.json["embedding_model"]) == (200, "new")
    assert services.requests[rpc][0].collection_id == "papers"
    if method == "POST":
        assert http.post(f"/api/v1/collections/papers/{path}", json={"a": 1}).status_code == 400


def test_what_cannot_be_is_409(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ReembedCollection"] = AbortedError("another", reason="REEMBED_RUNNING")
    answer = http.post("/api/v1/collections/papers/reembed", json={})
    assert (answer.status_code, answer.json["reason"]) == (409, "REEMBED_RUNNING")
    services.script["RevertReembed"] = FailedPreconditionError("nothing", reason="REEMBED_NOTHING_KEPT")
    answer = http.post("/api/v1/collections/papers/reembed/revert")
    assert (answer.status_code, answer.json["reason"]) == (409, "REEMBED_NOTHING_KEPT")


def test_what_is_no_field_is_400(http: FlaskClient, services: ScriptedServices) -> None:
    for body in ({"model": "x"}, {"keep_previous_seconds": -1}, {"keep_previous_seconds": 31_536_001}):
        assert http.post("/api/v1/collections/papers/reembed", json=body).status_code == 400
    assert not services.requests


def test_models_are_listed_the_configured_one_first(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListEmbeddingModels"] = vector_pb2.ListEmbeddingModelsResponse(
        embedding_models=[
            vector_pb2.EmbeddingModel(name="mine", dimension=32, revision="r", configured=True),
            vector_pb2.EmbeddingModel(name="far", dimension=48),
        ]
    )
    answer = http.get("/api/v1/embedding-models")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "embedding_models": [
            {"name": "mine", "dimension": 32, "revision": "r", "configured": True},
            {"name": "far", "dimension": 48, "revision": None, "configured": False},
        ]
    }
