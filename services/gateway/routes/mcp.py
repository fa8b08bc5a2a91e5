"""The door for MCP clients: one message by POST, answered as JSON or as events.

There are no sessions, so there is no stream to GET and nothing to DELETE.
"""

from __future__ import annotations

import importlib

from flask import Blueprint, Response, request

from services.chassis.errors import ServiceError
from services.gateway.body import json_bytes, parse_object
from services.gateway.door import door, dumps
from services.gateway.openapi.operation import EVENTS, JSON, Answer, messages, operation
from services.gateway.openapi.schema import reference
from services.gateway.problem import ProblemError, from_service_error

blueprint = Blueprint("mcp", __name__)

# Of JSON-RPC: what was sent is no JSON; what was asked cannot be served.
_PARSE_ERROR, _INVALID_REQUEST = -32700, -32600

_ANSWERED = Answer({JSON: reference("RpcMessage"), EVENTS: messages("RpcMessage")})
_HEARD = Answer(description="A notification; there is nothing to say.")


@blueprint.post("/mcp")
@operation(
    answers={200: _ANSWERED, 202: _HEARD},
    body="RpcRequest",
    problems=(404, 406),
    repeat="anew",
    tells="RpcError",
)
def exchange() -> Response:
    """Answers one JSON-RPC message of a client."""
    body = json_bytes(request, door().settings.meld_max_json_bytes)
    message = parse_object(body)
    # The package takes a second to load; a house without MCP clients never needs it.
    house = importlib.import_module("services.gateway.mcp.house")
    response: Response = house.serve(request, body, message)
    return response


@blueprint.errorhandler(ServiceError)
def refuse_for_a_service(error: ServiceError) -> Response:
    """What a service said before the message was read, of the caller for instance."""
    return refuse(from_service_error(error))


@blueprint.errorhandler(ProblemError)
def refuse(problem: ProblemError) -> Response:
    """Why a message was not served, in the form that clients of JSON-RPC expect."""
    code = _PARSE_ERROR if problem.reason == "INVALID_JSON" else _INVALID_REQUEST
    message = f"{problem.reason}: {problem.detail}"
    error = {"code": code, "message": message, "data": problem.document()}
    response = problem.response()
    response.set_data(dumps({"jsonrpc": "2.0", "id": None, "error": error}))
    response.content_type = "application/json"
    return response
