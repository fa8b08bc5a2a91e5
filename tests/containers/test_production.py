"""Production as it stands: what runs, what is shut, what answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack

import httpx
import pytest

from tests.support.containers import SERVICES, System
from tests.support.model_folder import WIDTH

OWN = ("app", "agents", "vector", "session")
TEXTS = {
    "elmsund": "The harbour of Elmsund is fourteen metres deep. Its light has burned since 1871.",
    "varga": "The observatory on Varga has a mirror of three metres. It opened in 1958.",
}


def test_everything_is_healthy_and_says_so(running: System) -> None:
    assert running.manage("status").returncode == 0
    health = running.manage("health").stdout
    for service in SERVICES:
        assert f"{running.container(service)} " in health
    assert '"status":"ready"' in health


def test_a_document_is_asked_and_its_citation_holds(running: System) -> None:
    ids = running.ingest("harbours", TEXTS)
    answer = running.post(
        "/api/v1/runs",
        json={
            "agent": "research",
            "message": "How deep is the harbour of Elmsund?",
            "collections": ["harbours"],
        },
        timeout=30,
    ).json()

    citation = answer["citations"][0]
    assert citation["document_id"] == ids["elmsund"]
    text = TEXTS["elmsund"].encode()[citation["byte_start"] : citation["byte_end"]].decode()
    assert text == citation["quote"]
    checked = running.post("/api/v1/citations/verify", json={"citations": [citation]})
    changed = running.post(
        "/api/v1/citations/verify",
        json={"citations": [{**citation, "quote": citation["quote"].replace("fourteen", "fifteen")}]},
    )
    assert checked.json()["results"][0]["verified"] is True
    assert changed.json()["results"][0]["verified"] is False


def test_a_model_in_a_folder_beside_the_secrets_is_served(running: System) -> None:
    listed = running.get("/api/v1/embedding-models").json()["embedding_models"]
    assert [(one["name"], one["dimension"]) for one in listed] == [("all-MiniLM-L6-v2", 384), ("ours", WIDTH)]
    running.ingest("lights", TEXTS)
    running.post("/api/v1/collections/lights/reembed", json={"embedding_model": "ours"}).raise_for_status()
    end = time.monotonic() + 60
    while (now := running.get("/api/v1/collections/lights").json())["reembedding"]:
        assert time.monotonic() < end, now
        time.sleep(0.2)
    assert (now["embedding_model"], now["vectors"]) == ("ours", 2)
    found = running.post(
        "/api/v1/collections/lights/search", json={"query": TEXTS["varga"], "mode": "dense"}
    ).json()
    assert found["hits"]
    assert "Read-only file system" in running.execute(
        "vector", "sh", "-c", "touch /app/embedding-models/ours/mine 2>&1", check=False
    )


def test_code_is_repaired_in_the_sandbox_of_the_container(running: System) -> None:
    code = "def average(values):\n    return sum(values) // len(values)\n"
    tests = "from average import average\n\n\ndef test_half():\n    assert average([1, 2]) == 1.5\n"
    answer = running.post(
        "/api/v1/runs",
        json={
            "agent": "code_repair",
            "message": "Please mend this.",
            "inputs": {
                "files": [{"path": "average.py", "content": code}],
                "tests": [{"path": "test_average.py", "content": tests}],
            },
        },
        timeout=120,
    ).json()

    assert answer["result"]["verdict"] == "VERIFIED", answer
    assert "+    return sum(values) / len(values)" in answer["result"]["diff"]


def test_a_stream_passes_the_proxy_as_it_comes(running: System) -> None:
    running.ingest("harbours", TEXTS)
    kinds = []
    with httpx.stream(
        "POST",
        f"{running.base_url}/api/v1/runs",
        json={"message": "When did the observatory open?", "collections": ["harbours"], "stream": True},
        headers=running.headers,
        timeout=30,
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        kinds = [line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: ")]
    assert len(kinds) > 3
    assert kinds[-1] == "ended"


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_may_do_little(running: System, service: str) -> None:
    found = running.inspect(running.container(service))
    host = found["HostConfig"]

    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Init"]
    assert host["PidsLimit"] > 0
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert not any("docker.sock" in mount["Source"] for mount in found["Mounts"])
    assert found["Config"]["User"] not in ("", "root", "0")
    uid = running.execute(service, "id", "-u").strip()
    assert uid == "1000" if service in OWN else uid != "0"
    published = {port: where for port, where in found["NetworkSettings"]["Ports"].items() if where}
    assert list(published) == (["8080/tcp"] if service == "proxy" else [])
    assert all(where["HostIp"] == "127.0.0.1" for places in published.values() for where in places)


def test_only_the_proxy_and_who_asks_a_model_leave_the_inner_network(running: System) -> None:
    networks = {
        service: set(running.inspect(running.container(service))["NetworkSettings"]["Networks"])
        for service in SERVICES
    }
    inner, edge, models = (f"{running.project}-{name}" for name in ("network", "edge", "models"))

    assert networks == {
        "proxy": {inner, edge},
        "app": {inner},
        "agents": {inner, models},
        "vector": {inner, models},
        "session": {inner},
        "redis": {inner},
    }
    assert json.loads(running.run("docker", "network", "inspect", inner).stdout)[0]["Internal"]


@pytest.mark.parametrize("service", OWN)
def test_an_image_has_what_its_service_needs_and_no_tools_to_build(running: System, service: str) -> None:
    missing = running.execute(
        service, "sh", "-c", "for tool in gcc cc make git; do command -v $tool; done; true"
    )
    assert missing.strip() == ""
    others = {"app": "chromadb", "agents": "chromadb", "vector": "flask", "session": "openai"}
    found = running.execute(
        service, "python", "-c", f"import importlib.util as u; print(u.find_spec('{others[service]}'))"
    )
    assert found.strip() == "None"
    labels = running.inspect(running.container(service))["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"].startswith("meld-rag/")


def test_redis_asks_for_the_password_that_it_was_given(running: System) -> None:
    without = running.execute("redis", "redis-cli", "ping", check=False)
    given = running.execute(
        "redis", "sh", "-c", 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli ping'
    )
    settings = running.execute(
        "redis",
        *("sh", "-c"),
        'export REDISCLI_AUTH="$(cat /run/secrets/redis_password)";'
        " for name in appendonly appendfsync maxmemory-policy; do redis-cli config get $name; done",
    ).split()

    assert "NOAUTH" in without
    assert given.strip() == "PONG"
    assert settings[1::2] == ["yes", "always", "noeviction"]


def test_no_secret_stands_where_it_can_be_read(running: System) -> None:
    secrets = {
        path.name: path.read_text() for path in (running.state / "secrets").iterdir() if path.read_text()
    }
    assert {"flask_secret_key", "jwt_secret_key", "redis_password"} <= set(secrets)
    assert running.state.stat().st_mode & 0o077 == 0
    said = running.manage("logs").stdout
    said += running.run("docker", "inspect", *map(running.container, SERVICES)).stdout
    for service in OWN:
        said += running.execute(service, "sh", "-c", "cat /proc/1/cmdline /app/logs/*.log; env")
        said += running.execute("redis", "sh", "-c", "cat /proc/*/cmdline 2>/dev/null; true")

    assert [name for name, value in secrets.items() if value in said] == []


def test_each_service_keeps_a_log_file_of_its_own(running: System) -> None:
    names = running.execute("app", "ls", "/app/logs").split()
    assert {"app.log", "agents.log", "vector.log", "session.log"} <= set(names)
    first = running.execute("app", "head", "-n", "1", "/app/logs/session.log")
    assert json.loads(first)["service"] == "session"


def test_slow_and_silent_clients_do_not_stop_the_others(running: System) -> None:
    with ExitStack() as stack:
        for number in range(200):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=5))
            if number % 2:
                one.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        began = time.monotonic()
        assert httpx.get(f"{running.base_url}/livez", timeout=10).status_code == 200
        assert httpx.get(f"{running.base_url}/readyz", timeout=10).status_code == 200
        # Bare gunicorn does not answer for more than a minute.
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("service", ["vector", "session", "agents", "app", "redis", "proxy"])
def test_a_killed_service_comes_back_by_itself_and_nothing_is_lost(running: System, service: str) -> None:
    running.ingest("kept", TEXTS)
    before = running.inspect(running.container(service))["RestartCount"]

    os.kill(running.host_pid(service), signal.SIGKILL)

    end = time.monotonic() + 30
    while running.inspect(running.container(service))["RestartCount"] == before:
        assert time.monotonic() < end, f"{service} was not started again"
        time.sleep(0.1)
    seconds = running.wait_ready(60)
    print(f"{service}: ready {seconds:.1f} s after its restart")
    # What is looked at every few seconds may not have been missed yet.
    end = time.monotonic() + 30
    while (answer := running.get("/api/v1/auth/me")).status_code == 503:
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)
    assert {hit["external_id"] for hit in running.search("kept", "the harbour of Elmsund", "lexical")} == {
        "elmsund"
    }
    assert running.search("kept", "a large telescope", "dense")


def test_a_stop_lets_a_running_answer_end(running: System) -> None:
    running.ingest("harbours", TEXTS)
    done: list[int] = []

    def ask() -> None:
        answer = running.post(
            "/api/v1/runs",
            json={"agent": "research", "message": "How deep is the harbour?", "collections": ["harbours"]},
            timeout=30,
        )
        done.append(answer.status_code)

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for one in asking:
        one.start()
    time.sleep(0.05)
    running.manage("stop")
    for one in asking:
        one.join(30)

    assert len(done) == 8
    assert running.manage("status", check=False).returncode == 1
    exits = [running.inspect(running.container(service))["State"]["ExitCode"] for service in OWN]
    assert exits == [0, 0, 0, 0]
