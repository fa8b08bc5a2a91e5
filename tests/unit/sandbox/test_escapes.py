"""Code in the sandbox that tries to get out of it, in every layer that this machine allows.

The attempts stand in attempts.py and share one run of the sandbox for each layer. What they report is one
half of each test; the other is what the world outside saw.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.sandbox.model import End, Job, Limits, Outcome
from tests.unit.sandbox.attempts import ATTEMPTS
from tests.unit.sandbox.outside import World
from tests.unit.sandbox.rooms import LAYERS, alive, sandbox

_PROGRAM = Path(__file__).with_name("attempts.py")
_LIMITS = Limits(seconds=60, cpu_seconds=60, processes=16)


@dataclass(frozen=True)
class Tried:
    """All attempts in one layer: what each reports, and what the world outside looked like after them."""

    outcome: Outcome
    reports: dict[str, dict[str, Any]]
    changes: list[str]
    token: str
    left: list[list[str]]


@pytest.fixture(scope="module", params=LAYERS)
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    box = sandbox(request.param)
    with World(tmp_path_factory.mktemp("outside")) as world:
        job = Job(
            argv=("python", "attempts.py", f"inside-{world.mark}"),
            files={"attempts.py": _PROGRAM.read_bytes()},
            stdin=json.dumps(world.description()).encode(),
            limits=_LIMITS,
        )
        outcome = asyncio.run(box.run(job))
        reports = [json.loads(line) for line in outcome.stdout.splitlines()]
        yield Tried(
            outcome,
            {report["name"]: report for report in reports},
            world.changes(),
            world.token,
            alive(f"inside-{world.mark}"),
        )


def test_all_were_tried(tried: Tried) -> None:
    assert tried.outcome.end is End.EXITED, tried.outcome
    assert tried.outcome.exit_code == 0, tried.outcome.stderr.decode()
    assert list(tried.reports) == list(ATTEMPTS)
    assert len(ATTEMPTS) >= 60


@pytest.mark.parametrize("name", ATTEMPTS)
def test_it_got_nothing(name: str, tried: Tried) -> None:
    report = tried.reports[name]

    assert report["got"] is None, report
    assert report["refused"]


def test_the_world_outside_is_as_it_was(tried: Tried) -> None:
    assert tried.changes == []


def test_no_secret_came_out(tried: Tried) -> None:
    said = tried.outcome.stdout + tried.outcome.stderr

    assert tried.token.encode() not in said


def test_nothing_is_left_running(tried: Tried) -> None:
    assert tried.left == []
