"""The check at start believes nothing: it notices code that is not shut in."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from services.sandbox import layers
from services.sandbox.launching import Launcher
from services.sandbox.model import End, Job, Outcome
from services.sandbox.probe import probe
from services.sandbox.sandbox import ADDED
from tests.architecture.sources import ROOT
from tests.unit.sandbox.rooms import launcher

KNOWN = {*layers.environment(), *ADDED}


def _write(folder: str) -> None:
    Path(folder, "written").touch()


@dataclass(frozen=True)
class Open(Launcher):
    """Shuts nothing in, and says what it is told to say."""

    through: tuple[str, ...] = ()
    writes: bool = False
    exit_code: int = 0

    async def launch(self, job: Job, program: str) -> Outcome:
        if self.writes:
            _write(job.argv[-1])
        said = json.dumps({"through": self.through, "environment": ["HOME"]}).encode()
        code = self.exit_code
        return Outcome(End.EXITED, code, said, b"", 0.0, {}, f"ended with exit code {code}")


def opened(**told: Any) -> Open:
    return Open(layers.Layer.LANDLOCK, Path("/nowhere"), **told)


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_a_layer_that_holds(name: str) -> None:
    assert await probe(launcher(name), KNOWN) == ""


async def test_what_came_through_is_named() -> None:
    reason = await probe(opened(through=("read a file of the host",)), KNOWN)

    assert reason == "code inside could read a file of the host"


async def test_the_world_outside_is_looked_at_as_well() -> None:
    assert await probe(opened(writes=True), KNOWN) == "code inside could write beside it"


async def test_a_variable_of_the_service_is_noticed() -> None:
    assert "HOME" in await probe(launcher("landlock"), KNOWN - {"HOME"})


async def test_a_check_that_did_not_run_is_no_success() -> None:
    assert "exit code 3" in await probe(opened(exit_code=3), KNOWN)


async def test_a_launcher_that_breaks_is_no_success() -> None:
    missing = replace(launcher("landlock"), layer=layers.Layer.BUBBLEWRAP, bubblewrap="/nowhere/bwrap")

    assert "/nowhere/bwrap" in await probe(missing, KNOWN)


def test_the_interpreter_is_in_reach_and_the_project_is_not() -> None:
    readable = layers.readable()

    assert any(sys.executable == path or sys.executable.startswith(f"{path}/") for path in readable)
    assert not any(Path(path) in (ROOT, *ROOT.parents) for path in readable)
