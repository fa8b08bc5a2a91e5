"""Where rooms are made, and what was left there by processes that were killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from pathlib import Path

from services.sandbox.room import space


def base() -> Path:
    """The folder of all rooms of this user; nobody else can look into it. Raises OSError."""
    path = Path(tempfile.gettempdir()) / f"meld-sandbox-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
        raise PermissionError(f"{path} is not a folder of this user alone")
    return path


def sweep(folder: Path) -> int:
    """Removes rooms at which nobody works any more; returns how many. Raises OSError."""
    removed = 0
    for lock in folder.glob("*.lock"):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            space.remove(str(lock.with_suffix("")))
            lock.unlink(missing_ok=True)
            removed += 1
        finally:
            os.close(descriptor)
    return removed
