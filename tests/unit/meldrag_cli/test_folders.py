"""What is in a folder, what of it is quiet, and how little is read again."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from meldrag_cli import folders
from meldrag_cli.failures import UsageFailure
from meldrag_cli.files import Choice
from meldrag_cli.folders import QUIET_SECONDS, Folder


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._began = time.time()

    def passes(self, seconds: float) -> None:
        self._passed += seconds

    def clock(self) -> float:
        return self._passed

    def calendar(self) -> float:
        return self._began + self._passed

    def folder(self, root: Path) -> Folder:
        return Folder(root, Choice(), clock=self.clock, calendar=self.calendar)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are hashed, as that happens."""
    names: list[str] = []
    true = hashlib.file_digest

    def counted(file: object, name: str) -> object:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return true(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(folders.hashlib, "file_digest", counted)
    return names


def write(path: Path, text: str, *, old: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if old:
        os.utime(path, (time.time() - 60, time.time() - 60))


def test_it_has_what_ingest_would_take(tmp_path: Path) -> None:
    for name in ("b.md", "deep/c.md", ".git/config", "deep/.hidden.md", "drafts/d.md", "e.txt"):
        write(tmp_path / name, name)
    (tmp_path / "circle").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.md")

    def names(choice: Choice) -> list[str]:
        return list(Folder(tmp_path, choice).contents().hashes)

    assert names(Choice()) == ["b.md", "e.txt", "deep/c.md", "drafts/d.md"]
    assert names(Choice(["*.md"], ["drafts/*"])) == ["b.md", "deep/c.md"]
    assert names(Choice(["*config", "*.md"], hidden=True)) == [
        *("b.md", ".git/config", "deep/.hidden.md", "deep/c.md", "drafts/d.md")
    ]
    assert not Folder(tmp_path, Choice(exclude=["drafts/*"])).missing("b.md")
    for away in ("nothing.md", "deep", "circle", ".git/config", "drafts/d.md"):
        assert Folder(tmp_path, Choice(exclude=["drafts/*"])).missing(away)


def test_hashes_are_those_of_the_bytes_and_made_once(tmp_path: Path, read: list[str]) -> None:
    write(tmp_path / "a.md", "one")
    write(tmp_path / "b.md", "two")
    folder = Folder(tmp_path, Choice())
    seen: list[tuple[int, int]] = []

    first = folder.contents(lambda done, whole: seen.append((done, whole)))
    second = folder.contents()

    assert first.hashes == {
        "a.md": hashlib.sha256(b"one").hexdigest(),
        "b.md": hashlib.sha256(b"two").hexdigest(),
    }
    assert second.hashes == first.hashes
    assert read == ["a.md", "b.md"]
    assert seen == [(3, 6), (6, 6)]


def test_a_change_is_seen_even_when_size_and_time_are_put_back(
    tmp_path: Path, read: list[str], clock: Clock
) -> None:
    path = tmp_path / "a.md"
    write(path, "one")
    folder = clock.folder(tmp_path)
    folder.contents()
    kept = path.stat()
    # Longer than a tick of the clock that files have their times from.
    time.sleep(0.05)
    path.write_text("two")
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))

    assert folder.contents().restless == ["a.md"]
    clock.passes(QUIET_SECONDS)
    assert folder.contents().hashes == {"a.md": hashlib.sha256(b"two").hexdigest()}
    assert read == ["a.md", "a.md"]


def test_a_file_that_is_written_to_is_not_read_until_it_is_quiet(
    tmp_path: Path, read: list[str], clock: Clock
) -> None:
    path = tmp_path / "growing.md"
    write(path, "a", old=False)
    folder = clock.folder(tmp_path)
    for number in range(3):
        contents = folder.contents()
        assert (contents.restless, contents.hashes) == (["growing.md"], {})
        assert contents.has("growing.md")
        with path.open("a") as file:
            file.write(str(number))
        clock.passes(QUIET_SECONDS * 0.75)
    folder.contents()
    clock.passes(QUIET_SECONDS * 0.75)
    assert folder.contents().restless == ["growing.md"]
    assert read == []
    clock.passes(QUIET_SECONDS * 0.75)
    assert folder.contents().hashes == {"growing.md": hashlib.sha256(b"a012").hexdigest()}


def test_after_the_first_look_no_clock_is_trusted_but_ours(tmp_path: Path, clock: Clock) -> None:
    folder = clock.folder(tmp_path)
    folder.contents()
    # As from a machine whose clock is behind, or copied with its time.
    write(tmp_path / "old.md", "a")
    assert folder.contents().restless == ["old.md"]
    clock.passes(QUIET_SECONDS)
    assert list(folder.contents().hashes) == ["old.md"]
    future = clock.folder(tmp_path)
    os.utime(tmp_path / "old.md", (time.time() + 3600, time.time() + 3600))
    assert future.contents().restless == ["old.md"]
    clock.passes(QUIET_SECONDS)
    assert list(future.contents().hashes) == ["old.md"]


def test_a_file_that_changes_while_it_is_read_is_restless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.md"
    write(path, "one")
    true = hashlib.file_digest

    def slow(file: object, name: str) -> object:
        digest = true(file, name)  # type: ignore[arg-type]
        path.write_text("another")
        return digest

    monkeypatch.setattr(folders.hashlib, "file_digest", slow)
    contents = Folder(tmp_path, Choice()).contents()
    assert (contents.restless, contents.hashes) == (["a.md"], {})


def test_links_to_files_are_files_once(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.md"
    write(root / "real.md", "r")
    write(outside, "o")
    (root / "a-link.md").symlink_to("real.md")
    (root / "one.md").symlink_to(outside)
    (root / "two.md").symlink_to(outside)
    contents = Folder(root, Choice()).contents()
    assert sorted(contents.hashes) == ["one.md", "real.md"]


def test_a_link_that_leads_nowhere_is_there_and_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "a")
    (tmp_path / "away.md").symlink_to("/nowhere/at/all")
    contents = Folder(tmp_path, Choice()).contents()
    assert list(contents.hashes) == ["a.md"]
    assert list(contents.unread) == ["away.md"]
    assert contents.has("away.md")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_counts_as_there(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "a")
    write(tmp_path / "locked.md", "l")
    write(tmp_path / "deep" / "b.md", "b")
    (tmp_path / "locked.md").chmod(0)
    (tmp_path / "deep").chmod(0)
    try:
        contents = Folder(tmp_path, Choice()).contents()
    finally:
        (tmp_path / "deep").chmod(stat.S_IRWXU)
    assert list(contents.hashes) == ["a.md"]
    assert (list(contents.unread), list(contents.lost)) == (["locked.md"], ["deep/"])
    assert contents.has("deep/b.md")
    assert contents.has("locked.md")
    assert not contents.has("deeper/b.md")


def test_reading_that_fails_leaves_a_file_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.md", "a")

    def torn(file: object, name: str) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(folders.hashlib, "file_digest", torn)
    contents = Folder(tmp_path, Choice()).contents()
    assert (contents.hashes, contents.unread) == ({}, {"a.md": "Input/output error"})
    assert contents.has("a.md")


def test_a_folder_in_the_folder_that_cannot_be_listed_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "deep" / "b.md", "b")
    write(tmp_path / "a.md", "a")
    true = os.scandir

    def refusing(path: Path) -> object:
        if str(path).rstrip("/").endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return true(path)

    monkeypatch.setattr("meldrag_cli.files.os.scandir", refusing)
    contents = Folder(tmp_path, Choice()).contents()
    assert (list(contents.hashes), contents.lost) == (["a.md"], {"deep/": "Permission denied"})
    assert contents.has("deep/b.md")


@pytest.mark.parametrize(("name", "reason"), [("nothing", "FILE_NOT_FOUND"), ("file", "NOT_A_FOLDER")])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageFailure) as refused:
        Folder(tmp_path / name, Choice()).contents()
    assert refused.value.reason == reason


def test_more_files_than_anybody_means_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        write(tmp_path / name, name)
    monkeypatch.setattr(folders, "MOST_FILES", 3)
    with pytest.raises(UsageFailure, match="more than 3 files"):
        Folder(tmp_path, Choice()).contents()


def test_what_has_gone_is_forgotten(tmp_path: Path, read: list[str], clock: Clock) -> None:
    write(tmp_path / "a.md", "a")
    folder = clock.folder(tmp_path)
    folder.contents()
    kept = (tmp_path / "a.md").read_text()
    (tmp_path / "a.md").unlink()
    contents = folder.contents()
    assert contents.empty
    assert not contents.has("a.md")
    write(tmp_path / "a.md", kept)
    assert folder.contents().restless == ["a.md"]
    clock.passes(QUIET_SECONDS)
    folder.contents()
    assert read == ["a.md", "a.md"]
