"""The gateway as it is started in earnest, in front of scripted services."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from services.gateway.clients import Addresses
from tests.support.redis_server import free_port
from tests.unit.gateway.scripted_services import ScriptedServices, running_services

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Gateway:
    """A running gateway."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=10)

    def say(self, data: bytes) -> bytes:
        """What the gateway answers to these bytes, until it closes the connection or is silent for long."""
        with self.connect() as connection:
            # It may close before it has read everything.
            with contextlib.suppress(OSError):
                connection.sendall(data)
            answer = b""
            with contextlib.suppress(OSError):
                while piece := connection.recv(65536):
                    answer += piece
            return answer

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


Start = Callable[..., Gateway]


class Served(Protocol):
    """Services somewhere."""

    @property
    def addresses(self) -> Addresses:
        """Where they are."""


@contextlib.contextmanager
def running_gateway(services: Served, folder: Path, **environment: str) -> Iterator[Gateway]:
    port = free_port()
    addresses = services.addresses
    log = folder / f"gateway-{port}.log"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MELD_", "GUNICORN_"))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.gateway"],
            cwd=ROOT,
            env={
                **clean,
                "FLASK_PORT": str(port),
                "GUNICORN_WORKERS": "1",
                "GUNICORN_THREADS": "16",
                "MELD_AGENTS_ADDRESS": addresses.agents,
                "MELD_SESSION_ADDRESS": addresses.session,
                "MELD_VECTOR_ADDRESS": addresses.vector,
                **environment,
            },
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    gateway = Gateway(process, port, log, environment.get("FLASK_HOST") or "127.0.0.1")
    try:
        _wait(gateway)
        yield gateway
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _wait(gateway: Gateway) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{gateway.url}/livez", timeout=2).status_code == 200:
                return
        assert gateway.process.poll() is None, gateway.log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"the gateway does not answer\n{gateway.log.read_text()}")


def within(seconds: float, true: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="session")
def running() -> Iterator[ScriptedServices]:
    with running_services() as services:
        yield services


@pytest.fixture
def services(running: ScriptedServices) -> ScriptedServices:
    running.reset()
    return running


@pytest.fixture(scope="session")
def gateway(running: ScriptedServices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests that leave it as it was; impatient, so that tests are quick."""
    with running_gateway(
        running,
        tmp_path_factory.mktemp("gateway"),
        MELD_HEARTBEAT_SECONDS="0.5",
        MELD_CLIENT_IDLE_SECONDS="1",
        MELD_MAX_UPLOAD_BYTES="1000000",
    ) as gateway:
        yield gateway


@pytest.fixture
def start(running: ScriptedServices, tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway of the test's own."""
    with contextlib.ExitStack() as held:
        yield lambda **environment: held.enter_context(running_gateway(running, tmp_path, **environment))
