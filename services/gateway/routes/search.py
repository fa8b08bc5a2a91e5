"""Search, and the check of citations."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, request

from meldrag.vector.v1 import vector_pb2
from services.gateway import rendering
from services.gateway.body import Fields, json_object
from services.gateway.calls import unary
from services.gateway.door import answer, door
from services.gateway.openapi.operation import json, operation
from services.gateway.openapi.schema import array, record, reference

blueprint = Blueprint("search", __name__)

# What a mode is called in requests.
MODES = {
    "hybrid": "SEARCH_MODE_HYBRID",
    "dense": "SEARCH_MODE_DENSE",
    "lexical": "SEARCH_MODE_LEXICAL",
}


@blueprint.post("/collections/<collection_id>/search")
@operation(answers={200: json("SearchResult")}, body="Search", problems=(409,), repeat="reads")
def search_collection(collection_id: str) -> Response:
    """Finds passages in one collection."""
    return _search([collection_id], json_object(request, door().settings.meld_max_json_bytes))


@blueprint.post("/search")
@operation(answers={200: json("SearchResult")}, body="SearchOfSeveral", problems=(404, 409), repeat="reads")
def search_collections() -> Response:
    """Finds passages in several collections."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    return _search(fields.texts("collections"), fields)


def _search(collection_ids: Sequence[str], fields: Fields) -> Response:
    message = vector_pb2.SearchRequest(
        collection_ids=collection_ids,
        query=fields.text("query", required=True),
        # 0 means the setting in the contract; a client that says 0 is mistaken.
        top_k=fields.integer("top_k", minimum=1),
        mode=fields.choice("mode", MODES),
        similarity_threshold=fields.number("similarity_threshold"),
        filter=search_filter(fields.object("filter")),
        explain=fields.boolean("explain"),
    )
    fields.finish()
    found = unary(door().clients.vector.Search, message)
    return answer(rendering.search(found, message.explain))


def search_filter(fields: Fields | None) -> vector_pb2.Filter | None:
    """The condition of a search; None when there is none. Raises ProblemError 400."""
    if fields is None:
        return None
    result = vector_pb2.Filter(
        document_ids=_some(fields, "document_ids"),
        external_ids=_some(fields, "external_ids"),
        media_types=_some(fields, "media_types"),
        min_create_time=fields.time("created_from"),
        max_create_time=fields.time("created_before"),
        metadata=fields.flat_struct("metadata"),
    )
    fields.finish()
    return result


def _some(fields: Fields, name: str) -> list[str]:
    """A list that holds something, where it is there: to the contract an empty one is no condition."""
    given = fields.has(name)
    values = fields.texts(name)
    if given and not values:
        raise fields.wrong(name, "must not be empty: nothing would meet it; leave it out for no condition")
    return values


@blueprint.post("/citations/verify")
@operation(
    answers={200: json(record({"results": array(reference("CitationVerdict"))}))},
    body="Citations",
    repeat="reads",
)
def verify_citations() -> Response:
    """Says of each citation whether those very bytes stand there."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    citations = [claim(item) for item in fields.objects("citations")]
    fields.finish()
    checked = unary(
        door().clients.vector.VerifyCitations, vector_pb2.VerifyCitationsRequest(citations=citations)
    )
    return answer({"results": [rendering.verdict(item) for item in checked.verdicts]})


def claim(fields: Fields) -> vector_pb2.Citation:
    """A citation that is to be checked. Raises ProblemError 400."""
    # What a run's citation carries besides is no part of the claim.
    for name in ("title", "page", "location", "number", "collection"):
        fields.drop(name)
    result = vector_pb2.Citation(
        document_id=fields.text("document_id", required=True),
        extraction_sha256=fields.text("extraction_sha256", required=True),
        span=vector_pb2.Span(byte_start=fields.position("byte_start"), byte_end=fields.position("byte_end")),
        quote=fields.text("quote", required=True, content=True),
    )
    fields.finish()
    return result
