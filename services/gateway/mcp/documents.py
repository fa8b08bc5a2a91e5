"""Documents as MCP resources: listed by page, read as text, whole or in parts."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from typing import Any

import mcp_types as types
from flask import request
from mcp import MCPError

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import ServiceError
from services.gateway import rendering
from services.gateway.calls import Client, EndOfStreamError, stream, unary
from services.gateway.door import door, dumps
from services.gateway.problem import ProblemError

# A text beyond this is read in parts: whoever asks has to put it into a model's context.
MAX_TEXT_BYTES = 256 << 10
_PAGE = 100
# Collections without a document that one page may pass over.
_MAX_SKIPPED = 20

# Page tokens: of the collections, and of the documents of one.
_Place = tuple[str, str]

COLLECTIONS = "meld://collections"
_DOCUMENT = "meld://collections/{collection}/documents/{document}"
_PART = _DOCUMENT + "/text/{byte_start}-{byte_end}"
_URI = re.compile(
    r"meld://collections/(?P<collection>[A-Za-z0-9._-]{1,128})/documents/(?P<document>[A-Za-z0-9._-]{1,128})"
    r"(?:/text/(?P<start>[0-9]{1,18})-(?P<end>[0-9]{1,18}))?"
)


def uri_of(collection_id: str, document_id: str) -> str:
    """The resource of a document."""
    return f"{COLLECTIONS}/{collection_id}/documents/{document_id}"


def templates() -> list[types.ResourceTemplate]:
    """How resources are named."""
    return [
        types.ResourceTemplate(
            name="document",
            title="A document",
            uri_template=_DOCUMENT,
            description=f"The extracted text of a document of at most {MAX_TEXT_BYTES} bytes.",
            mime_type="text/plain",
        ),
        types.ResourceTemplate(
            name="part",
            title="A part of a document",
            uri_template=_PART,
            description=f"The bytes of a text from byte_start to before byte_end, at most {MAX_TEXT_BYTES},"
            " widened to whole characters. The places that citations name are counted so.",
            mime_type="text/plain",
        ),
    ]


def listing(cursor: str | None) -> types.ListResourcesResult:
    """A page of the documents, collection by collection, newest first in each.

    Raises MCPError for a cursor that is none of ours, and ServiceError.
    """
    resources: list[types.Resource] = [] if cursor else [_overview()]
    place: _Place | None = _place(cursor) if cursor else ("", "")
    for _ in range(_MAX_SKIPPED):
        if place is None:
            break
        found, place = _page(*place)
        resources += found
        if found:
            break
    return types.ListResourcesResult(
        resources=resources, next_cursor=None if place is None else _cursor(*place)
    )


def _page(
    collections_token: str, documents_token: str
) -> tuple[list[types.Resource], tuple[str, str] | None]:
    """Documents of one collection, and where the next ones are; None when these were the last."""
    collections = _asked_with_cursor(
        lambda: unary(
            door().clients.vector.ListCollections,
            vector_pb2.ListCollectionsRequest(page_size=1, page_token=collections_token),
        )
    )
    after = (collections.next_page_token, "") if collections.next_page_token else None
    if not collections.collections:
        return [], after
    collection_id = collections.collections[0].collection_id
    documents = _asked_with_cursor(
        lambda: unary(
            door().clients.vector.ListDocuments,
            vector_pb2.ListDocumentsRequest(
                collection_id=collection_id, page_size=_PAGE, page_token=documents_token
            ),
        )
    )
    if documents.next_page_token:
        after = (collections_token, documents.next_page_token)
    return [_resource(document) for document in documents.documents], after


def _overview() -> types.Resource:
    return types.Resource(
        name="collections",
        title="Collections",
        uri=COLLECTIONS,
        description="The collections with what is in them.",
        mime_type="application/json",
    )


def _resource(document: vector_pb2.Document) -> types.Resource:
    state = rendering.enum_name(vector_pb2.DocumentState.DESCRIPTOR, document.state)
    return types.Resource(
        name=document.filename or document.document_id,
        title=document.title or document.filename,
        uri=uri_of(document.collection_id, document.document_id),
        description=f"In the collection {document.collection_id}; {document.media_type}; {state}.",
        mime_type="text/plain",
        size=document.text_bytes or None,
    )


def read(uri: str) -> types.ReadResourceResult:
    """The text of a resource. Raises MCPError with the reason."""
    if uri == COLLECTIONS:
        return _collections()
    match = _URI.fullmatch(uri)
    if match is None:
        raise _refused("RESOURCE_UNKNOWN", f"there is no {uri[:200]}; see the resource templates", uri)
    names = {"collection_id": match["collection"], "document_id": match["document"]}
    try:
        span = _span(match, vector_pb2.GetDocumentRequest(**names), uri)
        text, told = _text(vector_pb2.ReadDocumentTextRequest(**names, span=span))
    except ServiceError as error:
        raise _refused(error.reason, error.message, uri) from error
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=uri, mime_type="text/plain", text=text, _meta=told)]
    )


def _collections() -> types.ReadResourceResult:
    listed: list[Any] = []
    token, more = "", True
    # The contract allows 1,000 in a page; ten pages are more than anybody reads.
    for _ in range(10):
        page = unary(
            door().clients.vector.ListCollections,
            vector_pb2.ListCollectionsRequest(page_size=1000, page_token=token),
        )
        listed += map(rendering.collection, page.collections)
        token = page.next_page_token
        more = bool(token)
        if not more:
            break
    text = dumps({"collections": listed, "complete": not more})
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=COLLECTIONS, mime_type="application/json", text=text)]
    )


def _span(match: re.Match[str], document: vector_pb2.GetDocumentRequest, uri: str) -> vector_pb2.Span | None:
    """The part that is asked for; None for the whole. Raises MCPError for one that is too large."""
    if match["start"] is not None:
        start, end = int(match["start"]), int(match["end"])
        if not start < end <= start + MAX_TEXT_BYTES:
            raise _refused("PART_INVALID", f"a part has 1 to {MAX_TEXT_BYTES} bytes", uri)
        return vector_pb2.Span(byte_start=start, byte_end=end)
    size = unary(door().clients.vector.GetDocument, document).document.text_bytes
    if size > MAX_TEXT_BYTES:
        raise _refused(
            "TEXT_TOO_LARGE",
            f"the text has {size} bytes, and {MAX_TEXT_BYTES} are given at once: read it in parts, as"
            f" {uri}/text/0-{MAX_TEXT_BYTES}",
            uri,
        )
    return None


def _text(message: vector_pb2.ReadDocumentTextRequest) -> tuple[str, dict[str, Any]]:
    """The text and where it stands. Raises ServiceError."""
    client = Client.of(request)
    pieces: list[str] = []
    told: dict[str, Any] = {}
    with contextlib.ExitStack() as held:
        upstream = stream(door().clients.vector.ReadDocumentText, message)
        held.callback(upstream.close)
        with contextlib.suppress(EndOfStreamError):
            while True:
                said = upstream.wait(client)
                pieces.append(said.text)
                told.setdefault("meldrag/byte_start", said.span.byte_start)
                told["meldrag/byte_end"] = said.span.byte_end
                told["meldrag/extraction_sha256"] = said.extraction_sha256
    return "".join(pieces), told


def _cursor(collections_token: str, documents_token: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([collections_token, documents_token]).encode()).decode()


def _place(cursor: str) -> _Place:
    try:
        match json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True)):
            case [str(collections_token), str(documents_token)]:
                return collections_token, documents_token
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise _bad_cursor()


def _asked_with_cursor(ask: Any) -> Any:
    """An answer to a page token of a client. Raises MCPError for one that the service does not know."""
    try:
        return ask()
    except ServiceError as error:
        if error.reason == "INVALID_PAGE_TOKEN":
            raise _bad_cursor() from error
        raise


def _bad_cursor() -> MCPError:
    return MCPError(types.INVALID_PARAMS, "INVALID_CURSOR: the cursor was not made by this server")


def _refused(reason: str, message: str, uri: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, f"{reason}: {message}", {"uri": uri[:500], "reason": reason})


def problem(error: ServiceError | ProblemError) -> MCPError:
    """What went wrong, where MCP has no results that are errors."""
    said = error.message if isinstance(error, ServiceError) else error.detail
    return MCPError(types.INTERNAL_ERROR, f"{error.reason}: {said}", {"reason": error.reason})
