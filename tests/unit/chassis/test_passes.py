"""Passes: what is believed of a call, on a real channel where it matters."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import jwt
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2, identity_pb2_grpc, session_pb2, session_pb2_grpc
from services.chassis import context, passes, roles
from services.chassis.channel import open_aio_channel
from services.chassis.context import LOCAL_OWNER, SERVICE, Principal
from services.chassis.errors import UnauthenticatedError, from_rpc_error
from services.chassis.passes import Passes
from services.chassis.server import Hosted, Server
from services.chassis.settings import ServiceSettings, SettingsError, load
from tests.unit.chassis.conftest import DESCRIPTOR, ScriptedSessions

KEY = b"k" * 16 + b"0123456789abcdef"
SECRET = "Qx7-vT2m_9rLk4Wz8NpB3cYd6HfJ1sGa"
TOKEN = "tZ5-nW8q_3uRi6Xv1MoC9bEe4KgP7yDh"
ANNA = Principal(
    "home", "usr_anna", roles.scopes_of("member"), frozenset({"law", "Bücher, alt"}), role="member"
)
IDENTITY = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]
SETTINGS: dict[str, Any] = {"meld_login": "required", "jwt_secret_key": SECRET, "meld_service_token": TOKEN}


def required(**others: Any) -> ServiceSettings:
    return ServiceSettings(**{**SETTINGS, **others})


def claims(**others: Any) -> dict[str, Any]:
    now = int(time.time())
    plain: dict[str, Any] = {
        "aud": "meldrag-internal",
        "sub": "usr_anna",
        "tenant": "home",
        "role": "member",
        "groups": [],
        "scopes": [2],
        "iat": now,
        "exp": now + 60,
        **others,
    }
    return {name: value for name, value in plain.items() if value is not None}


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(header: dict[str, Any], body: dict[str, Any]) -> str:
    """A token with any header, signed by our key as HS256 signs."""
    text = f"{part(header)}.{part(body)}"
    signature = hmac.digest(KEY, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_a_pass_says_who_it_was_made_for() -> None:
    assert Passes(KEY).read(Passes(KEY).issue(ANNA)) == ANNA


def test_a_pass_of_another_key_is_refused() -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        Passes(KEY).read(Passes(b"x" * 32).issue(ANNA))
    assert refused.value.reason == "PASS_INVALID"


def test_a_pass_ends() -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        Passes(KEY).read(Passes(KEY).issue(ANNA, seconds=-31))
    assert refused.value.reason == "PASS_EXPIRED"


def test_clocks_may_differ_a_little() -> None:
    assert Passes(KEY).read(Passes(KEY).issue(ANNA, seconds=-20)) == ANNA


def test_no_pass_is_told_apart_from_a_false_one() -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        Passes(KEY).read("")
    assert refused.value.reason == "PASS_MISSING"


def test_a_short_key_makes_no_passes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Passes(b"short")


@pytest.mark.parametrize(
    "token",
    [
        f"{part({'alg': 'none'})}.{part(claims())}.",
        f"{part({'alg': 'None'})}.{part(claims())}.",
        f"{part({'alg': 'nOnE'})}.{part(claims())}.AA",
        f"{part({'alg': 'HS256'})}.{part(claims())}.",
        jwt.encode(claims(), KEY + KEY, "HS512"),
        signed({"alg": "RS256"}, claims()),
        signed({"alg": "HS256", "crit": ["b64"], "b64": False}, claims()),
        signed({"alg": "HS256", "crit": ["ours"], "ours": 1}, claims()),
        signed({"alg": "HS256", "jwk": {"kty": "oct", "k": "eHh4"}}, claims(exp=1)),
        jwt.encode(claims(), b"x" * 32, "HS256", headers={"kid": "../../dev/null"}),
        jwt.encode(claims(), b"x" * 32, "HS256", headers={"jwk": {"kty": "oct", "k": "eHh4eHh4"}}),
        "a.b.c.d.e",
        "&&&.&&&.&&&",
        "x" * 2_000_000,
        "ÿ.ÿ.ÿ",
    ],
)
def test_a_forged_pass_is_refused(token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        Passes(KEY).read(token)


# Told when tests are collected, which may be an hour before they run.
_FAR = int(time.time()) + 30 * 86_400


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"aud": None},
        {"tenant": None},
        {"role": None},
        {"scopes": None},
        {"groups": None},
        {"aud": "meldrag"},
        {"aud": ["meldrag-internal"]},
        {"exp": "soon"},
        {"exp": "99999999999"},
        {"exp": 1e30},
        {"exp": float("inf")},
        {"exp": _FAR},
        {"iat": _FAR},
        {"nbf": _FAR},
        {"sub": 7},
        {"sub": "a.b"},
        {"sub": ""},
        {"tenant": "home.other"},
        {"tenant": ""},
        {"role": "god"},
        {"groups": "law"},
        {"groups": [1]},
        {"scopes": [True]},
        {"scopes": "7"},
    ],
)
def test_a_pass_with_claims_that_we_do_not_make_is_refused(changed: dict[str, Any]) -> None:
    assert Passes(KEY).read(jwt.encode(claims(), KEY, "HS256")).subject == "usr_anna"
    with pytest.raises(UnauthenticatedError):
        Passes(KEY).read(jwt.encode(claims(**changed), KEY, "HS256"))


def test_an_access_token_is_no_pass_and_a_pass_no_access_token() -> None:
    """Both come from one secret: the key of passes is another one."""
    key = passes.key_of(required())
    assert key != SECRET.encode()
    with pytest.raises(UnauthenticatedError):
        Passes(key).read(jwt.encode(claims(), SECRET, "HS256"))
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(Passes(key).issue(ANNA), SECRET, ["HS256"], audience="meldrag-internal")


class Meeting(ScriptedSessions):
    """Notes who calls."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[Principal] = []

    def _note(self) -> None:
        self.met.append(context.principal())


class Doors(identity_pb2_grpc.IdentityServiceServicer):
    """A public method that answers."""

    async def Authenticate(self, request: Any, rpc: Any) -> Any:
        return identity_pb2.AuthenticateResponse(user=identity_pb2.User(name=context.principal().subject))


@asynccontextmanager
async def serving(settings: ServiceSettings) -> AsyncIterator[tuple[Meeting, str]]:
    sessions, doors = Meeting(), Doors()
    server = Server(
        name="session",
        services=[
            Hosted(DESCRIPTOR, lambda s: session_pb2_grpc.add_SessionServiceServicer_to_server(sessions, s)),
            Hosted(IDENTITY, lambda s: identity_pb2_grpc.add_IdentityServiceServicer_to_server(doors, s)),
        ],
        dependencies=[],
        settings=settings,
        authenticator=passes.authenticator(settings),
    )
    port = await server.start()
    try:
        yield sessions, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def get(channel: Any, **options: Any) -> None:
    await session_pb2_grpc.SessionServiceStub(channel).GetSession(
        session_pb2.GetSessionRequest(session_id="s1"), **options
    )


def call_of(principal: Principal) -> context.Call:
    return context.Call(principal, "r1", time.monotonic() + 10)


async def test_a_call_is_the_callers_in_the_next_service_too() -> None:
    async with (
        serving(required()) as (sessions, address),
        open_aio_channel(address, DESCRIPTOR, identity=passes.identity(required())) as channel,
    ):
        with context.entered(call_of(ANNA)):
            await get(channel)
        with context.entered(context.of_the_house()):
            await get(channel)
    assert sessions.met == [ANNA, SERVICE]


async def test_work_that_is_nobodys_is_refused() -> None:
    async with (
        serving(required()) as (sessions, address),
        open_aio_channel(address, DESCRIPTOR, identity=passes.identity(required())) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get(channel)
    error = from_rpc_error(refused.value)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "PASS_MISSING")
    assert sessions.met == []


async def test_health_needs_no_pass() -> None:
    async with serving(required()) as (_, address), open_aio_channel(address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    "shown",
    [
        (),
        (("x-meld-pass", ""),),
        (("x-meld-pass", "a.b.c"),),
        (("x-meld-pass", Passes(b"x" * 32).issue(LOCAL_OWNER)),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer wrong"),),
        (("authorization", f"Basic {TOKEN}"),),
        (("authorization", TOKEN),),
        (("authorization", f"Bearer {TOKEN}"), ("x-meld-pass", "a.b.c")),
        (("x-meld-tenant", "home"), ("x-meld-role", "owner"), ("tenant_id", "home"), ("user_id", "usr_anna")),
    ],
)
async def test_row_35_forged_identity_in_metadata_is_refused(shown: Any) -> None:
    async with serving(required()) as (sessions, address), grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get(channel, metadata=shown)
    error = from_rpc_error(refused.value)
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    assert error.reason in ("PASS_MISSING", "PASS_INVALID")
    assert sessions.met == []


async def test_row_35_tenant_and_role_beside_a_pass_are_ignored() -> None:
    shown = (
        ("x-meld-pass", Passes(passes.key_of(required())).issue(ANNA)),
        ("x-meld-tenant", "other"),
        ("x-meld-role", "owner"),
        ("tenant_id", "other"),
    )
    async with serving(required()) as (sessions, address), grpc.aio.insecure_channel(address) as channel:
        await get(channel, metadata=shown)
    assert sessions.met == [ANNA]


async def test_an_integration_shows_the_service_token() -> None:
    async with serving(required()) as (sessions, address), grpc.aio.insecure_channel(address) as channel:
        await get(channel, metadata=(("authorization", f"Bearer {TOKEN}"),))
    assert sessions.met == [SERVICE]


@pytest.mark.parametrize("settings", [required(), required(meld_service_token=None)])
async def test_a_program_of_the_house_acts_for_it(settings: ServiceSettings) -> None:
    async with (
        serving(settings) as (sessions, address),
        open_aio_channel(address, DESCRIPTOR, identity=passes.service_identity(settings)) as channel,
    ):
        await get(channel)
    assert sessions.met == [SERVICE]


async def test_without_a_service_token_none_is_taken() -> None:
    settings = required(meld_service_token=None)
    async with serving(settings) as (_, address), grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get(channel, metadata=(("authorization", "Bearer None"),))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_signing_in_needs_no_pass_and_takes_no_false_one() -> None:
    async with serving(required()) as (_, address), grpc.aio.insecure_channel(address) as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        answer = await stub.Authenticate(identity_pb2.AuthenticateRequest(api_key="k"))
        assert answer.user.name == ""
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Authenticate(
                identity_pb2.AuthenticateRequest(api_key="k"), metadata=(("x-meld-pass", "a.b.c"),)
            )
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_service_without_login_does_not_take_everybody_for_the_owner_behind_one_with_it() -> None:
    async with (
        serving(ServiceSettings()) as (sessions, address),
        open_aio_channel(address, DESCRIPTOR, identity=passes.identity(required())) as channel,
    ):
        with context.entered(call_of(ANNA)), pytest.raises(grpc.aio.AioRpcError) as refused:
            await get(channel)
    assert from_rpc_error(refused.value).reason == "PASS_UNEXPECTED"
    assert sessions.met == []


async def test_without_login_everybody_is_the_owner() -> None:
    async with (
        serving(ServiceSettings()) as (sessions, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        await get(channel, metadata=(("x-meld-tenant", "other"),))
    assert sessions.met == [LOCAL_OWNER]
    assert passes.identity(ServiceSettings()) is None
    assert passes.service_identity(ServiceSettings()) is None


def test_login_is_off_unless_it_is_required() -> None:
    assert not ServiceSettings().login_required
    assert not ServiceSettings(meld_login="off").login_required
    assert required().login_required


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("JWT_SECRET_KEY", "", "JWT_SECRET_KEY: is needed where callers have to log in"),
        ("JWT_SECRET_KEY", "short-9f3K", "JWT_SECRET_KEY: is shorter than 32"),
        ("JWT_SECRET_KEY", "ab" * 20, "JWT_SECRET_KEY: repeats one character or one short piece"),
        ("MELD_SERVICE_TOKEN", "short-9f3K", "MELD_SERVICE_TOKEN: is shorter than 32"),
    ],
)
def test_login_needs_good_secrets_on_loopback_too(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, good in (("MELD_LOGIN", "required"), ("JWT_SECRET_KEY", SECRET), (name, value)):
        monkeypatch.setenv(variable, good)
    with pytest.raises(SettingsError, match=said) as refused:
        load(ServiceSettings)
    assert not value or value not in str(refused.value)


def test_spaces_are_nobody_elses() -> None:
    assert LOCAL_OWNER.space == "local"
    assert ANNA.space == "home.usr_anna"
    assert SERVICE.space != ANNA.space


def test_roles_hold_what_their_work_needs() -> None:
    assert roles.scopes_of("owner") == roles.scopes_of("admin")
    assert options_pb2.SCOPE_ADMINISTRATION in roles.scopes_of("admin")
    assert roles.scopes_of("member") - roles.scopes_of("viewer") == {options_pb2.SCOPE_KNOWLEDGE_WRITE}
    assert options_pb2.SCOPE_ADMINISTRATION not in roles.scopes_of("member")
    assert roles.scopes_of("god") == frozenset()
