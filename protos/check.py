"""Checks the contracts: buf lint, and buf breaking against an earlier state.

The earlier state is the commit in CONTRACT_BASE, else where this branch left
main, else the parent commit. Where there is no earlier contract the second
check says so and passes.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUF = Path(sys.executable).with_name("buf")


def output(*arguments: str) -> bytes | None:
    """What the caller's git prints, or None when it fails or is not there."""
    program = shutil.which("git")
    if program is None:
        return None
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def git(*arguments: str) -> str | None:
    """What git prints as a word, or None as `output`."""
    printed = output(*arguments)
    return None if printed is None else printed.decode().strip()


def base() -> str | None:
    """The commit to compare with, or None when there is none."""
    if given := os.environ.get("CONTRACT_BASE"):
        return given
    head = git("rev-parse", "HEAD")
    for branch in ("origin/main", "main"):
        fork = git("merge-base", "HEAD", branch)
        if fork and fork != head:
            return fork
    return git("rev-parse", "HEAD~1")


def contracts_at(commit: str, into: Path) -> bool:
    """Writes the contracts of a commit below `into`; False when it has none."""
    archive = output("archive", commit, "protos")
    if archive is None:
        return False
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(into, filter="data")
    return any((into / "protos").rglob("*.proto"))


def main() -> int:
    """Runs both checks. Returns the exit code."""
    lint = subprocess.run([BUF, "lint", "protos"], cwd=ROOT, check=False).returncode
    commit = base()
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(folder)
        if commit is None or not contracts_at(commit, earlier):
            print("buf breaking: skipped, there is no earlier contract to compare with")
            return lint
        print(f"buf breaking: against {commit[:12]}")
        breaking = subprocess.run(
            [BUF, "breaking", "protos", "--against", str(earlier / "protos")], cwd=ROOT, check=False
        ).returncode
    return lint or breaking


if __name__ == "__main__":
    sys.exit(main())
