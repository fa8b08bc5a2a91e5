"""The OpenAPI document of this gateway, for programs and for people."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app

from services.gateway.door import answer
from services.gateway.openapi.document import document
from services.gateway.openapi.operation import Answer, json, operation
from services.gateway.openapi.reference import html
from services.gateway.openapi.schema import Schema
from services.gateway.security import PAGE_POLICY

blueprint = Blueprint("openapi", __name__)

_MADE = "meldrag.openapi"


def _document() -> Schema:
    """The document of this application, made once."""
    if (made := current_app.extensions.get(_MADE)) is None:
        made = current_app.extensions[_MADE] = document(current_app)
    return cast(Schema, made)


@blueprint.get("/openapi.json")
@operation(answers={200: json({"type": "object"})}, conditional=True, public=True)
def openapi_document() -> Response:
    """This document."""
    return answer(_document())


@blueprint.get("/docs")
@operation(answers={200: Answer({"text/html": {"type": "string"}})}, conditional=True, public=True)
def docs() -> Response:
    """This document as a page."""
    response = Response(html(_document()), content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response
