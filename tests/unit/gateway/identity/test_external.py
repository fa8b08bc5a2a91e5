"""Signing in by another identity provider: the way there and back, and every lie on it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from meldrag.session.v1 import identity_pb2
from services.chassis.context import SERVICE
from services.chassis.errors import AlreadyExistsError
from services.chassis.settings import SettingsError, load
from services.gateway.settings import GatewaySettings
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, running_provider
from tests.unit.gateway.identity.conftest import Open, tokens, user
from tests.unit.gateway.scripted_services import ScriptedServices

BEGIN = "/api/v1/auth/external"


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def http(open_gateway: Open, provider: OidcProvider, services: ScriptedServices) -> FlaskClient:
    services.script["AuthenticateExternal"] = identity_pb2.AuthenticateExternalResponse(
        user=user("member"), tokens=tokens()
    )
    return open_gateway(
        meld_oidc_issuer=provider.issuer,
        meld_oidc_client_id=CLIENT_ID,
        meld_oidc_client_secret=CLIENT_SECRET,
    )


def there_and_back(http: FlaskClient, provider: OidcProvider) -> TestResponse:
    begun = http.get(BEGIN)
    assert begun.status_code == 303, begun.text
    return http.get(provider.consent(begun.headers["Location"]).partition("localhost")[2])


def reason(answer: TestResponse) -> str:
    assert answer.json is not None
    return str(answer.json["reason"])


def test_a_person_comes_back_signed_in(
    http: FlaskClient, provider: OidcProvider, services: ScriptedServices
) -> None:
    answer = there_and_back(http, provider)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    kept = http.get_cookie("meld_access")
    assert kept is not None
    assert (kept.value, kept.same_site, kept.http_only) == ("tok-new", "Strict", True)
    (asked,) = services.requests["AuthenticateExternal"]
    assert (asked.issuer, asked.subject, asked.name) == (provider.issuer, "person-7", "greta")
    assert list(asked.groups) == ["law", "archive"]
    assert services.callers["AuthenticateExternal"] == [SERVICE]


def test_the_cookie_of_the_way_is_kept_strictly_and_only_for_the_way(http: FlaskClient) -> None:
    line = http.get(BEGIN).headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Lax", "Path=/api/v1/auth/external", "Max-Age=600"):
        assert part in line


def test_a_code_of_another_browser_is_refused(
    http: FlaskClient, provider: OidcProvider, services: ScriptedServices
) -> None:
    way = provider.consent(http.get(BEGIN).headers["Location"]).partition("localhost")[2]
    http.delete_cookie("meld_external", path="/api/v1/auth/external")
    assert (http.get(way).status_code, services.requests["AuthenticateExternal"]) == (400, [])
    http.get(BEGIN)
    answer = http.get(way)
    assert (answer.status_code, reason(answer)) == (400, "EXTERNAL_LOGIN_UNKNOWN")
    assert not services.requests["AuthenticateExternal"]


@pytest.mark.parametrize("cookie", ["a.b.c", "", "eyJhbGciOiJub25lIn0.e30."])
def test_a_forged_cookie_of_the_way_is_refused(
    http: FlaskClient, provider: OidcProvider, cookie: str
) -> None:
    way = provider.consent(http.get(BEGIN).headers["Location"]).partition("localhost")[2]
    http.set_cookie("meld_external", cookie, path="/api/v1/auth/external")
    assert http.get(way).status_code == 400


def test_a_code_is_good_once(http: FlaskClient, provider: OidcProvider) -> None:
    begun = http.get(BEGIN)
    way = provider.consent(begun.headers["Location"]).partition("localhost")[2]
    assert http.get(way).status_code == 303
    http.set_cookie(
        "meld_external",
        begun.headers["Set-Cookie"].partition("=")[2].partition(";")[0],
        path="/api/v1/auth/external",
    )
    answer = http.get(way)
    assert (answer.status_code, reason(answer)) == (401, "EXTERNAL_LOGIN_REFUSED")


def test_a_person_who_declines_is_not_let_in(http: FlaskClient) -> None:
    answer = http.get(f"{BEGIN}/return?error=access_denied&state=x")
    assert (answer.status_code, reason(answer)) == (401, "EXTERNAL_LOGIN_REFUSED")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": ["another", CLIENT_ID]},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"exp": "soon"},
        {"iat": int(time.time()) + 30 * 86_400},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
    ],
)
def test_a_word_that_is_not_for_us_is_refused(
    http: FlaskClient, provider: OidcProvider, services: ScriptedServices, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    answer = there_and_back(http, provider)
    assert (answer.status_code, reason(answer)) == (401, "EXTERNAL_LOGIN_REFUSED")
    assert not services.requests["AuthenticateExternal"]


def test_a_word_that_another_signed_is_refused(
    http: FlaskClient, provider: OidcProvider, services: ScriptedServices
) -> None:
    provider.key = RSAKey.generate_key(2048, {"kid": "k1"})
    assert there_and_back(http, provider).status_code == 401
    assert not services.requests["AuthenticateExternal"]


def test_a_word_signed_with_the_public_key_as_a_secret_is_refused(
    http: FlaskClient, provider: OidcProvider, services: ScriptedServices
) -> None:
    secret = provider.key.as_pem(private=False)

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def forged(claims: dict[str, Any]) -> str:
        text = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(claims)}"
        signature = hmac.digest(secret, text.encode(), hashlib.sha256)
        return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    provider.sign = forged
    assert there_and_back(http, provider).status_code == 401
    assert not services.requests["AuthenticateExternal"]


def test_a_new_key_of_the_provider_is_found_after_a_while(
    http: FlaskClient, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert there_and_back(http, provider).status_code == 303
    provider.key = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig", "alg": "RS256"})
    provider.published = [provider.key]
    assert there_and_back(http, provider).status_code == 401
    monkeypatch.setattr("services.gateway.identity.external._AGAIN_SECONDS", 0.0)
    assert there_and_back(http, provider).status_code == 303
    assert provider.asked.count("/.well-known/openid-configuration") == 1


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "http://evil.example/authorize"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
def test_a_provider_that_says_it_is_another_is_not_asked(
    http: FlaskClient, provider: OidcProvider, about: dict[str, Any]
) -> None:
    provider.about = about
    answer = http.get(BEGIN)
    assert (answer.status_code, reason(answer)) == (502, "IDENTITY_PROVIDER_UNAVAILABLE")


def test_a_provider_that_is_down_is_502(http: FlaskClient, provider: OidcProvider) -> None:
    provider.status = 503
    assert http.get(BEGIN).status_code == 502


def test_a_name_that_somebody_else_has_is_a_conflict(
    http: FlaskClient, provider: OidcProvider, services: ScriptedServices
) -> None:
    services.script["AuthenticateExternal"] = AlreadyExistsError("greta is there", reason="USER_EXISTS")
    answer = there_and_back(http, provider)
    assert (answer.status_code, reason(answer)) == (409, "USER_EXISTS")
    assert http.get_cookie("meld_access") is None


def test_the_page_learns_of_the_provider(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListUsers"] = identity_pb2.ListUsersResponse(users=[user("owner")])
    said = http.get("/api/v1/auth").json
    assert said is not None
    assert said["external"] is True


def test_without_a_provider_there_is_no_way_to_one(open_gateway: Open) -> None:
    assert open_gateway().get(BEGIN).status_code == 404


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"MELD_OIDC_ISSUER": "http://id.example.org", "MELD_OIDC_CLIENT_ID": "m"},
            "MELD_OIDC_ISSUER: .*https",
        ),
        ({"MELD_OIDC_ISSUER": "https://id.example.org"}, "MELD_OIDC_CLIENT_ID: .*belong together"),
        ({"MELD_OIDC_CLIENT_ID": "m"}, "MELD_OIDC_CLIENT_ID: .*belong together"),
    ],
)
def test_half_a_provider_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        load(GatewaySettings)
