"""A copy of the repository, run in containers as an operator runs it, under a project name of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.support.redis_server import free_port

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "the tide comes at nine"
SERVICES = ("proxy", "app", "agents", "vector", "session", "redis")


def engine_answers() -> bool:
    """Whether a container engine with Compose v2 can be used here."""
    if shutil.which("docker") is None:
        return False
    return all(
        subprocess.run(["docker", *words], capture_output=True, check=False, timeout=20).returncode == 0
        for words in (["info"], ["compose", "version"])
    )


class System:
    """A clone in `folder` and what docker-manage.sh makes of it.

    project: name of the compose project. base_url: of the proxy. state: what docker-manage.sh remembers.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self.folder = folder
        self.project = project
        self.state = folder / ".meld" / project
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.setup_code = ""
        # Shows who asks: nothing until somebody has become the owner, or where everybody is.
        self.headers: dict[str, str] = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not _is_setting(name)},
            "MELD_PROJECT": project,
            "PATH": f"{folder / '.bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def clone(self) -> None:
        """Copies what git tracks, and `.env.example` to `.env` with its port and more requests a minute."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (source := ROOT / name).is_file():
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        # People have either spelling; where only the plugin is installed, the old one means it.
        binaries = self.folder / ".bin"
        binaries.mkdir()
        if shutil.which("docker-compose") is None:
            (binaries / "docker-compose").write_text('#!/bin/sh\nexec docker compose "$@"\n')
            (binaries / "docker-compose").chmod(0o755)
        text = (self.folder / ".env.example").read_text()
        (self.folder / ".env").write_text(text.replace("# FLASK_PORT=\n", f"FLASK_PORT={self.port}\n"))
        # Some tests are one person who asks without a pause.
        self.set_variables(MELD_RATE_LIMIT_PER_MINUTE="100000")

    def run(
        self, *command: str, check: bool = True, seconds: float = 900, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the clone; both outputs are in `stdout`."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done

    def manage(
        self, *words: str, check: bool = True, seconds: float = 900, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs docker-manage.sh."""
        return self.run("./docker-manage.sh", *words, check=check, seconds=seconds, stdin=stdin)

    def set_variables(self, **values: str) -> None:
        """Sets variables in `.env`."""
        path = self.folder / ".env"
        lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in values]
        path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]) + "\n")

    def container(self, service: str) -> str:
        """Name of the service's container."""
        return f"{self.project}-{service}"

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine says of a container."""
        found: dict[str, Any] = json.loads(self.run("docker", "inspect", name).stdout)[0]
        return found

    def execute(self, service: str, *command: str, check: bool = True) -> str:
        """Output of a command inside a service's container."""
        return self.run("docker", "exec", self.container(service), *command, check=check).stdout

    def host_pid(self, service: str) -> int:
        """Process id, on this machine, of the service itself: the child of the container's init."""
        init = self.inspect(self.container(service))["State"]["Pid"]
        children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
        return int(children[0]) if children else int(init)

    def become_owner(self) -> None:
        """Makes the first owner as docker-manage.sh says, and asks with an API key of theirs from then on."""
        code = re.search(r"^  (\S{8,})$", self.manage("owner").stdout, re.MULTILINE)
        assert code, "docker-manage.sh owner shows a setup code"
        named = {"name": "olga", "password": PASSWORD}
        self.post("/api/v1/auth/setup", json={**named, "setup_code": code[1]}).raise_for_status()
        self.headers = self.key_of("olga", "owner")
        self.setup_code = code[1]

    def key_of(self, name: str, role: str) -> dict[str, str]:
        """The header of a person's new API key."""
        with httpx.Client(base_url=f"{self.base_url}/api/v1", timeout=30) as http:
            tokens = http.post("/auth/login", json={"name": name, "password": PASSWORD}).raise_for_status()
            http.headers["Authorization"] = f"Bearer {tokens.json()['access_token']}"
            made = http.post("/api-keys", json={"label": "tests", "role": role}).raise_for_status()
        return {"Authorization": f"Bearer {made.json()['secret']}"}

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Asks at the proxy, over a connection of its own."""
        return self._ask("GET", path, options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """As `get`."""
        return self._ask("POST", path, options)

    def _ask(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        given = {"timeout": 30, **options, "headers": {**self.headers, **options.get("headers", {})}}
        return httpx.request(method, f"{self.base_url}{path}", **given)

    def wait_ready(self, seconds: float) -> float:
        """Waits until /readyz at the proxy is 200; the time that took."""
        began, last = time.monotonic(), "no answer"
        while time.monotonic() - began < seconds:
            try:
                answer = httpx.get(f"{self.base_url}/readyz", timeout=3)
                if answer.status_code == 200:
                    return time.monotonic() - began
                last = answer.text
            except httpx.HTTPError as error:
                last = repr(error)
            time.sleep(0.1)
        raise AssertionError(f"not ready after {seconds} s: {last}")

    def ingest(self, collection: str, documents: Mapping[str, str], seconds: float = 120) -> dict[str, str]:
        """Imports texts and waits until all are READY; document id by external id."""
        api = f"{self.base_url}/api/v1"
        with httpx.Client(timeout=30, headers=self.headers) as http:
            if http.get(f"{api}/collections/{collection}").status_code == 404:
                http.post(f"{api}/collections", json={"name": collection}).raise_for_status()
            lines = [json.dumps({"id": key, "title": key, "text": text}) for key, text in documents.items()]
            answer = http.post(
                f"{api}/collections/{collection}/documents/import",
                content="\n".join(lines).encode(),
                headers={"Content-Type": "application/x-ndjson"},
            )
            answer.raise_for_status()
            ids = {}
            for line in answer.text.splitlines():
                entry = json.loads(line)
                if entry.get("document_id"):
                    ids[entry["id"]] = entry["document_id"]
            end = time.monotonic() + seconds
            waiting = set(ids.values())
            while waiting:
                assert time.monotonic() < end, f"{len(waiting)} documents are not READY"
                for one in list(waiting):
                    state = http.get(f"{api}/collections/{collection}/documents/{one}").json()["state"]
                    assert state != "FAILED"
                    if state == "READY":
                        waiting.discard(one)
                time.sleep(0.2)
        return ids

    def search(self, collection: str, query: str, mode: str = "hybrid") -> list[dict[str, Any]]:
        """Hits of a search."""
        answer = self.post(
            f"/api/v1/collections/{collection}/search", json={"query": query, "mode": mode}, timeout=20
        )
        answer.raise_for_status()
        hits: list[dict[str, Any]] = answer.json()["hits"]
        return hits

    def own_containers(self) -> list[str]:
        """Ids of the project's containers, also of those that have ended."""
        label = f"label=com.docker.compose.project={self.project}"
        return self.run("docker", "ps", "-aq", "--filter", label).stdout.split()

    def remove(self) -> None:
        """Takes away everything that the project has on the engine, images apart."""
        label = ("--filter", f"label=com.docker.compose.project={self.project}")
        for kind, verb in (("container", "rm -f"), ("volume", "rm -f"), ("network", "rm")):
            listing = ["docker", kind, "ls", "-q", *(["-a"] if kind == "container" else []), *label]
            if names := self.run(*listing, check=False).stdout.split():
                self.run("docker", kind, *verb.split(), *names, check=False)


def _is_setting(name: str) -> bool:
    documented = (ROOT / ".env.example").read_text()
    return re.search(rf"^(# )?{re.escape(name)}=", documented, re.MULTILINE) is not None or name.startswith(
        ("MELD_", "COMPOSE_")
    )
