from __future__ import annotations

from flask.testing import FlaskClient
from google.protobuf import struct_pb2

from meldrag.agents.v1 import agents_pb2
from services.chassis.errors import NotFoundError
from tests.unit.gateway.scripted_services import ScriptedServices


def test_agents_are_listed_with_their_schemas(http: FlaskClient, services: ScriptedServices) -> None:
    schema = struct_pb2.Struct()
    schema.update({"type": "object", "properties": {"csv": {"type": "string"}}})
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse(
        agents=[
            agents_pb2.Agent(
                agent_id="performance", display_name="Performance", input_schema=schema, tools=["a"]
            )
        ],
        next_page_token="more",
    )
    answer = http.get("/api/v1/agents?page_size=1&page_token=x")
    assert answer.status_code == 200
    assert answer.json == {
        "agents": [
            {
                "id": "performance",
                "name": "Performance",
                "purpose": "",
                "input_schema": {"type": "object", "properties": {"csv": {"type": "string"}}},
                "result_schema": {},
                "tools": ["a"],
                "examples": [],
                "passes_tools": False,
            }
        ],
        "next_page_token": "more",
    }
    assert services.requests["ListAgents"] == [agents_pb2.ListAgentsRequest(page_size=1, page_token="x")]


def test_an_unknown_agent_is_404_with_the_services_reason(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["GetAgent"] = NotFoundError(
        "no agent nobody", reason="AGENT_NOT_FOUND", metadata={"agent_id": "nobody"}
    )
    answer = http.get("/api/v1/agents/nobody")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.json == {
        "request_id": answer.headers["X-Request-ID"],
        "type": "urn:meldrag:problem:agent-not-found",
        "title": "Not Found",
        "status": 404,
        "detail": "no agent nobody",
        "reason": "AGENT_NOT_FOUND",
        "metadata": {"agent_id": "nobody"},
    }


def test_a_message_is_routed(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RouteTask"] = agents_pb2.RouteTaskResponse(
        agent_id="code_repair",
        confidence=0.8,
        reasons=["names a failing test"],
        alternatives=[agents_pb2.RouteAlternative(agent_id="code_debugger", confidence=0.1)],
    )
    answer = http.post("/api/v1/agents/route", json={"message": "mend it"})
    assert answer.json == {
        "agent": "code_repair",
        "confidence": 0.8,
        "reasons": ["names a failing test"],
        "alternatives": [{"agent": "code_debugger", "confidence": 0.1}],
    }
    assert services.requests["RouteTask"][0].message == "mend it"
