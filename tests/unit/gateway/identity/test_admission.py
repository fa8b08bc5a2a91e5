"""Who is let in: rows 24, 31, 32, 35 and 69 of the table of bad input."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from meldrag.session.v1 import identity_pb2, session_pb2
from services.chassis import passes
from services.chassis.errors import ResourceExhaustedError, UnavailableError
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.identity.conftest import LOGIN, Open, bearer
from tests.unit.gateway.scripted_services import ScriptedServices

PATH = "/api/v1/sessions"
OPEN = {
    "/",
    "/api/v1/auth",
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
    "/health",
}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer ",
        "Bearer",
        "Basic b3duZXI6c2VjcmV0",
        "tok-owner",
        "Bearer tok-owner, Bearer tok-owner",
        "Bearer tok owner",
        "Bearer " + "x" * 8001,
        "Bearer tök",
    ],
)
def test_row_24_without_a_token_nobody_is_let_in(
    http: FlaskClient, services: ScriptedServices, header: str | None
) -> None:
    answer = http.get(PATH, headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="meldrag"')
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    assert answer.json["reason"] in ("CREDENTIAL_MISSING", "CREDENTIAL_INVALID")
    assert not services.requests["Identify"]
    assert not services.requests["ListSessions"]


def test_row_24_every_route_but_the_open_ones_demands_a_caller(http: FlaskClient) -> None:
    """Of a route that is added tomorrow as well."""
    application: Any = http.application
    rules = [rule for rule in application.url_map.iter_rules() if rule.rule not in OPEN]
    assert len(rules) > 50
    let_in = []
    for rule in rules:
        path = rule.build(dict.fromkeys(rule.arguments, "x"), append_unknown=False)[1]
        for method in rule.methods - {"OPTIONS"}:
            # From another machine: the owner of this one may see measurements.
            answer = http.open(path, method=method, environ_base={"REMOTE_ADDR": "10.0.0.3"})
            if answer.status_code != 401 and not rule.rule.startswith("/api/v1/auth/external"):
                let_in.append((method, rule.rule, answer.status_code))
    assert let_in == []


@pytest.mark.parametrize("path", ["/", "/livez", "/assets/app.js", "/api/v1/auth"])
def test_what_everybody_may_see_needs_no_caller(
    http: FlaskClient, services: ScriptedServices, path: str
) -> None:
    services.script["ListUsers"] = identity_pb2.ListUsersResponse()
    for headers in ({}, bearer("revoked"), {"Authorization": "Basic x"}):
        assert http.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/readyz"])
def test_health_tells_nobody_what_stands_behind_it(http: FlaskClient, path: str) -> None:
    elsewhere = {"environ_base": {"REMOTE_ADDR": "10.0.0.3"}}
    said = http.get(path, **elsewhere).json
    assert said is not None
    assert said["status"] == "ready"
    assert "services" not in said


def test_health_tells_who_is_known(http: FlaskClient) -> None:
    said = http.get("/health", headers=bearer("tok-member")).json
    assert said is not None
    assert set(said["services"]) == {"agents", "session", "vector"}


def test_health_answers_a_broken_header(http: FlaskClient) -> None:
    assert http.get("/health", headers={"Authorization": "Basic x"}).status_code == 200


@pytest.mark.parametrize("token", ["tok-member", "mrk_k1_s3cret"])
def test_a_known_caller_is_known_to_the_services_too(
    http: FlaskClient, services: ScriptedServices, token: str
) -> None:
    answer = http.get(PATH, headers=bearer(token))
    assert answer.status_code == 200
    (caller,) = services.callers["ListSessions"]
    assert (caller.tenant_id, caller.subject, caller.role) == ("home", "usr_member", "member")
    assert caller.groups == {"law"}
    (asked,) = services.requests["Identify"]
    assert asked.WhichOneof("credential") == ("api_key" if token.startswith("mrk_") else "access_token")


def test_the_pages_cookie_counts_where_no_header_stands(
    http: FlaskClient, services: ScriptedServices
) -> None:
    http.set_cookie("meld_access", "tok-viewer")
    assert http.get(PATH).status_code == 200
    assert services.callers["ListSessions"][0].role == "viewer"
    http.get(PATH, headers=bearer("tok-owner"))
    assert services.callers["ListSessions"][1].role == "owner"
    assert http.get(PATH, headers={"Authorization": "Basic x"}).status_code == 401


def test_a_revoked_token_is_refused_at_once(http: FlaskClient, services: ScriptedServices) -> None:
    answer = http.get(PATH, headers=bearer("tok-gone"))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="meldrag", error="invalid_token"'
    assert answer.json is not None
    assert answer.json["reason"] == "TOKEN_REVOKED"


def test_nobody_is_let_in_while_nobody_can_be_asked(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["Identify"] = UnavailableError("Redis is away", reason="STORE_UNAVAILABLE")
    assert http.get(PATH, headers=bearer("tok-owner")).status_code == 503
    assert not services.requests["ListSessions"]


def test_services_that_do_not_believe_the_gateway_are_not_the_callers_fault(
    services: ScriptedServices,
) -> None:
    """Another JWT_SECRET_KEY here than there: signing in again would not help."""
    settings = GatewaySettings(**{**LOGIN, "jwt_secret_key": "another-key" * 4})
    clients = Clients(services.addresses, passes.identity(settings))
    http = client_of(Door(settings, clients, slots_for(16)))
    answer = http.get(PATH, headers=bearer("tok-owner"))
    clients.close()
    assert answer.status_code == 502
    assert answer.json is not None
    assert answer.json["reason"] == "PASS_INVALID"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://evil-localhost"},
        {"Origin": "https://evil-good.com"},
        {"Origin": "https://good.com.evil.example"},
        {"Origin": "http://good.com"},
        {"Origin": "https://localhost@evil.example"},
    ],
)
@pytest.mark.parametrize("path", [PATH, "/api/v1/auth/refresh", "/api/v1/auth/logout", "/api/v1/auth/login"])
def test_row_31_a_page_of_another_site_cannot_act_with_the_cookie(
    http: FlaskClient, services: ScriptedServices, headers: dict[str, str], path: str
) -> None:
    http.set_cookie("meld_access", "tok-owner")
    http.set_cookie("meld_session", "ref-owner", path="/api/v1/auth")
    answer = http.post(path, json={}, headers=headers)
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["reason"] == "ORIGIN_NOT_ALLOWED"
    assert not services.requests


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {"Origin": "https://good.com"}],
)
def test_row_31_our_own_page_acts_with_the_cookie(
    http: FlaskClient, services: ScriptedServices, headers: dict[str, str]
) -> None:
    services.script["CreateSession"] = session_pb2.CreateSessionResponse()
    http.set_cookie("meld_access", "tok-owner")
    assert http.post(PATH, json={}, headers=headers).status_code == 201


@pytest.mark.parametrize(
    "origin", ["https://evil-good.com", "https://good.com.evil.example", "null", "https://sub.good.com"]
)
def test_row_32_a_preflight_of_an_unlisted_origin_allows_nothing(http: FlaskClient, origin: str) -> None:
    answer = http.options(PATH, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert answer.status_code in (204, 403)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_row_32_a_listed_origin_may_send_a_token_and_no_cookie(http: FlaskClient) -> None:
    answer = http.options(
        PATH, headers={"Origin": "https://good.com", "Access-Control-Request-Method": "POST"}
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "https://good.com"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("field", ["tenant_id", "user_id", "role", "subject", "owner"])
def test_row_35_an_identity_in_the_body_is_no_field(
    http: FlaskClient, services: ScriptedServices, field: str
) -> None:
    answer = http.post(PATH, json={"title": "x", field: "owner"}, headers=bearer("tok-viewer"))
    assert answer.status_code == 400
    assert not services.requests["CreateSession"]


def test_row_35_an_identity_in_headers_is_ignored(http: FlaskClient, services: ScriptedServices) -> None:
    forged = {
        "X-Meld-Pass": "a.b.c",
        "X-Meld-Tenant": "other",
        "X-Meld-Role": "owner",
        "X-Meld-Source": "10.0.0.1",
        "Grpc-Metadata-X-Meld-Pass": "a.b.c",
    }
    assert http.get(PATH, headers=forged).status_code == 401
    assert http.get(PATH, headers={**forged, **bearer("tok-viewer")}).status_code == 200
    (caller,) = services.callers["ListSessions"]
    assert (caller.tenant_id, caller.role) == ("home", "viewer")


@pytest.mark.parametrize(
    "forwarded", [{}, {"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}]
)
def test_row_69_a_spent_rate_is_429_whatever_is_forwarded(
    http: FlaskClient, services: ScriptedServices, forwarded: dict[str, str]
) -> None:
    services.script["ConsumeQuota"] = ResourceExhaustedError(
        "no requests are left in this minute", reason="QUOTA_EXHAUSTED", retry_after=17.2
    )
    answer = http.get(PATH, headers={**bearer("tok-member"), **forwarded})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "18"
    assert answer.json is not None
    assert answer.json["reason"] == "QUOTA_EXHAUSTED"
    assert not services.requests["ListSessions"]


def test_each_request_is_taken_from_its_callers_rate_whatever_id_it_has(
    http: FlaskClient, services: ScriptedServices
) -> None:
    for _ in range(3):
        http.get(PATH, headers={**bearer("tok-member"), "X-Request-ID": "the-same"})
    taken = services.requests["ConsumeQuota"]
    assert [(one.unit, one.amount, one.request_id) for one in taken] == [("requests", 1, "")] * 3
    assert {caller.subject for caller in services.callers["ConsumeQuota"]} == {"usr_member"}


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/profile?seconds=0.01"])
def test_measurements_are_for_administrators_and_for_this_machine(open_gateway: Open, path: str) -> None:
    http = open_gateway(profiling_enabled=True)
    method = "GET" if path == "/metrics" else "POST"

    def status(address: str, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return http.open(
            path, method=method, headers=named, environ_base={"REMOTE_ADDR": address}
        ).status_code

    assert status("127.0.0.1") == 200
    assert status("10.0.0.3") == 401
    assert status("127.0.0.1", X_Forwarded_For="10.0.0.3") == 401
    assert status("10.0.0.3", **bearer("tok-member")) == 403
    assert status("127.0.0.1", **bearer("tok-member")) == 403
    assert status("10.0.0.3", **bearer("tok-owner")) == 200


def test_without_login_nothing_is_asked_for(services: ScriptedServices) -> None:
    clients = Clients(services.addresses)
    http = client_of(Door(GatewaySettings(), clients, slots_for(16)))
    # These services want passes; what counts is that the gateway asks nobody who calls.
    answer = http.get(PATH)
    clients.close()
    assert answer.json is not None
    assert answer.json["reason"] == "PASS_MISSING"
    assert not services.requests["Identify"]
