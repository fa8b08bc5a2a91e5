from __future__ import annotations

from flask.testing import FlaskClient
from google.protobuf import struct_pb2, timestamp_pb2

from meldrag.session.v1 import session_pb2
from services.chassis.errors import UnavailableError
from tests.unit.gateway.scripted_services import ScriptedServices

SESSION = session_pb2.Session(session_id="ses_1", title="A talk", collection_ids=["papers"], messages=2)
NOON = timestamp_pb2.Timestamp(seconds=1_700_000_000)


def attributes() -> struct_pb2.Struct:
    result = struct_pb2.Struct()
    result.update(
        {
            "citations": [
                {
                    "number": 1,
                    "title": "T",
                    "document_id": "d",
                    "byte_start": 0,
                    "byte_end": 3,
                    "quote": "so\nit is",
                }
            ]
        }
    )
    return result


MESSAGES = [
    session_pb2.Message(
        message_id="m1", sequence=1, role=session_pb2.ROLE_USER, text="Why?", create_time=NOON
    ),
    session_pb2.Message(
        message_id="m2",
        sequence=2,
        role=session_pb2.ROLE_ASSISTANT,
        text="So [1].",
        agent_id="research",
        run_id="run_1",
        attributes=attributes(),
        create_time=NOON,
    ),
]


def test_a_session_is_created(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["CreateSession"] = session_pb2.CreateSessionResponse(session=SESSION)
    answer = http.post(
        "/api/v1/sessions",
        json={"title": "A talk", "collections": ["papers"], "metadata": {"k": 1}},
        headers={"Idempotency-Key": "k"},
    )
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/api/v1/sessions/ses_1"
    assert answer.json == {
        "id": "ses_1",
        "title": "A talk",
        "collections": ["papers"],
        "messages": 2,
        "metadata": {},
        "created": None,
        "updated": None,
        "expires": None,
    }
    asked = services.requests["CreateSession"][0]
    assert (asked.title, list(asked.collection_ids), asked.request_id) == ("A talk", ["papers"], "k")
    assert dict(asked.metadata) == {"k": 1.0}


def test_a_patch_changes_only_what_it_names(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["UpdateSession"] = session_pb2.UpdateSessionResponse(session=SESSION)
    http.patch("/api/v1/sessions/ses_1", json={"title": ""})
    http.patch("/api/v1/sessions/ses_1", json={"collections": []})
    first, second = services.requests["UpdateSession"]
    assert first == session_pb2.UpdateSessionRequest(session_id="ses_1", title="")
    assert first.HasField("title")
    assert second == session_pb2.UpdateSessionRequest(
        session_id="ses_1", collection_ids=session_pb2.CollectionIds()
    )
    assert second.HasField("collection_ids")
    assert not second.HasField("title")


def test_sessions_are_read_listed_and_deleted(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetSession"] = session_pb2.GetSessionResponse(session=SESSION)
    services.script["ListSessions"] = session_pb2.ListSessionsResponse(sessions=[SESSION])
    services.script["DeleteSession"] = session_pb2.DeleteSessionResponse(deleted_messages=2, deleted_runs=1)
    assert http.get("/api/v1/sessions/ses_1").json["id"] == "ses_1"
    assert [item["id"] for item in http.get("/api/v1/sessions?page_size=5").json["sessions"]] == ["ses_1"]
    assert http.delete("/api/v1/sessions/ses_1").json == {"deleted_messages": 2, "deleted_runs": 1}
    assert services.requests["ListSessions"][0].page_size == 5


def test_what_was_said_is_found_with_the_text_that_shows_it(
    http: FlaskClient, services: ScriptedServices
) -> None:
    place = session_pb2.MatchedMessage(
        message_id="msg_2", sequence=2, role=session_pb2.ROLE_ASSISTANT, agent_id="research"
    )
    pieces = [session_pb2.SnippetPiece(text="so "), session_pb2.SnippetPiece(text="deep", matched=True)]
    services.script["SearchSessions"] = session_pb2.SearchSessionsResponse(
        matches=[
            session_pb2.SessionMatch(session=SESSION, message=place, snippet=pieces),
            session_pb2.SessionMatch(session=SESSION, snippet=pieces[1:]),
        ],
        next_page_token="t",
    )
    url = "/api/v1/sessions/search"
    page = http.post(f"{url}?page_size=5&page_token=s", json={"query": 'deep "it is"'}).json
    first, second = page["matches"]
    assert (first["session"]["id"], page["next_page_token"]) == ("ses_1", "t")
    assert first["message"] == {
        "id": "msg_2",
        "sequence": 2,
        "role": "ASSISTANT",
        "agent": "research",
        "created": None,
    }
    assert first["snippet"] == [{"text": "so ", "matched": False}, {"text": "deep", "matched": True}]
    assert (second["message"], len(second["snippet"])) == (None, 1)
    assert services.requests["SearchSessions"] == [
        session_pb2.SearchSessionsRequest(query='deep "it is"', page_size=5, page_token="s")
    ]
    for wrong in ({}, {"query": 3}, {"query": "a", "q": "b"}):
        assert http.post(url, json=wrong).status_code == 400
    # Words in an address would get into logs of proxies.
    assert http.post(f"{url}?query=deep", json={"query": "deep"}).status_code == 400
    assert len(services.requests["SearchSessions"]) == 1


def test_messages_that_a_model_wrote_come_as_html_for_those_who_ask(
    http: FlaskClient, services: ScriptedServices
) -> None:
    written = session_pb2.Message(role=session_pb2.ROLE_ASSISTANT, text="*So* [1].")
    written.attributes.update({"answer_mode": "GENERATIVE"})
    asked = session_pb2.Message(role=session_pb2.ROLE_USER, text="*Why?*")
    asked.attributes.update({"answer_mode": "GENERATIVE"})
    services.script["ListMessages"] = session_pb2.ListMessagesResponse(messages=[asked, written, MESSAGES[1]])
    url = "/api/v1/sessions/ses_1/messages"
    shown = [message["html"] for message in http.get(f"{url}?render=html").json["messages"]]
    assert shown == [None, "<p><em>So</em> [1].</p>\n", None]
    assert all("html" not in message for message in http.get(url).json["messages"])
    assert http.get(f"{url}?render=svg").status_code == 400


def test_messages_come_with_speaker_and_attributes(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListMessages"] = session_pb2.ListMessagesResponse(messages=MESSAGES)
    answer = http.get("/api/v1/sessions/ses_1/messages?newest=true&page_size=2")
    first, second = answer.json["messages"]
    assert (first["role"], first["agent"], first["run_id"]) == ("USER", None, None)
    assert (second["role"], second["agent"], second["sequence"]) == ("ASSISTANT", "research", 2)
    assert second["attributes"]["citations"][0]["byte_end"] == 3
    assert services.requests["ListMessages"][0].newest


def test_an_export_holds_every_page(http: FlaskClient, services: ScriptedServices) -> None:
    async def pages(asked: session_pb2.ListMessagesRequest) -> session_pb2.ListMessagesResponse:
        if not asked.page_token:
            return session_pb2.ListMessagesResponse(messages=MESSAGES[:1], next_page_token="2")
        return session_pb2.ListMessagesResponse(messages=MESSAGES[1:])

    services.script["GetSession"] = session_pb2.GetSessionResponse(session=SESSION)
    services.script["ListMessages"] = pages
    whole = http.get("/api/v1/sessions/ses_1/export")
    assert [message["id"] for message in whole.json["messages"]] == ["m1", "m2"]
    assert whole.headers["Content-Disposition"] == 'attachment; filename="session-ses_1.json"'
    text = http.get("/api/v1/sessions/ses_1/export?format=markdown")
    assert text.content_type == "text/markdown; charset=utf-8"
    assert text.text.startswith("# A talk\n\n## You, 2023-11-14T22:13:20.000Z\n\nWhy?\n")
    assert "1. T (d, bytes 0-3): “so it is”" in text.text
    assert http.get("/api/v1/sessions/ses_1/export?format=pdf").status_code == 400


def test_a_store_that_is_down_is_503_with_retry_after(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetSession"] = UnavailableError("no answer", reason="STORE_UNAVAILABLE", retry_after=2.5)
    answer = http.get("/api/v1/sessions/ses_1")
    assert (answer.status_code, answer.json["reason"]) == (503, "STORE_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "3"
    assert answer.json["retry_after"] == 2.5
