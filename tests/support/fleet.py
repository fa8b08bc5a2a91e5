"""The five processes of a house, each under the hand of a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.redis_server import RedisServer, free_port
from tests.support.waits import promised

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("session", "vector", "agents", "gateway")
NAMES = ("redis", *SERVICES)


class Fleet:
    """Starts, kills, freezes and restarts redis, session, vector, agents and gateway.

    Ports stay the same over restarts, the data too. `environment` goes to every service.
    scraped: whether agents, vector and session answer scrapes, on the ports of `metrics_ports`.
    """

    def __init__(
        self, directory: Path, environment: Mapping[str, str] | None = None, *, scraped: bool = False
    ) -> None:
        self.directory = directory
        self.ports = {name: free_port() for name in SERVICES}
        own_door = ("agents", "vector", "session") if scraped else ()
        self.metrics_ports = {name: free_port() for name in own_door}
        self.base_url = f"http://127.0.0.1:{self.ports['gateway']}"
        (directory / "redis").mkdir(parents=True, exist_ok=True)
        (directory / "logs").mkdir(exist_ok=True)
        self.redis = RedisServer(directory / "redis")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "MELD_"))},
            "MELD_DATA_DIR": str(directory),
            "MELD_AGENTS_ADDRESS": f"127.0.0.1:{self.ports['agents']}",
            "MELD_VECTOR_ADDRESS": f"127.0.0.1:{self.ports['vector']}",
            "MELD_SESSION_ADDRESS": f"127.0.0.1:{self.ports['session']}",
            "REDIS_HOST": self.redis.host,
            "REDIS_PORT": str(self.redis.port),
            "FLASK_HOST": "127.0.0.1",
            "FLASK_PORT": str(self.ports["gateway"]),
            **(environment or {}),
        }

    def start(self, name: str, **environment: str) -> None:
        """Starts one process; `environment` is for this start only."""
        if name == "redis":
            self.redis.start()
            return
        if name in self.metrics_ports:
            environment = {"MELD_METRICS_PORT": str(self.metrics_ports[name]), **environment}
        with (self.directory / "logs" / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"services.{name}"],
                cwd=ROOT,
                env={**self._environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A process group of its own, so that a kill takes gunicorn's workers too.
                start_new_session=True,
            )

    def start_all(self) -> None:
        """Starts all and waits until the house is ready."""
        for name in NAMES:
            self.start(name)
        self.wait_ready(60)

    def running(self, name: str) -> bool:
        """False once the process has ended by itself or was killed."""
        return name == "redis" or self._processes[name].poll() is None

    def kill(self, name: str) -> None:
        """kill -9, the whole process group."""
        if name == "redis":
            self.redis.kill()
            return
        self._signal(name, signal.SIGKILL)
        self._processes[name].wait()

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        if name == "redis":
            self.redis.pause()
        else:
            self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        if name == "redis":
            self.redis.resume()
        else:
            self._signal(name, signal.SIGCONT)

    def readiness(self) -> tuple[int, dict[str, object]]:
        """Status and body of /readyz; (0, {}) when the gateway does not answer."""
        try:
            answer = httpx.get(f"{self.base_url}/readyz", timeout=2)
            return answer.status_code, answer.json()
        except (httpx.HTTPError, ValueError):
            return 0, {}

    def wait_ready(self, seconds: float) -> float:
        """Waits until /readyz is 200, for these seconds as `promised`; the time it took.

        Raises AssertionError with the logs' ends.
        """
        began, seconds = time.monotonic(), promised(seconds)
        while time.monotonic() - began < seconds:
            status, _ = self.readiness()
            if status == 200:
                return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(f"not ready after {seconds} s: {self.readiness()}\n{self.log_ends()}")

    def log_ends(self) -> str:
        """The last lines of every log."""
        ends = []
        for name in SERVICES:
            path = self.directory / "logs" / f"{name}.log"
            lines = path.read_text(errors="replace").splitlines()[-8:] if path.exists() else []
            ends.append(
                "\n".join([f"--- {name} (running: {name in self._processes and self.running(name)})", *lines])
            )
        return "\n".join(ends)

    def stop_all(self) -> None:
        """Ends everything at once."""
        for name in self._processes:
            self._signal(name, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        self.redis.kill()

    def _signal(self, name: str, number: signal.Signals) -> None:
        try:
            os.killpg(self._processes[name].pid, number)
        except ProcessLookupError:
            return


@contextmanager
def running_fleet(
    directory: Path, environment: Mapping[str, str] | None = None, *, scraped: bool = False
) -> Iterator[Fleet]:
    """A ready house for the duration of the block."""
    fleet = Fleet(directory, environment, scraped=scraped)
    try:
        fleet.start_all()
        yield fleet
    finally:
        fleet.stop_all()
