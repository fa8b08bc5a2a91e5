"""Which files are meant by paths: files as they are, directories with what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from meldrag_cli.failures import UsageFailure

# More than that in one command is a mistake, as `meld ingest /`.
MOST_FILES = 100_000


@dataclass(frozen=True)
class File:
    """path: to open it. name: how it is called to people, and to the house when documents are replaced.

    bytes: its size when it was found.
    """

    path: Path
    name: str
    bytes: int


def found(
    paths: Iterable[Path], include: Sequence[str] = (), exclude: Sequence[str] = (), *, hidden: bool = False
) -> list[File]:
    """The files, in the order of the paths and by name within directories, each once.

    In directories names that begin with a dot are left out unless `hidden`, and links
    to directories are not followed. `include` and `exclude` are patterns as
    "*.md" or "drafts/*" for paths below a directory; files named by themselves are
    always meant. Raises UsageFailure for a path that is not there, and for more than
    100,000 files.
    """
    files: list[File] = []
    known: set[Path] = set()
    for path in paths:
        for each in _of(path, include, exclude, hidden):
            real = each.resolve()
            if real in known:
                continue
            known.add(real)
            files.append(File(each, str(each), _size(each)))
            if len(files) > MOST_FILES:
                raise UsageFailure("TOO_MANY_FILES", f"more than {MOST_FILES} files; name fewer at once")
    return files


def _of(path: Path, include: Sequence[str], exclude: Sequence[str], hidden: bool) -> Iterator[Path]:
    if path.is_dir():
        yield from _below(path, include, exclude, hidden)
    elif path.is_file():
        yield path
    elif path.exists():
        raise UsageFailure("NOT_A_FILE", f"{path} is neither a file nor a directory")
    else:
        raise UsageFailure("FILE_NOT_FOUND", f"{path} is not there")


def _below(root: Path, include: Sequence[str], exclude: Sequence[str], hidden: bool) -> Iterator[Path]:
    def lost(error: OSError) -> None:
        raise UsageFailure("NOT_READABLE", f"{error.filename}: {error.strerror}") from error

    for folder, folders, names in os.walk(root, onerror=lost):
        folders[:] = sorted(name for name in folders if hidden or not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            below = path.relative_to(root).as_posix()
            if name.startswith(".") and not hidden:
                continue
            if include and not _matches(below, name, include):
                continue
            if not _matches(below, name, exclude) and path.is_file():
                yield path


def _matches(below: str, name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(below, pattern) or fnmatch(name, pattern) for pattern in patterns)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
