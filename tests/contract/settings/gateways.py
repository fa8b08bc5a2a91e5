"""What can be seen of a running gateway from outside: observations for the table of settings."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from meldrag.agents.v1 import agents_pb2
from tests.contract.gateway.conftest import Gateway, running_gateway
from tests.unit.gateway.scripted_services import ScriptedServices

# Good ones, as an operator draws them.
SECRETS = {
    "flask_secret_key": "hT7w-pQz93kL-mX2v-cR8n-Y5bD-s1Jf-4G",
    "jwt_secret_key": "Zk4u-rB6yN-0eWq-Vt3a-8HxM-g2Lo-P7iC",
}
OTHER_SITE = "https://elsewhere.example"
QUIET_SECONDS = 8.0


@dataclass(frozen=True)
class Seen:
    """A running gateway under observation. patience: seconds to wait for what should come."""

    gateway: Gateway
    services: ScriptedServices
    folder: Path
    patience: float

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.gateway.url}{path}", headers=headers, timeout=10)

    def workers(self) -> set[int]:
        """Process ids of the workers."""
        return {child.pid for child in psutil.Process(self.gateway.process.pid).children()}

    def until(self, true: Callable[[], bool]) -> bool:
        """Whether it becomes true in time."""
        end = time.monotonic() + self.patience
        while not true():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


@contextmanager
def gateways(
    services: ScriptedServices, folder: Path, variables: dict[str, str]
) -> Iterator[tuple[Seen, Seen]]:
    """A gateway with every default, and one with these variables, which needs and finds its secrets."""
    secrets = folder / "secrets"
    secrets.mkdir()
    for name, value in SECRETS.items():
        (secrets / name).write_text(f"{value}\n")
    # The helper's own choices back to the defaults: an empty variable says nothing.
    plain = {"GUNICORN_WORKERS": "", "GUNICORN_THREADS": ""}
    extra = {"MELD_REQUIRE_SECRETS": "yes", "MELD_SECRETS_DIR": str(secrets)}
    for kind in ("plain", "changed"):
        (folder / kind).mkdir()
    with ExitStack() as held:
        first = held.enter_context(running_gateway(services, folder / "plain", **plain))
        second = held.enter_context(running_gateway(services, folder / "changed", **extra, **variables))
        yield (
            Seen(first, services, folder / "plain", QUIET_SECONDS),
            Seen(second, services, folder / "changed", 60.0),
        )


def host(seen: Seen) -> str:
    """The address that answers."""
    return seen.gateway.host if seen.get("/livez").status_code == 200 else "none"


def allowed_origin(seen: Seen) -> str | None:
    """Which other site may read an answer."""
    return seen.get("/livez", Origin=OTHER_SITE).headers.get("Access-Control-Allow-Origin")


def number_of_workers(seen: Seen) -> int:
    """How many workers there are once there was time for a second one."""
    end = time.monotonic() + 3
    while len(seen.workers()) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    return len(seen.workers())


def connection_header(seen: Seen) -> str | None:
    """What an answer says of the connection."""
    return seen.get("/livez").headers.get("Connection")


def metrics_status(seen: Seen) -> int:
    """What /metrics answers."""
    return seen.get("/metrics").status_code


def has_a_thread_left(seen: Seen) -> bool:
    """Whether a request is served while four others wait for a service."""
    seen.services.reset()
    answered = threading.Event()

    async def late(_: Any) -> agents_pb2.ListAgentsResponse:
        while not answered.is_set():
            await asyncio.sleep(0.02)
        return agents_pb2.ListAgentsResponse()

    seen.services.script["ListAgents"] = late
    address = f"{seen.gateway.host}:{seen.gateway.port}"
    request = f"GET /api/v1/agents HTTP/1.1\r\nHost: {address}\r\nRequest-Timeout: 20\r\n\r\n".encode()
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(seen.gateway.connect()).sendall(request)
        # With two threads two of them wait in line, and what comes behind these is refused.
        assert seen.until(lambda: len(seen.services.requests["ListAgents"]) == 4 or _is_refused(seen))
        has_one = not _is_refused(seen)
    # The threads are free again before the next observation.
    answered.set()
    assert seen.until(lambda: not _is_refused(seen))
    return has_one


def _is_refused(seen: Seen) -> bool:
    try:
        answer = httpx.get(f"{seen.gateway.url}/", timeout=2)
    except httpx.TimeoutException:
        # It came before the four and waits among them.
        return False
    return answer.status_code == 503 and answer.json()["reason"] == "TOO_MANY_REQUESTS"


def replaces_a_silent_worker(seen: Seen) -> bool:
    """Whether another process takes the place of a worker that was stopped."""
    before = seen.workers()
    stopped = psutil.Process(min(before))
    stopped.suspend()
    try:
        return seen.until(lambda: stopped.pid not in seen.workers() and len(seen.workers()) == len(before))
    finally:
        if stopped.is_running():
            stopped.resume()


def lines(seen: Seen) -> list[str]:
    """The log, wherever it is."""
    files = sorted(seen.folder.glob("app.log*")) or [seen.gateway.log]
    return [line for path in files for line in _text(path).splitlines()]


def _text(path: Path) -> str:
    """What a log file says, nothing when it was rotated away meanwhile."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def log_is_json(seen: Seen) -> bool:
    """Whether the line of a request is a JSON object."""
    mark = f"format-{time.monotonic_ns()}"
    seen.get("/health", **{"X-Request-ID": mark})
    assert seen.until(lambda: any(mark in line for line in lines(seen)))
    line = next(line for line in lines(seen) if mark in line)
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def logs_details(seen: Seen) -> bool:
    """Whether a request that is no HTTP leaves a line, which is one of level DEBUG."""
    seen.gateway.say(b"nonsense\r\n\r\n")
    return seen.until(lambda: any("refused a request from" in line for line in lines(seen)))


def is_logged_in_a_file(seen: Seen) -> bool:
    """Whether requests are told of in a file besides the standard error output."""
    mark = f"where-{time.monotonic_ns()}"
    seen.get("/health", **{"X-Request-ID": mark})
    assert seen.until(lambda: mark in seen.gateway.log.read_text())
    if not any(seen.folder.glob("app.log*")):
        return False
    return seen.until(lambda: any(mark in line for line in lines(seen)))


def profile_status(seen: Seen) -> int:
    """What the door of the profiler answers."""
    url = f"{seen.gateway.url}/api/v1/profile?seconds=0.1"
    return httpx.post(url, timeout=20).status_code


def logs_put_aside(seen: Seen) -> int:
    """How many older log files there are after many requests."""
    with httpx.Client(base_url=seen.gateway.url, timeout=10) as client:
        for _ in range(80):
            client.get("/")
    return len([path for path in seen.folder.iterdir() if path.name.startswith("app.log.")])


def has_put_a_log_aside(seen: Seen) -> bool:
    """Whether eighty requests are too many for one file."""
    return logs_put_aside(seen) > 0
