from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import InvalidArgumentError, NotFoundError, UnavailableError
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.routes.test_runs import EVENTS, RESULT, STARTED, failed
from tests.unit.gateway.scripted_services import ScriptedServices

CHAT = "/v1/chat/completions"
QUESTION = {"model": "meld-research", "messages": [{"role": "user", "content": "Is it so?"}]}
PICTURE = {
    "type": "image_url",
    "image_url": {"url": f"data:image/png;base64,{base64.b64encode(b'picture').decode()}"},
}


def agent(agent_id: str, *inputs: str) -> agents_pb2.Agent:
    made = agents_pb2.Agent(agent_id=agent_id, display_name=agent_id.title())
    json_format.ParseDict({"properties": {name: {} for name in inputs}}, made.input_schema)
    return made


def lines(body: bytes) -> list[str]:
    return [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line.startswith("data: ")]


def chunks(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(body) if line != "[DONE]"]


# -- models --------------------------------------------------------------------------------------------------


def test_models_are_the_agents_that_the_service_lists(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse(agents=[agent("ceo"), agent("code_repair")])
    answer = http.get("/v1/models")
    assert answer.json is not None
    assert answer.json["object"] == "list"
    assert [model["id"] for model in answer.json["data"]] == [
        "meld-auto",
        "meld-ceo",
        "meld-code-repair",
        "meld-embedding",
    ]
    one = http.get("/v1/models/meld-code-repair")
    assert one.json == answer.json["data"][2]
    missing = http.get("/v1/models/owner/gpt-4")
    assert missing.status_code == 404
    assert missing.json is not None
    assert (missing.json["error"]["code"], missing.json["error"]["param"]) == ("model_not_found", "model")


# -- chat ----------------------------------------------------------------------------------------------------


def test_a_question_is_a_run(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = EVENTS
    answer = http.post(CHAT, json=QUESTION, headers={"Idempotency-Key": "k", "Authorization": "Bearer none"})
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["choices"][0]["message"]["content"] == "Yes."
    assert (answer.json["id"], answer.json["model"]) == ("chatcmpl-run_1", "meld-research")
    assert services.requests["RunAgent"] == [
        agents_pb2.RunAgentRequest(agent_id="research", message="Is it so?", request_id="k")
    ]


def test_a_stream_ends_as_the_protocol_has_it(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = EVENTS
    answer = http.post(CHAT, json={**QUESTION, "stream": True})
    assert answer.content_type.startswith("text/event-stream")
    assert lines(answer.data)[-1] == "[DONE]"
    told = chunks(answer.data)
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"
    assert told[-1]["choices"][0]["finish_reason"] == "stop"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in told) == "Yes.\nNo"


def test_a_run_that_fails_before_it_begins_is_an_error_with_a_status(
    http: FlaskClient, services: ScriptedServices
) -> None:
    for stream in (False, True):
        services.script["RunAgent"] = InvalidArgumentError(
            "the message is empty", reason="INVALID_FIELD", metadata={"field": "message"}
        )
        answer = http.post(CHAT, json={**QUESTION, "stream": stream})
        assert (answer.status_code, answer.content_type) == (400, "application/json")
        assert answer.json == {
            "error": {
                "message": "the message is empty",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "invalid_field",
            }
        }
        assert answer.headers["X-Should-Retry"] == "false"


def test_a_run_that_fails_later_ends_a_stream_with_an_error_and_not_as_done(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = [STARTED, failed(14, "VECTOR_UNAVAILABLE")]
    answer = http.post(CHAT, json={**QUESTION, "stream": True})
    assert answer.status_code == 200
    assert lines(answer.data)[-1] != "[DONE]"
    assert chunks(answer.data)[-1]["error"]["code"] == "vector_unavailable"
    assert chunks(answer.data)[-1]["error"]["type"] == "server_error"


def test_a_run_that_fails_later_is_an_error_with_a_status(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = [STARTED, failed(14, "VECTOR_UNAVAILABLE")]
    answer = http.post(CHAT, json=QUESTION)
    assert (answer.status_code, answer.headers["X-Should-Retry"]) == (503, "true")
    assert int(answer.headers["Retry-After"]) >= 1
    services.script["RunAgent"] = [STARTED, failed(0, "", agents_pb2.RUN_OUTCOME_CANCELLED)]
    cancelled = http.post(CHAT, json=QUESTION)
    # A client that tries a conflict again by itself would begin what somebody has just stopped.
    assert (cancelled.status_code, cancelled.headers["X-Should-Retry"]) == (409, "false")


def test_events_that_end_before_the_run_are_an_error(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = [STARTED]
    assert http.post(CHAT, json=QUESTION).status_code == 502
    streamed = http.post(CHAT, json={**QUESTION, "stream": True})
    assert chunks(streamed.data)[-1]["error"]["code"] == "no_answer"


def test_a_service_that_breaks_off_ends_the_stream_with_an_error(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = [STARTED, UnavailableError("gone", reason="REPLICA_UNAVAILABLE")]
    answer = http.post(CHAT, json={**QUESTION, "stream": True})
    assert chunks(answer.data)[-1]["error"]["code"] == "replica_unavailable"


# -- pictures ------------------------------------------------------------------------------------------------


def kept(services: ScriptedServices) -> None:
    async def put(messages: AsyncIterator[Any]) -> session_pb2.PutAttachmentResponse:
        parts = [message async for message in messages]
        services.requests["parts"].append(parts)
        return session_pb2.PutAttachmentResponse(
            attachment=session_pb2.Attachment(attachment_id=f"att_{len(services.requests['parts'])}")
        )

    services.script["PutAttachment"] = put
    services.script["GetAgent"] = agents_pb2.GetAgentResponse(agent=agent("image", "attachment_ids"))
    services.script["RunAgent"] = EVENTS


def test_a_picture_becomes_an_attachment_of_the_run(http: FlaskClient, services: ScriptedServices) -> None:
    kept(services)
    body = {"model": "meld-auto", "messages": [{"role": "user", "content": [PICTURE, PICTURE]}]}
    keys = []
    for _ in range(2):
        assert http.post(CHAT, json=body, headers={"Idempotency-Key": "k"}).status_code == 200
    asked = services.requests["RunAgent"][0]
    assert (asked.agent_id, list(asked.inputs["attachment_ids"])) == ("image", ["att_1", "att_2"])
    for parts in services.requests["parts"]:
        header = parts[0].header
        assert (header.media_type, header.bytes) == ("image/png", 7)
        assert b"".join(part.data for part in parts[1:]) == b"picture"
        keys.append(parts[0].request_id)
    # The second time they are the same, the one and the other.
    assert keys[:2] == keys[2:]
    assert len(set(keys)) == 2


def test_an_agent_without_files_refuses_a_picture(http: FlaskClient, services: ScriptedServices) -> None:
    kept(services)
    services.script["GetAgent"] = agents_pb2.GetAgentResponse(agent=agent("research", "depth"))
    answer = http.post(CHAT, json={**QUESTION, "messages": [{"role": "user", "content": [PICTURE]}]})
    assert answer.status_code == 400
    assert answer.json is not None
    assert "meld-research takes no files" in answer.json["error"]["message"]
    assert not services.requests["RunAgent"]


# -- embeddings ----------------------------------------------------------------------------------------------


def test_texts_are_embedded(http: FlaskClient, services: ScriptedServices) -> None:
    async def embed(request: vector_pb2.EmbedTextsRequest) -> vector_pb2.EmbedTextsResponse:
        rows = [vector_pb2.Embedding(values=[float(len(text)), 0.5]) for text in request.texts]
        return vector_pb2.EmbedTextsResponse(embeddings=rows, embedding_model="minilm")

    services.script["EmbedTexts"] = embed
    body = {"model": "meld-embedding", "input": ["x" * (n % 7 + 1) for n in range(300)]}
    answer = http.post("/v1/embeddings", json=body)
    assert answer.json is not None
    assert [item["embedding"] for item in answer.json["data"]] == [[n % 7 + 1, 0.5] for n in range(300)]
    assert [len(request.texts) for request in services.requests["EmbedTexts"]] == [256, 44]
    wrong = http.post("/v1/embeddings", json={**body, "model": "text-embedding-3-small"})
    assert wrong.status_code == 404
    short = http.post("/v1/embeddings", json={**body, "dimensions": 1})
    assert short.status_code == 400


# -- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1", 404, "unknown_url"),
        ("GET", "/v1/", 404, "unknown_url"),
        ("POST", "/v1/completions", 404, "unknown_url"),
        ("POST", "/v1/responses", 404, "unknown_url"),
        ("GET", "/v1/files/a/content", 404, "unknown_url"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/meld-auto", 405, "method_not_allowed"),
        ("PUT", "/v1/embeddings", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_told_in_openais_form(
    http: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    answer = http.open(path, method=method)
    assert (answer.status_code, answer.content_type) == (status, "application/json")
    assert answer.json is not None
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}
    assert answer.json["error"]["code"] == code
    assert (status == 405) == ("Allow" in answer.headers)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_json"),
        (b"[]", {}, 400, "invalid_json"),
        (b"{}", {}, 400, "invalid_field"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {"Idempotency-Key": "a b"}, 400, "invalid_idempotency_key"),
        (b"{}", {"Origin": "https://evil.example"}, 403, "origin_not_allowed"),
        (b"{}", {"Request-Timeout": "soon"}, 400, "invalid_request_timeout"),
        (json.dumps({**QUESTION, "model": "gpt-4"}).encode(), {}, 404, "model_not_found"),
    ],
)
def test_whatever_is_refused_is_told_in_openais_form(
    http: FlaskClient, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = http.post(CHAT, data=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["error"]["code"] == code


def test_a_request_beyond_the_limit_is_refused(services: ScriptedServices, clients: Clients) -> None:
    small = client_of(Door(GatewaySettings(meld_max_chat_bytes=2048), clients, slots_for(16)))
    long = {**QUESTION, "messages": [{"role": "user", "content": "x" * 2048}]}
    answer = small.post(CHAT, json=long)
    assert answer.status_code == 413
    assert answer.json is not None
    assert answer.json["error"]["code"] == "body_too_large"
    assert not services.requests["RunAgent"]


def test_an_agent_that_is_not_hosted_is_a_missing_model(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = NotFoundError("there is no agent", reason="AGENT_NOT_FOUND")
    answer = http.post(CHAT, json={**QUESTION, "model": "meld-nobody"})
    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["error"]["code"] == "model_not_found"


def test_usage_is_nothing_where_no_model_worked(http: FlaskClient, services: ScriptedServices) -> None:
    assert not RESULT.HasField("usage")
    services.script["RunAgent"] = EVENTS
    answer = http.post(CHAT, json=QUESTION)
    assert answer.json is not None
    assert answer.json["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
