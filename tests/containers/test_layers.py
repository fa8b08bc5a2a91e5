"""The layers of compose/: what they are made of, development that reloads, and more than one of each."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc, replicas_pb2, replicas_pb2_grpc
from tests.support.containers import ROOT, System
from tests.support.redis_server import free_port

MODES = (("prod",), ("dev",), ("dev", "debug"))
EXTRAS = ("scale", "sentinel", "observability", "tls", "mtls")
COMBINATIONS = [
    (*mode, *extras)
    for mode in MODES
    for count in range(len(EXTRAS) + 1)
    for extras in itertools.combinations(EXTRAS, count)
    if not (mode != ("prod",) and "tls" in extras)
]
# Published, by layer: the service and its port in the container.
PUBLISHED = {
    "prod": {("proxy", 8080)},
    "tls": {("proxy", 8443)},
    "dev": {("app", 5001), ("redis", 6379), ("notebook", 8888)},
    "debug": {(name, 5678) for name in ("app", "agents", "vector", "session")},
    "scale": set(),
    "sentinel": set(),
    "mtls": set(),
    "observability": {("prometheus", 9090), ("grafana", 3000), ("jaeger", 16686)},
}
TEXTS = {
    "elmsund": "The harbour of Elmsund is fourteen metres deep. Its light has burned since 1871.",
    "varga": "The observatory on Varga has a mirror of three metres. It opened in 1958.",
}


def configured(folder: Path, layers: tuple[str, ...]) -> dict[str, Any]:
    """What compose makes of the core and these layers, all profiles included."""
    files = [ROOT / "compose" / "compose.yaml", *(ROOT / "compose" / f"compose.{one}.yaml" for one in layers)]
    done = subprocess.run(
        [
            *("docker", "compose", *(word for file in files for word in ("-f", str(file)))),
            *("--profile", "*", "config", "--format", "json"),
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MELD_STATE_DIR": str(folder),
            "MELD_TLS_CERTIFICATE": "/c.pem",
            "MELD_TLS_KEY": "/k.pem",
            "MELD_MTLS_CA": "/a.pem",
            "MELD_MTLS_CERTIFICATE": "/c.pem",
            "MELD_MTLS_KEY": "/k.pem",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@pytest.mark.parametrize("layers", COMBINATIONS, ids=" ".join)
def test_every_combination_is_hardened_and_publishes_what_it_says(
    layers: tuple[str, ...], tmp_path: Path
) -> None:
    made = configured(tmp_path, layers)
    published = set()
    for name, service in made["services"].items():
        assert service.get("cap_drop") == ["ALL"], name
        assert service.get("read_only") is True, name
        assert "no-new-privileges:true" in service.get("security_opt", []), name
        assert not service.get("privileged"), name
        assert not service.get("cap_add"), name
        assert not {"pid", "ipc", "network_mode", "userns_mode", "devices"} & set(service), name
        assert service["deploy"]["resources"]["limits"] if name != "backup" else True, name
        assert not re.search(r":latest$|^[^:]+$", service["image"]) or service["image"].startswith(
            "meld-rag/"
        )
        for mount in service.get("volumes", []):
            assert "docker.sock" not in mount["source"]
            if mount["type"] == "bind" and name != "backup":
                assert mount.get("read_only") is True, (name, mount)
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
            published.add((name, port["target"]))
    # HTTPS takes the place of HTTP.
    replaced = PUBLISHED["prod"] if "tls" in layers else set()
    assert published == set().union(*(PUBLISHED[layer] for layer in layers)) - replaced
    assert made["networks"]["internal"]["internal"] is True
    if "scale" in layers:
        assert set(made["services"]["chroma"]["networks"]) == {"internal"}
        assert not any("container_name" in made["services"][name] for name in ("app", "agents", "session"))
    if "sentinel" in layers:
        assert made["networks"]["replication"]["internal"] is True
        for name in ("redis-replica-1", "redis-replica-2", "sentinel-1", "sentinel-2", "sentinel-3"):
            assert set(made["services"][name]["networks"]) == {"internal", "replication"}
    if "observability" in layers:
        for name in ("app", "agents", "vector", "session"):
            assert made["services"][name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]


# --- Development ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system in development mode, from a copy whose source a test may change."""
    system = System(tmp_path_factory.mktemp("development"), "meld-rag-develop")
    system.remove()
    system.clone()
    ports = {
        name: free_port()
        for name in ("MELD_DEVELOPMENT_PORT", "MELD_DEVELOPMENT_REDIS_PORT", "MELD_NOTEBOOK_PORT")
    }
    system.set_variables(**{name: str(port) for name, port in ports.items()})
    system.base_url = f"http://127.0.0.1:{ports['MELD_DEVELOPMENT_PORT']}"
    try:
        system.manage("build", "development", seconds=1700)
        system.manage("start", "development")
        system.become_owner()
        yield system
    finally:
        system.remove()


def port_of(system: System, name: str) -> int:
    """A port that is set in `.env`."""
    found = re.search(rf"^{name}=(\d+)$", (system.folder / ".env").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def test_development_is_at_the_doors_that_the_guide_names(development: System) -> None:
    development.wait_ready(60)
    assert development.manage("status").returncode == 0
    with socket.create_connection(
        ("127.0.0.1", port_of(development, "MELD_DEVELOPMENT_REDIS_PORT")), 5
    ) as redis:
        redis.sendall(b"PING\r\n")
        assert redis.recv(64) == b"+PONG\r\n"
    names = development.run("docker", "ps", "--format", "{{.Names}}").stdout
    assert f"{development.project}-proxy" not in names


def run_example(development: System) -> None:
    key = development.headers["Authorization"].removeprefix("Bearer ")
    development.run(
        *("docker", "exec", "-e", f"MELD_API_KEY={key}", development.container("notebook")),
        *("jupyter", "execute", "--output=/tmp/done", "examples/first-steps.ipynb"),
    )
    done = json.loads(development.execute("notebook", "cat", "/tmp/done.ipynb"))
    assert any("1958" in json.dumps(cell.get("outputs", [])) for cell in done["cells"])


def test_the_notebook_asks_for_its_token_and_its_example_runs(development: System) -> None:
    said = development.manage("start").stdout
    found = re.search(r"http://127\.0\.0\.1:(\d+)/lab\?token=([0-9a-f]{64})", said)
    assert found
    server, token = f"http://127.0.0.1:{found[1]}", found[2]
    assert httpx.get(f"{server}/api/contents", timeout=10).status_code == 403
    listed = httpx.get(
        f"{server}/api/contents/examples", headers={"Authorization": f"token {token}"}, timeout=10
    )
    assert [entry["name"] for entry in listed.json()["content"]] == ["first-steps.ipynb"]
    run_example(development)

    # New secrets reach it as well: it comes back with another token, and its example calls the services.
    said = development.manage("--yes", "rotate-secrets").stdout
    assert "meld_service_token: new" in said
    assert f"token={token}" not in said
    development.wait_ready(60)
    run_example(development)


def test_notebooks_are_kept_without_outputs() -> None:
    for path in (ROOT / "clients" / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def starts(system: System, service: str) -> int:
    """The process of the service itself, below watchfiles, as the container numbers it."""
    listed = system.execute(
        service,
        *("python", "-c"),
        "import pathlib\n"
        "for p in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "    words = (p / 'cmdline').read_bytes().split(b'\\0')\n"
        "    if words[1:3] == [b'-m', b'services."
        + service.replace("app", "gateway")
        + "']: print(p.name)\n",
    )
    return min((int(word) for word in listed.split()), default=0)


@pytest.mark.parametrize("service", ["agents", "vector", "session"])
def test_a_service_starts_again_when_its_code_changes(development: System, service: str) -> None:
    development.wait_ready(60)
    before = starts(development, service)
    assert before
    package = development.folder / "services" / service / "__init__.py"
    package.write_text(package.read_text() + "\n# changed\n")
    end = time.monotonic() + 60
    while (now := starts(development, service)) in (0, before):
        assert time.monotonic() < end, "it did not start again"
        time.sleep(0.5)
    assert now != before
    development.wait_ready(90)
    # The lock of the data was free again at the first try.
    assert "is in use by process" not in development.manage("logs", service).stdout


def test_page_and_gateway_reload(development: System) -> None:
    development.wait_ready(60)
    page = development.folder / "services" / "gateway" / "page" / "index.html"
    page.write_text(page.read_text() + "\n<!-- a changed page -->\n")
    assert "a changed page" in httpx.get(development.base_url, timeout=10).text

    route = development.folder / "services" / "gateway" / "routes" / "page.py"
    change(route, '"no-store"', '"no-store, max-age=0"')
    end = time.monotonic() + 60
    while True:
        try:
            if httpx.get(development.base_url, timeout=10).headers["cache-control"] == "no-store, max-age=0":
                break
        except httpx.HTTPError:
            pass
        assert time.monotonic() < end, "the gateway still runs the old code"
        time.sleep(0.3)


def test_a_development_system_stops_by_the_signal(development: System) -> None:
    development.wait_ready(60)
    development.manage("stop")
    for service in ("app", "agents", "vector", "session"):
        assert development.inspect(development.container(service))["State"]["ExitCode"] != 137, service


# --- More than one -------------------------------------------------------------------

STALLING_MODEL = """
import http.server, time
class Model(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.flush()
        time.sleep(600)
http.server.ThreadingHTTPServer(("", 9000), Model).serve_forever()
"""


@pytest.fixture(scope="module")
def two_of_each(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two gateways, agents and session services, with a model that begins to answer and never goes on."""
    system = System(tmp_path_factory.mktemp("scale"), "meld-rag-scale")
    system.remove()
    system.clone()
    # Images with a tag of their own.
    system.set_variables(
        MELD_VERSION="layers",
        # These tests speak to the services and to each replica themselves.
        MELD_ALLOW_ANONYMOUS="yes",
        OPENAI_API_KEY="of-the-stalling-model",
        OPENAI_BASE_URL="http://model:9000/v1",
        VECTOR_DIMENSION="384",
        MELD_EMBEDDING_MODEL="all-MiniLM-L6-v2",
    )
    try:
        system.manage("build", "production", seconds=1700)
        system.manage("start", "production")
        system.run(
            *("docker", "run", "-d", "--network", f"{system.project}-models", "--network-alias", "model"),
            *("--name", f"{system.project}-model", "--init"),
            *("--label", f"com.docker.compose.project={system.project}-model"),
            *("python:3.11-slim", "python", "-c", STALLING_MODEL),
        )
        system.manage("scale", "app=2", "agents=2", "session=2")
        system.wait_ready(60)
        yield system
    finally:
        system.run("docker", "rm", "-f", f"{system.project}-model", check=False)
        system.remove()


def addresses_by_id(system: System, service: str) -> dict[str, str]:
    """The addresses on the internal network of a service's containers, by their ids."""
    label = f"label=com.docker.compose.service={service}"
    project = f"label=com.docker.compose.project={system.project}"
    ids = system.run("docker", "ps", "-q", "--filter", label, "--filter", project).stdout.split()
    networks = {one: system.inspect(one)["NetworkSettings"]["Networks"] for one in ids}
    return {one: known[f"{system.project}-network"]["IPAddress"] for one, known in networks.items()}


def addresses(system: System, service: str) -> list[str]:
    """These addresses alone."""
    return list(addresses_by_id(system, service).values())


def test_a_later_start_runs_as_many(two_of_each: System) -> None:
    two_of_each.manage("start")
    for service in ("app", "agents", "session"):
        assert len(addresses(two_of_each, service)) == 2
    assert two_of_each.manage("status").returncode == 0


def begun(base_url: str, message: str) -> tuple[str, int]:
    """Begins a run in the background and follows it to its first event: its id and that event's number."""
    body = {"agent": "research", "message": message, "collections": ["harbours"], "background": True}
    with httpx.Client(base_url=base_url, headers={"Host": "app"}, timeout=60) as http:
        run_id = http.post("/api/v1/runs", json=body).raise_for_status().json()["run_id"]
        with http.stream("GET", f"/api/v1/runs/{run_id}/events") as events:
            for line in events.iter_lines():
                if line.startswith("id:"):
                    return run_id, int(line[3:])
    raise AssertionError("the stream ended at once")


def resumed(base_url: str, run_id: str, after: int) -> list[int]:
    """The numbers of a run's events after one, to the end."""
    answer = httpx.get(
        f"{base_url}/api/v1/runs/{run_id}/events",
        headers={"Last-Event-ID": str(after), "Host": "app"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return [int(line[3:]) for line in answer.text.splitlines() if line.startswith("id:")]


def test_streams_resume_at_the_other_gateway_and_any_replica_cancels(two_of_each: System) -> None:
    two_of_each.ingest("harbours", TEXTS)
    gateways = [f"http://{host}:5000" for host in addresses(two_of_each, "app")]
    replicas = addresses(two_of_each, "agents")
    runs = [begun(gateways[n % 2], f"How deep is the harbour of Elmsund? {n}") for n in range(6)]

    at_work: dict[str, set[str]] = {}
    for host in replicas:
        with grpc.insecure_channel(f"{host}:50051") as channel:
            ask = replicas_pb2_grpc.ReplicaServiceStub(channel).ReachRun
            at_work[host] = {
                run_id for run_id, _ in runs if ask(replicas_pb2.ReachRunRequest(run_id=run_id)).working
            }
    assert all(at_work.values()), "calls go to both replicas"
    assert set().union(*at_work.values()) == {run_id for run_id, _ in runs}

    # Each run is cancelled at the replica that does not have it, by a call of its own.
    for host in replicas:
        with grpc.insecure_channel(f"{host}:50051") as channel:
            cancel = agents_pb2_grpc.AgentServiceStub(channel).CancelRun
            for run_id, _ in runs:
                if run_id not in at_work[host]:
                    assert cancel(agents_pb2.CancelRunRequest(run_id=run_id), timeout=10).cancelled
    for place, (run_id, after) in enumerate(runs):
        numbers = resumed(gateways[(place + 1) % 2], run_id, after)
        assert numbers == list(range(after + 1, after + 1 + len(numbers)))
        assert numbers
        record = httpx.get(
            f"{gateways[place % 2]}/api/v1/runs/{run_id}", headers={"Host": "app"}, timeout=10
        ).json()
        assert record["state"].lower() == "cancelled"


def answered(host: str, path: str) -> int:
    """How many requests for a route a gateway has counted, over all its workers."""
    text = httpx.get(f"http://{host}:5000/metrics", headers={"Host": "app"}, timeout=10).text
    lines = [
        line for line in text.splitlines() if line.startswith("http_server_request_duration_seconds_count")
    ]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if f'http_route="{path}"' in line)


def test_the_measurements_of_two_gateways_add_up(two_of_each: System) -> None:
    hosts, route = addresses(two_of_each, "app"), "/api/v1/agents/<agent_id>"
    time.sleep(1)  # a worker tells the others twice a second
    before = [answered(host, route) for host in hosts]
    for _ in range(60):
        # A connection each, so that both gateways get some.
        assert httpx.get(f"{two_of_each.base_url}/api/v1/agents/research", timeout=10).status_code == 200
    time.sleep(1)
    grown = [answered(host, route) - earlier for host, earlier in zip(hosts, before, strict=True)]

    assert sum(grown) == 60
    assert all(grown)


def test_one_replica_of_each_may_go(two_of_each: System) -> None:
    for service in ("app", "agents", "session"):
        two_of_each.run("docker", "stop", "--time", "20", next(iter(addresses_by_id(two_of_each, service))))
    two_of_each.wait_ready(30)
    assert two_of_each.search("harbours", "harbour")
    answer = httpx.post(f"{two_of_each.base_url}/api/v1/sessions", json={"title": "one is left"}, timeout=20)
    assert answer.status_code in (200, 201)
    two_of_each.manage("start")
    assert all(len(addresses(two_of_each, service)) == 2 for service in ("app", "agents", "session"))


def test_an_update_replaces_all_replicas(two_of_each: System) -> None:
    before = {service: set(addresses_by_id(two_of_each, service)) for service in ("app", "agents", "session")}
    said = two_of_each.manage("update", "--no-build", "--force").stdout
    for service, old in before.items():
        assert f"{service}: updated" in said
        now = set(addresses_by_id(two_of_each, service))
        assert len(now) == 2
        assert not now & old
    two_of_each.wait_ready(30)
    assert two_of_each.search("harbours", "harbour")


def role(system: System, service: str) -> str:
    """What a Redis says that it is."""
    command = "REDISCLI_AUTH=$(cat /run/secrets/redis_password) redis-cli info replication"
    said = system.execute(service, "sh", "-c", command, check=False)
    found = re.search(r"role:(\w+)", said)
    return found[1] if found else said


def eventually(condition: Any, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.5)


def test_sessions_go_on_when_the_primary_of_redis_is_gone(two_of_each: System) -> None:
    api = f"{two_of_each.base_url}/api/v1/sessions"
    two_of_each.set_variables(SESSION_REDIS_SENTINELS="sentinel-1:26379,sentinel-2:26379,sentinel-3:26379")
    two_of_each.manage("start")
    others = ("redis-replica-1", "redis-replica-2")
    eventually(
        lambda: [role(two_of_each, name) for name in ("redis", *others)] == ["master", "slave", "slave"],
        60,
        "the replicas do not follow",
    )

    def created(title: str) -> str:
        answer = httpx.post(api, json={"title": title}, timeout=20)
        return str(answer.json()["id"]) if answer.status_code in (200, 201) else ""

    first: list[str] = []

    def has_begun() -> bool:
        first[:] = [created("before")]
        return bool(first[0])

    eventually(has_begun, 60, "no session is taken")
    two_of_each.run("docker", "kill", two_of_each.container("redis"))
    eventually(lambda: created("after"), 90, "no session is taken after the primary is gone")
    assert [role(two_of_each, name) for name in others].count("master") == 1
    assert httpx.get(f"{api}/{first[0]}", timeout=20).json()["title"] == "before"

    # Everything stops and starts: the primary is still the one that the sentinels chose.
    primary = next(name for name in others if role(two_of_each, name) == "master")
    two_of_each.manage("stop")
    two_of_each.manage("start")
    eventually(lambda: created("at last"), 90, "no session is taken after a restart")
    assert role(two_of_each, primary) == "master"
    assert role(two_of_each, "redis") == "slave"
    assert httpx.get(f"{api}/{first[0]}", timeout=20).json()["title"] == "before"
