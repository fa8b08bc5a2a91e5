"""Attachments: files of conversations and of runs, in as a form, out as they are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from flask import Blueprint, Response, request

from meldrag.session.v1 import session_pb2
from services.gateway import rendering
from services.gateway.body import Query, idempotency_key
from services.gateway.calls import Client, stream, unary, upload
from services.gateway.door import answer, door
from services.gateway.multipart import Upload, read_upload
from services.gateway.openapi.operation import FORM, NOTHING, Answer, created, json, operation, pages, text_of
from services.gateway.openapi.schema import reference
from services.gateway.problem import ProblemError
from services.gateway.security import CONTENT_POLICY
from services.gateway.streaming import Stream, break_off, streamed

blueprint = Blueprint("attachments", __name__)

_KEPT = ("Accept-Ranges", "Content-Disposition", "ETag")
_CONTENT = Answer({"*/*": {}}, "The file.", _KEPT)
_PART = Answer({"*/*": {}}, "The range.", (*_KEPT, "Content-Range"))

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}")
_NO_PLAIN_CHARACTER = re.compile(r"[^A-Za-z0-9._ ()-]")


@blueprint.post("/attachments")
@operation(
    answers={201: created("Attachment")},
    body={FORM: reference("NewAttachment")},
    problems=(404, 507),
    repeat="key",
)
def put_attachment() -> Response:
    """Keeps one file; with session_id it belongs to that conversation and goes with it."""
    Query(request).finish()
    request_id = idempotency_key(request)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        form = read_upload(request, door().settings.meld_max_attachment_bytes, "ATTACHMENT_TOO_LARGE")
        held.callback(form.file.close)
        header = _header(form)
        kept = upload(
            door().clients.session.PutAttachment,
            session_pb2.PutAttachmentRequest,
            _parts(header, request_id, form),
        ).attachment
    return answer(rendering.attachment(kept), 201, {"Location": f"/api/v1/attachments/{kept.attachment_id}"})


def _header(form: Upload) -> session_pb2.Attachment:
    header = session_pb2.Attachment(
        session_id=form.fields.text("session_id"),
        filename=form.filename,
        media_type=form.media_type,
        bytes=form.file.size,
        # The client's own where it sent one: then the whole way is checked.
        sha256=form.fields.text("sha256").lower() or form.file.sha256,
    )
    form.fields.finish()
    return header


def _parts(
    header: session_pb2.Attachment, request_id: str, form: Upload
) -> Iterator[session_pb2.PutAttachmentRequest]:
    yield session_pb2.PutAttachmentRequest(header=header, request_id=request_id)
    for piece in form.file.pieces():
        yield session_pb2.PutAttachmentRequest(data=piece)


@blueprint.get("/attachments")
@operation(
    answers={200: pages("attachments", "Attachment")},
    query=(text_of("session_id", "Only files of this session."),),
    problems=(404,),
    paged=True,
)
def list_attachments() -> Response:
    """A page of the files, newest first; those of one session with session_id."""
    query = Query(request)
    page_size, page_token = query.page()
    session_id = query.text("session_id")
    query.finish()
    page = unary(
        door().clients.session.ListAttachments,
        session_pb2.ListAttachmentsRequest(session_id=session_id, page_size=page_size, page_token=page_token),
    )
    return answer(
        rendering.page("attachments", map(rendering.attachment, page.attachments), page.next_page_token)
    )


@blueprint.get("/attachments/<attachment_id>")
@operation(answers={200: json("Attachment")}, conditional=True)
def get_attachment(attachment_id: str) -> Response:
    """What is known of one file."""
    Query(request).finish()
    return answer(rendering.attachment(_found(attachment_id)))


@blueprint.delete("/attachments/<attachment_id>")
@operation(answers={204: NOTHING})
def delete_attachment(attachment_id: str) -> Response:
    """Deletes a file."""
    Query(request).finish()
    unary(
        door().clients.session.DeleteAttachment,
        session_pb2.DeleteAttachmentRequest(attachment_id=attachment_id),
    )
    return Response(status=204)


@blueprint.get("/attachments/<attachment_id>/content")
@operation(
    answers={200: _CONTENT, 206: _PART},
    headers=(
        text_of("Range", "One range of bytes."),
        text_of("If-Range", "The ETag that the range is of; the whole file is answered when it has another."),
    ),
    problems=(416,),
    conditional=True,
)
def read_attachment(attachment_id: str) -> Response:
    """The bytes, or one range of them. To keep, never to be shown as a page of ours."""
    Query(request).finish()
    known = _found(attachment_id)
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": _disposition(known.filename),
        "Content-Security-Policy": CONTENT_POLICY,
        "ETag": f'"{known.sha256}"',
    }
    if request.if_none_match.contains(known.sha256):
        return Response(status=304, headers=headers)
    wanted = _wanted(known)
    if wanted.part:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.end - 1}/{known.bytes}"
    headers["Content-Length"] = str(wanted.end - wanted.start)
    media_type = known.media_type if _MEDIA_TYPE.fullmatch(known.media_type) else "application/octet-stream"
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        upstream = stream(
            door().clients.session.ReadAttachment,
            session_pb2.ReadAttachmentRequest(
                attachment_id=attachment_id, byte_start=wanted.start, byte_end=wanted.end
            ),
        )
        held.callback(upstream.close)
        first = upstream.first(client)
        body = Stream(upstream, client, door().drain, 0, lambda said: said.data, fail=break_off, silent=True)
        return streamed(
            body.chunks(first),
            media_type,
            held.pop_all().close,
            headers,
            status=206 if wanted.part else 200,
        )


@dataclass(frozen=True)
class _Wanted:
    """The bytes from `start` to before `end`. part: the client asked for a range."""

    start: int
    end: int
    part: bool


def _wanted(known: session_pb2.Attachment) -> _Wanted:
    """What the client wants. Several ranges, or words that are none, are answered with the whole file.

    Raises ProblemError 416 for a range beyond the end.
    """
    whole = _Wanted(0, known.bytes, part=False)
    asked = request.range
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return whole
    if "If-Range" in request.headers and request.if_range.etag != known.sha256:
        return whole
    found = asked.range_for_length(known.bytes)
    if found is None:
        raise ProblemError(
            416,
            "RANGE_NOT_SATISFIABLE",
            f"the file has {known.bytes} bytes",
            headers={"Content-Range": f"bytes */{known.bytes}"},
        )
    return _Wanted(*found, part=True)


def _disposition(filename: str) -> str:
    """To be kept under its name; programs that know only ASCII get that with "_" for the rest."""
    plain = _NO_PLAIN_CHARACTER.sub("_", filename)
    if plain == filename:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _found(attachment_id: str) -> session_pb2.Attachment:
    return unary(
        door().clients.session.GetAttachment, session_pb2.GetAttachmentRequest(attachment_id=attachment_id)
    ).attachment
