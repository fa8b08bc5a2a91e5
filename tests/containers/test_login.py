"""Containers ask who somebody is: from the setup code to a second person, and from the proxy to the services.

The owner was made with the code when the system was started (see conftest.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from tests.support.authority import Authority
from tests.support.containers import PASSWORD, System

TEXTS = {"elmsund": "The harbour of Elmsund is fourteen metres deep."}
CLIENT = "203.0.113.9"


class Person:
    """Somebody with an API key of their own."""

    def __init__(self, system: System, name: str) -> None:
        made = system.post(
            "/api/v1/users", json={"name": name, "password": PASSWORD, "role": "member", "groups": []}
        )
        assert made.status_code == 201, made.text
        self.id = made.json()["id"]
        self.headers = system.key_of(name, "member")


@pytest.fixture
def anna(running: System) -> Iterator[Person]:
    anna = Person(running, "anna")
    yield anna
    gone = httpx.delete(f"{running.base_url}/api/v1/users/{anna.id}", headers=running.headers, timeout=30)
    assert gone.status_code in (200, 204), gone.text


@pytest.mark.parametrize(
    "path", ["collections", "sessions", "runs/run_x", "agents", "users", "audit", "auth/me"]
)
def test_nobody_in_particular_is_401(running: System, path: str) -> None:
    answer = httpx.get(f"{running.base_url}/api/v1/{path}", timeout=30)
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer"), answer.text


def test_what_watches_the_system_needs_no_login(running: System) -> None:
    for path in ("/livez", "/readyz", "/health", "/metrics", "/openapi.json", "/"):
        answer = httpx.get(f"{running.base_url}{path}", timeout=30)
        assert answer.status_code == 200, path
    assert "services" not in httpx.get(f"{running.base_url}/health", timeout=30).json()
    # An operator at the machine is told all of it.
    assert '"services":' in running.manage("health").stdout


def test_measurements_are_open_to_this_machine_and_to_who_may_administer(running: System) -> None:
    def asked_from_elsewhere(*more: str) -> str:
        command = ("docker", "run", "--rm", "--network", f"{running.project}-edge", "--entrypoint", "curl")
        quiet = ("-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20")
        return running.run(
            *command, "meld-rag/gateway:latest", *quiet, *more, "http://proxy:8080/metrics"
        ).stdout

    address = ("-H", "X-Forwarded-For: 127.0.0.1")
    assert asked_from_elsewhere() == asked_from_elsewhere(*address) == "403"
    assert asked_from_elsewhere("-H", "Authorization: Bearer mrk_none") == "401"
    assert asked_from_elsewhere("-H", f"Authorization: {running.headers['Authorization']}") == "200"
    forwarded = httpx.get(f"{running.base_url}/metrics", headers={"X-Forwarded-For": "10.1.2.3"}, timeout=30)
    assert forwarded.status_code == 403


def test_the_setup_code_was_good_once(running: System) -> None:
    again = httpx.post(
        f"{running.base_url}/api/v1/auth/setup",
        json={"name": "eve", "password": PASSWORD, "setup_code": running.setup_code},
        timeout=30,
    )
    assert (again.status_code, again.json()["reason"]) == (409, "SETUP_DONE")
    said = running.manage("owner").stdout
    assert "there is an owner" in said
    assert running.setup_code not in said


def test_a_second_person_sees_nothing_of_the_first(running: System, anna: Person) -> None:
    ids = running.ingest("owners-own", TEXTS)
    session = running.post("/api/v1/sessions", json={"title": "mine"}).json()["id"]
    run = running.post(
        "/api/v1/runs",
        json={"agent": "research", "message": "How deep is the harbour?", "collections": ["owners-own"]},
    ).json()
    assert run["citations"]

    with httpx.Client(base_url=f"{running.base_url}/api/v1", headers=anna.headers, timeout=30) as http:
        assert http.get("/auth/me").json()["id"] == anna.id
        assert http.get("/collections").json()["collections"] == []
        assert http.get("/sessions").json()["sessions"] == []
        document = f"/collections/owners-own/documents/{ids['elmsund']}"
        for path in (
            "/collections/owners-own",
            document,
            f"{document}/text",
            f"/sessions/{session}",
            f"/runs/{run['run_id']}",
        ):
            assert http.get(path).status_code == 404, path
        searched = http.post("/collections/owners-own/search", json={"query": "harbour"})
        assert searched.status_code == 404
        assert http.get("/users").status_code == 403


def test_the_services_take_nobodys_word(running: System) -> None:
    network = f"{running.project}-network"

    def address(service: str) -> str:
        known = running.inspect(running.container(service))["NetworkSettings"]["Networks"]
        return str(known[network]["IPAddress"])

    with (
        grpc.insecure_channel(f"{address('session')}:50053") as session,
        grpc.insecure_channel(f"{address('vector')}:50052") as vector,
    ):
        sessions = session_pb2_grpc.SessionServiceStub(session).ListSessions
        with pytest.raises(grpc.RpcError) as refused:
            sessions(session_pb2.ListSessionsRequest(), timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        collections = vector_pb2_grpc.VectorServiceStub(vector).ListCollections
        with pytest.raises(grpc.RpcError) as refused:
            collections(vector_pb2.ListCollectionsRequest(), timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def signed_in(system: System) -> tuple[str, bool]:
    """Where the log of the house says that a sign-in with forwarded headers came from, and whether its
    cookies are for https alone.
    """
    answer = httpx.post(
        f"{system.base_url}/api/v1/auth/login",
        json={"name": "olga", "password": PASSWORD, "cookie": True},
        headers={"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    entries = system.get("/api/v1/audit").json()["entries"]
    newest = next(entry for entry in entries if entry["action"] == "sign_in")
    secure = {"; secure" in line.lower() for line in answer.headers.get_list("Set-Cookie")}
    assert len(secure) == 1
    source: str = newest["details"]["source"]
    return source, secure == {True}


def test_the_proxy_says_where_somebody_is_and_believes_only_who_is_named(running: System) -> None:
    edge = json.loads(running.run("docker", "network", "inspect", f"{running.project}-edge").stdout)[0]
    gateway = edge["IPAM"]["Config"][0]["Gateway"]
    env = running.folder / ".env"
    before = env.read_text()

    source, secure = signed_in(running)
    assert (source, secure) == (gateway, False)

    try:
        # Another proxy on this machine, which speaks TLS.
        running.set_variables(MELD_TRUSTED_PROXIES=gateway)
        running.manage("start", "production")
        running.wait_ready(60)
        assert signed_in(running) == (CLIENT, True)
    finally:
        env.write_text(before)
        running.manage("start", "production")


def test_a_proxy_that_cannot_be_one_is_refused_by_name(running: System) -> None:
    image = running.inspect(running.container("proxy"))["Config"]["Image"]
    for wrong in ("proxy", "10.0.0.1;", "0.0.0.0/0"):
        done = running.run(
            *("docker", "run", "--rm", "--network", "none", "--tmpfs", "/tmp:mode=1777"),
            *("-v", f"{running.folder / 'compose' / 'nginx'}:/etc/meld-rag:ro"),
            *("-e", f"MELD_TRUSTED_PROXIES={wrong}", "--entrypoint", "sh", image, "/etc/meld-rag/start.sh"),
            check=False,
        )
        assert done.returncode == 2
        assert "MELD_TRUSTED_PROXIES" in done.stdout


def test_services_know_each_other_by_certificates_where_env_names_them(
    running: System, tmp_path: Path
) -> None:
    files = Authority(tmp_path).sign("services")
    # The services are uid 1000, which owns nothing here.
    files.key.chmod(0o644)
    env = running.folder / ".env"
    before = env.read_text()
    try:
        running.set_variables(**files.variables)
        running.manage("start", "production")
        running.wait_ready(60)
        running.ingest("sealed", TEXTS)
        assert [hit["external_id"] for hit in running.search("sealed", "harbour")] == ["elmsund"]
        assert "backups/" in running.manage("backup").stdout
        known = running.inspect(running.container("session"))["NetworkSettings"]["Networks"]
        address = f"{known[f'{running.project}-network']['IPAddress']}:50053"
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        env.write_text(before)
        running.manage("start", "production")
