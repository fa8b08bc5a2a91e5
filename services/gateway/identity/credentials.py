"""What a request shows of its caller: a header of a program, or the page's cookies."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Request, Response
from google.protobuf.timestamp_pb2 import Timestamp

from meldrag.session.v1 import identity_pb2
from services.gateway.problem import ProblemError

ACCESS_COOKIE = "meld_access"
REFRESH_COOKIE = "meld_session"
# Only what renews and ends a session sees the token that lives long.
_REFRESH_PATH = "/api/v1/auth"
_REFRESH_SECONDS = 30 * 86_400

_API_KEY = "mrk_"
_BEARER = re.compile(r"Bearer +(?P<token>[A-Za-z0-9._~+/=-]{1,8000})", re.IGNORECASE)
_COOKIE = re.compile(r"[A-Za-z0-9._~+/=-]{1,8000}")


def credential(http: Request) -> identity_pb2.IdentifyRequest | None:
    """What the request shows; None when it shows nothing.

    A header counts before a cookie. Raises ProblemError 401 for a header that is none of ours.
    """
    header = http.headers.get("Authorization")
    if header is not None:
        match = _BEARER.fullmatch(header.strip())
        if match is None:
            raise unauthenticated("CREDENTIAL_INVALID", "Authorization must be Bearer and a token or API key")
        token = match["token"]
        if token.startswith(_API_KEY):
            return identity_pb2.IdentifyRequest(api_key=token)
        return identity_pb2.IdentifyRequest(access_token=token)
    cookie = http.cookies.get(ACCESS_COOKIE, "")
    return identity_pb2.IdentifyRequest(access_token=cookie) if _COOKIE.fullmatch(cookie) else None


def refresh_cookie(http: Request) -> str:
    """The token that the page renews its session with; empty when there is none."""
    cookie = http.cookies.get(REFRESH_COOKIE, "")
    return cookie if _COOKIE.fullmatch(cookie) else ""


def unauthenticated(reason: str, detail: str) -> ProblemError:
    """A caller that nobody knows."""
    return ProblemError(401, reason, detail)


@dataclass(frozen=True)
class Jar:
    """The page's cookies on an answer to `http`. No script can read them, and no other site's page sends
    them along.
    """

    http: Request

    def keep(self, response: Response, tokens: identity_pb2.Tokens) -> None:
        """Keeps the tokens in the browser."""
        now = Timestamp()
        now.GetCurrentTime()
        seconds = max(0, tokens.expire_time.seconds - now.seconds)
        self._set(response, ACCESS_COOKIE, tokens.access_token, seconds, "/")
        self._set(response, REFRESH_COOKIE, tokens.refresh_token, _REFRESH_SECONDS, _REFRESH_PATH)

    def drop(self, response: Response) -> None:
        """Lets the browser forget them."""
        self._set(response, ACCESS_COOKIE, "", 0, "/")
        self._set(response, REFRESH_COOKIE, "", 0, _REFRESH_PATH)

    def _set(self, response: Response, name: str, value: str, seconds: int, path: str) -> None:
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path=path,
            secure=self.http.is_secure,
            httponly=True,
            samesite="Strict",
        )
