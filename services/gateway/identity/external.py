"""Signing in by another identity provider: OpenID Connect's authorization code flow with PKCE.

Source: OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9700, section 2.1.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt as cookies
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.chassis.addresses import is_loopback
from services.gateway.problem import ProblemError
from services.gateway.settings import GatewaySettings

_SECONDS = 5.0
_MAX_BYTES = 1 << 20
# How long what the provider says of itself counts, and how soon unknown keys make us ask again.
_FRESH_SECONDS = 600.0
_AGAIN_SECONDS = 30.0
# From the click to the way back.
_FLOW_SECONDS = 600
# Derived, so that what the browser keeps meanwhile is good for nothing else.
_LABEL = b"meldrag external sign-in"
_AUDIENCE = "meldrag-external"
_ALGORITHMS = ("RS256", "ES256", "PS256")
_LEEWAY_SECONDS = 30
_MAX_GROUPS = 100


@dataclass(frozen=True)
class Person:
    """Who the provider says somebody is. subject: its name for them for ever; name: for people."""

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]


class ExternalLogin:
    """One provider. Safe for threads; what the provider says of itself is kept for ten minutes."""

    def __init__(self, settings: GatewaySettings) -> None:
        """settings: with meld_oidc_issuer, meld_oidc_client_id and jwt_secret_key."""
        self._issuer = settings.meld_oidc_issuer
        self._client_id = settings.meld_oidc_client_id
        given = settings.meld_oidc_client_secret
        self._secret = given.get_secret_value() if given is not None else None
        self._scopes = settings.meld_oidc_scopes
        key = settings.jwt_secret_key
        if key is None:
            raise ValueError("JWT_SECRET_KEY is not set")
        self._key = hmac.digest(key.get_secret_value().encode(), _LABEL, hashlib.sha256)
        self._lock = threading.Lock()
        self._about: dict[str, Any] = {}
        self._about_read = float("-inf")
        self._keys: KeySet | None = None
        self._keys_read = float("-inf")

    def begin(self, redirect_uri: str) -> tuple[str, str]:
        """Where to send the browser, and the text that its cookie keeps until it is back.

        Raises ProblemError 502 when the provider cannot be asked.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        endpoint = self._endpoint("authorization_endpoint")
        with self._client(redirect_uri) as client:
            url, _ = client.create_authorization_url(
                endpoint, state=state, code_verifier=verifier, nonce=nonce
            )
        now = int(time.time())
        kept = {"state": state, "nonce": nonce, "verifier": verifier}
        claims = {**kept, "aud": _AUDIENCE, "iat": now, "exp": now + _FLOW_SECONDS}
        return url, cookies.encode(claims, self._key, "HS256")

    def finish(self, kept: str, state: str, code: str, redirect_uri: str) -> Person:
        """Who has come back with this state and code.

        Raises ProblemError: 400 when this browser did not begin, 401 when the provider's word does not hold,
        502 when the provider cannot be asked.
        """
        flow = self._flow(kept)
        if not hmac.compare_digest(str(flow["state"]).encode(), state.encode()):
            raise _not_begun()
        try:
            with self._client(redirect_uri) as client:
                tokens = client.fetch_token(
                    self._endpoint("token_endpoint"),
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=flow["verifier"],
                )
        except AuthlibBaseError:
            raise _refused("the identity provider does not know the code") from None
        except (httpx2.HTTPError, ValueError):
            raise _silent() from None
        token = tokens.get("id_token")
        if not isinstance(token, str) or len(token) > _MAX_BYTES:
            raise _refused("the identity provider did not say who signed in")
        return self._person(self._claims(token), str(flow["nonce"]))

    def _flow(self, kept: str) -> Mapping[str, Any]:
        try:
            return cookies.decode(
                kept,
                self._key,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                options={"require": ["exp", "iat", "aud"]},
            )
        except cookies.PyJWTError:
            raise _not_begun() from None

    def _claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that the provider has signed; their values are not checked yet."""
        for last in (False, True):
            try:
                keys = self._key_set(again=last)
                claims: Mapping[str, Any] = jwt.decode(token, keys, _ALGORITHMS).claims
            except (JoseError, ValueError, TypeError):
                # It may have been signed with a key that came after we asked.
                if last:
                    raise _refused("the identity provider's word is not signed by it") from None
            else:
                return claims
        raise AssertionError("the second try returns or raises")

    def _person(self, claims: Mapping[str, Any], nonce: str) -> Person:
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            registry.validate(dict(claims))
        except (JoseError, ValueError, TypeError, OverflowError):
            raise _refused("the identity provider's word is not for us, or has ended") from None
        subject, audience = claims["sub"], claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if not isinstance(subject, str) or (several and claims.get("azp") != self._client_id):
            raise _refused("the identity provider's word is not for us")
        names = (claims.get(claim) for claim in ("preferred_username", "email", "name"))
        name = next((name for name in names if isinstance(name, str) and name.strip()), subject)
        groups = claims.get("groups")
        named = [group for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
        return Person(self._issuer, subject, name.strip(), tuple(named[:_MAX_GROUPS]))

    def _client(self, redirect_uri: str) -> Any:
        return OAuth2Client(
            self._client_id,
            self._secret,
            scope=self._scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            timeout=_SECONDS,
            follow_redirects=False,
            trust_env=False,
        )

    def _endpoint(self, name: str) -> str:
        url = self._metadata().get(name)
        if not isinstance(url, str) or not is_safe(url):
            raise _silent()
        return url

    def _metadata(self) -> Mapping[str, Any]:
        with self._lock:
            if time.monotonic() - self._about_read > _FRESH_SECONDS:
                about = _fetched(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                # Another provider's word would send people and codes there.
                if about.get("issuer") != self._issuer:
                    raise _silent()
                self._about, self._about_read = about, time.monotonic()
            return self._about

    def _key_set(self, *, again: bool) -> KeySet:
        url = self._endpoint("jwks_uri")
        with self._lock:
            age = time.monotonic() - self._keys_read
            if self._keys is None or age > (_AGAIN_SECONDS if again else _FRESH_SECONDS):
                try:
                    self._keys = KeySet.import_key_set(_fetched(url))  # type: ignore[arg-type]  # as RFC 7517
                except (JoseError, ValueError, KeyError, TypeError):
                    raise _silent() from None
                self._keys_read = time.monotonic()
            return self._keys


def is_safe(url: str) -> bool:
    """Whether what is sent there stays between the two: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _fetched(url: str) -> dict[str, Any]:
    """A JSON object of at most a megabyte. Raises ProblemError 502."""
    held = bytearray()
    end = time.monotonic() + _SECONDS
    try:
        with (
            httpx2.Client(timeout=_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != httpx2.codes.OK:
                raise _silent()
            for piece in answer.iter_bytes():
                held += piece
                if len(held) > _MAX_BYTES or time.monotonic() > end:
                    raise _silent()
        value = json.loads(held)
    except (httpx2.HTTPError, ValueError):
        raise _silent() from None
    if not isinstance(value, dict):
        raise _silent()
    return value


def _not_begun() -> ProblemError:
    return ProblemError(
        400, "EXTERNAL_LOGIN_UNKNOWN", "this browser has not begun to sign in, or took too long; begin again"
    )


def _refused(detail: str) -> ProblemError:
    return ProblemError(401, "EXTERNAL_LOGIN_REFUSED", detail)


def _silent() -> ProblemError:
    return ProblemError(
        502, "IDENTITY_PROVIDER_UNAVAILABLE", "the identity provider does not answer as it should"
    )
