"""Passes: who calls, signed by the process that knows it, for the services behind it.

The gateway finds out who a request comes from, and every call between services carries that in a pass of a
minute, so that no service takes a caller's word for it. All processes hold the same key; it is derived, so
that a pass and an access token are never taken for each other (RFC 8725, section 3.8 and following).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import jwt

from services.chassis import context
from services.chassis.access import Authenticator, local_owner
from services.chassis.context import SERVICE, Principal
from services.chassis.errors import UnauthenticatedError
from services.chassis.roles import ROLES
from services.chassis.settings import ServiceSettings

METADATA_KEY = "x-meld-pass"
_AUTHORIZATION_KEY = "authorization"

_ALGORITHM = "HS256"
_AUDIENCE = "meldrag-internal"
_LABEL = b"meldrag internal pass"
_LIFE_SECONDS = 60.0
# What clocks of two machines may differ by.
_LEEWAY_SECONDS = 30.0
# A pass that would last longer than this is none of ours.
_LONGEST_SECONDS = 600.0
_LONGEST_TEXT = 16_384
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")

Identity = Callable[[], tuple[tuple[str, str], ...]]
"""The metadata that says who calls, made anew for each call."""


class Passes:
    """Makes and reads passes. key: 32 bytes or more, the same in all processes; see `key_of`."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("a key of 32 bytes or more is needed")
        self._key = key

    def issue(self, principal: Principal, seconds: float = _LIFE_SECONDS) -> str:
        """A pass for the principal that ends after `seconds`, at most 600."""
        now = time.time()
        claims = {
            "aud": _AUDIENCE,
            "sub": principal.subject,
            "tenant": principal.tenant_id,
            "role": principal.role,
            "groups": sorted(principal.groups),
            "scopes": sorted(principal.scopes),
            "iat": int(now),
            "exp": int(now + seconds),
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def read(self, token: str) -> Principal:
        """Who a pass was made for. Raises UnauthenticatedError (PASS_MISSING, PASS_INVALID, PASS_EXPIRED)."""
        if not token:
            raise _missing()
        if len(token) > _LONGEST_TEXT:
            raise _invalid()
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["aud", "exp", "iat", "sub"], "strict_aud": True},
            )
        except jwt.ExpiredSignatureError:
            raise UnauthenticatedError("the caller's pass has ended", reason="PASS_EXPIRED") from None
        except (jwt.PyJWTError, ValueError, OverflowError, TypeError):
            # Why exactly is nobody's business who shows a false one.
            raise _invalid() from None
        return _principal(claims)


def key_of(settings: ServiceSettings) -> bytes:
    """The key of passes, derived from JWT_SECRET_KEY. Raises ValueError where that is not set."""
    if settings.jwt_secret_key is None:
        raise ValueError("JWT_SECRET_KEY is not set")
    return hmac.digest(settings.jwt_secret_key.get_secret_value().encode(), _LABEL, hashlib.sha256)


def authenticator(settings: ServiceSettings) -> Authenticator:
    """How a service finds out who calls: everybody is the owner without login; with it, the pass says so, or
    the token of an integration that calls the services itself.

    The authenticator raises UnauthenticatedError (PASS_MISSING, PASS_INVALID, PASS_EXPIRED; without login
    PASS_UNEXPECTED, from a process that has it on).
    """
    if not settings.login_required:
        return _owner_without_pass
    passes = Passes(key_of(settings))
    token = settings.meld_service_token
    bearer = f"Bearer {token.get_secret_value()}".encode() if token is not None else None

    async def authenticate(metadata: Mapping[str, str]) -> Principal:
        if METADATA_KEY in metadata:
            return passes.read(metadata[METADATA_KEY])
        shown = metadata.get(_AUTHORIZATION_KEY)
        if shown is None:
            raise _missing()
        if bearer is None or not hmac.compare_digest(shown.encode(), bearer):
            raise _invalid()
        return SERVICE

    return authenticate


async def _owner_without_pass(metadata: Mapping[str, str]) -> Principal:
    """Raises UnauthenticatedError (PASS_UNEXPECTED): a pass says that callers log in, and that they are not
    all the same one.
    """
    if METADATA_KEY in metadata:
        raise UnauthenticatedError(
            "callers log in, and MELD_LOGIN is not required in this service", reason="PASS_UNEXPECTED"
        )
    return await local_owner(metadata)


def identity(settings: ServiceSettings) -> Identity | None:
    """How a service's own calls say whose they are; None without login.

    A call outside of any call has nobody to name and goes without a pass: it is refused, and not taken for
    somebody's. Work of the service itself enters a call of context.SERVICE.
    """
    if not settings.login_required:
        return None
    passes = Passes(key_of(settings))

    def present() -> tuple[tuple[str, str], ...]:
        call = context.current()
        if call is None or call.principal == context.NOBODY:
            return ()
        return ((METADATA_KEY, passes.issue(call.principal)),)

    return present


def service_identity(settings: ServiceSettings) -> Identity | None:
    """How a program that acts for the house itself says so, by token or by a pass; None without login."""
    if not settings.login_required:
        return None
    if settings.meld_service_token is not None:
        shown = (_AUTHORIZATION_KEY, f"Bearer {settings.meld_service_token.get_secret_value()}")
        return lambda: (shown,)
    passes = Passes(key_of(settings))
    return lambda: ((METADATA_KEY, passes.issue(SERVICE)),)


def _principal(claims: Mapping[str, Any]) -> Principal:
    """Raises UnauthenticatedError (PASS_INVALID) where a claim is not of its kind."""
    tenant, subject, role = claims.get("tenant"), claims["sub"], claims.get("role")
    groups, scopes = claims.get("groups"), claims.get("scopes")
    began, ends = claims["iat"], claims["exp"]
    if not (
        isinstance(began, int)
        and isinstance(ends, int)
        and ends - began <= _LONGEST_SECONDS
        and _is_name(tenant)
        and _is_name(subject)
        and role in ROLES
        and isinstance(groups, list)
        and all(isinstance(group, str) for group in groups)
        and isinstance(scopes, list)
        and all(type(scope) is int for scope in scopes)
    ):
        raise _invalid()
    return Principal(tenant, subject, frozenset(scopes), frozenset(groups), role)


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _missing() -> UnauthenticatedError:
    return UnauthenticatedError("the call does not say who makes it", reason="PASS_MISSING")


def _invalid() -> UnauthenticatedError:
    return UnauthenticatedError("the call's pass is not valid", reason="PASS_INVALID")
