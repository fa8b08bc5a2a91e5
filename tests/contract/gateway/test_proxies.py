"""A gateway behind a proxy: forged headers over real connections, from a trusted address and from others."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import httpx
import pytest

from meldrag.session.v1 import identity_pb2
from services.chassis.errors import UnauthenticatedError
from services.chassis.settings import ServiceSettings
from tests.contract.gateway.conftest import Gateway, running_gateway
from tests.unit.gateway.identity.conftest import LOGIN, SECRET, tokens, user
from tests.unit.gateway.scripted_services import ScriptedServices, running_services

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other addresses of the loopback network are used"
)

PROXY, STRANGER, CLIENT = "127.0.0.2", "127.0.0.3", "198.51.100.7"
NAMED = {"name": "anna", "password": "correct horse battery"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[ScriptedServices]:
    with running_services(ServiceSettings(health_check_interval=60, **LOGIN)) as services:
        yield services


@pytest.fixture(scope="module")
def behind(guarded: ScriptedServices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Trusts PROXY alone."""
    with running_gateway(
        guarded,
        tmp_path_factory.mktemp("behind"),
        MELD_LOGIN="required",
        JWT_SECRET_KEY=SECRET,
        MELD_TRUSTED_PROXIES=f"{PROXY}, 10.0.0.0/8",
        MELD_METRICS_NETWORKS="198.51.100.8/30",
        FORWARDED_ALLOW_IPS="*",
    ) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def services(guarded: ScriptedServices) -> ScriptedServices:
    guarded.reset()
    return guarded


def come(peer: str) -> httpx.Client:
    """A client whose connections come from that address."""
    return httpx.Client(transport=httpx.HTTPTransport(local_address=peer), timeout=20)


def source(behind: Gateway, services: ScriptedServices, peer: str, headers: list[tuple[str, str]]) -> str:
    """By which address a wrong password is counted."""
    services.script["Authenticate"] = UnauthenticatedError("no", reason="CREDENTIAL_WRONG")
    with come(peer) as http:
        answer = http.post(f"{behind.url}/api/v1/auth/login", json=NAMED, headers=headers)
    assert answer.status_code == 401, answer.text
    found: str = services.metadata["Authenticate"][-1]["x-meld-source"]
    return found


def test_wrong_passwords_count_for_whom_the_trusted_proxy_names(
    behind: Gateway, services: ScriptedServices
) -> None:
    assert source(behind, services, PROXY, [("X-Forwarded-For", CLIENT)]) == CLIENT
    forged = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", f"5.6.7.8, {CLIENT}, 10.3.2.1")]
    assert source(behind, services, PROXY, forged) == CLIENT
    assert source(behind, services, PROXY, []) == PROXY


@pytest.mark.parametrize(
    "header",
    [
        ("X-Forwarded-For", CLIENT),
        ("X_Forwarded_For", CLIENT),
        ("X-Real-IP", CLIENT),
        ("Forwarded", f"for={CLIENT};proto=https"),
        ("X-Meld-Source", CLIENT),
        ("X-Client-IP", CLIENT),
    ],
)
def test_what_others_write_is_nothing(
    behind: Gateway, services: ScriptedServices, header: tuple[str, str]
) -> None:
    assert source(behind, services, STRANGER, [header]) == STRANGER


def test_the_log_names_the_client(behind: Gateway, services: ScriptedServices) -> None:
    with come(PROXY) as http:
        http.get(f"{behind.url}/api/v1/sessions", headers={"X-Forwarded-For": "198.51.100.77"})
    assert '"client": "198.51.100.77"' in behind.log.read_text()


def secure(behind: Gateway, services: ScriptedServices, peer: str, scheme: str) -> set[bool]:
    """Whether the cookies of a login are kept for https."""
    services.script["Authenticate"] = identity_pb2.AuthenticateResponse(user=user("member"), tokens=tokens())
    with come(peer) as http:
        answer = http.post(
            f"{behind.url}/api/v1/auth/login",
            json={**NAMED, "cookie": True},
            headers={"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": scheme},
        )
    assert answer.status_code == 200, answer.text
    return {"; secure" in line.lower() for line in answer.headers.get_list("Set-Cookie")}


def test_cookies_are_for_https_when_the_trusted_proxy_speaks_it(
    behind: Gateway, services: ScriptedServices
) -> None:
    assert secure(behind, services, PROXY, "https") == {True}
    assert secure(behind, services, PROXY, "http") == {False}
    # gunicorn by itself would believe everybody on this machine, or FORWARDED_ALLOW_IPS.
    assert secure(behind, services, STRANGER, "https") == {False}
    assert secure(behind, services, "127.0.0.1", "https") == {False}


def test_a_page_by_http_is_another_site_than_ours_by_https(
    behind: Gateway, services: ScriptedServices
) -> None:
    services.script["Authenticate"] = UnauthenticatedError("no", reason="CREDENTIAL_WRONG")
    host = f"{behind.host}:{behind.port}"

    def status(peer: str, scheme: str, origin: str) -> int:
        headers = {"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": scheme, "Origin": f"{origin}://{host}"}
        with come(peer) as http:
            return http.post(f"{behind.url}/api/v1/auth/login", json=NAMED, headers=headers).status_code

    assert status(PROXY, "https", "https") == 401
    assert status(PROXY, "https", "http") == 403
    assert status(PROXY, "http", "https") == 403
    # Who else is in front may speak TLS for us, and its word for it does not count.
    assert status(STRANGER, "http", "https") == 401


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.0.0.1", {"X-Forwarded-For": "198.51.100.9"}, 401),
        (PROXY, {"X-Forwarded-For": "198.51.100.9"}, 200),
        (PROXY, {"X-Forwarded-For": "198.51.100.9, 203.0.113.5"}, 401),
        (PROXY, {"X-Forwarded-For": "127.0.0.1"}, 401),
        (STRANGER, {"X-Forwarded-For": "198.51.100.9"}, 401),
    ],
)
def test_measurements_are_for_the_networks_that_are_named(
    behind: Gateway, peer: str, headers: dict[str, str], status: int
) -> None:
    with come(peer) as http:
        assert http.get(f"{behind.url}/metrics", headers=headers).status_code == status
        # What is more than measurements is not among them.
        profile = http.post(
            f"{behind.url}/api/v1/profile", headers={**headers, "X-Forwarded-For": "198.51.100.9"}
        )
        assert profile.status_code == 401
