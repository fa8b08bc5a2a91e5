"""Files that the house gives, onto the disk: never over a file, and never half of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from meldrag_cli.failures import UsageFailure
from meldrag_cli.gateway import Download

Seen = Callable[[int], None]


@dataclass(frozen=True)
class Written:
    """A file on the disk: its path, its size in bytes, its SHA-256 in hex."""

    path: Path
    size: int
    sha256: str


def place(file: Path | None, name: str) -> Path:
    """Where a file goes that the house calls `name`: a file, or into a folder; into this one without `file`.

    Raises UsageFailure for one that is there already.
    """
    target = Path(name) if file is None else file
    if target.is_dir():
        target /= name
    if target.exists():
        raise UsageFailure("FILE_EXISTS", f"{target} is there already; nothing is written over a file")
    if not target.parent.is_dir():
        raise UsageFailure("FILE_NOT_FOUND", f"{target.parent} is no folder")
    return target


def write(target: Path, download: Download, seen: Seen) -> Written:
    """Writes a file that only its owner may read; nothing has its name before all of it is on the disk.

    Raises UsageFailure where it cannot be written.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for piece in download.pieces:
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
                    seen(size)
                file.flush()
                os.fsync(file.fileno())
            _name(partial, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
    except FileExistsError:
        raise UsageFailure("FILE_EXISTS", f"{target} is there already; nothing is written over") from None
    except OSError as error:
        raise UsageFailure("NOT_WRITABLE", f"{target}: {error.strerror}") from None
    return Written(target, size, digest.hexdigest())


def _name(partial: Path, target: Path) -> None:
    """Gives a file its name, unless another has it by now."""
    try:
        target.hardlink_to(partial)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        if target.exists():
            raise FileExistsError from None
        partial.rename(target)
