"""The web page: files beside this package, served as they are."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory

from services.gateway.door import door
from services.gateway.openapi.operation import Answer, operation
from services.gateway.security import PAGE_POLICY

blueprint = Blueprint("page", __name__)

FOLDER = Path(__file__).resolve().parent.parent / "page"


@blueprint.get("/")
@operation(answers={200: Answer({"text/html": {"type": "string"}})}, conditional=True, public=True)
def index() -> Response:
    """The page."""
    return _file("index.html")


@blueprint.get("/assets/<path:name>")
@operation(answers={200: Answer({"*/*": {}})}, conditional=True, public=True)
def asset(name: str) -> Response:
    """What the page needs."""
    return _file(name)


def _file(name: str) -> Response:
    response = send_from_directory(FOLDER, name, conditional=True, etag=True)
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    # Asked for each time, sent only when it changed.
    response.headers["Cache-Control"] = "no-store" if door().settings.development else "no-cache"
    response.make_conditional(request)
    return response
