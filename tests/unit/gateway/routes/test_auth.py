"""Signing in and out, users and keys, over HTTP; the identity service is scripted."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2
from services.chassis.context import SERVICE
from services.chassis.errors import FailedPreconditionError, ResourceExhaustedError, UnauthenticatedError
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.identity.conftest import (
    Open,
    bearer,
    guarded_services,
    identify,
    open_gateway,
    services,
    tokens,
    user,
)
from tests.unit.gateway.scripted_services import ScriptedServices

__all__ = ["guarded_services", "open_gateway", "services"]

NAMED = {"name": "anna", "password": "correct horse battery"}


@pytest.fixture
def http(open_gateway: Open) -> FlaskClient:
    return open_gateway()


def cookies(answer: TestResponse) -> dict[str, Morsel[str]]:
    found: dict[str, Morsel[str]] = {}
    for line in answer.headers.getlist("Set-Cookie"):
        found.update(SimpleCookie(line))
    return found


def said(answer: TestResponse) -> Any:
    assert answer.json is not None
    return answer.json


def test_a_program_gets_tokens_and_no_cookie(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["Authenticate"] = identity_pb2.AuthenticateResponse(user=user("member"), tokens=tokens())
    answer = http.post("/api/v1/auth/login", json=NAMED)
    assert answer.status_code == 200
    assert said(answer)["access_token"] == "tok-new"
    assert said(answer)["refresh_token"] == "ref-new"
    assert said(answer)["user"]["role"] == "member"
    assert answer.headers["Cache-Control"] == "no-store"
    assert cookies(answer) == {}


def test_the_page_gets_cookies_that_no_script_reads_and_no_token(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["Authenticate"] = identity_pb2.AuthenticateResponse(user=user("member"), tokens=tokens())
    answer = http.post("/api/v1/auth/login", json={**NAMED, "cookie": True})
    assert "token" not in answer.text.replace("tokens", "")
    kept = cookies(answer)
    assert (kept["meld_access"].value, kept["meld_access"]["path"]) == ("tok-new", "/")
    assert (kept["meld_session"].value, kept["meld_session"]["path"]) == ("ref-new", "/api/v1/auth")
    assert 590 <= int(kept["meld_access"]["max-age"]) <= 600
    for cookie in kept.values():
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        assert not cookie["secure"]
        assert not cookie["domain"]


@pytest.mark.parametrize(
    ("asked", "secure"),
    [
        ({"base_url": "https://localhost"}, True),
        ({"headers": {"X-Forwarded-Proto": "https"}, "environ_base": {"REMOTE_ADDR": "10.0.0.3"}}, True),
        ({"headers": {"X-Forwarded-Proto": "https"}, "environ_base": {"REMOTE_ADDR": "10.0.1.3"}}, False),
    ],
)
def test_by_https_cookies_stay_on_https(
    open_gateway: Open, services: ScriptedServices, asked: dict[str, Any], secure: bool
) -> None:
    http = open_gateway(meld_trusted_proxies="10.0.0.0/24")
    services.script["Authenticate"] = identity_pb2.AuthenticateResponse(user=user("member"), tokens=tokens())
    answer = http.post("/api/v1/auth/login", json={**NAMED, "cookie": True}, **asked)
    assert len(cookies(answer)) == 2
    assert all(bool(cookie["secure"]) == secure for cookie in cookies(answer).values())


def test_row_33_wrong_tries_are_counted_by_where_they_come_from_and_not_by_what_they_say(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["Authenticate"] = UnauthenticatedError("no", reason="CREDENTIAL_WRONG")
    answer = http.post(
        "/api/v1/auth/login",
        json=NAMED,
        headers={"X-Forwarded-For": "203.0.113.9", "X-Meld-Source": "203.0.113.9"},
        environ_base={"REMOTE_ADDR": "10.0.0.3"},
    )
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers
    assert services.metadata["Authenticate"][0]["x-meld-source"] == "10.0.0.3"
    services.script["Authenticate"] = ResourceExhaustedError(
        "too many tries", reason="TOO_MANY_ATTEMPTS", retry_after=30
    )
    answer = http.post("/api/v1/auth/login", json=NAMED)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")


def test_row_33_a_password_of_10_mb_is_not_read_and_one_with_nul_is_asked_for(
    http: FlaskClient, services: ScriptedServices
) -> None:
    assert http.post("/api/v1/auth/login", json={**NAMED, "password": "x" * 10_000_000}).status_code == 413
    assert not services.requests["Authenticate"]
    services.script["Authenticate"] = UnauthenticatedError("no", reason="CREDENTIAL_WRONG")
    assert http.post("/api/v1/auth/login", json={**NAMED, "password": "a\0b"}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "anna"},
        {**NAMED, "role": "owner"},
        {**NAMED, "cookie": "yes"},
        {"name": 1, "password": 2},
    ],
)
def test_signing_in_is_read_strictly(http: FlaskClient, services: ScriptedServices, body: Any) -> None:
    assert http.post("/api/v1/auth/login", json=body).status_code == 400
    assert not services.requests["Authenticate"]


def test_the_page_renews_by_its_cookie_and_gets_no_token_to_read(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RefreshToken"] = identity_pb2.RefreshTokenResponse(tokens=tokens("next"))
    http.set_cookie("meld_session", "ref-old", path="/api/v1/auth")
    answer = http.post("/api/v1/auth/refresh", json={})
    assert services.requests["RefreshToken"][0].refresh_token == "ref-old"
    assert cookies(answer)["meld_session"].value == "ref-next"
    assert "ref-next" not in answer.text
    assert "tok-next" not in answer.text


def test_a_program_renews_by_its_token_and_gets_no_cookie(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RefreshToken"] = identity_pb2.RefreshTokenResponse(tokens=tokens("next"))
    answer = http.post("/api/v1/auth/refresh", json={"refresh_token": "ref-old"})
    assert said(answer)["refresh_token"] == "ref-next"
    assert cookies(answer) == {}


def test_without_anything_to_renew_there_is_nothing(http: FlaskClient) -> None:
    assert http.post("/api/v1/auth/refresh", json={}).status_code == 401


def test_signing_out_ends_the_session_and_its_cookies(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RevokeToken"] = identity_pb2.RevokeTokenResponse()
    http.set_cookie("meld_session", "ref-old", path="/api/v1/auth")
    answer = http.post("/api/v1/auth/logout", json={})
    assert answer.status_code == 200
    assert services.requests["RevokeToken"][0].token == "ref-old"
    assert {name: (cookie.value, cookie["max-age"]) for name, cookie in cookies(answer).items()} == {
        "meld_access": ("", "0"),
        "meld_session": ("", "0"),
    }


def test_the_first_owner_is_made_with_the_code(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["SetUp"] = identity_pb2.SetUpResponse(user=user("owner"))
    answer = http.post("/api/v1/auth/setup", json={**NAMED, "setup_code": "c0de"})
    assert (answer.status_code, said(answer)["role"]) == (201, "owner")
    assert services.requests["SetUp"][0].setup_code == "c0de"
    services.script["SetUp"] = FailedPreconditionError("there are users", reason="SETUP_DONE")
    assert http.post("/api/v1/auth/setup", json={**NAMED, "setup_code": "c0de"}).status_code == 409


def test_the_page_learns_how_one_signs_in(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListUsers"] = identity_pb2.ListUsersResponse()
    assert said(http.get("/api/v1/auth")) == {"login": True, "setup": True, "external": False}
    assert services.callers["ListUsers"] == [SERVICE]
    services.script["ListUsers"] = identity_pb2.ListUsersResponse(users=[user("owner")])
    assert said(http.get("/api/v1/auth"))["setup"] is False


def test_without_login_the_page_learns_that_and_nobody_signs_in(services: ScriptedServices) -> None:
    clients = Clients(services.addresses)
    http = client_of(Door(GatewaySettings(), clients, slots_for(16)))
    assert said(http.get("/api/v1/auth")) == {"login": False, "setup": False, "external": False}
    assert said(http.get("/api/v1/auth/me"))["role"] == "owner"
    answer = http.post("/api/v1/auth/login", json=NAMED)
    clients.close()
    assert (answer.status_code, said(answer)["reason"]) == (409, "LOGIN_OFF")
    assert not services.requests


def test_who_calls_is_told_who_that_is(http: FlaskClient) -> None:
    me = said(http.get("/api/v1/auth/me", headers=bearer("tok-viewer")))
    assert (me["id"], me["tenant"], me["role"], me["groups"]) == ("usr_viewer", "home", "viewer", ["law"])
    assert "knowledge_read" in me["scopes"]
    assert "administration" not in me["scopes"]


def test_a_password_is_changed_by_whose_it_is(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ChangePassword"] = identity_pb2.ChangePasswordResponse()
    body = {"current_password": "old", "new_password": "new and longer"}
    assert http.post("/api/v1/auth/password", json=body).status_code == 401
    answer = http.post("/api/v1/auth/password", json=body, headers=bearer("tok-member"))
    assert answer.status_code == 200
    assert services.callers["ChangePassword"][0].subject == "usr_member"


def test_users_are_kept(http: FlaskClient, services: ScriptedServices) -> None:
    owner = bearer("tok-owner")
    services.script["CreateUser"] = identity_pb2.CreateUserResponse(user=user("member"))
    services.script["ListUsers"] = identity_pb2.ListUsersResponse(users=[user("member")], next_page_token="t")
    services.script["UpdateUser"] = identity_pb2.UpdateUserResponse(user=user("viewer"))
    services.script["DeleteUser"] = identity_pb2.DeleteUserResponse()
    made = http.post(
        "/api/v1/users",
        json={**NAMED, "role": "member", "groups": ["law"]},
        headers={**owner, "Idempotency-Key": "k1"},
    )
    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/users/usr_member")
    assert "password" not in made.text
    assert services.requests["CreateUser"][0].request_id == "k1"
    page = said(http.get("/api/v1/users?page_size=1", headers=owner))
    assert ([one["id"] for one in page["users"]], page["next_page_token"]) == (["usr_member"], "t")
    assert http.patch("/api/v1/users/usr_member", json={"groups": []}, headers=owner).status_code == 200
    (changed,) = services.requests["UpdateUser"]
    assert changed.HasField("groups")
    assert not changed.HasField("role")
    assert not changed.HasField("disabled")
    assert http.delete("/api/v1/users/usr_member", headers=owner).status_code == 200
    assert services.requests["DeleteUser"][0].user_id == "usr_member"


def test_a_member_keeps_no_users(http: FlaskClient, services: ScriptedServices) -> None:
    answer = http.get("/api/v1/users", headers=bearer("tok-member"))
    assert (answer.status_code, said(answer)["reason"]) == (403, "SCOPE_MISSING")
    assert not services.requests["ListUsers"]


def test_keys_are_kept_and_their_secret_is_shown_once(http: FlaskClient, services: ScriptedServices) -> None:
    key = identity_pb2.ApiKey(
        api_key_id="k1", user_id="usr_member", label="cron", prefix="mrk_k1", role="viewer",
        scopes=[options_pb2.SCOPE_KNOWLEDGE_READ, options_pb2.SCOPE_PUBLIC],
    )  # fmt: skip
    services.script["CreateApiKey"] = identity_pb2.CreateApiKeyResponse(
        api_key_id="k1", secret="mrk_k1_x", api_key=key
    )
    services.script["ListApiKeys"] = identity_pb2.ListApiKeysResponse(api_keys=[key])
    services.script["RevokeApiKey"] = identity_pb2.RevokeApiKeyResponse()
    member = bearer("tok-member")
    made = http.post("/api/v1/api-keys", json={"label": "cron", "role": "viewer"}, headers=member)
    assert (made.status_code, said(made)["secret"], said(made)["scopes"]) == (
        201,
        "mrk_k1_x",
        ["knowledge_read"],
    )
    listed = http.get("/api/v1/api-keys", headers=member)
    assert [one["label"] for one in said(listed)["api_keys"]] == ["cron"]
    assert "mrk_k1_x" not in listed.text
    assert http.delete("/api/v1/api-keys/k1", headers=member).status_code == 200
    assert services.requests["RevokeApiKey"][0].api_key_id == "k1"


def test_a_key_is_given_an_end_and_shows_it(http: FlaskClient, services: ScriptedServices) -> None:
    key = identity_pb2.ApiKey(api_key_id="k1", label="cron")
    key.expire_time.FromJsonString("2030-01-31T12:00:00Z")
    services.script["CreateApiKey"] = identity_pb2.CreateApiKeyResponse(
        api_key_id="k1", secret="mrk_k1_x", api_key=key
    )
    member = bearer("tok-member")
    asked = {"label": "cron", "expires": "2030-01-31T12:00:00Z"}
    assert said(http.post("/api/v1/api-keys", json=asked, headers=member))["expires"] == (
        "2030-01-31T12:00:00.000Z"
    )
    (request,) = services.requests["CreateApiKey"]
    assert request.expire_time == key.expire_time
    http.post("/api/v1/api-keys", json={"label": "cron"}, headers=member)
    assert not services.requests["CreateApiKey"][1].HasField("expire_time")
    for wrong in ("tomorrow", "2030-01-31", 1_900_000_000):
        refused = http.post("/api/v1/api-keys", json={"label": "cron", "expires": wrong}, headers=member)
        assert (refused.status_code, said(refused)["metadata"]["field"]) == (400, "expires")
    assert len(services.requests["CreateApiKey"]) == 2


@pytest.mark.parametrize("shown", ["tok-member", "mrk_k1_s3cret"])
def test_the_key_by_which_one_came_is_told_to_who_makes_another(
    http: FlaskClient, services: ScriptedServices, shown: str
) -> None:
    async def known(request: identity_pb2.IdentifyRequest) -> identity_pb2.IdentifyResponse:
        said = await identify(request)
        said.caller.api_key_id = "k1"
        return said

    services.script["CreateApiKey"] = identity_pb2.CreateApiKeyResponse(api_key_id="k2", secret="mrk_k2_x")
    http.post("/api/v1/api-keys", json={"label": "cron"}, headers=bearer(shown))
    services.script["Identify"] = known
    http.post("/api/v1/api-keys", json={"label": "cron"}, headers=bearer(shown))
    assert [one.caller_api_key_id for one in services.requests["CreateApiKey"]] == ["", "k1"]


def test_what_was_done_is_told_to_administrators(http: FlaskClient, services: ScriptedServices) -> None:
    entry = identity_pb2.AuditEntry(actor="usr_owner", action="create_user", target="usr_member")
    entry.time.GetCurrentTime()
    services.script["ListAuditEntries"] = identity_pb2.ListAuditEntriesResponse(entries=[entry])
    page = said(http.get("/api/v1/audit", headers=bearer("tok-owner")))
    assert [(one["actor"], one["action"]) for one in page["entries"]] == [("usr_owner", "create_user")]
    assert http.get("/api/v1/audit", headers=bearer("tok-viewer")).status_code == 403
