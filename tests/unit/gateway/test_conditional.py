"""ETags: who has it gets nothing, who changes what has changed is refused."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from google.protobuf import timestamp_pb2

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import AbortedError, NotFoundError
from tests.unit.gateway.scripted_services import ScriptedServices

WORKFLOW = workflow_pb2.Workflow(workflow_id="w", title="W", revision=3)
STEPS = [{"step_id": "a", "agent_id": "research"}]


def script(services: ScriptedServices) -> None:
    services.script["GetSession"] = session_pb2.GetSessionResponse(
        session=session_pb2.Session(session_id="s", title="T")
    )
    services.script["GetAttachment"] = session_pb2.GetAttachmentResponse(
        attachment=session_pb2.Attachment(attachment_id="a", sha256="00")
    )
    services.script["GetRun"] = session_pb2.GetRunResponse(
        run=session_pb2.Run(run_id="r", state=session_pb2.RUN_STATE_RUNNING)
    )
    services.script["GetAgent"] = agents_pb2.GetAgentResponse(agent=agents_pb2.Agent(agent_id="a"))
    services.script["GetWorkflow"] = agents_pb2.GetWorkflowResponse(workflow=WORKFLOW)
    services.script["GetCollection"] = vector_pb2.GetCollectionResponse(
        collection=vector_pb2.Collection(collection_id="c")
    )
    services.script["GetDocument"] = vector_pb2.GetDocumentResponse(
        document=vector_pb2.Document(document_id="d")
    )
    services.script["ReadDocumentText"] = vector_pb2.ReadDocumentTextResponse(
        text="text", span=vector_pb2.Span(byte_end=4), extraction_sha256="ab" * 32
    )


SINGLE = [
    "/api/v1/sessions/s",
    "/api/v1/attachments/a",
    "/api/v1/runs/r",
    "/api/v1/agents/a",
    "/api/v1/workflows/w",
    "/api/v1/collections/c",
    "/api/v1/collections/c/documents/d",
    "/api/v1/collections/c/documents/d/text",
    "/",
    "/assets/app.js",
    "/openapi.json",
    "/docs",
]


@pytest.mark.parametrize("path", SINGLE)
def test_who_has_it_gets_nothing(http: FlaskClient, services: ScriptedServices, path: str) -> None:
    script(services)
    first = http.get(path)
    tag = first.headers["ETag"]
    assert first.status_code == 200
    assert first.data
    for has in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = http.get(path, headers={"If-None-Match": has})
        assert (again.status_code, again.data) == (304, b""), has
        assert again.headers["ETag"] == tag
    other = http.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.data) == (200, first.data)


def test_a_tag_changes_with_what_it_names(http: FlaskClient, services: ScriptedServices) -> None:
    script(services)
    before = http.get("/api/v1/sessions/s").headers["ETag"]
    services.script["GetSession"] = session_pb2.GetSessionResponse(
        session=session_pb2.Session(session_id="s", title="U")
    )
    after = http.get("/api/v1/sessions/s", headers={"If-None-Match": before})
    assert after.status_code == 200
    assert after.headers["ETag"] != before
    assert after.headers["Cache-Control"] == "private, no-cache"


def test_text_as_json_is_another_representation(http: FlaskClient, services: ScriptedServices) -> None:
    script(services)
    path = "/api/v1/collections/c/documents/d/text"
    plain = http.get(path)
    as_json = http.get(path, headers={"Accept": "application/json", "If-None-Match": plain.headers["ETag"]})
    assert (as_json.status_code, as_json.mimetype) == (200, "application/json")
    assert as_json.headers["ETag"] != plain.headers["ETag"]
    assert as_json.headers["Vary"] == "Accept"


def test_a_refusal_has_no_tag(http: FlaskClient, services: ScriptedServices) -> None:
    assert "ETag" not in http.get("/api/v1/nothing").headers
    services.script["GetSession"] = session_pb2.GetSessionResponse()
    assert "ETag" not in http.get("/api/v1/sessions/s?wrong=1").headers


def test_a_change_of_what_was_read_is_made_with_its_revision(
    http: FlaskClient, services: ScriptedServices
) -> None:
    script(services)
    services.script["UpdateWorkflow"] = agents_pb2.UpdateWorkflowResponse(workflow=WORKFLOW)
    tag = http.get("/api/v1/workflows/w").headers["ETag"]
    for matching in (tag, f'"other", {tag}', "*"):
        answer = http.put("/api/v1/workflows/w", json={"steps": STEPS}, headers={"If-Match": matching})
        assert answer.status_code == 200
    # The service refuses it when it has changed since.
    assert [asked.workflow.revision for asked in services.requests["UpdateWorkflow"]] == [3, 3, 3]


@pytest.mark.parametrize("tag", ['"other"', "W/{tag}", ""], ids=["another", "weak", "none"])
def test_a_change_of_something_else_is_412(http: FlaskClient, services: ScriptedServices, tag: str) -> None:
    script(services)
    current = http.get("/api/v1/workflows/w").headers["ETag"]
    answer = http.put(
        "/api/v1/workflows/w", json={"steps": STEPS}, headers={"If-Match": tag.format(tag=current)}
    )
    assert (answer.status_code, answer.json["reason"]) == (412, "ETAG_MISMATCH")
    assert not services.requests["UpdateWorkflow"]


@pytest.mark.parametrize("path", ["/api/v1/search", "/api/v1/agents/route", "/api/v1/citations/verify"])
def test_a_bad_key_is_refused_even_where_it_has_no_effect(http: FlaskClient, path: str) -> None:
    answer = http.post(path, json={}, headers={"Idempotency-Key": "a b"})
    assert (answer.status_code, answer.json["reason"]) == (400, "INVALID_IDEMPOTENCY_KEY")


CHANGES = pytest.mark.parametrize(
    ("method", "service"), [("PATCH", "UpdateSession"), ("DELETE", "DeleteSession")]
)
NOON = timestamp_pb2.Timestamp(seconds=1_700_000_000, nanos=5000)
TALK = session_pb2.Session(session_id="s", title="A talk", update_time=NOON)


def talk(services: ScriptedServices) -> None:
    services.script |= {
        "GetSession": session_pb2.GetSessionResponse(session=TALK),
        "UpdateSession": session_pb2.UpdateSessionResponse(session=TALK),
        "DeleteSession": session_pb2.DeleteSessionResponse(),
    }


@CHANGES
def test_a_session_is_changed_while_it_is_the_one_that_was_read(
    http: FlaskClient, services: ScriptedServices, method: str, service: str
) -> None:
    talk(services)
    body = {"json": {"title": "b"}} if method == "PATCH" else {}
    tag = http.get("/api/v1/sessions/s").headers["ETag"]
    for headers in ({"If-Match": tag}, {}):
        assert http.open("/api/v1/sessions/s", method=method, headers=headers, **body).status_code == 200
    with_it, without = services.requests[service]
    # The service refuses it when it has changed since.
    assert with_it.expected_update_time == NOON
    assert not without.HasField("expected_update_time")

    for other in ('"other"', f"W/{tag}"):
        refused = http.open("/api/v1/sessions/s", method=method, headers={"If-Match": other}, **body)
        assert (refused.status_code, refused.json["reason"]) == (412, "ETAG_MISMATCH")
    assert len(services.requests[service]) == 2


@CHANGES
def test_a_session_that_changes_meanwhile_is_412_too(
    http: FlaskClient, services: ScriptedServices, method: str, service: str
) -> None:
    talk(services)
    services.script[service] = AbortedError("changed", reason="SESSION_CHANGED")
    body = {"json": {"title": "b"}} if method == "PATCH" else {}
    refused = http.open("/api/v1/sessions/s", method=method, headers={"If-Match": "*"}, **body)
    assert (refused.status_code, refused.json["reason"]) == (412, "SESSION_CHANGED")


@CHANGES
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_whether_a_repeated_request_has_done_it_the_service_knows(
    http: FlaskClient, services: ScriptedServices, method: str, service: str, gone: bool
) -> None:
    talk(services)
    if gone:
        services.script["GetSession"] = NotFoundError("no such session", reason="SESSION_NOT_FOUND")
    body = {"json": {"title": "b"}} if method == "PATCH" else {}
    headers = {"If-Match": '"before"', "Idempotency-Key": "k"}
    assert http.open("/api/v1/sessions/s", method=method, headers=headers, **body).status_code == 200
    (asked,) = services.requests[service]
    # No session has this time: what is not a repetition is refused.
    assert asked.HasField("expected_update_time")
    assert asked.expected_update_time.ToMicroseconds() == 0
