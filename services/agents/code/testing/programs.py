"""Jobs for the sandbox: the project, the programs that run there, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from services.agents.code.project import RESERVED
from services.agents.ports import Sandboxed
from services.chassis.errors import FailedPreconditionError
from services.sandbox.model import End, Job, Limits, Outcome

_PACKAGE = "meld_inside"
_MEMORY = 768 << 20


def job(
    program: str,
    project: Mapping[str, str],
    told: Mapping[str, Any],
    names: tuple[str, str],
    seconds: float,
) -> Job:
    """A job that runs a program of inside/ beside the project.

    names: of the file that the program reads and of the one that it writes, both in the reserved folder.
    """
    files = {path: text.encode("utf-8") for path, text in project.items()}
    for entry in resources.files("services.agents.code.inside").iterdir():
        if entry.name.startswith(("generate_", "mutate_")) and entry.name.endswith(".py"):
            files[f"{RESERVED}/{_PACKAGE}/{entry.name}"] = entry.read_bytes()
    files[f"{RESERVED}/{_PACKAGE}/__init__.py"] = b""
    files[f"{RESERVED}/{names[0]}"] = json.dumps(told).encode("utf-8")
    start = f"import sys; sys.path.insert(0, {RESERVED!r}); from {_PACKAGE} import {program} as p; p.main()"
    return Job(
        argv=("python", "-c", start),
        files=files,
        environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        collect=(f"{RESERVED}/{names[1]}",),
        limits=Limits(seconds=seconds, cpu_seconds=seconds, memory_bytes=_MEMORY),
    )


async def answer(sandbox: Sandboxed, work: Job) -> dict[str, Any]:
    """What the program wrote. Raises FailedPreconditionError (TOOL_FAILED) when it left nothing."""
    outcome = await sandbox.run(work)
    content = outcome.files.get(work.collect[0])
    if content is None:
        raise FailedPreconditionError(
            f"the run in the sandbox left no result: {_why(outcome)}", reason="TOOL_FAILED"
        )
    found: dict[str, Any] = json.loads(content)
    return found


def _why(outcome: Outcome) -> str:
    if outcome.end is not End.EXITED:
        return outcome.detail or f"it was ended ({outcome.end.name.lower()})"
    lines = outcome.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else f"exit code {outcome.exit_code}"
