"""Lets a request in: finds out who calls, and takes it from what they may ask for in a minute."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Request, g, request

from meldrag.session.v1 import identity_pb2
from services.chassis import context
from services.chassis.addresses import is_own_address
from services.chassis.context import SERVICE, Principal
from services.gateway.calls import unary
from services.gateway.door import door
from services.gateway.identity import standing
from services.gateway.identity.credentials import credential, unauthenticated
from services.gateway.problem import ProblemError
from services.gateway.proxies import CLIENT_KEY, address_of, within

# Told to everybody: whether the process lives, the page itself, the contract, and how one signs in.
OPEN_RULES = frozenset(
    (
        "/",
        "/api/v1/auth",
        "/api/v1/auth/external",
        "/api/v1/auth/external/return",
        "/api/v1/auth/login",
        "/api/v1/auth/logout",
        "/api/v1/auth/refresh",
        "/api/v1/auth/setup",
        "/assets/<path:name>",
        "/docs",
        "/docs/<path:name>",
        "/livez",
        "/openapi.json",
        "/readyz",
    )
)
# Says more to callers who are known, and to this machine.
_HALF_OPEN_RULES = frozenset(("/health",))
# For administrators, and for whoever is on this machine.
_METRICS_RULE = "/metrics"
_HOUSE_RULES = frozenset((_METRICS_RULE, "/api/v1/profile"))
# A proxy on this machine would make everybody local.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")

_UNIT = "requests"


def install(app: Flask) -> None:
    """Puts the check in front of the application's routes."""
    app.before_request(_admit)


def _admit() -> None:
    """Raises ProblemError 401 for nobody, ServiceError where the caller is refused or cannot be asked for."""
    rule = request.url_rule.rule if request.url_rule is not None else ""
    # A path or method that there is not is answered as such: which there are, the contract tells everybody.
    if not rule or rule in OPEN_RULES:
        return
    if _is_of_the_house(rule) and "Authorization" not in request.headers:
        context.identify(SERVICE)
        return
    shown = _shown(rule)
    if shown is None:
        if rule in _HALF_OPEN_RULES:
            return
        raise unauthenticated("CREDENTIAL_MISSING", "sign in, or send an access token or API key")
    caller = unary(door().clients.identity.Identify, shown).caller
    context.identify(principal_of(caller))
    g.api_key_id = caller.api_key_id
    standing.begin(standing.Standing(door().clients.identity.Identify, shown))
    quota = identity_pb2.ConsumeQuotaRequest(unit=_UNIT, amount=1)
    unary(door().clients.identity.ConsumeQuota, quota)


def _is_of_the_house(rule: str) -> bool:
    """Whether where a request comes from is enough to be let in."""
    if rule not in _HOUSE_RULES | _HALF_OPEN_RULES:
        return False
    return is_local(request) or (rule == _METRICS_RULE and _may_scrape(request))


def _may_scrape(http: Request) -> bool:
    """Whether the measurements are open to who calls. Behind a proxy that is not trusted it is not known who
    that is.
    """
    if CLIENT_KEY not in http.environ and any(name in http.headers for name in _FORWARDED):
        return False
    address = address_of(http.remote_addr or "")
    return address is not None and within(address, door().settings.metrics_networks)


def _shown(rule: str) -> identity_pb2.IdentifyRequest | None:
    try:
        return credential(request)
    except ProblemError:
        if rule in _HALF_OPEN_RULES:
            return None
        raise


def principal_of(caller: identity_pb2.Caller) -> Principal:
    """Who calls, as the services know them."""
    return Principal(
        caller.user.tenant_id,
        caller.user.user_id,
        frozenset(caller.scopes),
        frozenset(caller.user.groups),
        caller.role,
    )


def api_key_id() -> str:
    """The API key that the request has shown, or that its token was traded for; empty for a password, and
    where nobody signs in. A pass does not carry it.
    """
    return str(g.get("api_key_id", ""))


def is_local(http: Request) -> bool:
    """Whether the request comes from this machine, and not through a proxy on it."""
    return is_own_address(http.remote_addr or "") and not any(name in http.headers for name in _FORWARDED)


@contextmanager
def as_the_house() -> Iterator[None]:
    """Calls in the block are the gateway's own, within the request that is served."""
    call = context.current()
    if call is None:
        raise LookupError("no request is being served here")
    with context.entered(dataclasses.replace(call, principal=SERVICE)):
        yield
