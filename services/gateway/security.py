"""What a request must be to be let in, and what browsers may do with an answer."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request

from services.gateway.problem import ProblemError
from services.gateway.proxies import SCHEME_KEY

# Pages of ours load nothing from elsewhere and run no inline code. One place in them may make elements of
# text, answer.js, and that of what markdown.py has made.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'; trusted-types rendered"
)
# Everything else is data.
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# What somebody sent, shown by itself: no script of it runs, and it is nobody's page.
CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS = (
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Last-Event-ID, "
    "Mcp-Method, Mcp-Name, Mcp-Protocol-Version, Mcp-Session-Id, OpenAI-Organization, OpenAI-Project, Range, "
    "Request-Timeout, X-Request-ID, traceparent"
)
# What OpenAI's client says of itself; each of its versions says something else.
_STAINLESS = re.compile(r"x-stainless-[a-z0-9-]{1,40}")
_MAX_NAMED = 40
_EXPOSED_HEADERS = (
    "Content-Disposition, Content-Range, ETag, Location, Retry-After, X-Extraction-SHA256, X-Request-ID"
)


class Guard:
    """Checks hosts and origins. hosts: names without port; origins: whole origins of other sites."""

    def __init__(self, hosts: frozenset[str], origins: frozenset[str]) -> None:
        self._hosts = hosts
        self._origins = origins

    def install(self, app: Flask) -> None:
        """Puts the checks in front of the application's routes and the headers behind them."""
        app.before_request(self._admit)
        app.after_request(self._label)

    def _admit(self) -> Response | None:
        """Raises ProblemError: 400 for a host or path that is none of ours, 405 for who takes it for a proxy,
        403 for another site's page.
        """
        self._check_host(request)
        if request.method == "CONNECT":
            # It names a host and no path, and would be answered as a path that there is not.
            detail = "this is no proxy"
            raise ProblemError(405, "METHOD_NOT_ALLOWED", detail, headers={"Allow": _ALLOWED_METHODS})
        # Werkzeug would take "//livez" for "/livez".
        if request.environ.get("PATH_INFO", "").startswith("//"):
            raise ProblemError(404, "NOT_FOUND", "the path begins with two slashes")
        if _CONTROL.search(request.path):
            raise ProblemError(400, "INVALID_PATH", "the path holds control characters")
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return Response(status=204)
        self._check_origin(request)
        return None

    def _check_host(self, http: Request) -> None:
        match = _HOST.fullmatch(http.environ.get("HTTP_HOST", ""))
        known = match is not None and (
            match["name"].lower() in self._hosts or (_is_scrape(http) and _is_address(match["name"]))
        )
        if match is None or not known or int(match["port"] or 0) > 65535:
            raise ProblemError(400, "HOST_NOT_TRUSTED", "the Host header does not name this server")

    def _check_origin(self, http: Request) -> None:
        """A page of another site must not act in the owner's name, even without a cookie."""
        if http.method in _SAFE_METHODS:
            return
        origin, site = http.headers.get("Origin"), http.headers.get("Sec-Fetch-Site")
        if origin in self._origins:
            return
        if site is not None:
            allowed = site in ("none", "same-origin")
        else:
            allowed = origin is None or _is_ours(origin, http)
        if not allowed:
            raise ProblemError(403, "ORIGIN_NOT_ALLOWED", "pages of this origin may not call")

    def _label(self, response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", _DATA_POLICY)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers.setdefault("Cache-Control", "no-store")
        if self._origins:
            headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin in self._origins:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
            if request.method == "OPTIONS":
                headers["Access-Control-Allow-Methods"] = _ALLOWED_METHODS
                headers["Access-Control-Allow-Headers"] = _allowed_headers(request)
                headers["Access-Control-Max-Age"] = "600"
        else:
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def _allowed_headers(http: Request) -> str:
    """What a page of an allowed origin may send: what we know, and OpenAI's names among those it asks for."""
    asked = http.headers.get("Access-Control-Request-Headers", "").lower().split(",", _MAX_NAMED)[:_MAX_NAMED]
    return ", ".join(
        (_ALLOWED_HEADERS, *(name.strip() for name in asked if _STAINLESS.fullmatch(name.strip())))
    )


def _is_ours(origin: str, http: Request) -> bool:
    """Whether a page of this origin came from here.

    The scheme counts where a trusted proxy tells it: any other in front may speak TLS for us.
    """
    parts = urlsplit(origin)
    if SCHEME_KEY in http.environ and parts.scheme != http.scheme:
        return False
    return bool(parts.netloc == http.environ["HTTP_HOST"])


def _is_scrape(http: Request) -> bool:
    return http.method == "GET" and http.path == "/metrics"


def _is_address(name: str) -> bool:
    """Whether a host is an address: who scrapes each replica by itself knows no other name for it.

    A page that was rebound to this machine still says its own name.
    """
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
