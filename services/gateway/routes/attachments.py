"""Attachments: files of conversations and of runs, in as a form, out as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flask import Blueprint, Response, request

from meldrag.session.v1 import session_pb2
from services.gateway import content, rendering
from services.gateway.body import Query, idempotency_key
from services.gateway.calls import Upstream, stream, unary, upload
from services.gateway.content import Content, served
from services.gateway.door import answer, door
from services.gateway.multipart import Upload, read_upload
from services.gateway.openapi.operation import FORM, NOTHING, created, json, operation, pages, text_of
from services.gateway.openapi.schema import reference

blueprint = Blueprint("attachments", __name__)


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
@operation(answers=content.ANSWERS, headers=content.HEADERS, problems=content.PROBLEMS, conditional=True)
def read_attachment(attachment_id: str) -> Response:
    """The bytes, or one range of them. To keep, never to be shown as a page of ours."""
    Query(request).finish()
    known = _found(attachment_id)

    def read(start: int, end: int) -> Upstream[session_pb2.ReadAttachmentResponse]:
        asked = session_pb2.ReadAttachmentRequest(attachment_id=attachment_id, byte_start=start, byte_end=end)
        return stream(door().clients.session.ReadAttachment, asked)

    file = Content(known.filename, known.media_type, known.bytes, known.sha256)
    return served(file, read, lambda said: said.data)


def _found(attachment_id: str) -> session_pb2.Attachment:
    return unary(
        door().clients.session.GetAttachment, session_pb2.GetAttachmentRequest(attachment_id=attachment_id)
    ).attachment
