"""Jobs and outcomes; what happens where there is no sandbox, no place, or nobody who waits."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from services.chassis.errors import FailedPreconditionError, InvalidArgumentError, ResourceExhaustedError
from services.sandbox import launching, layers
from services.sandbox.launching import Launcher
from services.sandbox.layers import Layer
from services.sandbox.model import End, Job, Limits, Outcome
from services.sandbox.room import landlock
from services.sandbox.sandbox import Sandbox, open_sandbox
from tests.unit.sandbox.rooms import alive, sandbox, wait_until_gone

BOTH = pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
_FOREVER = "import os, time\nif os.fork() == 0: os.setsid()\nprint('up', flush=True)\ntime.sleep(1000)"


def left(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@BOTH
async def test_a_job_gets_its_files_input_and_environment(name: str) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from package.inner import value\n"
        "print(value, sys.stdin.read(), os.environ['GREETING'], sys.argv[1])\n"
        "print(os.getcwd() == os.environ['HOME'], sorted(os.listdir()), file=sys.stderr)\n"
        "pathlib.Path('out').mkdir(); pathlib.Path('out/made.bin').write_bytes(bytes(range(256)))\n"
        "sys.exit(7)\n"
    )
    job = Job(
        argv=("python", "main.py", "ä b"),
        files={"main.py": code.encode(), "package/inner.py": b"value = 42\n"},
        stdin=b"typed",
        environment={"GREETING": "hello"},
        collect=("out/made.bin", "package/inner.py", "out", "missing"),
    )

    outcome = await sandbox(name).run(job)

    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert outcome.stdout.decode() == "42 typed hello ä b\n"
    assert outcome.stderr == b"True ['main.py', 'package']\n"
    assert outcome.files == {"out/made.bin": bytes(range(256)), "package/inner.py": b"value = 42\n"}
    assert 0 < outcome.seconds < 60
    assert outcome.detail == "ended with exit code 7"


@BOTH
async def test_packages_of_the_service_are_there(name: str) -> None:
    code = "import numpy, pytest, sqlite3, ssl\nprint(numpy.ones(3).sum())"

    outcome = await sandbox(name).run(Job(argv=("python", "-c", code), limits=Limits(seconds=60)))

    assert outcome.stdout == b"3.0\n", outcome.stderr


@BOTH
async def test_modes_and_times_of_its_own_files_change(name: str) -> None:
    code = (
        "import os, pathlib, shutil, stat\n"
        "made = pathlib.Path('made'); made.write_text('x')\n"
        "made.chmod(0o640); assert stat.S_IMODE(made.stat().st_mode) == 0o640\n"
        "os.utime(made, (12, 34.5)); assert (made.stat().st_atime, made.stat().st_mtime) == (12, 34.5)\n"
        "os.utime(made, ns=(1, 2)); assert made.stat().st_mtime_ns == 2\n"
        "os.utime(made); assert made.stat().st_mtime > 1e9\n"
        "file = made.open('r+'); os.fchmod(file.fileno(), 0o600); os.utime(file.fileno(), (1, 1))\n"
        "assert (made.stat().st_mtime, stat.S_IMODE(made.stat().st_mode)) == (1, 0o600)\n"
        "folder = pathlib.Path('folder/inner'); folder.mkdir(parents=True)\n"
        "shutil.copy(made, folder / 'copy'); shutil.copytree('folder', os.environ['TMPDIR'] + '/tree')\n"
        "os.chdir(folder); os.chmod('copy', 0o400); os.chmod('../inner/copy', 0o600)\n"
        "there = os.open('..', os.O_RDONLY); os.chmod('inner/copy', 0o444, dir_fd=there)\n"
        "assert stat.S_IMODE(os.stat('copy').st_mode) == 0o444\n"
        "try: os.chmod('missing', 0o600)\n"
        "except FileNotFoundError: print('done')\n"
    )

    outcome = await sandbox(name).run(Job(argv=("python", "-c", code)))

    assert outcome.stdout == b"done\n", outcome.stderr.decode()


@BOTH
async def test_programs_beside_the_interpreter_run(name: str) -> None:
    job = Job(argv=("ruff", "check", "--isolated", "a.py"), files={"a.py": b"import os\n"})

    outcome = await sandbox(name).run(job)

    assert outcome.exit_code == 1
    assert b"F401" in outcome.stdout


@BOTH
async def test_links_are_not_collected(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    code = (
        "import os, sys\n"
        "os.symlink(sys.argv[1], 'link')\n"
        "os.symlink(os.path.dirname(sys.argv[1]), 'folder')\n"
        "os.mkfifo('pipe')\n"
        "os.mkdir('hidden', 0)\n"
    )
    job = Job(
        argv=("python", "-c", code, str(secret)), collect=("link", "folder/secret", "pipe", "hidden/secret")
    )

    outcome = await sandbox(name).run(job)

    assert (outcome.exit_code, outcome.files) == (0, {})


@BOTH
async def test_a_collected_file_is_no_larger_than_a_file_may_be(name: str) -> None:
    code = "f = open('sparse', 'wb')\nf.truncate(1 << 20)"
    job = Job(argv=("python", "-c", code), collect=("sparse",), limits=Limits(file_bytes=1 << 20))

    assert len((await sandbox(name).run(job)).files["sparse"]) == 1 << 20


@BOTH
async def test_jobs_run_side_by_side_in_rooms_of_their_own(name: str) -> None:
    box = sandbox(name, places=4)
    code = "import os, sys, time\nopen(sys.argv[1], 'w')\ntime.sleep(0.3)\nprint(os.listdir())"

    outcomes = await asyncio.gather(
        *(box.run(Job(argv=("python", "-c", code, str(number)))) for number in range(4))
    )

    assert [outcome.stdout.decode() for outcome in outcomes] == [f"['{number}']\n" for number in range(4)]


async def test_no_place_in_time() -> None:
    launcher = sandbox("landlock").launcher
    box = Sandbox(launcher, places=1, wait_seconds=0.2)
    first = asyncio.create_task(box.run(Job(argv=("python", "-c", "import time; time.sleep(2)"))))
    await asyncio.sleep(0)

    with pytest.raises(ResourceExhaustedError) as caught:
        await box.run(Job(argv=("python", "-c", "")))

    assert caught.value.reason == "TOO_MANY_RUNS"
    assert (await first).exit_code == 0


@BOTH
async def test_who_stops_waiting_ends_the_run(name: str, tmp_path: Path) -> None:
    mark = f"mark-{secrets.token_hex(8)}"
    job = Job(argv=("python", "-c", _FOREVER, mark), limits=Limits(seconds=600))
    box = sandbox(name, tmp_path)
    running = asyncio.create_task(box.run(job))
    while len(alive(mark)) < 2:
        await asyncio.sleep(0.05)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert alive(mark) == []
    assert left(tmp_path) == []
    # Its place is free again.
    assert (await box.run(Job(argv=("python", "-c", "")))).exit_code == 0


@BOTH
async def test_who_leaves_in_the_middle_of_an_outcome_gets_the_place_free(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def stuck(source: asyncio.StreamReader, _job: Job) -> Outcome:
        await source.readexactly(1)
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    code = "import pathlib; pathlib.Path('large').write_bytes(bytes(8 << 20))"
    job = Job(argv=("python", "-c", code), collect=("large",), limits=Limits(seconds=60))
    box = sandbox(name, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(launching, "_outcome", stuck)
        running = asyncio.create_task(box.run(job))
        await begun.wait()
        # More comes than anybody keeps for a reader that is late.
        await asyncio.sleep(0.2)
        running.cancel()
        async with asyncio.timeout(30):
            with pytest.raises(asyncio.CancelledError):
                await running

    assert left(tmp_path) == []
    assert len((await box.run(job)).files["large"]) == 8 << 20


_SERVICE = """
import asyncio, sys
from pathlib import Path
from services.sandbox.launching import Launcher
from services.sandbox.layers import Layer, find_bubblewrap, python
from services.sandbox.model import Job, Limits
launcher = Launcher(Layer(sys.argv[1]), Path(sys.argv[2]), find_bubblewrap())
job = Job(argv=("python", "-c", sys.argv[3], sys.argv[4]), limits=Limits(seconds=600))
asyncio.run(launcher.launch(job, python()))
"""


def _service(name: str, folder: Path, mark: str) -> subprocess.Popen[bytes]:
    """A process with a run of two processes in its sandbox."""
    # Not at hand there means skipped here.
    sandbox(name)
    service = subprocess.Popen([sys.executable, "-c", _SERVICE, name, str(folder), _FOREVER, mark[::-1]])
    until = time.monotonic() + 30
    while len(alive(mark[::-1])) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    assert len(alive(mark[::-1])) >= 3
    return service


@BOTH
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_that_is_killed_leaves_nothing(name: str, number: int, tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    service = _service(name, tmp_path, mark)

    service.send_signal(number)
    service.wait()

    assert wait_until_gone(mark[::-1]) == []
    until = time.monotonic() + 10
    while list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


@BOTH
@pytest.mark.parametrize("which", [0, 1])
def test_a_launcher_that_is_killed_leaves_no_process(name: str, which: int, tmp_path: Path) -> None:
    """The first process of the launcher, or the one below it."""
    mark = secrets.token_hex(8)
    service = _service(name, tmp_path, mark)
    below = psutil.Process(service.pid).children()
    for _ in range(which):
        below = below[0].children()

    below[0].kill()
    service.wait()

    assert wait_until_gone(mark[::-1]) == []


async def test_what_a_killed_launcher_left_is_swept(tmp_path: Path) -> None:
    mark = f"mark-{secrets.token_hex(8)}"
    job = Job(argv=("python", "-c", _FOREVER, mark), limits=Limits(seconds=600))
    running = asyncio.create_task(sandbox("landlock", tmp_path).run(job))
    while len(alive(mark)) < 2:
        await asyncio.sleep(0.05)
    (guard,) = (
        child
        for child in psutil.Process().children()
        if any(mark in part for inner in child.children(recursive=True) for part in inner.cmdline())
    )

    guard.children()[0].kill()
    with pytest.raises(FailedPreconditionError, match="without a word"):
        await running

    assert alive(mark) == []
    assert left(tmp_path) == []


async def test_without_a_sandbox_nothing_runs(tmp_path: Path) -> None:
    box = await open_sandbox("off")

    with pytest.raises(FailedPreconditionError) as caught:
        await box.run(Job(argv=("python", "-c", f"open({str(tmp_path / 'ran')!r}, 'w')")))

    assert caught.value.reason == "TOOL_UNAVAILABLE"
    assert caught.value.metadata["tool"] == "sandbox"
    assert "switched off" in caught.value.message
    assert box.layer is None
    assert left(tmp_path) == []


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/bwrap"])
async def test_a_bubblewrap_that_does_not_work_is_no_sandbox(program: str, tmp_path: Path) -> None:
    box = Sandbox(Launcher(Layer.BUBBLEWRAP, tmp_path, program))

    with pytest.raises(FailedPreconditionError) as caught:
        await box.run(Job(argv=("python", "-c", "")))

    assert caught.value.reason == "TOOL_UNAVAILABLE"


async def test_landlock_without_landlock_is_no_sandbox(tmp_path: Path) -> None:
    box = Sandbox(Launcher(Layer.LANDLOCK, tmp_path, abi=0))

    with pytest.raises(FailedPreconditionError, match="no Landlock"):
        await box.run(Job(argv=("python", "-c", "")))


async def test_what_is_chosen_is_used() -> None:
    if not landlock.version():
        pytest.skip("the kernel has no Landlock")

    box = await open_sandbox("landlock")

    assert box.layer is Layer.LANDLOCK
    assert (await box.run(Job(argv=("python", "-c", "print(1)")))).stdout == b"1\n"


async def test_the_first_that_holds_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    if not landlock.version():
        pytest.skip("the kernel has no Landlock")
    monkeypatch.setattr(layers, "find_bubblewrap", lambda: "/bin/false")

    box = await open_sandbox()

    assert box.layer is Layer.LANDLOCK
    assert "bubblewrap" in box.reason


async def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="chroot"):
        await open_sandbox("chroot")


def test_the_launcher_never_imported_grpc() -> None:
    """What it imports, seen in a process that starts as it does."""
    command = layers.command(Layer.LANDLOCK, 1 << 20)
    code = command[-1].rpartition(";")[0] + "; print(*sys.modules)"

    modules = subprocess.run(
        [*command[:-1], code], capture_output=True, text=True, check=True, env={}, cwd=os.sep
    ).stdout.split()

    assert "services.sandbox.room.launcher" in modules
    assert not {"grpc", "asyncio", "services.chassis", "pydantic"} & set(modules)


@BOTH
@pytest.mark.skipif(layers.program("tesseract") is None, reason="tesseract is not installed")
async def test_a_program_of_the_system_that_is_named_runs_with_what_it_reads(name: str) -> None:
    outcome = await sandbox(name).run(Job(argv=("tesseract", "--list-langs")))

    assert outcome.exit_code == 0, outcome.stderr
    assert "eng" in outcome.stdout.decode().split()


@pytest.mark.parametrize("program", ["/usr/bin/tesseract", "ls", "sh"])
async def test_other_programs_of_the_system_are_refused(program: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await sandbox("bubblewrap").run(Job(argv=(program,)))
