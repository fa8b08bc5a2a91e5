"""`meld sync` at a running house: a folder and a collection stay the same, whatever happens to both."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_command_line import Screen, environment, meld
from tests.e2e.test_interrupted_runs import soon
from tests.support.launched import House, launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

DEPTH = "The harbour of Elmsund is fourteen metres deep."
DEEPER = "The harbour of Elmsund is fifteen metres deep."
QUESTION = "How deep is the harbour of Elmsund?"


@pytest.fixture
def name() -> str:
    """Of a collection that nobody else has."""
    return f"shore-{secrets.token_hex(4)}"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder with two files."""
    root = tmp_path / "notes"
    write(root / "harbour.md", f"# Elmsund\n\n{DEPTH}\n")
    write(root / "deep" / "tide.txt", "The tide of Oyhavn is low at six.\n")
    return root


def write(path: Path, text: str) -> None:
    """A file that nobody has written to for a while."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then = path.stat().st_mtime - 60
    os.utime(path, (then, then))


def sync(
    house: House, folder: Path, name: str, *more: str
) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """The exit code, the lines, and the error or nothing."""
    done = meld(house, folder.parent, "sync", folder.name, "-c", name, "--json", *more)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    error = json.loads(done.stderr)["error"] if done.stderr else {}
    return done.returncode, lines, error


def documents(house: House, folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """The documents of a collection that can be found, by external id without the folder's path."""
    listed = meld(house, folder.parent, "documents", "list", "-c", name, "--json")
    assert listed.returncode == 0, listed.stderr
    return {
        each["external_id"].removeprefix(f"{folder.resolve()}//"): each
        for each in json.loads(listed.stdout)["documents"]
        if each["state"] in ("READY", "EMBEDDING")
    }


def passages(house: House, folder: Path, name: str, query: str) -> list[str]:
    """What is found."""
    found = meld(house, folder.parent, "search", *query.split(), "-c", name, "--json")
    assert found.returncode == 0, found.stderr
    return [hit["text"].strip() for hit in json.loads(found.stdout)["hits"]]


def test_a_folder_and_a_collection_are_the_same_afterwards(house: House, notes: Path, name: str) -> None:
    code, lines, error = sync(house, notes, name, "--create")
    assert (code, error) == (0, {})
    assert {each["path"] for each in lines[:-1]} == {"harbour.md", "deep/tide.txt"}
    assert {each["document"]["state"] for each in lines[:-1]} == {"READY"}
    there = documents(house, notes, name)

    code, lines, _ = sync(house, notes, name)
    counts = {"taken": 0, "deleted": 0, "unchanged": 2, "restless": 0, "failed": 0}
    assert lines == [{"collection": name, "folder": str(notes.resolve()), **counts}]
    assert documents(house, notes, name) == there

    write(notes / "harbour.md", f"# Elmsund\n\n{DEEPER}\n")
    write(notes / "new.md", "The pilot of Varnholm has a grey boat.\n")
    (notes / "deep" / "tide.txt").rename(notes / "deep" / "tides.txt")
    code, lines, _ = sync(house, notes, name)
    assert code == 0
    told = {each["path"]: each.get("why", "sent") for each in lines[:-1]}
    assert told == {
        "harbour.md": "sent",
        "new.md": "sent",
        "deep/tides.txt": "sent",
        "deep/tide.txt": "moved",
    }
    receipt = next(each["deleted"] for each in lines if "deleted" in each)
    assert receipt["state"] == "COMPLETE"
    assert set(receipt["left"].values()) == {0}
    assert set(documents(house, notes, name)) == {"harbour.md", "new.md", "deep/tides.txt"}
    assert f"# Elmsund\n\n{DEPTH}" not in passages(house, notes, name, QUESTION)
    assert DEEPER in passages(house, notes, name, QUESTION)[0]

    (notes / "new.md").unlink()
    assert sync(house, notes, name)[0] == 0
    assert set(documents(house, notes, name)) == {"harbour.md", "deep/tides.txt"}


def test_what_others_brought_stays_and_two_folders_share_a_collection(
    house: House, notes: Path, name: str, tmp_path: Path
) -> None:
    assert sync(house, notes, name, "--create")[0] == 0
    inner = notes / "deep"
    other = tmp_path / "other"
    write(other / "harbour.md", "The harbour of Kalvo has no light.\n")
    write(tmp_path / "mine.md", "Mine is the hut on the dune.\n")
    assert meld(house, tmp_path, "ingest", "mine.md", "-c", name).returncode == 0
    assert meld(house, tmp_path, "ingest", "mine.md", "-c", name, "--replace").returncode == 0
    assert sync(house, other, name)[0] == 0
    assert sync(house, inner, name, "--as", "tides")[0] == 0
    whole = {
        "harbour.md",
        "deep/tide.txt",
        "",
        "mine.md",
        f"{other.resolve()}//harbour.md",
        "tides//tide.txt",
    }
    assert set(documents(house, notes, name)) == whole

    shutil.rmtree(other)
    other.mkdir()
    assert sync(house, other, name, "--delete-many")[0] == 0
    assert set(documents(house, notes, name)) == whole - {f"{other.resolve()}//harbour.md"}
    (inner / "tide.txt").unlink()
    assert sync(house, notes, name)[0] == 0
    assert set(documents(house, notes, name)) == {"harbour.md", "", "mine.md", "tides//tide.txt"}
    assert sync(house, inner, name, "--as", "tides", "--delete-many")[0] == 0
    assert set(documents(house, notes, name)) == {"harbour.md", "", "mine.md"}


def test_what_came_by_ingest_is_taken_over(house: House, notes: Path, name: str) -> None:
    folder = notes.parent
    assert meld(house, folder, "ingest", "notes/harbour.md", "-c", name, "--create").returncode == 0
    assert meld(house, folder, "ingest", "notes/deep", "-c", name, "--replace").returncode == 0
    code, lines, _ = sync(house, notes, name, "--adopt")
    assert code == 0
    assert sorted(each["path"] for each in lines if each.get("why") == "adopted") == [
        "deep/tide.txt",
        "harbour.md",
    ]
    assert set(documents(house, notes, name)) == {"harbour.md", "deep/tide.txt"}


def test_a_dry_run_changes_nothing(house: House, notes: Path, name: str) -> None:
    assert sync(house, notes, name, "--create")[0] == 0
    there = documents(house, notes, name)
    (notes / "harbour.md").unlink()
    write(notes / "new.md", "The pilot of Varnholm has a grey boat.\n")
    code, lines, _ = sync(house, notes, name, "--dry-run")
    assert code == 0
    assert {each["path"]: each["planned"] for each in lines[:-1]} == {
        "new.md": "send",
        "harbour.md": "delete",
    }
    assert documents(house, notes, name) == there


def test_a_folder_that_lost_most_of_what_it_had_deletes_nothing_unless_that_is_meant(
    house: House, notes: Path, name: str
) -> None:
    for number in range(12):
        write(notes / f"{number}.md", f"Note {number} is about buoy {number}.\n")
    assert sync(house, notes, name, "--create")[0] == 0
    whole = set(documents(house, notes, name))
    for number in range(12):
        (notes / f"{number}.md").unlink()
    code, _, error = sync(house, notes, name)
    assert (code, error["reason"], error["gone"]) == (1, "DELETES_MANY", 12)
    assert set(documents(house, notes, name)) == whole
    away = notes.rename(notes.with_name("away"))
    assert sync(house, notes, name, "--delete-many")[2]["reason"] == "FILE_NOT_FOUND"
    notes.mkdir()
    assert sync(house, notes, name)[2]["reason"] == "FOLDER_EMPTY"
    assert set(documents(house, notes, name)) == whole
    notes.rmdir()
    away.rename(notes)
    assert sync(house, notes, name, "--no-delete")[0] == 0
    assert set(documents(house, notes, name)) == whole
    assert sync(house, notes, name, "--delete-many")[0] == 0
    assert set(documents(house, notes, name)) == {"harbour.md", "deep/tide.txt"}


def test_what_cannot_be_taken_is_told_each_time_and_sent_once(house: House, notes: Path, name: str) -> None:
    (notes / "noise.bin").write_bytes(b"\0\1\2\3")
    os.utime(notes / "noise.bin", (0, 0))
    for _ in range(2):
        code, lines, error = sync(house, notes, name, "--create")
        assert (code, error["reason"]) == (1, "FILES_FAILED")
        failed = [each["error"] for each in lines if "error" in each]
        assert [each["reason"] for each in failed] == ["FORMAT_UNSUPPORTED"]
    # The second time it was the house's list that told it, and no request of its own.
    assert "request_id" not in failed[0]
    assert sync(house, notes, name, "--exclude", "*.bin")[0] == 0


class Watch:
    """A `meld sync --watch` whose lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def lines(self) -> list[dict[str, Any]]:
        whole = self._output.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def told(self, **fields: Any) -> list[dict[str, Any]]:
        """The lines that have all of these."""
        return [each for each in self.lines if fields.items() <= each.items()]


@contextmanager
def watching(house: House, folder: Path, name: str) -> Iterator[Watch]:
    """A watch for the duration of the block; its output may not be more than its own lines."""
    output, errors = folder.parent / f"{name}.lines", folder.parent / f"{name}.errors"
    arguments = ["sync", folder.name, "-c", name, "--create", "--watch", "--every", "0.5", "--json"]
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "meldrag_cli", *arguments],
            cwd=folder.parent,
            env=environment(house, folder.parent),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
        )
        try:
            yield Watch(process, output)
        finally:
            process.kill()
            process.wait()
    assert errors.read_text() == ""


def test_a_watch_follows_the_folder_until_ctrl_c(house: House, notes: Path, name: str) -> None:
    def answers(text: str) -> bool:
        return text in meld(house, notes.parent, "ask", QUESTION, "-c", name).stdout

    with watching(house, notes, name) as watch:
        soon(lambda: watch.told(taken=2))
        assert answers(DEPTH)

        # Saved as editors do: beside, then in its place.
        (notes / ".harbour.md.new").write_text(f"# Elmsund\n\n{DEEPER}\n")
        (notes / ".harbour.md.new").rename(notes / "harbour.md")
        soon(lambda: watch.told(taken=1, deleted=0))
        assert answers(DEEPER)
        assert not answers(DEPTH)

        (notes / "harbour.md").unlink()
        soon(lambda: watch.told(path="harbour.md", why="gone"))
        assert not answers(DEEPER)
        assert set(documents(house, notes, name)) == {"deep/tide.txt"}

        watch.process.send_signal(signal.SIGINT)
        assert watch.process.wait(20) == 130


def test_a_watch_in_a_terminal_tells_people_what_it_does(house: House, notes: Path, name: str) -> None:
    arguments = ["sync", "notes", "-c", name, "--create", "--watch", "--every", "0.5"]
    screen = Screen(environment(house, notes.parent), notes.parent, *arguments)
    screen.until(r"2 files taken into")
    (notes / "deep" / "tide.txt").unlink()
    screen.until(r"deleted  deep/tide\.txt")
    screen.process.send_signal(signal.SIGINT)
    code, text = screen.end()
    assert code == 130
    assert re.search(r"watching \S*/notes; Ctrl-C ends it", text)
    assert "Traceback" not in text
    # No bar for rounds in which there is nothing to read.
    assert "reading" in screen.text
    assert screen.text.count("\x1b[?25l") < 5


def test_a_file_that_is_being_written_is_not_sent_half(house: House, notes: Path, name: str) -> None:
    with watching(house, notes, name) as watch:
        soon(lambda: watch.told(taken=2))
        with (notes / "log.txt").open("w") as file:
            for number in range(16):
                file.write(f"Line {number} of the log of the pilot.\n")
                file.flush()
                # Each time sooner than it would be quiet.
                with pytest.raises(subprocess.TimeoutExpired):
                    watch.process.wait(0.25)
                assert watch.told(path="log.txt") == []
        [told] = soon(lambda: watch.told(path="log.txt"))
        assert told["document"]["bytes"] == (notes / "log.txt").stat().st_size
        soon(lambda: watch.told(taken=1))
        assert len(watch.told(path="log.txt")) == 1


def test_a_house_that_is_killed_in_between_loses_nothing(notes: Path, name: str, tmp_path: Path) -> None:
    texts = {f"{number:03}.md": f"Note {number} is about buoy {number}.\n" * 20 for number in range(60)}
    with launched(tmp_path / "house") as house:
        with watching(house, notes, name) as watch:
            soon(lambda: watch.told(taken=2))
            for path, text in texts.items():
                write(notes / path, text)
            soon(lambda: len(watch.told(existing=False)) >= 8)
            house.send("vector", signal.SIGKILL)
            house.send("gateway", signal.SIGKILL)
            soon(lambda: [each for each in watch.lines if "waiting" in each or "error" in each])
            expected = {"harbour.md", "deep/tide.txt", *texts}
            soon(lambda: set(documents_if_there(house, notes, name)) == expected, 120)

            (notes / "000.md").unlink()
            soon(lambda: watch.told(path="000.md", why="gone"))
            watch.process.send_signal(signal.SIGINT)
            assert watch.process.wait(20) == 130
        code, lines, _ = sync(house, notes, name)
        assert (code, lines[-1]["unchanged"], lines[-1]["taken"], lines[-1]["deleted"]) == (0, 61, 0, 0)
        stored = documents(house, notes, name)
        assert len(stored) == 61
        assert all(stored[path]["bytes"] == len(text) for path, text in texts.items() if path != "000.md")


def documents_if_there(house: House, folder: Path, name: str) -> dict[str, Any]:
    """As `documents`, and nothing while nobody answers."""
    try:
        return documents(house, folder, name)
    except AssertionError:
        return {}
