from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from services.local import guard as guard_script
from services.local.house import GiveUpError, House, Limits, Member
from services.local.process import Guard, Process
from services.local.readiness import Probe
from tests.support.waits import promised

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


async def always() -> bool:
    return True


async def never() -> bool:
    return False


class Stage:
    """A house of small programs in a directory of its own."""

    def __init__(self, directory: Path, restarts: int = 5) -> None:
        self.directory = directory
        self.record = directory / "processes.json"
        self.lines: list[str] = []
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()
        self.guard = Guard()
        self._restarts = restarts
        self._members: list[Member] = []

    def add(
        self,
        name: str,
        *command: str,
        ready: Probe = always,
        comes_first: bool = False,
    ) -> None:
        process = Process(name, command, os.environ, self.directory / f"{name}.log", self.guard)
        self._members.append(Member(process, ready, "", comes_first=comes_first))

    async def run(self) -> None:
        house = House(self._members, Limits(self._restarts, 10_000, 1), self.record, self.lines.append)
        try:
            await house.run(self.stop, self.hurry, "all ready")
        finally:
            await self.guard.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.run())
        try:
            await until(
                lambda: task.done() or (self.all_started() and any("all ready" in x for x in self.lines))
            )
            yield
        finally:
            self.stop.set()
            await asyncio.wait_for(task, 10)

    def all_started(self) -> bool:
        return self.record.exists() and None not in json.loads(self.record.read_text()).values()

    def pid(self, name: str) -> int:
        return int(json.loads(self.record.read_text())[name])


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come about"
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_a_killed_process_is_started_again(stage: Stage) -> None:
    stage.add("one", "sleep", "60")
    async with stage.running():
        first = stage.pid("one")
        os.kill(first, signal.SIGKILL)
        await until(lambda: stage.pid("one") != first)
        assert alive(stage.pid("one"))
        assert any("killed by signal 9" in line for line in stage.lines)


async def test_the_next_process_waits_for_the_one_that_comes_first(stage: Stage, tmp_path: Path) -> None:
    async def ready() -> bool:
        return (tmp_path / "go").exists()

    stage.add("first", "sleep", "60", ready=ready, comes_first=True)
    stage.add("second", "sleep", "60")
    task = asyncio.create_task(stage.run())
    await until(stage.record.exists)
    await asyncio.sleep(0.3)
    assert json.loads(stage.record.read_text())["second"] is None
    (tmp_path / "go").touch()
    await until(lambda: json.loads(stage.record.read_text())["second"] is not None)
    stage.stop.set()
    await task


async def test_a_process_that_leaves_before_it_worked_ends_the_house(
    stage: Stage,
) -> None:
    stage.add("good", "sleep", "60")
    stage.add("bad", "sh", "-c", "echo LOG_LEVEL is wrong; exit 2", ready=never)

    with pytest.raises(GiveUpError, match=r"(?s)bad ended with exit code 2.*LOG_LEVEL is wrong"):
        await stage.run()

    assert not stage.record.exists()


async def test_a_process_that_keeps_dying_is_given_up(tmp_path: Path) -> None:
    stage = Stage(tmp_path, restarts=2)
    stage.add("weak", "sh", "-c", "echo ouch; sleep 0.1; kill -9 $$")

    with pytest.raises(GiveUpError, match=r"(?s)weak was killed by signal 9, 3 times.*ouch"):
        await stage.run()


async def test_a_program_that_is_not_there_ends_the_house(stage: Stage) -> None:
    stage.add("ghost", "/nonexistent/program", ready=never)

    with pytest.raises(GiveUpError, match="ghost ended with exit code 127"):
        await stage.run()


async def test_stopping_goes_in_reverse_order(stage: Stage, tmp_path: Path) -> None:
    order = tmp_path / "order"
    for name in ("one", "two", "three"):
        stage.add(
            name, "sh", "-c", f"trap 'echo {name} >> {order}; exit 0' TERM; while :; do sleep 0.05; done"
        )
    async with stage.running():
        await asyncio.sleep(0.2)

    assert order.read_text().split() == ["three", "two", "one"]
    assert not stage.record.exists()


async def test_a_process_that_ignores_the_request_is_killed_within_five_seconds(stage: Stage) -> None:
    stage.add("stubborn", sys.executable, "-c", STUBBORN)
    async with stage.running():
        await until(lambda: (stage.directory / "stubborn.log").stat().st_size > 0)
        pid, began = stage.pid("stubborn"), time.monotonic()

    assert time.monotonic() - began < promised(5)
    assert not alive(pid)


async def test_a_stopped_process_is_killed_too(stage: Stage) -> None:
    stage.add("frozen", "sleep", "60")
    async with stage.running():
        pid = stage.pid("frozen")
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)

    assert not alive(pid)


async def test_a_second_request_kills_at_once(stage: Stage) -> None:
    stage.add("stubborn", sys.executable, "-c", STUBBORN)
    async with stage.running():
        await until(lambda: (stage.directory / "stubborn.log").stat().st_size > 0)
        stage.hurry.set()
        began = time.monotonic()

    assert time.monotonic() - began < promised(1)


async def test_what_a_process_started_itself_ends_with_it(stage: Stage, tmp_path: Path) -> None:
    child = tmp_path / "child"
    stage.add("parent", "sh", "-c", f"sleep 60 & echo $! > {child}; wait")
    async with stage.running():
        await until(lambda: child.exists() and child.read_text().strip() != "")
        orphan = int(child.read_text())
        os.kill(stage.pid("parent"), signal.SIGKILL)
        await until(lambda: not alive(orphan))


async def test_a_guard_that_was_killed_is_replaced(stage: Stage) -> None:
    stage.add("one", "sleep", "60")
    async with stage.running():
        me = psutil.Process()
        [first] = guards_of(me)
        first.kill()
        await asyncio.sleep(0.1)
        os.kill(stage.pid("one"), signal.SIGKILL)
        await until(lambda: len(guards_of(me)) > 0)
        await until(lambda: stage.pid("one") is not None)


def guards_of(process: psutil.Process) -> list[psutil.Process]:
    """The guards that run."""
    found = []
    for child in process.children():
        # One may have ended, or end between the list and the look at it. A zombie is told as one that is not.
        with suppress(psutil.NoSuchProcess):
            if guard_script.__file__ in child.cmdline():
                found.append(child)
    return found


@pytest.mark.parametrize("program", ["import time; time.sleep(60)", STUBBORN], ids=["obedient", "stubborn"])
def test_the_guard_ends_what_it_knows_when_its_input_ends(program: str) -> None:
    guard = subprocess.Popen([sys.executable, "-I", "-S", guard_script.__file__], stdin=subprocess.PIPE)
    known = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    forgotten = subprocess.Popen(["sleep", "60"], start_new_session=True)
    assert guard.stdin is not None
    with guard.stdin as announcements:
        announcements.write(f"+{known.pid}\n+{forgotten.pid}\n-{forgotten.pid}\n".encode())
    try:
        assert known.wait(timeout=5) < 0
        assert guard.wait(timeout=5) == 0
        assert forgotten.poll() is None
    finally:
        for process in (guard, known, forgotten):
            process.kill()
            process.wait()
