"""The texts that callers show: access tokens, refresh tokens and API keys.

An access token is a JWT (RFC 7519) of one form only: its first part has to be, byte for byte, the one that
this service writes. So no header says which algorithm or key to use, where to fetch one, or what is critical;
PyJWT checks the rest with the algorithm pinned (RFC 8725).

A refresh token is made from its number, the seed of its family in the store and the secret of the service. So
nothing of it has to be kept, those who renew at once can be given the same one, and neither the store nor the
secret alone is enough to forge one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from services.session.conversations import new_id
from services.session.identity import failures
from services.session.identity.model import Family, Tokens

ACCESS_SECONDS = 600
MIN_SECRET_BYTES = 32

_ALGORITHM = "HS256"
_HEADER = {"typ": "at+jwt"}
_ISSUER = "meldrag"
_AUDIENCE = "meldrag"
_KIND = "access"
_REQUIRED = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub", "tid", "fam", "ver", "typ"]
# What clocks of two machines may differ by.
_LEEWAY_SECONDS = 30
_MAX_CHARACTERS = 4096
_SANE_SECONDS = 1 << 40

_TENANT = r"([A-Za-z0-9_-]{1,64})"
_REFRESH = re.compile(rf"mrt_{_TENANT}-([0-9a-z]{{26}})-([1-9][0-9]{{0,8}})_([0-9a-f]{{64}})")
_API_KEY = re.compile(rf"mrk_{_TENANT}-([0-9a-z]{{16}})_([0-9a-z]{{52}})")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token says. expire_time: microseconds since 1970."""

    tenant: str
    user_id: str
    family_id: str
    version: int
    expire_time: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh token says. mac: proves that it was made here."""

    tenant: str
    family_id: str
    number: int
    mac: str


class TokenMaker:
    """Makes and reads tokens.

    secret: JWT_SECRET_KEY; without one, or with one below 32 bytes, every method raises
    FailedPreconditionError (LOGIN_NOT_CONFIGURED).
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self._header = ""
        if self.configured:
            self._header = jwt.encode({}, secret, _ALGORITHM, _HEADER).partition(".")[0]

    @property
    def configured(self) -> bool:
        """Whether there is something to sign with."""
        return len(self._secret) >= MIN_SECRET_BYTES

    def check(self) -> None:
        """Raises FailedPreconditionError (LOGIN_NOT_CONFIGURED)."""
        if not self.configured:
            raise failures.login_not_configured()

    def tokens(self, family: Family) -> Tokens:
        """The newest tokens of a family; always the same ones."""
        self.check()
        began = family.rotate_time // 1_000_000
        ends = began + ACCESS_SECONDS
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "typ": _KIND,
            "sub": family.user_id,
            "tid": family.tenant,
            "fam": family.family_id,
            "ver": family.version,
            "jti": f"{family.family_id}.{family.number}",
            "iat": began,
            "nbf": began,
            "exp": ends,
        }
        refresh = f"mrt_{family.tenant}-{family.family_id}-{family.number}_{self._mac(family, family.number)}"
        return Tokens(jwt.encode(claims, self._secret, _ALGORITHM, _HEADER), refresh, ends * 1_000_000)

    def read_access(self, text: str, *, ended: bool = False) -> Access:
        """What an access token says. ended: also one whose time has passed.

        Raises UnauthenticatedError (TOKEN_INVALID, TOKEN_EXPIRED).
        """
        self.check()
        parts = text.split(".", 3)
        if len(text) > _MAX_CHARACTERS or len(parts) != 3 or parts[0] != self._header:
            raise failures.token_invalid()
        try:
            claims = jwt.decode(
                text,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                leeway=_LEEWAY_SECONDS,
                # Its end is looked at below, where only a whole number counts as a time.
                options={"require": _REQUIRED, "strict_aud": True, "verify_exp": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise failures.token_invalid() from None
        return self._access(claims, ended)

    def _access(self, claims: dict[str, Any], ended: bool) -> Access:
        times = [claims[name] for name in ("iat", "nbf", "exp")]
        names = [claims[name] for name in ("tid", "sub", "fam")]
        if (
            any(type(moment) is not int or not 0 < moment < _SANE_SECONDS for moment in times)
            or not all(isinstance(name, str) and _ID.fullmatch(name) for name in names)
            or type(claims["ver"]) is not int
            or claims["typ"] != _KIND
            or claims["exp"] - claims["iat"] > ACCESS_SECONDS
        ):
            raise failures.token_invalid()
        if claims["exp"] <= self._clock() and not ended:
            raise failures.token_expired()
        tenant, user_id, family_id = names
        return Access(tenant, user_id, family_id, claims["ver"], claims["exp"] * 1_000_000)

    def read_refresh(self, text: str) -> Refresh:
        """What a refresh token says; `proven` has to look whether it is true.

        Raises UnauthenticatedError (TOKEN_INVALID).
        """
        self.check()
        found = _REFRESH.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
        if not found:
            raise failures.token_invalid()
        return Refresh(found[1], found[2], int(found[3]), found[4])

    def prove(self, shown: Refresh, family: Family) -> None:
        """Raises UnauthenticatedError (TOKEN_INVALID) unless the token is one that was made here."""
        if not hmac.compare_digest(shown.mac, self._mac(family, shown.number)):
            raise failures.token_invalid()

    def _mac(self, family: Family, number: int) -> str:
        key = hmac.digest(self._secret, b"meldrag refresh token" + family.seed, hashlib.sha256)
        said = f"{family.tenant}\0{family.family_id}\0{number}"
        return hmac.digest(key, said.encode(), hashlib.sha256).hex()


@dataclass(frozen=True, slots=True)
class ShownKey:
    """What an API key says. sha256: of all of it, in hexadecimal."""

    tenant: str
    api_key_id: str
    sha256: str


def new_api_key(tenant: str) -> tuple[str, ShownKey]:
    """A key as it is shown once, and what it says. It has 256 random bits, so a plain SHA-256 guards it."""
    text = f"{api_key_prefix(tenant, new_id('')[:16])}_{new_id('')}{new_id('')}"
    return text, read_api_key(text)


def api_key_prefix(tenant: str, api_key_id: str) -> str:
    """How a key begins."""
    return f"mrk_{tenant}-{api_key_id}"


def read_api_key(text: str) -> ShownKey:
    """What an API key says. Raises UnauthenticatedError (CREDENTIAL_WRONG)."""
    found = _API_KEY.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if not found:
        raise failures.credential_wrong()
    return ShownKey(found[1], found[2], hashlib.sha256(text.encode()).hexdigest())


def new_seed() -> bytes:
    """What the refresh tokens of a new family are made from."""
    return secrets.token_bytes(32)
