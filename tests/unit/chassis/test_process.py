"""Rules of a process: its directory, its deadlines, its crash points."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from services.chassis.deadline import within
from services.chassis.errors import DeadlineExceededError
from services.chassis.lock import lock_directory
from services.chassis.start import StartError


def test_a_directory_has_one_holder(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom services.chassis.lock import lock_directory\n"
        "with lock_directory(pathlib.Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(StartError, match=f"in use by process {child.pid}"), lock_directory(tmp_path):
        pass
    child.kill()
    child.wait()
    with lock_directory(tmp_path):
        pass


async def test_work_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(DeadlineExceededError):
        await within(0.05, asyncio.sleep(5))
    assert await within(1, asyncio.sleep(0, "done")) == "done"


async def test_a_timeout_of_the_work_itself_is_not_ours() -> None:
    async def work() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await within(1, work())


@pytest.mark.parametrize(("wanted", "passings"), [("here", 1), ("here:3", 3), ("there", None)])
def test_a_crash_point_kills_where_it_is_told_to(wanted: str, passings: int | None) -> None:
    code = (
        "from services.chassis.crash import crash_point\n"
        "for n in range(5):\n    print(n, flush=True)\n    crash_point('here')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"MELD_CRASH_AT": wanted},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if passings is None else -9)
    assert len(done.stdout.split()) == (passings or 5)
