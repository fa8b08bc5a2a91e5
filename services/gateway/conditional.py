"""ETags: what a client has is not sent again, and what has changed meanwhile is not overwritten."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Flask, Request, Response, current_app, request

from services.gateway.door import dumps
from services.gateway.openapi.operation import declared
from services.gateway.problem import ProblemError

# Kept by whoever asked, and asked for again each time.
CACHE_CONTROL = "private, no-cache"


def install(app: Flask) -> None:
    """Gives the answers of all GETs that declare it an ETag, and 304 to clients that have them."""
    app.after_request(_label)


def tag_of(value: Any) -> str:
    """The strong ETag, without quotes, of a resource as it is rendered."""
    return _digest(dumps(value).encode())


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def unchanged(http: Request, tag: str) -> bool:
    """Whether the client has this representation; a proxy that packs answers makes their tags weak."""
    return http.if_none_match.contains_weak(tag)


def check_match(http: Request, current: Any) -> None:
    """Raises ProblemError 412 when If-Match is there and does not name the resource as it is rendered now."""
    if "If-Match" in http.headers and not http.if_match.contains(tag_of(current)):
        raise ProblemError(412, "ETAG_MISMATCH", "the resource has changed since it was read")


def _label(response: Response) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    said = declared(view) if view is not None else None
    if (
        said is None
        or not said.conditional
        or request.method not in ("GET", "HEAD")
        or response.status_code != 200
        or response.is_streamed
        or "ETag" in response.headers
    ):
        return response
    tag = _digest(response.get_data())
    response.set_etag(tag)
    response.headers["Cache-Control"] = CACHE_CONTROL
    if unchanged(request, tag):
        response.status_code = 304
        response.set_data(b"")
    return response
