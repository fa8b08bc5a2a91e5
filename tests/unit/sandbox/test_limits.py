"""Every limit ends its run, in time, and leaves nothing: no process, no file. In every layer."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.sandbox.layers import Layer
from services.sandbox.model import End, Job, Limits, Outcome
from services.sandbox.sandbox import Sandbox
from tests.support.waits import promised
from tests.unit.sandbox.rooms import alive, sandbox

# The promise is one second. The rest is for machines that do other things at the same time.
_LATE_SECONDS = 5.0


@dataclass
class Room:
    """A sandbox, and the folder in which it makes its rooms."""

    sandbox: Sandbox
    folder: Path

    def run(self, code: str, *, stdin: bytes = b"", **limits: float) -> Outcome:
        mark = f"mark-{secrets.token_hex(8)}"
        chosen = Limits(**{"seconds": 20.0, **limits})  # type: ignore[arg-type]
        job = Job(argv=("python", "-c", code, mark), stdin=stdin, limits=chosen)
        started = time.monotonic()
        outcome = asyncio.run(self.sandbox.run(job))
        assert time.monotonic() - started < promised(chosen.seconds + 1 + _LATE_SECONDS)
        assert alive(mark) == []
        assert list(self.folder.iterdir()) == []
        return outcome


@pytest.fixture(params=["bubblewrap", "landlock"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Room:
    return Room(sandbox(request.param, tmp_path), tmp_path)


ENDLESS = {
    "sleep": "import time\ntime.sleep(1000)",
    "loop": "while True: pass",
    "deaf": "import signal, time\n"
    "for n in range(1, 32):\n"
    "    if n not in (9, 19): signal.signal(n, signal.SIG_IGN)\n"
    "time.sleep(1000)",
    "stopped": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "children": "import os, time\n"
    "for _ in range(5):\n"
    "    if os.fork() == 0: os.setsid(); time.sleep(1000)\n"
    "time.sleep(1000)",
    "waiting for input": "import os\nr, w = os.pipe()\nos.read(r, 1)",
    "deep in C": "import re\nre.match(r'(a+)+$', 'a' * 64 + 'b')",
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "thread bomb": "import threading, time\n"
    "while True:\n"
    "    try: threading.Thread(target=time.sleep, args=(1000,)).start()\n"
    "    except RuntimeError: pass",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_time(name: str, room: Room) -> None:
    outcome = room.run(ENDLESS[name], seconds=0.6, cpu_seconds=60, processes=8)

    assert outcome.end is End.TIME, outcome
    assert outcome.exit_code is None
    assert 0.6 <= outcome.seconds < 1.6 + _LATE_SECONDS


def test_processor_time_of_all_processes_counts(room: Room) -> None:
    code = "import os\nos.fork(); os.fork()\nwhile True: pass"

    outcome = room.run(code, cpu_seconds=0.5)

    assert outcome.end is End.CPU
    assert "processor" in outcome.detail


def test_processor_time_of_children_that_ended_counts(room: Room) -> None:
    code = (
        "import os, time\n"
        "while True:\n"
        "    if os.fork() == 0:\n"
        "        until = time.process_time() + 0.05\n"
        "        while time.process_time() < until: pass\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )

    assert room.run(code, cpu_seconds=0.5).end is End.CPU


def test_one_process_gets_no_more_memory(room: Room) -> None:
    outcome = room.run("x = []\nwhile True: x.append(bytes(1 << 20))", memory_bytes=128 << 20)

    assert (outcome.end, outcome.exit_code) == (End.EXITED, 1)
    assert b"MemoryError" in outcome.stderr


def test_a_list_of_ten_gigabytes_is_refused(room: Room) -> None:
    assert b"MemoryError" in room.run("x = bytes(10 << 30)").stderr


def test_memory_of_all_processes_counts(room: Room) -> None:
    code = (
        "import os, time\n"
        "for _ in range(7):\n"
        "    if os.fork() == 0:\n"
        "        x = b'x' * (60 << 20)\n"
        "        time.sleep(1000)\n"
        "time.sleep(1000)\n"
    )

    outcome = room.run(code, memory_bytes=128 << 20)

    assert outcome.end is End.MEMORY
    assert outcome.seconds < 15


def test_memory_that_processes_share_counts_once(room: Room) -> None:
    code = (
        "import os, time\n"
        "x = b'x' * (60 << 20)\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0: time.sleep(0.5); os._exit(0)\n"
        "for _ in range(4): os.wait()\n"
    )

    assert room.run(code, memory_bytes=160 << 20).exit_code == 0


def test_what_sockets_hold_is_memory(room: Room) -> None:
    code = (
        "import os, socket, time\n"
        "held = []\n"
        "while True:\n"
        "    try: held.append(socket.socketpair())\n"
        "    except OSError:\n"
        "        if os.fork(): time.sleep(1000)\n"
        "        [end.close() for pair in held for end in pair]\n"
        "        held = []\n"
    )

    assert room.run(code, memory_bytes=160 << 20).end is End.MEMORY


@pytest.mark.parametrize(
    "start",
    [
        "os.fork() or time.sleep(1000)",
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
    ],
)
def test_processes_and_threads_are_counted(start: str, room: Room) -> None:
    code = (
        "import os, threading, time\n"
        "started = 1\n"
        "try:\n"
        "    while started < 100:\n"
        f"        {start}\n"
        "        started += 1\n"
        "except (OSError, RuntimeError): pass\n"
        "print(started, flush=True)\n"
        "os._exit(0)\n"
    )

    outcome = room.run(code, processes=9)

    assert outcome.stdout == b"9\n"


def test_processes_that_start_at_once_are_counted(room: Room) -> None:
    """Children start children as fast as they can; each says so when it lives."""
    code = (
        "import os, time\n"
        "r, w = os.pipe()\n"
        "def start():\n"
        "    try: child = os.fork()\n"
        "    except OSError: return False\n"
        "    if child == 0: os.write(w, b'x')\n"
        "    return child == 0\n"
        "for _ in range(7):\n"
        "    if start():\n"
        "        while not start(): pass\n"
        "        time.sleep(1000)\n"
        "time.sleep(1.5)\n"
        "print(len(os.read(r, 100000)) + 1, flush=True)\n"
    )

    outcome = room.run(code, processes=12, cpu_seconds=60)

    assert 7 <= int(outcome.stdout) <= 12


def test_places_become_free_again(room: Room) -> None:
    code = (
        "import subprocess, sys\n"
        "for _ in range(12): subprocess.run([sys.executable, '-S', '-c', ''], check=True)\n"
        "print('all')\n"
    )

    assert room.run(code, processes=3).stdout == b"all\n"


def test_a_file_gets_no_longer(room: Room) -> None:
    code = "f = open('long', 'wb', buffering=0)\nfor _ in range(100): f.write(bytes(1 << 20))"

    outcome = room.run(code, file_bytes=2 << 20)

    assert b"File too large" in outcome.stderr


FULL = {
    "many files": "for n in range(10000): open(str(n), 'wb').write(bytes(1 << 20))",
    "small files": "for n in range(1000000): open(str(n), 'wb').close()",
    "folders": "import os\nfor n in range(1000000): os.mkdir(str(n))",
    "deep folders": "import os\nfor n in range(100000): os.mkdir('a'); os.chdir('a')",
    "names of one file": "import os\nopen('a', 'w')\nfor n in range(1000000): os.link('a', str(n))",
    "links": "import os\nfor n in range(1000000): os.symlink('x' * 200, str(n))",
    "beside the working directory": "import os\n"
    "for n in range(10000): open(f\"{os.environ['TMPDIR']}/{n}\", 'wb').write(bytes(1 << 20))",
    "hidden in a folder without rights": "import os, time\n"
    "os.mkdir('a', 0o300)\n"
    "for n in range(10000): open(f'a/{n}', 'wb').write(bytes(1 << 20))",
}  # fmt: skip


@pytest.mark.parametrize("name", FULL)
def test_space(name: str, room: Room) -> None:
    outcome = room.run(FULL[name], disk_bytes=4 << 20, file_bytes=2 << 20, cpu_seconds=20)

    assert outcome.end is End.DISK, outcome
    assert outcome.seconds < 15


NAMELESS = {
    "open": "import os, time\n"
    "held = []\n"
    "for n in range(100):\n"
    "    f = open(str(n), 'wb', buffering=0); os.unlink(str(n)); held.append(f)\n"
    "    if f.write(bytes(1 << 20)) < 1 << 20: time.sleep(1000)\n"
    "time.sleep(1000)",
    "mapped": "import mmap, os, time\n"
    "held = []\n"
    "for n in range(100):\n"
    "    f = open(str(n), 'w+b', buffering=0); os.unlink(str(n))\n"
    "    if f.write(bytes(1 << 20)) < 1 << 20: time.sleep(1000)\n"
    "    held.append(mmap.mmap(f.fileno(), 4096)); f.close()\n"
    "    os.closerange(3, 200)\n"
    "time.sleep(1000)",
    "unnamed": "import os, time\n"
    "held = []\n"
    "for n in range(100):\n"
    "    f = os.open('.', os.O_TMPFILE | os.O_RDWR); held.append(f)\n"
    "    os.write(f, bytes(1 << 20))\n"
    "time.sleep(1000)",
}


@pytest.mark.parametrize("name", NAMELESS)
def test_space_of_files_without_a_name(name: str, room: Room) -> None:
    outcome = room.run(NAMELESS[name], disk_bytes=4 << 20, file_bytes=2 << 20, seconds=4.0)

    # A file system of its own may be full before it is looked at.
    full = room.sandbox.layer is Layer.BUBBLEWRAP and b"No space left" in outcome.stderr
    assert outcome.end is End.DISK or full, outcome


@pytest.mark.parametrize("stream", [1, 2])
def test_output(stream: int, room: Room) -> None:
    code = f"import os\nfor _ in range(1024): os.write({stream}, b'x' * (1 << 20))"

    outcome = room.run(code, output_bytes=1 << 16)

    assert outcome.end is End.OUTPUT
    assert (outcome.stdout, outcome.stderr)[stream - 1] == b"x" * (1 << 16)
    assert (outcome.stdout, outcome.stderr)[2 - stream] == b""


def test_output_up_to_the_limit_is_no_fault(room: Room) -> None:
    outcome = room.run("import os\nos.write(1, b'x' * 70000)", output_bytes=70000)

    assert (outcome.end, outcome.exit_code, len(outcome.stdout)) == (End.EXITED, 0, 70000)


def test_output_of_children_counts(room: Room) -> None:
    code = "import os\nos.fork(); os.fork()\nwhile True: os.write(1, b'x' * 1000)"

    assert room.run(code, output_bytes=100_000).end is End.OUTPUT


def test_what_a_program_leaves_running_is_ended(room: Room) -> None:
    code = (
        "import os, signal, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        os.chdir('/')\n"
        "        time.sleep(1000)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print('left')\n"
    )

    outcome = room.run(code)

    assert (outcome.end, outcome.stdout) == (End.EXITED, b"left\n")


def test_a_crash_is_a_signal(room: Room) -> None:
    outcome = room.run("import ctypes\nctypes.string_at(0)")

    assert (outcome.end, outcome.exit_code) == (End.SIGNALLED, None)
    assert "SIGSEGV" in outcome.detail


def test_no_descriptor_too_many(room: Room) -> None:
    outcome = room.run("import os\nwhile True: os.dup(1)")

    assert b"Too many open files" in outcome.stderr
