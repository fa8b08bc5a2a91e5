"""A gateway that asks everybody to sign in, in front of services that believe passes only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2, session_pb2
from services.chassis import passes, roles
from services.chassis.errors import UnauthenticatedError
from services.chassis.settings import ServiceSettings
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.identity.external import ExternalLogin
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.scripted_services import ScriptedServices, running_services

SECRET = "Qx7-vT2m_9rLk4Wz8NpB3cYd6HfJ1sGa"
LOGIN: dict[str, Any] = {"meld_login": "required", "jwt_secret_key": SECRET}
# The tokens that the scripted identity service knows, with the role that each has.
KNOWN = {"tok-owner": "owner", "tok-member": "member", "tok-viewer": "viewer", "mrk_k1_s3cret": "member"}


def tokens(name: str = "new") -> identity_pb2.Tokens:
    made = identity_pb2.Tokens(access_token=f"tok-{name}", refresh_token=f"ref-{name}")
    made.expire_time.FromSeconds(int(time.time()) + 600)
    return made


def user(role: str) -> identity_pb2.User:
    return identity_pb2.User(
        user_id=f"usr_{role}", name=f"{role}@example.org", role=role, groups=["law"], tenant_id="home"
    )


async def identify(request: identity_pb2.IdentifyRequest) -> identity_pb2.IdentifyResponse:
    role = KNOWN.get(request.access_token or request.api_key)
    if role is None:
        raise UnauthenticatedError("the token was revoked", reason="TOKEN_REVOKED")
    caller = identity_pb2.Caller(user=user(role), role=role)
    caller.scopes.extend(
        options_pb2.Scope.Value(options_pb2.Scope.Name(scope)) for scope in roles.scopes_of(role)
    )
    return identity_pb2.IdentifyResponse(caller=caller)


@pytest.fixture(scope="module")
def guarded_services() -> Iterator[ScriptedServices]:
    with running_services(ServiceSettings(health_check_interval=60, **LOGIN)) as services:
        yield services


@pytest.fixture
def services(guarded_services: ScriptedServices) -> ScriptedServices:
    guarded_services.reset()
    guarded_services.script["Identify"] = identify
    guarded_services.script["ConsumeQuota"] = identity_pb2.ConsumeQuotaResponse(remaining=9)
    guarded_services.script["ListSessions"] = session_pb2.ListSessionsResponse()
    return guarded_services


Open = Callable[..., FlaskClient]


@pytest.fixture
def open_gateway(services: ScriptedServices) -> Iterator[Open]:
    """Makes a gateway with further settings."""
    opened: list[Clients] = []

    def make(**settings: Any) -> FlaskClient:
        complete = GatewaySettings(**{**LOGIN, **settings})
        opened.append(Clients(services.addresses, passes.identity(complete)))
        external = ExternalLogin(complete) if complete.meld_oidc_issuer else None
        return client_of(Door(complete, opened[-1], slots_for(16), external=external))

    yield make
    for clients in opened:
        clients.close()


@pytest.fixture
def http(open_gateway: Open) -> FlaskClient:
    return open_gateway(cors_origins="https://good.com")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
