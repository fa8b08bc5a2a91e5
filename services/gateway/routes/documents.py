"""Documents: in as files or lines, out as states and text."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TypeVar

from flask import Blueprint, Response, request

from meldrag.vector.v1 import vector_pb2
from services.gateway import content, rendering
from services.gateway.body import BodyReader, Query, idempotency_key, json_object
from services.gateway.calls import Client, EndOfStreamError, Upstream, duplex, lasting_import, stream, unary
from services.gateway.conditional import CACHE_CONTROL, unchanged
from services.gateway.content import Content, served
from services.gateway.door import answer, door, dumps
from services.gateway.lines import LINE_TYPES, Import, Spill
from services.gateway.multipart import Upload, read_upload
from services.gateway.openapi.operation import (
    EVENTS,
    FORM,
    JSON,
    LINES,
    TEXT,
    Answer,
    Parameter,
    created,
    event_of,
    json,
    operation,
    pages,
    streams,
    text_of,
)
from services.gateway.openapi.schema import record, reference
from services.gateway.problem import ProblemError, from_document_error, invalid
from services.gateway.streaming import (
    EVENT_STREAM,
    NDJSON,
    Stream,
    break_off,
    event_response,
    sse,
    streamed,
    wants_events,
)

blueprint = Blueprint("documents", __name__)

_STRING = {"type": "string"}
_POSITION = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
_IMPORTED = Answer(
    {
        LINES: {"type": "string", "description": "An ImportResult for each line, then an ImportSum."},
        EVENTS: event_of("ImportResult", "ImportSum"),
    }
)
_EXTRACTED = Answer(
    {
        TEXT: {"type": "string"},
        JSON: record(
            {
                "document_id": _STRING,
                "collection": _STRING,
                "extraction_sha256": _STRING,
                "text": _STRING,
                "byte_start": _POSITION,
                "byte_end": _POSITION,
            }
        ),
    },
    headers=("X-Extraction-SHA256",),
)
_RANGE = (("byte_start", "The first byte, with byte_end."), ("byte_end", "The byte after the last."))

_STATES = ("RECEIVED", "PARSING", "EMBEDDING", "READY", "FAILED")


@blueprint.post("/collections/<collection_id>/documents")
@operation(
    answers={202: created("Document"), 200: streams("IngestStage")},
    body={FORM: reference("NewDocument"), JSON: reference("DocumentAddress")},
    problems=(507,),
    repeat="key",
)
def upload_document(collection_id: str) -> Response:
    """Takes one file, or what is at an address. 202 once it is durable; or its stages, until it has vectors.

    What is fetched again from the same address takes the place of what was there before.
    """
    Query(request).finish()
    request_id = idempotency_key(request)
    events = wants_events(request)
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        if request.mimetype == JSON:
            header = _address(collection_id, request_id, wait_ready=events)
            parts = iter((vector_pb2.IngestDocumentRequest(header=header),))
        else:
            upload = read_upload(request, door().settings.meld_max_upload_bytes)
            held.callback(upload.file.close)
            header = _header(collection_id, request_id, upload, wait_ready=events)
            parts = _parts(header, upload)
        upstream = duplex(door().clients.vector.IngestDocument, vector_pb2.IngestDocumentRequest, parts)
        held.callback(upstream.close)
        first = upstream.first(client)
        if not events:
            return _accepted(first, upstream, client)
        body = Stream(upstream, client, door().drain, door().settings.meld_heartbeat_seconds, _stage)
        return event_response(body.chunks(first), held.pop_all().close)


def _header(
    collection_id: str, request_id: str, upload: Upload, *, wait_ready: bool
) -> vector_pb2.IngestHeader:
    fields = upload.fields
    header = vector_pb2.IngestHeader(
        collection_id=collection_id,
        filename=upload.filename,
        media_type=upload.media_type,
        external_id=fields.text("external_id"),
        title=fields.text("title"),
        metadata=fields.flat_struct("metadata"),
        request_id=request_id,
        bytes=upload.file.size,
        # The client's own where it sent one: then the whole way is checked.
        content_sha256=fields.text("sha256").lower() or upload.file.sha256,
        wait_ready=wait_ready,
    )
    fields.finish()
    return header


def _address(collection_id: str, request_id: str, *, wait_ready: bool) -> vector_pb2.IngestHeader:
    fields = json_object(request, door().settings.meld_max_json_bytes)
    header = vector_pb2.IngestHeader(
        collection_id=collection_id,
        url=fields.text("url", required=True),
        external_id=fields.text("external_id"),
        title=fields.text("title"),
        metadata=fields.flat_struct("metadata"),
        request_id=request_id,
        wait_ready=wait_ready,
    )
    fields.finish()
    if not header.url:
        raise invalid("url", "must name an address")
    return header


def _parts(header: vector_pb2.IngestHeader, upload: Upload) -> Iterator[vector_pb2.IngestDocumentRequest]:
    yield vector_pb2.IngestDocumentRequest(header=header)
    for piece in upload.file.pieces():
        yield vector_pb2.IngestDocumentRequest(data=piece)


# What takes a file in and what reads one again tell of the same stages.
_Stage = vector_pb2.IngestDocumentResponse | vector_pb2.ReprocessDocumentResponse
_AStage = TypeVar("_AStage", vector_pb2.IngestDocumentResponse, vector_pb2.ReprocessDocumentResponse)


def _accepted(first: _AStage, upstream: Upstream[_AStage], client: Client) -> Response:
    last = first
    with contextlib.suppress(EndOfStreamError):
        while True:
            last = upstream.wait(client)
    document = last.document
    if document.state == vector_pb2.DOCUMENT_STATE_FAILED:
        raise from_document_error(document.error.reason, document.error.message)
    location = f"/api/v1/collections/{document.collection_id}/documents/{document.document_id}"
    return answer(rendering.document(document), 202, {"Location": location})


def _stage(said: _Stage) -> bytes:
    name = rendering.enum_name(vector_pb2.IngestStage.DESCRIPTOR, said.stage) or "UNKNOWN"
    data = {
        "stage": name,
        "document": rendering.document(said.document),
        "existing": said.existing,
        "elapsed_seconds": said.elapsed.ToMilliseconds() / 1000,
    }
    return sse(name.lower(), data)


@blueprint.post("/collections/<collection_id>/documents/import")
@operation(
    answers={200: _IMPORTED},
    body={LINES: {"type": "string", "description": "A DocumentLine as JSON in each line."}},
    problems=(409,),
    repeat="same",
)
def import_documents(collection_id: str) -> Response:
    """Takes lines {id, title, text, metadata}; answers with a line for each, then a sum.

    A line that is refused carries its error and ends nothing; a body without lines is refused. Answers
    begin while lines still come. Should the knowledge service die and come back within a
    minute, the import goes on where it was; a line that it had taken and not yet
    answered is then told as existing.
    """
    Query(request).finish()
    if request.mimetype not in LINE_TYPES:
        raise ProblemError(415, "UNSUPPORTED_MEDIA_TYPE", f"the body must be {NDJSON}")
    events = wants_events(request)
    client = Client.of(request)
    body = BodyReader(request, door().settings.meld_max_import_bytes)
    # A wrong name is told before gigabytes are sent to it.
    unary(door().clients.vector.GetCollection, vector_pb2.GetCollectionRequest(collection_id=collection_id))
    lines = Import(collection_id, body)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        held.callback(body.abandon)
        messages = lines.messages()
        # The service takes no import of nothing, so the call begins with the first line that can be sent.
        begun = next(messages, None)
        write = _line_events if events else _plain_lines
        if begun is None:
            if lines.empty:
                raise invalid("body", "holds no line, so there is nothing to import")
            return Response(write(lines.rest()), content_type=EVENT_STREAM if events else NDJSON)
        waiting = Spill()
        held.callback(waiting.close)
        upstream = lasting_import(itertools.chain((begun,), messages), waiting)
        held.callback(upstream.close)
        try:
            first = upstream.wait(client)
        except EndOfStreamError:
            first = None

        def failed(problem: ProblemError) -> bytes:
            lines.fail(problem)
            return write(lines.rest())

        stream_out = Stream(
            upstream,
            client,
            door().drain,
            door().settings.meld_heartbeat_seconds,
            lambda said: write(lines.results(said)),
            tail=lambda: write(lines.rest()),
            fail=failed,
            # A program that reads line by line does not expect empty ones.
            silent=not events,
        )
        return streamed(
            stream_out.chunks(first),
            EVENT_STREAM if events else NDJSON,
            held.pop_all().close,
            {"X-Accel-Buffering": "no"},
        )


def _plain_lines(results: list[dict[str, object]]) -> bytes:
    return "".join(f"{dumps(result)}\n" for result in results).encode()


def _line_events(results: list[dict[str, object]]) -> bytes:
    return b"".join(sse("done" if "done" in result else "document", result) for result in results)


@blueprint.get("/collections/<collection_id>/documents")
@operation(
    answers={200: pages("documents", "Document")},
    query=(
        text_of("state", f"Only these states, separated by commas: {', '.join(_STATES)}."),
        text_of("external_id", "Only the document of this id of yours."),
        text_of("sha256", "Only documents of these bytes: SHA-256 of the original, hexadecimal."),
    ),
    paged=True,
)
def list_documents(collection_id: str) -> Response:
    """A page of the documents, newest first; of some states, of one external id, or of the same bytes."""
    query = Query(request)
    page_size, page_token = query.page()
    states = [_state(word) for word in query.words("state")]
    external_id, sha256 = query.text("external_id"), query.text("sha256").lower()
    query.finish()
    page = unary(
        door().clients.vector.ListDocuments,
        vector_pb2.ListDocumentsRequest(
            collection_id=collection_id,
            page_size=page_size,
            page_token=page_token,
            states=states,
            external_id=external_id,
            content_sha256=sha256,
        ),
    )
    return answer(rendering.page("documents", map(rendering.document, page.documents), page.next_page_token))


def _state(word: str) -> str:
    if word.upper() not in _STATES:
        raise invalid("state", f"must be some of {', '.join(_STATES)}")
    return f"DOCUMENT_STATE_{word.upper()}"


@blueprint.get("/collections/<collection_id>/documents/<document_id>")
@operation(answers={200: json("Document")}, conditional=True)
def get_document(collection_id: str, document_id: str) -> Response:
    """One document and how far it is."""
    Query(request).finish()
    found = unary(
        door().clients.vector.GetDocument,
        vector_pb2.GetDocumentRequest(collection_id=collection_id, document_id=document_id),
    )
    return answer(rendering.document(found.document))


@blueprint.delete("/collections/<collection_id>/documents/<document_id>")
@operation(answers={200: json("DeletionReceipt")}, problems=(507,), repeat="key")
def delete_document(collection_id: str, document_id: str) -> Response:
    """Deletes a document; answers with what is left of it."""
    Query(request).finish()
    deleted = unary(
        door().clients.vector.DeleteDocument,
        vector_pb2.DeleteDocumentRequest(
            collection_id=collection_id, document_id=document_id, request_id=idempotency_key(request)
        ),
    )
    return answer(rendering.receipt(deleted.receipt))


@blueprint.post("/collections/<collection_id>/documents/<document_id>/cancel")
@operation(answers={200: json("DeletionReceipt")}, problems=(409, 507), repeat="key")
def cancel_ingest(collection_id: str, document_id: str) -> Response:
    """Takes a document that is not READY yet back, with all there is of it; answers with what is left.

    Repeated, it answers with the same receipt. A document that is READY or FAILED is
    deleted instead: 409 INGEST_STATE.
    """
    Query(request).finish()
    cancelled = unary(
        door().clients.vector.CancelIngest,
        vector_pb2.CancelIngestRequest(
            collection_id=collection_id, document_id=document_id, request_id=idempotency_key(request)
        ),
    )
    return answer(rendering.receipt(cancelled.receipt))


@blueprint.post("/collections/<collection_id>/documents/<document_id>/retry")
@operation(answers={202: json("Document")}, problems=(409, 507), repeat="key")
def retry_ingest(collection_id: str, document_id: str) -> Response:
    """Puts a document that FAILED back into the queue, where another try may end otherwise.

    The bytes of other failures are not kept: 409 ORIGINAL_GONE, send the file again.
    """
    Query(request).finish()
    retried = unary(
        door().clients.vector.RetryIngest,
        vector_pb2.RetryIngestRequest(
            collection_id=collection_id, document_id=document_id, request_id=idempotency_key(request)
        ),
    )
    return answer(rendering.document(retried.document), 202)


@blueprint.post("/collections/<collection_id>/documents/<document_id>/reprocess")
@operation(
    answers={202: created("Document"), 200: streams("IngestStage")},
    # Of the file, as for an upload.
    problems=(413, 415, 507),
    repeat="key",
)
def reprocess_document(collection_id: str, document_id: str) -> Response:
    """Reads a document again from its original, as parsers and settings are now.

    202 once its new text is durable; or its stages, until it has vectors. Until then the document is
    found with its old text, and it stays what it was when the reading fails. 404 ORIGINAL_NOT_KEPT
    where it has no file; 409 DOCUMENT_BUSY where it is being read already.
    """
    Query(request).finish()
    events = wants_events(request)
    client = Client.of(request)
    asked = vector_pb2.ReprocessDocumentRequest(
        collection_id=collection_id,
        document_id=document_id,
        request_id=idempotency_key(request),
        wait_ready=events,
    )
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        upstream = stream(door().clients.vector.ReprocessDocument, asked)
        held.callback(upstream.close)
        first = upstream.first(client)
        if not events:
            return _accepted(first, upstream, client)
        body = Stream(upstream, client, door().drain, door().settings.meld_heartbeat_seconds, _stage)
        return event_response(body.chunks(first), held.pop_all().close)


@blueprint.delete("/collections/<collection_id>/documents/<document_id>/reprocess")
@operation(answers={200: json("Document")}, problems=(409, 507), repeat="key")
def cancel_reprocess(collection_id: str, document_id: str) -> Response:
    """Ends the reading again of a document, which stays what it was. 409 INGEST_STATE where there is none."""
    Query(request).finish()
    ended = unary(
        door().clients.vector.CancelReprocess,
        vector_pb2.CancelReprocessRequest(
            collection_id=collection_id, document_id=document_id, request_id=idempotency_key(request)
        ),
    )
    return answer(rendering.document(ended.document))


@blueprint.get("/collections/<collection_id>/documents/<document_id>/text")
@operation(
    answers={200: _EXTRACTED},
    query=tuple(Parameter(name, _POSITION, about) for name, about in _RANGE),
    conditional=True,
    problems=(409,),
)
def read_text(collection_id: str, document_id: str) -> Response:
    """The extracted text, whole or from byte_start to byte_end, as text or as JSON."""
    query = Query(request)
    start, end = query.integer("byte_start"), query.integer("byte_end")
    query.finish()
    if (start is None) != (end is None):
        raise invalid("byte_start", "byte_start and byte_end go together")
    span = None
    if start is not None and end is not None:
        span = vector_pb2.Span(byte_start=start, byte_end=end)
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        upstream = stream(
            door().clients.vector.ReadDocumentText,
            vector_pb2.ReadDocumentTextRequest(
                collection_id=collection_id, document_id=document_id, span=span
            ),
        )
        held.callback(upstream.close)
        try:
            first = upstream.wait(client)
        except EndOfStreamError:
            first = vector_pb2.ReadDocumentTextResponse(span=span)
        wanted = request.accept_mimetypes.best_match(["text/plain", "application/json"])
        as_json = wanted == "application/json"
        headers = _named(first.extraction_sha256, "json" if as_json else "text")
        if "ETag" in headers and unchanged(request, headers["ETag"].strip('"')):
            return Response(status=304, headers=headers)
        form: _PlainText | _JsonText = _JsonText(collection_id, document_id) if as_json else _PlainText()
        text = Stream(
            upstream, client, door().drain, 0, form.piece, tail=form.tail, fail=break_off, silent=True
        )
        return streamed(
            text.chunks(first),
            "application/json" if as_json else "text/plain; charset=utf-8",
            held.pop_all().close,
            headers,
        )


@blueprint.get("/collections/<collection_id>/documents/<document_id>/original")
@operation(answers=content.ANSWERS, headers=content.HEADERS, problems=content.PROBLEMS, conditional=True)
def read_original(collection_id: str, document_id: str) -> Response:
    """The file that a document was made of, byte for byte, or one range of it.

    PDF, plain text and pictures made of pixels may be shown by a browser; everything else is
    to be kept. 404 ORIGINAL_NOT_KEPT where the document has no file (`has_original`).
    """
    Query(request).finish()
    names = {"collection_id": collection_id, "document_id": document_id}
    known = unary(door().clients.vector.GetDocument, vector_pb2.GetDocumentRequest(**names)).document
    if not known.has_original:
        detail = "of this document only the text is kept, and not the file"
        raise ProblemError(404, "ORIGINAL_NOT_KEPT", detail, metadata={"document_id": document_id})

    def read(start: int, end: int) -> Upstream[vector_pb2.ReadDocumentOriginalResponse]:
        asked = vector_pb2.ReadDocumentOriginalRequest(**names, byte_start=start, byte_end=end)
        return stream(door().clients.vector.ReadDocumentOriginal, asked)

    file = Content(known.filename or known.document_id, known.media_type, known.bytes, known.content_sha256)
    return served(file, read, lambda said: said.data, shown=True)


def _named(extraction_sha256: str, form: str) -> dict[str, str]:
    """What names the text: under one extraction it never changes."""
    headers = {"Vary": "Accept"}
    if extraction_sha256:
        headers |= {
            "Cache-Control": CACHE_CONTROL,
            "ETag": f'"{extraction_sha256}-{form}"',
            "X-Extraction-SHA256": extraction_sha256,
        }
    return headers


class _PlainText:
    def piece(self, said: vector_pb2.ReadDocumentTextResponse) -> bytes:
        return said.text.encode("utf-8")

    def tail(self) -> bytes:
        return b""


class _JsonText:
    """One JSON object around the text, written piece by piece."""

    def __init__(self, collection_id: str, document_id: str) -> None:
        self._names = {"document_id": document_id, "collection": collection_id}
        self._start: int | None = None
        self._end = 0

    def piece(self, said: vector_pb2.ReadDocumentTextResponse) -> bytes:
        head = ""
        if self._start is None:
            self._start = said.span.byte_start
            names = {**self._names, "extraction_sha256": said.extraction_sha256}
            head = f'{dumps(names)[:-1]},"text":"'
        self._end = said.span.byte_end
        return f"{head}{dumps(said.text)[1:-1]}".encode()

    def tail(self) -> bytes:
        return f'","byte_start":{self._start},"byte_end":{self._end}}}'.encode()
