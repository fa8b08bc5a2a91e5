"""Which files are meant by paths: files as they are, directories with what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    choice = Choice(include, exclude, hidden)
    files: list[File] = []
    known: set[Path] = set()
    for path in paths:
        for each in _of(path, choice):
            real = each.resolve()
            if real in known:
                continue
            known.add(real)
            files.append(File(each, str(each), _size(each)))
            if len(files) > MOST_FILES:
                raise UsageFailure("TOO_MANY_FILES", f"more than {MOST_FILES} files; name fewer at once")
    return files


@dataclass(frozen=True)
class Choice:
    """Which files below a directory are meant.

    include, exclude: patterns as "*.md" or "drafts/*", of names and of paths below the directory.
    hidden: also names that begin with a dot.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    hidden: bool = False

    def means(self, below: str) -> bool:
        """Whether a file of this path, with "/", is meant."""
        parts = below.split("/")
        if not self.hidden and any(part.startswith(".") for part in parts):
            return False
        return self.takes(below, parts[-1])

    def takes(self, below: str, name: str) -> bool:
        """Whether what has this path and name is chosen by the patterns."""
        if self.include and not _matches(below, name, self.include):
            return False
        return not _matches(below, name, self.exclude)


def chosen(
    root: Path, choice: Choice, lost: Callable[[str, OSError], None]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What is meant below a directory, by name: its path from there with "/", and its entry.

    It may be anything but a directory: a link to one is given as well, and not followed.
    lost: told of a directory that cannot be read, by its path with "/" at the end, "" for the root.
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            lost(folder, error)
            continue
        deeper = []
        for entry in entries:
            if entry.name.startswith(".") and not choice.hidden:
                continue
            below = folder + entry.name
            if _is_directory(entry):
                deeper.append(f"{below}/")
            elif choice.takes(below, entry.name):
                yield below, entry
        waiting += reversed(deeper)


def _of(path: Path, choice: Choice) -> Iterator[Path]:
    if path.is_dir():
        for below, _ in chosen(path, choice, _unreadable):
            if (file := path / below).is_file():
                yield file
    elif path.is_file():
        yield path
    elif path.exists():
        raise UsageFailure("NOT_A_FILE", f"{path} is neither a file nor a directory")
    else:
        raise UsageFailure("FILE_NOT_FOUND", f"{path} is not there")


def _unreadable(_: str, error: OSError) -> None:
    raise UsageFailure("NOT_READABLE", f"{error.filename}: {error.strerror}") from error


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        # Whoever opens it will be told why.
        return False


def _matches(below: str, name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(below, pattern) or fnmatch(name, pattern) for pattern in patterns)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
