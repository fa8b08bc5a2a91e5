"""The folder of a run: made, measured, read and removed, whatever the code inside did to it."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator

# A file or a folder takes this much, however small it is.
_ENTRY = 4096
# Folders within folders that are still looked at. Deeper ones count as more than anybody may have.
_DEEPEST = 64
BEYOND = 1 << 62

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write(root: str, files: Iterator[tuple[str, bytes]]) -> None:
    """Puts files below a folder. Paths are relative and were checked."""
    for path, content in files:
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content)


def used(root: str, enough: int) -> int:
    """Bytes below a folder. Stops at `enough`, since more is too much anyway.

    A file with several names counts once, and each name as an entry.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        if depth > _DEEPEST:
            return BEYOND
        try:
            _open_to_us(folder)
            with os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        about = entry.stat(follow_symlinks=False)
                        total += _ENTRY
                        if (about.st_dev, about.st_ino) in seen:
                            continue
                        if about.st_nlink > 1:
                            seen.add((about.st_dev, about.st_ino))
                        total += max(about.st_blocks * 512 - _ENTRY, 0)
                        if stat.S_ISDIR(about.st_mode):
                            waiting.append((entry.path, depth + 1))
                    if total > enough:
                        return total
        except (FileNotFoundError, NotADirectoryError):
            # Gone, or exchanged, while it was looked at.
            continue
        except OSError:
            return BEYOND
    return total


def _open_to_us(folder: str) -> None:
    """A folder may have been made without rights."""
    about = os.stat(folder, follow_symlinks=False)
    if stat.S_ISDIR(about.st_mode) and about.st_mode & 0o700 != 0o700:
        _chmod_folder(folder)


def _chmod_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", 0o700)
    finally:
        os.close(descriptor)


def content(root: str, path: str, largest: int) -> bytes | None:
    """A regular file below a folder; None when there is none by that way, or it is larger.

    No link is followed, in no part of the path: what runs inside may have put one there.
    """
    parts = path.split("/")
    descriptors = [os.open(root, _FOLDER)]
    try:
        for part in parts[:-1]:
            descriptors.append(os.open(part, _FOLDER, dir_fd=descriptors[-1]))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptors.append(os.open(parts[-1], flags, dir_fd=descriptors[-1]))
        about = os.fstat(descriptors[-1])
        if not stat.S_ISREG(about.st_mode) or about.st_size > largest:
            return None
        with open(descriptors.pop(), "rb") as file:
            return file.read(largest)
    except OSError:
        return None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def remove(root: str) -> None:
    """Takes a folder away with all that is in it.

    However deep it is: folders are lifted to the top one after the other, so that no path gets long.
    Raises OSError.
    """
    try:
        top = os.open(root, _FOLDER)
    except FileNotFoundError:
        return
    fresh = (f"lifted-{number}" for number in itertools.count())
    try:
        while names := os.listdir(top):
            for name in names:
                _take_apart(top, name, fresh)
    finally:
        os.close(top)
    os.rmdir(root)


def _take_apart(top: int, name: str, fresh: Iterator[str]) -> None:
    about = os.stat(name, dir_fd=top, follow_symlinks=False)
    if not stat.S_ISDIR(about.st_mode):
        os.unlink(name, dir_fd=top)
        return
    os.chmod(name, 0o700, dir_fd=top)
    folder = os.open(name, _FOLDER, dir_fd=top)
    try:
        for inner in os.listdir(folder):
            if stat.S_ISDIR(os.stat(inner, dir_fd=folder, follow_symlinks=False).st_mode):
                # Another name may be taken by what was inside; the next one is not.
                while _exists(top, lifted := next(fresh)):
                    continue
                _chmod_at(folder, inner)
                os.rename(inner, lifted, src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _chmod_at(folder: int, name: str) -> None:
    # To be moved, a folder must be writable by its owner.
    os.chmod(name, 0o700, dir_fd=folder)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
