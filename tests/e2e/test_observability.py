"""What watches the house: every door is scraped, and what dashboards and rules ask for is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.fleet import ROOT, Fleet, running_fleet
from tests.support.model_server import Answer, ModelServer
from tests.support.promql import Asked, asked
from tests.support.redis_server import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FOLDER = ROOT / "compose" / "observability"
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
# The compose service that each job looks at.
CONTAINERS = {"gateway": "app", "agents": "agents", "vector": "vector", "session": "session"}
# What Prometheus itself puts on every sample.
OF_PROMETHEUS = {"job", "instance"}


@dataclass(frozen=True)
class Watched:
    """An expression, where it stands, and the labels that the words around it use."""

    place: str
    expression: str
    told: frozenset[str]

    @property
    def asked(self) -> Asked:
        return asked(self.expression)


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def watched() -> list[Watched]:
    found = [
        Watched(
            rule["alert"],
            rule["expr"],
            frozenset(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))),
        )
        for rule in rules()
    ]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            found += [
                Watched(
                    f"{path.stem}: {panel['title']}",
                    target["expr"],
                    frozenset(re.findall(r"{{(\w+)}}", target["legendFormat"])),
                )
                for target in panel.get("targets", ())
            ]
    return found


@dataclass(frozen=True)
class Scene:
    """A house in which everything has happened once."""

    fleet: Fleet
    model: ModelServer

    @property
    def doors(self) -> dict[str, str]:
        """Where each process is scraped."""
        own = {name: f"http://127.0.0.1:{port}/metrics" for name, port in self.fleet.metrics_ports.items()}
        return {"gateway": f"{self.fleet.base_url}/metrics", **own}

    def samples(self) -> dict[str, list[dict[str, str]]]:
        """The labels of all samples, by name, of all doors."""
        found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        for url in self.doors.values():
            text = httpx.get(url, timeout=10).raise_for_status().text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    found[sample.name].append(sample.labels)
        return found

    def value(self, door: str, name: str, **labels: str) -> float:
        """The sum of a door's samples with these labels."""
        text = httpx.get(self.doors[door], timeout=10).raise_for_status().text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def eventually(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with (
        ModelServer(forever=Answer("It is fourteen metres deep [1].", usage=(1000, 100))) as model,
        running_fleet(
            tmp_path_factory.mktemp("house"),
            {
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": "sk-scripted-key",
                "MELD_MODEL_PRICES": "gpt-4=30/60",
                "PROFILING_ENABLED": "yes",
                "HEALTH_CHECK_INTERVAL": "0.2",
            },
            scraped=True,
        ) as fleet,
    ):
        scene = Scene(fleet, model)
        # Everything has been pinged many times by now, and nobody was asked for it.
        assert model.requests == []
        api = f"{fleet.base_url}/api/v1"
        with httpx.Client(base_url=api, timeout=60) as http:
            http.post("/collections", json={"name": "harbours"}).raise_for_status()
            files = {"file": ("a.txt", b"The harbour of Elmsund is fourteen metres deep.", "text/plain")}
            http.post("/collections/harbours/documents", files=files).raise_for_status()
            for _ in range(2):
                http.post("/collections/harbours/search", json={"query": "harbour depth"}).raise_for_status()
            session = http.post("/sessions", json={"title": "t"}).raise_for_status().json()["id"]
            question = {"agent": "research", "message": "How deep is the harbour?", "session_id": session}
            answer = http.post("/runs", json={**question, "collections": ["harbours"]}).raise_for_status()
            assert answer.json()["answer_mode"] == "GENERATIVE"
        yield scene


def test_every_process_tells_what_it_is_and_how_it_lives(scene: Scene) -> None:
    for name, url in scene.doors.items():
        answer = httpx.get(url, timeout=10)
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith("text/plain")
        assert f'service_name="meldrag-{name}"' in answer.text
        assert "process_start_time_seconds" in answer.text
        assert "otel_scope" not in answer.text


def test_what_dashboards_and_rules_ask_for_is_exported(scene: Scene) -> None:
    """Names, the labels of selectors and groupings, and those in legends and annotations."""
    eventually(lambda: "meldrag_storage_free_bytes" in scene.samples(), 30, "a look at the files")
    samples = scene.samples()
    samples["up"] = [{}]
    faults: list[str] = []
    for one in watched():
        exported: set[str] = {"le"}
        for name, matchers in one.asked.selectors:
            labels = {label for sample in samples.get(name, ()) for label in sample}
            exported |= labels
            if name not in samples:
                faults.append(f"{one.place}: {name} is not exported")
            for label, operator, value in matchers:
                if label not in labels | OF_PROMETHEUS:
                    faults.append(f"{one.place}: {name} has no label {label}")
                elif label in {"rpc_method", "service"} and operator in {"=", "=~"}:
                    pattern = re.escape(value) if operator == "=" else value
                    if not any(re.fullmatch(pattern, sample[label]) for sample in samples[name]):
                        faults.append(f"{one.place}: no {name} has {label} {value}")
        unknown = (one.asked.grouped_by | one.told) - exported - OF_PROMETHEUS
        faults += [f"{one.place}: the label {label} is on no metric of it" for label in sorted(unknown)]
    assert faults == []


def test_every_metric_of_ours_is_looked_at(scene: Scene) -> None:
    """What no dashboard and no rule uses is measured for nobody."""
    looked_at = set().union(*(one.asked.names for one in watched()))
    ours = {name for name in scene.samples() if name.startswith(("meldrag_", "rpc_", "http_"))}
    series = re.compile(r"_(bucket|count|sum|created)$")
    bases = {series.sub("", name) for name in looked_at}
    assert {series.sub("", name) for name in ours} - bases == set()


def test_every_metric_of_ours_is_explained(scene: Scene) -> None:
    rows = (ROOT / "docs" / "observability.md").read_text().splitlines()
    cells = [row.split("|")[1] for row in rows if row.startswith(("| meldrag_", "| rpc_", "| http_"))]
    explained = [name.strip() for cell in cells for name in cell.split(",")]
    series = re.compile(r"_(bucket|count|sum)$")
    exported = {name for name in scene.samples() if name.startswith(("meldrag_", "rpc_", "http_"))}
    exported = {series.sub("", name) for name in exported if not name.endswith("_created")}
    assert sorted(exported) == sorted(explained)


def test_the_numbers_are_those_of_what_happened(scene: Scene) -> None:
    value = scene.value
    assert value("agents", "meldrag_model_calls_total", model="gpt-4", outcome="answered") == 1
    assert value("agents", "meldrag_model_tokens_total", model="gpt-4", direction="input") == 1000
    assert value("agents", "meldrag_model_cost_usd_total", model="gpt-4") == pytest.approx(0.036)
    finished = {"agent": "research", "outcome": "succeeded", "mode": "generative"}
    assert value("agents", "meldrag_runs_finished_total", **finished) == 1
    assert value("vector", "meldrag_searches_total", mode="hybrid", degraded="no") >= 3
    assert value("vector", "meldrag_vector_cache_lookups_total", result="hit") >= 1
    assert value("vector", "meldrag_word_cache_lookups_total", result="miss") >= 1
    assert value("vector", "meldrag_word_cache_size_bytes") > 0
    assert value("session", "meldrag_store_call_duration_seconds_count", outcome="ok") >= 3
    search = "/meldrag.vector.v1.VectorService/Search"
    counted = {"rpc_method": search, "rpc_status": "OK"}
    assert value("vector", "rpc_server_duration_seconds_count", **counted) >= 3
    assert value("vector", "rpc_server_duration_seconds_bucket", le="0.01", **counted) >= 0
    for door, dependency in (("agents", "model"), ("vector", "record"), ("session", "redis")):
        assert value(door, "meldrag_dependency_up", service=door, dependency=dependency) == 1
    eventually(lambda: value("vector", "meldrag_documents") == 1, 40, "a count of the documents")
    assert value("vector", "meldrag_vectors") == value("vector", "meldrag_passages") > 0
    # Workers write their part twice a second.
    route = {"http_route": "/api/v1/runs", "http_response_status_code": "200"}
    eventually(
        lambda: value("gateway", "http_server_request_duration_seconds_count", **route) == 1,
        10,
        "the run in the gateway's numbers",
    )


def test_a_scraper_that_hangs_does_not_slow_the_service(scene: Scene) -> None:
    import socket

    hanging = [
        socket.create_connection(("127.0.0.1", scene.fleet.metrics_ports["vector"])) for _ in range(30)
    ]
    try:
        answer = httpx.post(
            f"{scene.fleet.base_url}/api/v1/collections/harbours/search",
            json={"query": "harbour depth"},
            timeout=30,
        )
        assert answer.json()["hits"]
        assert scene.fleet.running("vector")
    finally:
        for one in hanging:
            one.close()
    eventually(lambda: _answers(scene.doors["vector"]), 30, "the door answers again")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_every_process_makes_a_profile_of_itself(scene: Scene) -> None:
    urls = [url.replace("/metrics", "/profile") for name, url in scene.doors.items() if name != "gateway"]
    for url in (*urls, f"{scene.fleet.base_url}/api/v1/profile"):
        answer = httpx.post(f"{url}?seconds=0.3", timeout=30)
        assert answer.status_code == 200, answer.text
        stacks = answer.text.splitlines()
        assert all(re.fullmatch(r"[^ ]+ \d+", line) for line in stacks)
        assert any(line.startswith("MainThread;") for line in stacks)


# -- with a real Prometheus ------------------------------------------------------------------------------


def program(name: str) -> str:
    """Where the program is. Skips where it is not, unless it must be there."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (Debian has it in the package prometheus)"
        if os.environ.get("MELD_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_a_case_in_which_it_fires() -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    fired = {
        check["alertname"] for test in tests for check in test["alert_rule_test"] if check.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules()}
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "ticket"}
    assert all(rule["annotations"].keys() == {"summary", "action"} for rule in rules())


class Prometheus:
    """A Prometheus under a test's hand."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        body = answer.json()
        assert body["status"] == "success", (query, body)
        return body["data"]

    def alerts(self) -> set[str]:
        """Names of the alerts that are pending or firing."""
        return {alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"]}


@contextmanager
def running_prometheus(folder: Path, doors: dict[str, str]) -> Iterator[Prometheus]:
    """The repository's configuration, on this house's ports and in a hurry."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        url = httpx.URL(doors[job["job_name"]])
        assert job.get("metrics_path", "/metrics") == url.path
        # Names of containers, which resolve to one address for each replica, mean nothing here.
        (found,) = job.pop("dns_sd_configs")
        assert (found["names"], found["type"]) == ([CONTAINERS[job["job_name"]]], "A")
        job["static_configs"] = [{"targets": [f"{url.host}:{url.port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(FOLDER / "alerts.yaml", folder)
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        eventually(lambda: _answers(f"{prometheus.url}/-/ready"), 60, (folder / "log").read_text())
        yield prometheus
    finally:
        process.kill()
        process.wait()


def test_a_real_prometheus_sees_the_house_and_hears_of_a_loss(scene: Scene, tmp_path: Path) -> None:
    with running_prometheus(tmp_path, scene.doors) as prometheus:

        def up() -> dict[str, str]:
            targets = prometheus.get("targets", state="active")["activeTargets"]
            return {target["labels"]["job"]: target["health"] for target in targets}

        expected = dict.fromkeys(("agents", "gateway", "session", "vector"), "up")
        eventually(lambda: up() == expected, 60, "every target is up")

        def judged() -> list[dict[str, Any]]:
            groups = prometheus.get("rules")["groups"]
            return [rule for group in groups for rule in group["rules"]]

        eventually(lambda: all(rule["health"] == "ok" for rule in judged()), 60, "every rule was evaluated")
        assert {rule["name"] for rule in judged()} == {rule["alert"] for rule in rules()}
        # A service that was not asked yet is absent until it is. The machine's own disk may be full.
        own = {"DiskNearlyFull", "DiskFullSoon"}
        eventually(lambda: prometheus.alerts() <= own, 30, "nothing to alert of")
        for one in watched():
            prometheus.get("query", query=one.expression.replace("$__rate_interval", "1m"))
        found = prometheus.get("query", query="meldrag_dependency_up")["result"]
        assert {sample["metric"]["job"] for sample in found} == {"agents", "vector", "session"}

        scene.fleet.kill("redis")
        try:
            eventually(lambda: "DependencyDown" in prometheus.alerts(), 60, "the loss of Redis is noticed")
        finally:
            scene.fleet.start("redis")
        scene.fleet.wait_ready(30)
        eventually(lambda: "DependencyDown" not in prometheus.alerts(), 60, "its return is noticed")
        scene.fleet.kill("session")
        try:
            eventually(lambda: "ServiceDown" in prometheus.alerts(), 60, "the loss of a process is noticed")
        finally:
            scene.fleet.start("session")
        scene.fleet.wait_ready(30)
