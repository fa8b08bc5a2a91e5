"""Which processes make up the house."""

from __future__ import annotations

import sys
from pathlib import Path

from services.local import readiness, redis
from services.local.house import Member
from services.local.process import Guard, Process
from services.local.settings import LocalSettings

# Seconds that calls in flight get, so that all is over within five.
_DRAIN_SECONDS = "1.5"
# What is added to MELD_METRICS_PORT.
_METRICS_PORTS = {"agents": 0, "vector": 1, "session": 2}


def members(settings: LocalSettings, guard: Guard) -> list[Member]:
    """The processes in the order of their start: none calls one that comes after it."""
    logs = settings.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)

    def process(name: str, command: list[str]) -> Process:
        return Process(name, command, environment(settings, name), logs / f"{name}.log", guard)

    def service(name: str) -> Process:
        return process(name, [sys.executable, "-m", f"services.{name}"])

    found = []
    if settings.redis is not None:
        program = redis.executable()
        command = redis.command(program, settings.redis, settings.data / "redis", settings.redis_password)
        found.append(
            Member(
                process("redis", command),
                readiness.redis(settings.redis),
                f"{settings.redis} ({program})",
                comes_first=True,
            )
        )
    prepares = "" if (settings.data / "models").exists() else "prepares its model (only this first time)"
    for name, address, first_start in (
        ("session", settings.session, ""),
        ("vector", settings.vector, prepares),
        ("agents", settings.agents, ""),
    ):
        found.append(
            Member(service(name), readiness.health(address, settings.certificates), str(address), first_start)
        )
    gateway = settings.gateway
    found.append(Member(service("gateway"), readiness.http_ready(gateway), str(gateway)))
    return found


def environment(settings: LocalSettings, name: str) -> dict[str, str]:
    """What a process gets to read: the person's settings, and where the others are."""
    variables = {
        "MELD_DRAIN_SECONDS": _DRAIN_SECONDS,
        **settings.environment,
        "MELD_DATA_DIR": str(settings.data),
        "MELD_AGENTS_ADDRESS": str(settings.agents),
        "MELD_VECTOR_ADDRESS": str(settings.vector),
        "MELD_SESSION_ADDRESS": str(settings.session),
        # Nobody has to log in at the services' ports.
        "MELD_BIND_HOST": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
    }
    if settings.metrics_port:
        # Three processes on one machine cannot have one port. The gateway has a door of its own.
        variables["MELD_METRICS_PORT"] = str(settings.metrics_port + _METRICS_PORTS.get(name, 0))
    if log_file := variables.get("LOG_FILE"):
        # Four processes that rotate one file would lose lines of each other.
        path = Path(log_file)
        variables["LOG_FILE"] = str(path.with_name(f"{path.stem}.{name}{path.suffix}"))
    return variables
