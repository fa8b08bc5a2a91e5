"""Hosts, origins, and the headers that tell a browser what an answer may do."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from meldrag.agents.v1 import agents_pb2
from tests.unit.gateway.scripted_services import ScriptedServices

POST = "/api/v1/agents/route"


@pytest.fixture(autouse=True)
def _routed(services: ScriptedServices) -> None:
    services.script["RouteTask"] = agents_pb2.RouteTaskResponse()
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse()


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:1", "[::1]:5000", "LocalHost"])
def test_our_own_names_are_let_in(http: FlaskClient, host: str) -> None:
    assert http.get("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil", "evil,localhost", "localhost:99999", "localhost:x", "a b", "::1"],
)
def test_other_names_are_400(http: FlaskClient, host: str) -> None:
    answer = http.get("/livez", headers={"Host": host})
    assert (answer.status_code, answer.json["reason"]) == (400, "HOST_NOT_TRUSTED")


@pytest.mark.parametrize("host", ["10.0.0.3:5000", "[fd00::3]:5000", "10.0.0.3"])
def test_who_scrapes_a_replica_by_its_address_is_let_in_to_the_metrics_alone(
    http: FlaskClient, host: str
) -> None:
    assert http.get("/metrics", headers={"Host": host}).status_code == 200
    for method, path in (("GET", "/livez"), ("GET", "/metrics/"), ("POST", "/metrics")):
        answer = http.open(path, method=method, headers={"Host": host})
        assert (answer.status_code, answer.json["reason"]) == (400, "HOST_NOT_TRUSTED")


@pytest.mark.parametrize(
    "host", ["evil.example", "10.0.0.3.evil.example", "10.0.0", "[10.0.0.3]x", "10.0.0.3:99999"]
)
def test_a_name_that_is_none_of_ours_does_not_get_the_metrics_either(http: FlaskClient, host: str) -> None:
    answer = http.get("/metrics", headers={"Host": host})
    assert (answer.status_code, answer.json["reason"]) == (400, "HOST_NOT_TRUSTED")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.com"},
        {"Origin": "null"},
        {"Origin": "https://evil-good.com"},
        {"Origin": "https://good.com.evil.com"},
        {"Origin": "http://good.com"},
        {"Origin": "https://good.com:8443"},
        {"Origin": "http://localhost:3000"},
    ],
    ids=str,
)
def test_a_page_of_another_site_cannot_act(
    http: FlaskClient, services: ScriptedServices, headers: dict[str, str]
) -> None:
    answer = http.post(POST, json={"message": "m"}, headers=headers)
    assert (answer.status_code, answer.json["reason"]) == (403, "ORIGIN_NOT_ALLOWED")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert not services.requests


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Origin": "https://good.com", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_programs_our_page_and_listed_origins_can(http: FlaskClient, headers: dict[str, str]) -> None:
    assert http.post(POST, json={"message": "m"}, headers=headers).status_code == 200


@pytest.mark.parametrize(("origin", "listed"), [("https://good.com", True), ("https://evil-good.com", False)])
def test_a_preflight_is_answered_for_listed_origins_only(
    http: FlaskClient, origin: str, listed: bool
) -> None:
    answer = http.options(POST, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert answer.status_code == 204
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if listed else None)
    assert ("Access-Control-Allow-Methods" in answer.headers) == listed
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_openais_client_may_send_its_own_names_from_a_page_of_a_listed_origin(http: FlaskClient) -> None:
    asked = "authorization,content-type,X-Stainless-Arch, x-stainless-retry-count,x-evil,x-stainless-a\tb"
    headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    answer = http.options("/v1/chat/completions", headers={"Origin": "https://good.com", **headers})
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "openai-organization", "x-stainless-arch", "x-stainless-retry-count"} <= allowed
    assert not [name for name in allowed if "evil" in name or "\t" in name]
    many = ",".join(f"x-stainless-{number}" for number in range(200))
    crowd = {**headers, "Access-Control-Request-Headers": many}
    answer = http.options("/v1/models", headers={"Origin": "https://good.com", **crowd})
    assert answer.headers["Access-Control-Allow-Headers"].count("x-stainless-") <= 40
    for other in ("https://evil-good.com", "null"):
        answer = http.options("/v1/chat/completions", headers={"Origin": other, **headers})
        assert "Access-Control-Allow-Headers" not in answer.headers


@pytest.mark.parametrize("path", ["/livez", "/api/v1/agents", "/nowhere"])
def test_every_answer_says_what_a_browser_may_do(http: FlaskClient, path: str) -> None:
    headers = http.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_page_has_exactly_the_strict_policy(http: FlaskClient) -> None:
    page = http.get("/")
    assert page.status_code == 200
    assert page.content_type == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
        "require-trusted-types-for 'script'; trusted-types rendered"
    )
    assert page.headers["Cache-Control"] == "no-cache"
    again = http.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_assets_come_with_their_type_and_unknown_ones_not(http: FlaskClient) -> None:
    script = http.get("/assets/api.js")
    assert (script.status_code, script.mimetype) == (200, "text/javascript")
    assert http.get("/assets/none.js").status_code == 404
    assert http.get("/assets/").status_code == 404
    assert http.get("/assets/../routes/page.py").status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/agents/a%00b", "/api/v1/agents/a%0d%0ab", "/api/v1/agents/%7f"])
def test_control_characters_in_a_path_are_400(
    http: FlaskClient, services: ScriptedServices, path: str
) -> None:
    assert http.get(path).status_code == 400
    assert not services.requests


@pytest.mark.parametrize(
    ("verb", "path"), [("PUT", "/livez"), ("DELETE", "/api/v1/runs"), ("POST", "/readyz")]
)
def test_a_wrong_verb_is_405_and_names_the_right_ones(http: FlaskClient, verb: str, path: str) -> None:
    answer = http.open(path, method=verb)
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert "GET" in answer.headers["Allow"]
