"""The house as a person starts it: the launcher and what it keeps running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.support.redis_server import free_port
from tests.support.waits import promised

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("redis", "session", "vector", "agents", "gateway")
# What a launcher or a service says that finds its port taken.
_TAKEN = re.compile(r"(port \d+|:\d+) is in use|cannot listen on|address already in use", re.IGNORECASE)
_TRIES = 4
PORT_VARIABLES = {"gateway": "FLASK_PORT", "redis": "REDIS_PORT"}


def environment(directory: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """What a launcher gets: this process's environment without any setting of the house, then these ports."""
    settings = [
        line.removeprefix("# ").partition("=")[0]
        for line in (ROOT / ".env.example").read_text().splitlines()
        if "=" in line
    ]
    return {
        **os.environ,
        # Empty rather than absent: then a .env of the person who runs the tests does not count either.
        **{name: "" for name in settings if name.isupper()},
        "MELD_DATA_DIR": str(directory),
        "FLASK_PORT": str(ports["gateway"]),
        "REDIS_PORT": str(ports["redis"]),
        **{
            f"MELD_{name.upper()}_ADDRESS": f"127.0.0.1:{ports[name]}"
            for name in ("session", "vector", "agents")
        },
    }


def free_ports() -> dict[str, int]:
    """A free port for each process."""
    ports: dict[str, int] = {}
    while len(ports) < len(NAMES):
        port = free_port()
        if port not in ports.values():
            ports[NAMES[len(ports)]] = port
    return ports


class PortTakenError(AssertionError):
    """The house did not start, for somebody listens where it wanted to."""


class House:
    """A launcher under a test's hand.

    base_url: of the gateway. ports: by process name. directory: its data. output: what it has printed.
    """

    def __init__(self, directory: Path, more: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.ports = free_ports()
        self.base_url = f"http://127.0.0.1:{self.ports['gateway']}"
        self.environment = {**environment(directory, self.ports), **(more or {})}
        self.output: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        """The launcher."""
        assert self._process is not None, "the house was not started"
        return self._process

    def launch(self) -> None:
        """Starts the launcher in a session of its own, as a terminal does, and does not wait."""
        self.output = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.local"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line.rstrip("\n"))

    def start(self) -> float:
        """Starts it and waits for the address that it prints; the time that took. Raises PortTakenError."""
        began, seconds = time.monotonic(), promised(60)
        self.launch()
        while f"  {self.base_url}" not in self.output:
            if self.process.poll() is not None or time.monotonic() - began > seconds:
                self.end()
                text = "\n".join([*self.output, self.log_ends()])
                failure = PortTakenError if _TAKEN.search(text) else AssertionError
                raise failure(f"the house did not start:\n{text}")
            time.sleep(0.02)
        return time.monotonic() - began

    def pid(self, name: str) -> int:
        """Process id, also of the group, of one process; raises KeyError while it does not run."""
        pid = json.loads((self.directory / "processes.json").read_text())[name]
        if pid is None:
            raise KeyError(name)
        return int(pid)

    def family(self) -> set[psutil.Process]:
        """Every process that runs because of this launcher, found by its data directory."""
        mark = f"MELD_DATA_DIR={self.directory}"
        found = set()
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                variables = Path(f"/proc/{process.pid}/environ").read_bytes().decode(errors="replace")
                if mark in variables.split("\0") and process.status() != psutil.STATUS_ZOMBIE:
                    found.add(process)
        return found

    def send(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to a process and all that it started."""
        os.killpg(self.pid(name), number)

    def readiness(self) -> tuple[int, dict[str, object]]:
        """Status and body of /readyz; (0, {}) when nothing answers."""
        try:
            answer = httpx.get(f"{self.base_url}/readyz", timeout=3)
            return answer.status_code, answer.json()
        except (httpx.HTTPError, ValueError):
            return 0, {}

    def wait_ready(self, seconds: float) -> float:
        """Waits until /readyz is 200, for these seconds as `promised`; the time that took."""
        began, seconds = time.monotonic(), promised(seconds)
        while time.monotonic() - began < seconds:
            if self.readiness()[0] == 200:
                return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(f"not ready after {seconds} s: {self.readiness()}\n{self.log_ends()}")

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 15) -> float:
        """Asks the launcher to stop, waits for its end, returns the time that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(promised(seconds))
        return time.monotonic() - began

    def end(self) -> None:
        """Ends everything, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def log_ends(self) -> str:
        """The last lines of every log."""
        ends = []
        for path in sorted((self.directory / "logs").glob("*.log")):
            ends += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-12:]]
        return "\n".join(ends)


@contextmanager
def launched(directory: Path, more: Mapping[str, str] | None = None) -> Iterator[House]:
    """A ready house for the duration of the block.

    A port that was free may be taken before the house listens on it; then it is tried with others.
    """
    house = House(directory, more)
    try:
        for tries_left in reversed(range(_TRIES)):
            try:
                house.start()
                break
            except PortTakenError:
                if not tries_left:
                    raise
                house = House(directory, more)
        yield house
    finally:
        house.end()
