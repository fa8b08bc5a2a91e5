"""A folder that is looked at again and again: what is in it, what of it is quiet, and its hashes."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from meldrag_cli.failures import UsageFailure
from meldrag_cli.files import MOST_FILES, Choice, chosen

# For so long nobody has written to a file that is sent. Longer than the times of any file system are coarse,
# so that no change hides behind the time of the one before it.
QUIET_SECONDS = 2.0


class Look(NamedTuple):
    """By what a file is known to be the one that was read: its size in bytes, and its times in nanoseconds.

    changed_ns: of the inode, which nobody can set back.
    """

    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Look:
        """From what the system says of a file."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass
class View:
    """What is in a folder now; paths are those below it, with "/".

    files: what can be read, or seems so. unread: what is there and cannot be looked at, with the reason.
    lost: folders that cannot be read, with the reason; they end with "/".
    """

    files: dict[str, Look] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


@dataclass
class Contents:
    """What is in a folder, by what it holds.

    hashes: the SHA-256 in hex of what is quiet. restless: what somebody still writes to. unread, lost: as a
    View has them. sizes: in bytes, of all files.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    restless: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def has(self, below: str) -> bool:
        """Whether a file is there, or may be, where nobody could look."""
        if below in self.sizes or below in self.unread:
            return True
        return any(below.startswith(folder) for folder in self.lost)

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all."""
        return not (self.sizes or self.unread or self.lost)


class Folder:
    """A directory and what is remembered of it. One thread.

    clock: seconds that only go on. calendar: seconds as file systems count them.
    """

    def __init__(
        self,
        root: Path,
        choice: Choice,
        *,
        clock: Callable[[], float] = time.monotonic,
        calendar: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self._choice = choice
        self._clock = clock
        self._calendar = calendar
        self._hashed: dict[str, tuple[Look, str]] = {}
        # What is not quiet yet, as it was seen first, and when.
        self._young: dict[str, tuple[Look, float]] = {}
        self._looked = False
        # How long the last view took.
        self.view_seconds = 0.0

    def missing(self, below: str) -> bool:
        """Whether a file is not there now; so too what is not meant, and links, which have other names."""
        path = self.root / below
        return not self._choice.means(below) or path.is_symlink() or not path.is_file()

    def view(self) -> View:
        """What is in it now. Takes a call of the system for each file, and reads none.

        Links to files are followed, and each file is there once, under its own name where that is in the
        folder; links to directories are not followed. Raises UsageFailure for a folder that is not there or
        cannot be read, and for more than 100,000 files.
        """
        view = View()
        links: dict[str, str] = {}

        def lost(folder: str, error: OSError) -> None:
            if not folder:
                raise _unreadable(self.root, error) from error
            view.lost[folder] = _said(error)

        for below, entry in chosen(self.root, self._choice, lost):
            try:
                found = entry.stat()
            except OSError as error:
                # What went while it was looked at has gone. A link that leads nowhere is still there: what it
                # leads to may be on a disk that is away.
                if not isinstance(error, FileNotFoundError) or os.path.lexists(entry.path):
                    view.unread[below] = _said(error)
                continue
            if not stat.S_ISREG(found.st_mode):
                continue
            if entry.is_symlink():
                links[below] = os.path.realpath(entry.path)
            view.files[below] = Look.of(found)
            if len(view.files) > MOST_FILES:
                raise UsageFailure("TOO_MANY_FILES", f"more than {MOST_FILES} files in {self.root}")
        self._leave_doubles(view, links)
        return view

    def _leave_doubles(self, view: View, links: Mapping[str, str]) -> None:
        root = os.path.realpath(self.root) + os.sep
        known: set[str] = set()
        for below, real in links.items():
            inside = real[len(root) :].replace(os.sep, "/") if real.startswith(root) else ""
            if real in known or (inside in view.files and inside not in links):
                del view.files[below]
            known.add(real)

    def contents(self, seen: Callable[[int, int], None] = lambda *_: None) -> Contents:
        """What is in it now, read where it is quiet and was not read before as it is.

        seen: told how many bytes of those that must be read are. Raises what `view` raises.
        """
        now = self._clock()
        view = self.view()
        self.view_seconds = self._clock() - now
        contents = Contents(unread=view.unread, lost=view.lost)
        contents.sizes = {path: look.size for path, look in view.files.items()}
        self._hashed = {path: known for path, known in self._hashed.items() if path in view.files}
        self._young = {path: young for path, young in self._young.items() if path in view.files}
        to_read: dict[str, Look] = {}
        for path, look in view.files.items():
            known = self._hashed.get(path)
            if known is not None and known[0] == look:
                contents.hashes[path] = known[1]
            elif self._quiet(path, look, now):
                to_read[path] = look
            else:
                contents.restless.append(path)
        for path, sha256 in self._read(to_read, contents, seen):
            contents.hashes[path] = sha256
        self._looked = True
        return contents

    def _quiet(self, path: str, look: Look, now: float) -> bool:
        """Whether nobody writes to a file.

        At the first look its own time tells that; later, when there is an earlier look to compare with, only
        that counts: clocks of other machines may differ from ours.
        """
        if not self._looked and self._calendar() - look.modified_ns / 1e9 >= QUIET_SECONDS:
            return True
        first, since = self._young.get(path, (None, now))
        if first != look:
            self._young[path] = (look, now)
            return False
        return now - since >= QUIET_SECONDS

    def _read(
        self, files: Mapping[str, Look], contents: Contents, seen: Callable[[int, int], None]
    ) -> Iterator[tuple[str, str]]:
        whole, done = sum(look.size for look in files.values()), 0
        for path, look in files.items():
            try:
                with (self.root / path).open("rb") as opened:
                    sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
                    after = Look.of(os.fstat(opened.fileno()))
            except OSError as error:
                contents.unread[path] = _said(error)
                continue
            self._young.pop(path, None)
            if after == look:
                self._hashed[path] = (look, sha256)
                yield path, sha256
            else:
                self._young[path] = (after, self._clock())
                contents.restless.append(path)
            done += look.size
            seen(done, whole)


def _unreadable(root: Path, error: OSError) -> UsageFailure:
    if isinstance(error, FileNotFoundError):
        return UsageFailure("FILE_NOT_FOUND", f"{root} is not there")
    if isinstance(error, NotADirectoryError):
        return UsageFailure("NOT_A_FOLDER", f"{root} is no folder")
    return UsageFailure("NOT_READABLE", f"{root}: {_said(error)}")


def _said(error: OSError) -> str:
    return error.strerror or str(error)
