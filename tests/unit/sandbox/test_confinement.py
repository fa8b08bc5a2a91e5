"""What the kernel says of a process in the sandbox, seen from outside."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from pathlib import Path

import psutil
import pytest

from services.sandbox.model import Job, Limits
from tests.unit.sandbox.rooms import LAYERS, launcher, sandbox


def _inside(mark: str) -> int | None:
    """The process that runs the code: its last argument is the mark."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or [""]
        if command[-1] == mark:
            return process.pid
    return None


def _status(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _spaces(process: int | str) -> dict[str, str]:
    return {
        name: str(Path(f"/proc/{process}/ns/{name}").readlink())
        for name in ("ipc", "mnt", "net", "pid", "user", "uts")
    }


def _score(process: int) -> int:
    return int(Path(f"/proc/{process}/oom_score_adj").read_text())


def _descriptors(process: int) -> list[str]:
    return sorted(path.name for path in Path(f"/proc/{process}/fd").iterdir())


def _limits(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[47:68].strip() for line in lines}


@pytest.mark.parametrize("name", LAYERS)
async def test_a_process_in_the_sandbox(name: str) -> None:
    mark = f"mark-{secrets.token_hex(8)}"
    layer = launcher(name).layer
    code = "import time; time.sleep(1000)"
    running = asyncio.create_task(
        sandbox(name).run(Job(argv=("python", "-c", code, mark), limits=Limits(seconds=60)))
    )
    try:
        while (process := _inside(mark)) is None:
            await asyncio.sleep(0.02)
        status, limits, spaces = _status(process), _limits(process), _spaces(process)
        session = os.getsid(process)
        score = _score(process)
        # While it starts, the interpreter opens its own files. What was passed on would stay open.
        until = time.monotonic() + 30
        while len(descriptors := _descriptors(process)) > 3 and time.monotonic() < until:
            await asyncio.sleep(0.05)
        nice = psutil.Process(process).nice()
        environment = psutil.Process(process).environ()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert {status[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert session == process
    assert descriptors == ["0", "1", "2"]
    assert nice > psutil.Process().nice()
    assert limits["Max address space"] == str(512 << 20)
    assert limits["Max file size"] == str(16 << 20)
    assert limits["Max core file size"] == "1"
    assert limits["Max open files"] == "256"
    assert not {name for name in environment if name.startswith(("MELD_", "OPENAI_", "PYTEST"))}
    if name != "bubblewrap-without-landlock":
        assert score == 1000
    own = _spaces("self")
    shared = {kind for kind in own if own[kind] == spaces[kind]}
    assert shared == (set() if layer.value == "bubblewrap" else set(own))
