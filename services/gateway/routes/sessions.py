"""Sessions: conversations."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from flask import Blueprint, Response, request
from google.protobuf import timestamp_pb2

from meldrag.session.v1 import session_pb2
from services.chassis.errors import DeadlineExceededError, NotFoundError
from services.gateway import rendered, rendering
from services.gateway.body import Query, idempotency_key, json_object
from services.gateway.calls import unary
from services.gateway.conditional import check_match
from services.gateway.door import answer, door
from services.gateway.openapi.operation import JSON, Answer, Parameter, created, json, operation, pages
from services.gateway.openapi.resources import WHOLE, YES_OR_NO
from services.gateway.openapi.schema import array, record, reference
from services.gateway.problem import ProblemError, invalid

blueprint = Blueprint("sessions", __name__)

_EXPORT = Answer(
    {
        JSON: record({"session": reference("Session"), "messages": array(reference("SessionMessage"))}),
        "text/markdown": {"type": "string"},
    },
    headers=("Content-Disposition",),
)

_EXPORT_SECONDS = 30.0
_EXPORT_PAGE = 200


@blueprint.post("/sessions")
@operation(answers={201: created("Session")}, body="NewSession", problems=(507,), repeat="key")
def create_session() -> Response:
    """Creates an empty session."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    message = session_pb2.CreateSessionRequest(
        title=fields.text("title"),
        collection_ids=fields.texts("collections"),
        metadata=fields.flat_struct("metadata"),
        request_id=idempotency_key(request),
    )
    fields.finish()
    created = unary(door().clients.session.CreateSession, message).session
    return answer(rendering.session(created), 201, {"Location": f"/api/v1/sessions/{created.session_id}"})


@blueprint.get("/sessions")
@operation(answers={200: pages("sessions", "Session")}, paged=True)
def list_sessions() -> Response:
    """A page of the sessions, last changed first."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = unary(
        door().clients.session.ListSessions,
        session_pb2.ListSessionsRequest(page_size=page_size, page_token=page_token),
    )
    return answer(rendering.page("sessions", map(rendering.session, page.sessions), page.next_page_token))


@blueprint.post("/sessions/search")
@operation(
    answers={200: pages("matches", "SessionMatch")}, body="SearchOfSessions", repeat="reads", paged=True
)
def search_sessions() -> Response:
    """Finds sessions by what was said in them or by their titles, last changed first."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    # What is looked for is in the body, as in other searches: addresses get into logs of proxies.
    fields = json_object(request, door().settings.meld_max_json_bytes)
    message = session_pb2.SearchSessionsRequest(
        query=fields.text("query", required=True), page_size=page_size, page_token=page_token
    )
    fields.finish()
    page = unary(door().clients.session.SearchSessions, message)
    return answer(rendering.page("matches", map(rendering.session_match, page.matches), page.next_page_token))


@blueprint.get("/sessions/<session_id>")
@operation(answers={200: json("Session")}, conditional=True)
def get_session(session_id: str) -> Response:
    """One session."""
    Query(request).finish()
    return answer(rendering.session(_session(session_id)))


@blueprint.patch("/sessions/<session_id>")
@operation(answers={200: json("Session")}, body="ChangedSession", problems=(507,), repeat="key", matched=True)
def update_session(session_id: str) -> Response:
    """Changes what is given."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    collections = None
    title = fields.text("title") if fields.has("title") else None
    if fields.has("collections"):
        collections = session_pb2.CollectionIds(values=fields.texts("collections"))
    message = session_pb2.UpdateSessionRequest(
        session_id=session_id,
        title=title,
        collection_ids=collections,
        metadata=fields.flat_struct("metadata"),
        request_id=idempotency_key(request),
    )
    fields.finish()
    if "If-Match" in request.headers:
        message.expected_update_time.CopyFrom(_matched(session_id))
    return answer(rendering.session(unary(door().clients.session.UpdateSession, message).session))


@blueprint.delete("/sessions/<session_id>")
@operation(
    answers={200: json(record({"deleted_messages": WHOLE, "deleted_runs": WHOLE}))},
    repeat="key",
    matched=True,
)
def delete_session(session_id: str) -> Response:
    """Deletes a session with its messages and runs."""
    Query(request).finish()
    message = session_pb2.DeleteSessionRequest(session_id=session_id, request_id=idempotency_key(request))
    if "If-Match" in request.headers:
        message.expected_update_time.CopyFrom(_matched(session_id))
    deleted = unary(door().clients.session.DeleteSession, message)
    return answer({"deleted_messages": deleted.deleted_messages, "deleted_runs": deleted.deleted_runs})


@blueprint.get("/sessions/<session_id>/messages")
@operation(
    answers={200: pages("messages", "SessionMessage")},
    query=(Parameter("newest", YES_OR_NO, "The last messages instead of the first."), rendered.PARAMETER),
    paged=True,
)
def list_messages(session_id: str) -> Response:
    """A page of the messages in order; with newest=true the last ones."""
    query = Query(request)
    page_size, page_token = query.page()
    newest = query.boolean("newest")
    as_html = rendered.asked(query)
    query.finish()
    page = unary(
        door().clients.session.ListMessages,
        session_pb2.ListMessagesRequest(
            session_id=session_id, page_size=page_size, page_token=page_token, newest=newest
        ),
    )
    shown = [rendering.session_message(message) for message in page.messages]
    if as_html:
        html = rendered.messages(page.messages)
        shown = [message | added for message, added in zip(shown, html, strict=True)]
    return answer(rendering.page("messages", shown, page.next_page_token))


@blueprint.get("/sessions/<session_id>/export")
@operation(
    answers={200: _EXPORT},
    query=(Parameter("format", {"type": "string", "enum": ["json", "markdown"]}, "json when absent."),),
)
def export_session(session_id: str) -> Response:
    """The whole conversation as JSON or Markdown, to keep."""
    query = Query(request)
    form = query.text("format") or "json"
    query.finish()
    if form not in ("json", "markdown"):
        raise invalid("format", "must be json or markdown")
    session = _session(session_id)
    messages = list(_messages(session_id))
    suffix = "json" if form == "json" else "md"
    headers = {"Content-Disposition": f'attachment; filename="session-{_file_name(session_id)}.{suffix}"'}
    if form == "json":
        whole = {
            "session": rendering.session(session),
            "messages": [rendering.session_message(message) for message in messages],
        }
        return answer(whole, headers=headers)
    response = Response(_markdown(session, messages), content_type="text/markdown; charset=utf-8")
    response.headers.update(headers)
    return response


def _matched(session_id: str) -> timestamp_pb2.Timestamp:
    """When the session that If-Match names was last changed; the service compares it in the moment of the
    change. Raises ProblemError 412 when the session is another one by now.
    """
    try:
        stored = _session(session_id)
        check_match(request, rendering.session(stored))
    except (NotFoundError, ProblemError):
        # Perhaps it is this very request that has changed it: the service knows. No session has this time.
        if not idempotency_key(request):
            raise
        return timestamp_pb2.Timestamp()
    return stored.update_time


def _session(session_id: str) -> session_pb2.Session:
    return unary(
        door().clients.session.GetSession, session_pb2.GetSessionRequest(session_id=session_id)
    ).session


def _messages(session_id: str) -> Iterator[session_pb2.Message]:
    """All messages. Raises DeadlineExceededError when reading them takes too long."""
    end = time.monotonic() + _EXPORT_SECONDS
    token = ""
    while True:
        if time.monotonic() > end:
            raise DeadlineExceededError(
                "the session is too long to be exported in time",
                reason="UPSTREAM_DEADLINE",
                metadata={"seconds": str(_EXPORT_SECONDS)},
            )
        page = unary(
            door().clients.session.ListMessages,
            session_pb2.ListMessagesRequest(session_id=session_id, page_size=_EXPORT_PAGE, page_token=token),
        )
        yield from page.messages
        token = page.next_page_token
        if not token:
            return


def _file_name(session_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "", session_id)


def _markdown(session: session_pb2.Session, messages: list[session_pb2.Message]) -> str:
    """Turns as headings, texts as they are, citations as a numbered list."""
    lines = [f"# {' '.join(session.title.split()) or session.session_id}", ""]
    for message in messages:
        who = "You" if message.role == session_pb2.ROLE_USER else message.agent_id or "Assistant"
        lines += [f"## {who}, {rendering.time(message.create_time)}", "", message.text, ""]
        citations = rendering.struct(message.attributes).get("citations")
        for citation in citations if isinstance(citations, list) else []:
            if isinstance(citation, dict):
                lines.append(_source(citation))
        lines.append("")
    return "\n".join(lines)


def _source(citation: dict[str, object]) -> str:
    quote = " ".join(str(citation.get("quote", "")).split())
    start, end = citation.get("byte_start"), citation.get("byte_end")
    place = f"{citation.get('document_id', '')}, bytes {start}-{end}"
    return f"{citation.get('number') or '-'}. {citation.get('title') or 'untitled'} ({place}): “{quote}”"
