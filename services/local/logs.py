"""Keeps the log files of the processes from growing without bound."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def rotate(path: Path, max_size: int, backups: int) -> None:
    """Puts a log of more than `max_size` bytes aside as `path.1`, the one before as `path.2` and so on.

    The file itself is emptied in place, since its writer holds it open (in append
    mode, so it goes on at the new end). Lines written between the copy and the
    emptying are lost.
    """
    try:
        if path.stat().st_size <= max_size:
            return
    except FileNotFoundError:
        return
    numbered = [path.with_name(f"{path.name}.{number}") for number in range(1, backups + 1)]
    for older, newer in zip(reversed(numbered[1:]), reversed(numbered[:-1]), strict=True):
        if newer.exists():
            newer.replace(older)
    if numbered:
        shutil.copyfile(path, numbered[0])
    os.truncate(path, 0)
