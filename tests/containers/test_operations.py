"""What an operator does to a system with data in it: backup, restore, update, scale, new secrets."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.containers import PASSWORD, System

SOME = {
    f"doc{number}": f"Station {number} of the northern line opened in {1900 + number}."
    for number in range(30)
}


class Load(threading.Thread):
    """Asks idempotent questions without a pause, as a client that takes no for an answer."""

    def __init__(self, system: System, collection: str) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.answers: list[int] = []
        self.failures: list[str] = []
        self._system = system
        self._collection = collection

    def run(self) -> None:
        own = f"/api/v1/collections/{self._collection}"
        paths = [own, f"{own}/documents", "/api/v1/agents", "/api/v1/sessions"]
        number = 0
        # A new connection each time: a kept one would hide a proxy that does not find its gateway.
        while not self.done.is_set():
            number += 1
            try:
                answer = self._system.get(paths[number % len(paths)], timeout=20)
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
                continue
            self.answers.append(answer.status_code)
            if answer.status_code != 200:
                self.failures.append(answer.text)
            time.sleep(0.02)


class Writers(threading.Thread):
    """Imports documents until told to stop; knows which were acknowledged, and when."""

    def __init__(self, system: System, collection: str) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.acknowledged: dict[str, tuple[float, str]] = {}
        self._system = system
        self._path = f"/api/v1/collections/{collection}/documents"

    def run(self) -> None:
        number = 0
        while not self.done.is_set():
            number += 1
            text = f"Written under load: number {number}, {hashlib.sha256(str(number).encode()).hexdigest()}."
            try:
                answer = self._system.post(
                    self._path, files={"file": (f"load{number}.txt", text.encode(), "text/plain")}, timeout=20
                )
            except httpx.HTTPError:
                continue
            if answer.status_code == 202:
                self.acknowledged[answer.json()["id"]] = (time.monotonic(), text)
            time.sleep(0.1)


def newest_backup(system: System) -> Path:
    return sorted(path for path in (system.folder / "backups").glob("20*_*") if path.is_dir())[-1]


def text_of(system: System, collection: str, document: str) -> str | None:
    answer = system.get(f"/api/v1/collections/{collection}/documents/{document}/text")
    return answer.text if answer.status_code == 200 else None


def chunks(hits: list[dict[str, Any]]) -> list[str]:
    """The passages of the documents that were there before the load."""
    return [hit["chunk_id"] for hit in hits if hit["external_id"] in SOME]


def test_a_backup_under_load_brings_everything_back_after_all_is_gone(running: System) -> None:
    ids = running.ingest("stations", SOME)
    session = running.post("/api/v1/sessions", json={"title": "kept"}).json()
    writers = Writers(running, "stations")
    writers.start()
    time.sleep(2)
    began = time.monotonic()
    running.manage("backup")
    writers.done.set()
    writers.join(30)
    backup = newest_backup(running)
    assert running.run("bash", "-c", f"cd '{backup}' && sha256sum -c SHA256SUMS").returncode == 0
    running.manage("verify", str(backup))
    copied = b"".join(path.read_bytes() for path in backup.iterdir())
    for secret in (running.state / "secrets").iterdir():
        assert not secret.read_bytes() or secret.read_bytes() not in copied, secret.name
    hits = running.search("stations", "when did station 7 open", "lexical")

    running.manage("--yes", "cleanup", "full")
    assert (running.folder / ".env").exists()
    assert running.own_containers() == []
    running.manage("build", "production")
    running.manage("start", "production")
    # Nobody is known any more, the owner neither.
    assert running.get("/api/v1/collections/stations").status_code == 401
    assert running.get("/api/v1/auth").json()["setup"] is True
    running.manage("--yes", "restore", str(backup))
    running.wait_ready(60)

    for external_id, document in ids.items():
        assert text_of(running, "stations", document) == SOME[external_id]
    for document, (when, text) in writers.acknowledged.items():
        found = text_of(running, "stations", document)
        assert found == text if when < began else found in (text, None)
    again = running.search("stations", "when did station 7 open", "lexical")
    assert chunks(again) == chunks(hits)
    found = running.get(f"/api/v1/sessions/{session['id']}")
    assert found.json()["title"] == "kept"


def test_a_damaged_backup_is_refused_and_the_data_stays(running: System) -> None:
    ids = running.ingest("stations", SOME)
    running.manage("backup")
    backup = newest_backup(running)
    for name in ("vector.snapshot", "session.snapshot", "manifest.json"):
        path = backup / name
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) // 2], bytes([whole[0] ^ 1]) + whole[1:]):
            path.write_bytes(damaged)
            assert running.manage("verify", str(backup), check=False).returncode == 1
            refused = running.manage("--yes", "restore", str(backup), check=False)
            assert refused.returncode == 1, refused.stdout
        path.write_bytes(whole)

    assert running.manage("verify", str(backup)).returncode == 0
    assert text_of(running, "stations", ids["doc3"]) == SOME["doc3"]


def test_an_update_under_load_fails_no_idempotent_request(running: System) -> None:
    running.ingest("stations", SOME)
    loads = [Load(running, "stations") for _ in range(3)]
    for load in loads:
        load.start()
    try:
        time.sleep(1)
        said = running.manage("update", "--no-build", "--force").stdout
    finally:
        for load in loads:
            load.done.set()
        for load in loads:
            load.join(30)

    for service in ("vector", "session", "agents", "app"):
        assert f"{service}: updated" in said
    print(f"{sum(len(load.answers) for load in loads)} answers during the update")
    assert [failure for load in loads for failure in load.failures] == []
    assert min(len(load.answers) for load in loads) > 20


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("session", "the new image does not become healthy; the old one was not touched"),
        # Alone on its data: it is replaced at once.
        ("vector", "back to the old one, which is healthy"),
    ],
)
def test_a_red_update_goes_back_to_the_old_image(running: System, service: str, said: str) -> None:
    ids = running.ingest("stations", SOME)
    before, image = running.inspect(running.container(service))["Image"], f"meld-rag/{service}:latest"
    # An image whose service cannot start.
    broken = running.folder / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "Dockerfile").write_text(f"FROM {image}\nENV MELD_SERVICE=nothing\n")
    try:
        running.run("docker", "build", "-q", "-t", image, str(broken))
        refused = running.manage("update", "--no-build", check=False)
    finally:
        running.run("docker", "tag", before, image)

    assert refused.returncode == 1, refused.stdout
    assert said in refused.stdout
    running.wait_ready(30)
    assert running.inspect(running.container(service))["Image"] == before
    assert text_of(running, "stations", ids["doc3"]) == SOME["doc3"]


def test_secrets_are_made_anew_and_the_data_stays(running: System) -> None:
    ids = running.ingest("stations", SOME)
    secrets = running.state / "secrets"
    names = ("flask_secret_key", "jwt_secret_key", "redis_password")
    before = {name: (secrets / name).read_text() for name in names}
    named = {"name": "olga", "password": PASSWORD}
    token = running.post("/api/v1/auth/login", json=named).json()["access_token"]

    running.manage("--yes", "rotate-secrets")

    running.wait_ready(60)
    assert all((secrets / name).read_text() != value for name, value in before.items())
    refused = running.execute(
        "redis", "env", f"REDISCLI_AUTH={before['redis_password']}", "redis-cli", "ping", check=False
    )
    assert "PONG" not in refused
    # Who had signed in signs in again; keys of programs stay good.
    signed_in = {"Authorization": f"Bearer {token}"}
    assert running.get("/api/v1/auth/me", headers=signed_in).status_code == 401
    assert text_of(running, "stations", ids["doc3"]) == SOME["doc3"]


def test_a_volume_goes_out_and_comes_back(running: System, tmp_path: Path) -> None:
    ids = running.ingest("stations", SOME)
    file = tmp_path / "redis.tar.gz"
    refused = running.manage(
        "--yes", "import", "chromadb_data", str(running.folder / "README.md"), check=False
    )
    assert refused.returncode == 1
    running.manage("stop")
    running.manage("export", "chromadb_data", str(file))
    running.run(
        "docker",
        "run",
        "--rm",
        "-v",
        f"{running.project}_chromadb_data:/data",
        "--user",
        "0",
        "redis:7-alpine",
        "sh",
        "-c",
        "rm -rf /data/*",
    )
    assert file.stat().st_mode & 0o077 == 0

    running.manage("--yes", "import", "chromadb_data", str(file))

    running.manage("start")
    assert text_of(running, "stations", ids["doc3"]) == SOME["doc3"]


def test_a_weak_secret_is_refused_by_name(running: System) -> None:
    env = running.folder / ".env"
    before = env.read_text()
    try:
        running.set_variables(FLASK_SECRET_KEY="your_secret_key_here")
        running.environment["MELD_READY_SECONDS"] = "40"
        refused = running.manage("start", "production", check=False)
    finally:
        env.write_text(before)
        del running.environment["MELD_READY_SECONDS"]
        running.manage("start", "production")

    assert refused.returncode == 1
    assert "FLASK_SECRET_KEY" in refused.stdout
    assert "your_secret_key_here" not in refused.stdout


def test_the_doctor_names_what_is_wrong(running: System) -> None:
    assert running.manage("doctor").returncode == 0
    env = running.folder / ".env"
    before = env.read_text()
    try:
        running.set_variables(CHROMADB_HOST="localhost", OPENAI_API_KEY="your_openai_api_key")
        found = running.manage("doctor", check=False)
    finally:
        env.write_text(before)

    assert found.returncode == 1
    assert "CHROMADB_HOST" in found.stdout
    assert "OPENAI_API_KEY" in found.stdout
