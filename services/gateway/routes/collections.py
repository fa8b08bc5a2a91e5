"""Collections: knowledge bases."""

from __future__ import annotations

from flask import Blueprint, Response, request

from meldrag.vector.v1 import vector_pb2
from services.gateway import rendering
from services.gateway.body import Fields, Query, idempotency_key, json_object
from services.gateway.calls import unary
from services.gateway.door import answer, door
from services.gateway.openapi.operation import created, json, operation, pages
from services.gateway.problem import invalid

blueprint = Blueprint("collections", __name__)

_ROLES = {"reader": "COLLECTION_ROLE_READER", "writer": "COLLECTION_ROLE_WRITER"}


@blueprint.post("/collections")
@operation(answers={201: created("Collection")}, body="NewCollection", problems=(507,), repeat="key")
def create_collection() -> Response:
    """Creates an empty collection. Its `name` is its `id`; either word may say it."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    message = vector_pb2.CreateCollectionRequest(
        collection_id=fields.text("id") or fields.text("name", required=True),
        description=fields.text("description"),
        request_id=idempotency_key(request),
    )
    fields.finish()
    created = unary(door().clients.vector.CreateCollection, message).collection
    location = f"/api/v1/collections/{created.collection_id}"
    return answer(rendering.collection(created), 201, {"Location": location})


@blueprint.get("/collections")
@operation(answers={200: pages("collections", "Collection")}, paged=True)
def list_collections() -> Response:
    """A page of the collections."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = unary(
        door().clients.vector.ListCollections,
        vector_pb2.ListCollectionsRequest(page_size=page_size, page_token=page_token),
    )
    return answer(
        rendering.page("collections", map(rendering.collection, page.collections), page.next_page_token)
    )


@blueprint.get("/collections/<collection_id>")
@operation(answers={200: json("Collection")}, conditional=True)
def get_collection(collection_id: str) -> Response:
    """One collection with its counts."""
    Query(request).finish()
    found = unary(
        door().clients.vector.GetCollection, vector_pb2.GetCollectionRequest(collection_id=collection_id)
    )
    return answer(rendering.collection(found.collection))


@blueprint.put("/collections/<collection_id>/access")
@operation(answers={200: json("Collection")}, body="CollectionAccess", problems=(507,), repeat="key")
def set_collection_access(collection_id: str) -> Response:
    """Says who besides its owner may use a collection; what is not said is taken back."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    grants = [_grant(one) for one in fields.objects("access")]
    fields.finish()
    message = vector_pb2.SetCollectionAccessRequest(
        collection_id=collection_id, grants=grants, request_id=idempotency_key(request)
    )
    changed = unary(door().clients.vector.SetCollectionAccess, message)
    return answer(rendering.collection(changed.collection))


def _grant(fields: Fields) -> vector_pb2.Grant:
    role = fields.choice("role", _ROLES)
    user, group = fields.text("user"), fields.text("group")
    fields.finish()
    if bool(user) == bool(group):
        raise invalid("access", "each entry needs a user or a group")
    grant = vector_pb2.Grant(role=role)
    if user:
        grant.subject = user
    else:
        grant.group = group
    return grant


@blueprint.delete("/collections/<collection_id>")
@operation(answers={200: json("DeletionReceipt")}, problems=(507,), repeat="key")
def delete_collection(collection_id: str) -> Response:
    """Deletes a collection with all that is in it; answers with what is left."""
    Query(request).finish()
    deleted = unary(
        door().clients.vector.DeleteCollection,
        vector_pb2.DeleteCollectionRequest(collection_id=collection_id, request_id=idempotency_key(request)),
    )
    return answer(rendering.receipt(deleted.receipt))
