"""The door for MCP clients: one message by POST, answered as JSON or as events.

There are no sessions, so there is no stream to GET and nothing to DELETE.
"""

from __future__ import annotations

import importlib

from flask import Blueprint, Response, request

from services.gateway.body import BodyReader, parse_object
from services.gateway.door import answer, door
from services.gateway.problem import ProblemError

blueprint = Blueprint("mcp", __name__)

_PARSE_ERROR = -32700


@blueprint.post("/mcp")
def exchange() -> Response:
    """Answers one JSON-RPC message of a client."""
    body = b"".join(BodyReader(request, door().settings.meld_max_json_bytes).pieces())
    message = parse_object(body)
    # The package takes a second to load; a house without MCP clients never needs it.
    house = importlib.import_module("services.gateway.mcp.house")
    response: Response = house.serve(request, body, message)
    return response


@blueprint.errorhandler(ProblemError)
def refuse(problem: ProblemError) -> Response:
    """A message that could not be read, in the form that clients of JSON-RPC expect."""
    document = problem.document()
    error = {"code": _PARSE_ERROR, "message": f"{problem.reason}: {problem.detail}", "data": document}
    return answer({"jsonrpc": "2.0", "id": None, "error": error}, problem.status, problem.headers)
