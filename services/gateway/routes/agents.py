"""The agents: who there is, and who should take a message."""

from __future__ import annotations

from flask import Blueprint, Response, request

from meldrag.agents.v1 import agents_pb2
from services.gateway import rendering
from services.gateway.body import Query, json_object
from services.gateway.calls import unary
from services.gateway.door import answer, door
from services.gateway.openapi.operation import json, operation, pages

blueprint = Blueprint("agents", __name__)


@blueprint.get("/agents")
@operation(answers={200: pages("agents", "Agent")}, paged=True)
def list_agents() -> Response:
    """All agents with their inputs and results as JSON Schema."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = unary(
        door().clients.agents.ListAgents,
        agents_pb2.ListAgentsRequest(page_size=page_size, page_token=page_token),
    )
    return answer(rendering.page("agents", map(rendering.agent, page.agents), page.next_page_token))


@blueprint.get("/agents/<agent_id>")
@operation(answers={200: json("Agent")}, conditional=True)
def get_agent(agent_id: str) -> Response:
    """One agent."""
    Query(request).finish()
    found = unary(door().clients.agents.GetAgent, agents_pb2.GetAgentRequest(agent_id=agent_id))
    return answer(rendering.agent(found.agent))


@blueprint.post("/agents/route")
@operation(answers={200: json("Route")}, body="Message", repeat="reads")
def route_task() -> Response:
    """Which agent should take a message, how sure that is, and why."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    message = agents_pb2.RouteTaskRequest(message=fields.text("message", required=True))
    fields.finish()
    return answer(rendering.route(unary(door().clients.agents.RouteTask, message)))
