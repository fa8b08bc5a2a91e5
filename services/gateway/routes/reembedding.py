"""Another embedding model for a collection, and the way back."""

from __future__ import annotations

import contextlib

from flask import Blueprint, Response, request
from google.protobuf.duration_pb2 import Duration

from meldrag.vector.v1 import vector_pb2
from services.gateway import rendering
from services.gateway.body import Query, idempotency_key, json_object, no_body
from services.gateway.calls import Client, stream, unary
from services.gateway.door import answer, door
from services.gateway.openapi.operation import EVENTS, Answer, created, event_of, json, operation
from services.gateway.openapi.schema import array, record, reference
from services.gateway.streaming import Stream, event_response, sse, wants_events

blueprint = Blueprint("reembedding", __name__)

_MOST_KEEP_SECONDS = 31_536_000


@blueprint.get("/embedding-models")
@operation(answers={200: json(record({"embedding_models": array(reference("EmbeddingModel"))}))})
def list_embedding_models() -> Response:
    """The models that collections may have, the one that new ones get first."""
    Query(request).finish()
    found = unary(door().clients.vector.ListEmbeddingModels, vector_pb2.ListEmbeddingModelsRequest())
    return answer({"embedding_models": [rendering.embedding_model(one) for one in found.embedding_models]})


@blueprint.post("/collections/<collection_id>/reembed")
@operation(
    answers={202: created("Collection"), 200: Answer({EVENTS: event_of("ReembedStep")})},
    body="Reembed",
    problems=(507,),
    repeat="key",
)
def reembed_collection(collection_id: str) -> Response:
    """Builds the vectors of another model beside those that answer. 202 at once; or its steps as events."""
    Query(request).finish()
    fields = json_object(request, door().settings.meld_max_json_bytes)
    message = vector_pb2.ReembedCollectionRequest(
        collection_id=collection_id,
        embedding_model=fields.text("embedding_model"),
        request_id=idempotency_key(request),
    )
    keep = fields.number("keep_previous_seconds", minimum=0, maximum=_MOST_KEEP_SECONDS)
    if keep is not None:
        message.keep_previous.CopyFrom(Duration(seconds=int(keep)))
    fields.finish()
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        upstream = stream(door().clients.vector.ReembedCollection, message)
        held.callback(upstream.close)
        first = upstream.first(client)
        if wants_events(request):
            body = Stream(upstream, client, door().drain, door().settings.meld_heartbeat_seconds, _step)
            return event_response(body.chunks(first), held.pop_all().close)
    # It goes on without anybody who watches.
    found = unary(
        door().clients.vector.GetCollection, vector_pb2.GetCollectionRequest(collection_id=collection_id)
    )
    location = f"/api/v1/collections/{found.collection.collection_id}"
    return answer(rendering.collection(found.collection), 202, {"Location": location})


@blueprint.delete("/collections/<collection_id>/reembed")
@operation(answers={200: json("Collection")}, problems=(507,), repeat="key")
def cancel_reembed(collection_id: str) -> Response:
    """Gives up the vectors that are being built; those that answer stay."""
    Query(request).finish()
    done = unary(
        door().clients.vector.CancelReembed,
        vector_pb2.CancelReembedRequest(collection_id=collection_id, request_id=idempotency_key(request)),
    )
    return answer(rendering.collection(done.collection))


@blueprint.post("/collections/<collection_id>/reembed/revert")
@operation(answers={200: json("Collection")}, problems=(409, 507), repeat="key")
def revert_reembed(collection_id: str) -> Response:
    """Goes back to the vectors before; `reembedding` shows what has to be built for that."""
    Query(request).finish()
    no_body(request)
    done = unary(
        door().clients.vector.RevertReembed,
        vector_pb2.RevertReembedRequest(collection_id=collection_id, request_id=idempotency_key(request)),
    )
    return answer(rendering.collection(done.collection))


@blueprint.post("/collections/<collection_id>/reembed/finish")
@operation(answers={200: json("Collection")}, problems=(507,), repeat="key")
def finish_reembed(collection_id: str) -> Response:
    """Forgets the vectors before now."""
    Query(request).finish()
    no_body(request)
    done = unary(
        door().clients.vector.FinishReembed,
        vector_pb2.FinishReembedRequest(collection_id=collection_id, request_id=idempotency_key(request)),
    )
    return answer(rendering.collection(done.collection))


def _step(said: vector_pb2.ReembedCollectionResponse) -> bytes:
    stage = rendering.enum_name(vector_pb2.ReembedStage.DESCRIPTOR, said.reembedding.stage) or "UNKNOWN"
    return sse(stage.lower(), rendering.reembed_step(said))
