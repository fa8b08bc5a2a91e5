"""A folder and a collection, against a house that keeps documents in memory."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from meldrag_cli.app import main
from meldrag_cli.failures import Failure, RefusedFailure, UnreachableFailure, UsageFailure
from meldrag_cli.files import Choice, File
from meldrag_cli.folders import Folder
from meldrag_cli.gateway import Gateway
from meldrag_cli.plans import MARK, Marks
from meldrag_cli.sending import Outcome, Seen
from meldrag_cli.settings import Settings
from meldrag_cli.syncing import Deleted, Sum, Sync, Wish
from tests.unit.meldrag_cli.keeping import Keeping, keeping
from tests.unit.meldrag_cli.scripted import Answer, problem

NAME = "notes"
AWAY = Answer(b"<html>", 502, "text/html")


class Told:
    """What a sync reports, as words."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.sums: list[Sum] = []

    @contextmanager
    def reading(self) -> Iterator[Callable[[int, int], None]]:
        yield lambda *_: None

    @contextmanager
    def sending(self, files: Sequence[File]) -> Iterator[tuple[Seen, Callable[[File], None]]]:
        yield (lambda *_: None), (lambda _: None)

    def sent(self, outcome: Outcome) -> None:
        self.words.append(f"{outcome.failure.reason if outcome.failure else 'sent'} {outcome.file.name}")

    def deleted(self, deleted: Deleted) -> None:
        word = deleted.failure.reason if deleted.failure else deleted.delete.why.value
        self.words.append(f"{word} {deleted.delete.path}")

    def waiting(self, failure: Failure) -> None:
        self.words.append(f"waiting {failure.reason}")

    def going_on(self) -> None:
        self.words.append("going on")

    def summed(self, summed: Sum) -> None:
        self.sums.append(summed)


class Bench:
    """A folder, a house and a clock that passes while somebody sleeps.

    steps: what happens in each sleep, one after the other; when there is none left Ctrl-C is pressed.
    """

    def __init__(self, root: Path, house: Keeping) -> None:
        self.root, self.house = root, house
        self.told = Told()
        self.steps: deque[Callable[[], object]] = deque()
        self.slept: list[float] = []
        self.jobs = 2
        self._now = 0.0
        self._began = time.time()

    def write(self, name: str, text: str) -> None:
        """Writes a file that is quiet by its time, as the first look has it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (self._began - 60, self._began - 60))

    def keep(self, name: str, text: str, **more: str) -> str:
        """Has the house keep a document of the folder."""
        fields = Marks(NAME).fields(name)
        return self.house.add(fields["external_id"], text.encode(), json.loads(fields["metadata"]), **more)

    @property
    def kept(self) -> dict[str, str]:
        """The texts of the folder's documents, by path."""
        return {
            name.removeprefix(f"{NAME}//"): text
            for name, text in self.house.names().items()
            if name.startswith(f"{NAME}//")
        }

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.popleft()()

    @contextmanager
    def sync(self, **wish: bool) -> Iterator[Sync]:
        with Gateway(Settings(self.house.url)) as gateway:
            yield Sync(
                gateway,
                "notes",
                folder=Folder(
                    self.root,
                    Choice(),
                    clock=lambda: self._now,
                    calendar=lambda: self._began + self._now,
                ),
                marks=Marks(NAME),
                wish=Wish(jobs=self.jobs, **wish),
                report=self.told,
                clock=lambda: self._now,
                sleep=self._sleep,
            )

    def once(self, *, delete_many: bool = False, **wish: bool) -> Sum:
        with self.sync(**wish) as sync:
            return sync.once(delete_many=delete_many)

    def watch(self, *steps: Callable[[], object], delete_many: bool = False) -> None:
        """Watches until the last step is followed by Ctrl-C."""
        self.steps.extend(steps)
        with self.sync() as sync, pytest.raises(KeyboardInterrupt):
            sync.follow(5.0, delete_many=delete_many, ready=lambda: None)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "root"
    root.mkdir()
    with keeping() as house:
        yield Bench(root, house)


def pause() -> None:
    """Nothing happens."""


def test_afterwards_the_collection_holds_what_the_folder_holds(bench: Bench) -> None:
    foreign = bench.house.add("", b"mine", {"author": "Ann"})
    other = bench.house.add("other//gone", b"theirs", {MARK: "other"})
    for name, text in (("same", "s"), ("changed", "then"), ("gone", "g"), ("old/moved", "m")):
        bench.keep(name, text)
    for name, text in (("same", "s"), ("changed", "now"), ("new", "n"), ("young/moved", "m")):
        bench.write(name, text)

    summed = bench.once()

    assert bench.kept == {"same": "s", "changed": "now", "new": "n", "young/moved": "m"}
    assert {each["id"] for each in bench.house.documents} >= {foreign, other}
    assert summed == Sum(taken=3, deleted=2, unchanged=1)
    assert sorted(bench.told.words) == [
        "gone gone",
        "moved old/moved",
        "sent changed",
        "sent new",
        "sent young/moved",
    ]
    # What is there is known from the list.
    assert all("page_size=1000" in where for where in bench.house.came("GET"))
    # Nothing is ever missing in between.
    methods = [method for method, _ in bench.house.requests]
    assert methods.index("DELETE") > max(at for at, method in enumerate(methods) if method == "POST")


def test_what_is_unchanged_costs_pages_of_the_list_alone(bench: Bench) -> None:
    for number in range(5):
        bench.keep(f"{number}", "x")
        bench.write(f"{number}", "x")
    assert bench.once() == Sum(unchanged=5)
    assert bench.house.came("GET") == [
        "/documents?page_size=1000",
        "/documents?page_size=1000&page_token=2",
        "/documents?page_size=1000&page_token=4",
    ]
    assert len(bench.house.requests) == 3


def test_a_refused_plan_changes_nothing_and_a_meant_one_everything(bench: Bench) -> None:
    bench.keep("a", "a")
    bench.write("new", "n")
    with pytest.raises(RefusedFailure) as refused:
        bench.once()
    assert refused.value.reason == "FOLDER_DIFFERS"
    assert {method for method, _ in bench.house.requests} == {"GET"}
    assert bench.kept == {"a": "a"}
    assert bench.once(delete=False) == Sum(taken=1)
    assert bench.kept == {"a": "a", "new": "n"}
    (bench.root / "new").unlink()
    with pytest.raises(RefusedFailure, match="is empty"):
        bench.once()
    assert bench.once(delete_many=True) == Sum(deleted=2)
    assert bench.kept == {}


def test_a_folder_that_is_away_is_refused_whatever_is_meant(bench: Bench) -> None:
    bench.keep("a", "a")
    bench.root.rmdir()
    with pytest.raises(UsageFailure) as refused:
        bench.once(delete_many=True)
    assert refused.value.reason == "FILE_NOT_FOUND"
    assert bench.house.requests == []


def test_what_moved_stays_until_it_has_come(bench: Bench) -> None:
    for name in ("same", "old"):
        bench.keep(name, name)
    bench.write("same", "same")
    bench.write("young", "old")
    bench.house.instead["POST"] = deque([problem(507, "STORAGE_FULL", "the disk is full")])
    summed = bench.once()
    assert (summed.failed, summed.deleted) == (1, 0)
    assert bench.kept == {"same": "same", "old": "old"}


def test_a_file_that_is_back_is_not_deleted(bench: Bench) -> None:
    for name in ("same", "saved"):
        bench.keep(name, name)
    bench.write("same", "same")
    bench.write("new", "n")

    def saves(method: str, _: str) -> None:
        if method == "POST":
            bench.write("saved", "saved again")

    bench.house.meanwhile = saves
    assert bench.once() == Sum(taken=1, unchanged=1)
    assert bench.kept == {"same": "same", "saved": "saved", "new": "n"}


def test_a_receipt_that_shows_something_left_is_a_failure(bench: Bench) -> None:
    for name in ("same", "gone"):
        bench.keep(name, name)
    bench.write("same", "same")
    bench.house.left = {"record_documents": 0, "vector_entries": 2}
    assert bench.once() == Sum(unchanged=1, failed=1)
    assert bench.told.words == ["NOT_GONE gone"]


def test_a_document_that_is_still_being_removed_is_told_apart(bench: Bench) -> None:
    for name in ("same", "gone"):
        bench.keep(name, name)
    bench.write("same", "same")
    bench.house.deletion, bench.house.left = "PENDING", {"vector_entries": 2}
    assert bench.once() == Sum(unchanged=1, deleted=1, pending=1)


def test_a_document_that_somebody_deleted_meanwhile_has_gone(bench: Bench) -> None:
    for name in ("same", "gone"):
        bench.keep(name, name)
    bench.write("same", "same")
    bench.house.meanwhile = lambda method, _: bench.house.documents.clear() if method == "DELETE" else None
    assert bench.once() == Sum(unchanged=1, deleted=1)


def test_what_is_on_its_way_is_taken_back_or_deleted_when_it_has_come_meanwhile(bench: Bench) -> None:
    bench.keep("same", "same")
    bench.write("same", "same")
    one = bench.keep("one", "1", state="PARSING")
    two = bench.keep("two", "2", state="RECEIVED")

    def comes(method: str, where: str) -> None:
        # The first that is asked for has been read by now.
        if method == "POST" and len(bench.house.came("POST")) == 0:
            kept = where.split("/")[-2]
            next(each for each in bench.house.documents if each["id"] == kept)["state"] = "READY"

    bench.house.meanwhile = comes
    with bench.sync() as sync:
        summed = sync.once(delete_many=False)
    assert (summed.deleted, summed.failed) == (2, 0)
    assert sorted(bench.house.came("POST")) == [f"/documents/{one}/cancel", f"/documents/{two}/cancel"]
    assert len(bench.house.came("DELETE")) == 1
    assert bench.kept == {"same": "same"}


def test_what_cannot_be_taken_is_sent_once(bench: Bench) -> None:
    bench.house.bad.add(b"noise")
    for name in ("a.bin", "b.bin", "good"):
        bench.write(name, name if name == "good" else "noise")
    assert bench.once() == Sum(taken=1, failed=2)
    posted = len(bench.house.came("POST"))
    assert bench.once() == Sum(unchanged=1, failed=2)
    assert len(bench.house.came("POST")) == posted
    bench.house.bad.clear()
    assert bench.once(again=True) == Sum(taken=2, unchanged=1)


def test_what_arrived_although_nobody_said_so_is_not_sent_twice(bench: Bench) -> None:
    bench.write("a", "a")

    def arrives(method: str, _: str) -> None:
        if method == "POST":
            bench.keep("a", "a")

    bench.house.meanwhile = arrives
    bench.house.instead["POST"] = deque([problem(503, "UPSTREAM_UNAVAILABLE", "gone", retry_after=0.01)])
    assert bench.once() == Sum(taken=1)
    assert len(bench.house.came("POST")) == 1
    assert bench.kept == {"a": "a"}


def test_a_path_that_the_house_cannot_keep_fails_alone(bench: Bench) -> None:
    bench.write("bad\nname", "b")
    bench.write("good", "g")
    assert bench.once() == Sum(taken=1, failed=1)
    assert "PATH_UNFIT bad\nname" in bench.told.words


def test_vectors_are_waited_for(bench: Bench) -> None:
    bench.keep("a", "a", state="EMBEDDING")
    bench.keep("b", "b", state="PARSING")
    for name in ("a", "b"):
        bench.write(name, name)

    def ready() -> None:
        for each, state in zip(bench.house.documents, ("FAILED", "READY"), strict=True):
            each["state"] = state
            each["error"] = {"reason": "PARSER_LIMIT", "message": "slow"} if state == "FAILED" else None

    bench.steps.append(ready)
    assert bench.once() == Sum(unchanged=2, failed=1)
    assert bench.told.words == ["PARSER_LIMIT b"]
    assert bench.once(wait=False).unchanged == 1


def test_a_file_that_is_written_to_is_waited_for(bench: Bench) -> None:
    bench.write("a", "a")
    (bench.root / "young").write_text("y")
    bench.steps.extend([pause, pause])
    assert bench.once() == Sum(taken=2)
    assert bench.kept == {"a": "a", "young": "y"}


def test_a_file_that_changes_before_it_is_sent_is_not_sent_half(bench: Bench) -> None:
    bench.keep("a", "old")
    bench.write("a", "new")

    def changes(method: str, _: str) -> None:
        if method == "GET":
            (bench.root / "a").write_text("new and ha")

    bench.house.meanwhile = changes
    assert bench.once() == Sum(failed=1)
    assert bench.told.words == ["FILE_CHANGED a"]
    assert bench.kept == {"a": "old"}


def test_a_file_that_never_rests_is_left_where_it_is(bench: Bench) -> None:
    bench.keep("log", "old")
    path = bench.root / "log"
    path.write_text("now")

    def grows() -> None:
        with path.open("a") as file:
            file.write("more")

    bench.steps.extend([grows] * 20)
    summed = bench.once()
    assert (summed.restless, summed.taken, summed.deleted) == (1, 0, 0)
    assert sum(bench.slept) <= 32
    assert bench.told.words == ["FILE_RESTLESS log"]
    assert bench.kept == {"log": "old"}


def test_a_watch_follows_what_happens(bench: Bench) -> None:
    bench.write("a", "a")
    bench.write("b", "b")
    seen: list[dict[str, str]] = []

    def at(change: Callable[[], object]) -> Callable[[], None]:
        def step() -> None:
            seen.append(bench.kept)
            change()

        return step

    bench.watch(
        at(lambda: bench.write("new", "n")),
        at(pause),
        at((bench.root / "a").unlink),
        at(lambda: (bench.root / "b").write_text("changed")),
        at(pause),
        at(pause),
    )

    assert seen == [
        {"a": "a", "b": "b"},
        # Not before it is quiet.
        {"a": "a", "b": "b"},
        {"a": "a", "b": "b", "new": "n"},
        {"b": "b", "new": "n"},
        {"b": "b", "new": "n"},
        {"b": "changed", "new": "n"},
    ]
    # What is young is looked at again sooner, and what is told of is what happened.
    assert bench.slept == [5.0, 2.0, 5.0, 5.0, 2.0, 5.0, 5.0]
    assert [(each.taken, each.deleted) for each in bench.told.sums] == [(2, 0), (1, 0), (0, 1), (1, 0)]


def test_a_folder_that_is_renamed_under_a_watch_is_never_missing(bench: Bench) -> None:
    texts = [f"text {number}" for number in range(30)]
    for number, text in enumerate(texts):
        bench.write(f"old/{number}", text)
    kept: list[set[str]] = []

    def looks() -> None:
        kept.append(set(bench.kept.values()))

    def renames() -> None:
        looks()
        (bench.root / "old").rename(bench.root / "young")

    bench.watch(renames, looks, looks, looks)

    assert kept == [set(texts)] * 4
    assert set(bench.kept) == {f"young/{number}" for number in range(30)}
    assert not [word for word in bench.told.words if word.startswith(("waiting", "gone"))]


def test_a_watch_asks_the_house_for_lists_rarely(bench: Bench) -> None:
    bench.write("a", "a")
    bench.watch(*[pause] * 23)
    assert sum("page_size=1000" in where for where in bench.house.came("GET")) == 2
    assert sum(bench.slept) == 120


def test_a_document_that_somebody_deleted_comes_again(bench: Bench) -> None:
    bench.write("a", "a")
    bench.watch(pause, bench.house.documents.clear, *[pause] * 14)
    assert bench.kept == {"a": "a"}


def test_a_watch_waits_for_a_disk_that_is_away_and_for_the_house(bench: Bench) -> None:
    for number in range(3):
        bench.write(f"{number}", f"text {number}")
    elsewhere = bench.root.with_name("elsewhere")
    whole = {f"{number}": f"text {number}" for number in range(3)}

    def unmounts() -> None:
        bench.root.rename(elsewhere)

    def shows_the_folder_below() -> None:
        assert bench.kept == whole
        bench.root.mkdir()

    def mounts() -> None:
        assert bench.kept == whole
        bench.root.rmdir()
        elsewhere.rename(bench.root)
        bench.write("new", "n")
        # It goes while that is sent, and while it is asked what it has got.
        bench.house.instead["POST"] = deque([AWAY])
        bench.house.instead["GET"] = deque([AWAY] * 4)

    bench.watch(unmounts, shows_the_folder_below, mounts, *[pause] * 6, delete_many=True)

    assert bench.kept == {**whole, "new": "n"}
    assert bench.told.words[3:] == [
        *("waiting FILE_NOT_FOUND", "waiting FOLDER_EMPTY", "going on"),
        *["waiting NOT_THE_HOUSE"] * 5,
        *("sent new", "going on"),
    ]
    assert bench.house.came("DELETE") == []
    assert bench.slept[1:] == [5.0, 5.0, 2.0, 5.0, 5.0, 5.0, 8.0, 16.0, 5.0]


def test_a_watch_begins_with_a_house_that_is_away_and_not_with_a_plan_that_is_refused(bench: Bench) -> None:
    bench.write("a", "a")
    bench.house.instead["GET"] = deque([AWAY])
    bench.watch(pause)
    assert bench.kept == {"a": "a"}
    shutil.rmtree(bench.root)
    bench.root.mkdir()
    with bench.sync() as sync, pytest.raises(RefusedFailure) as refused:
        sync.follow(5.0, delete_many=False, ready=lambda: None)
    assert refused.value.reason == "FOLDER_EMPTY"
    assert bench.kept == {"a": "a"}
    bench.watch(delete_many=True)
    assert bench.kept == {}


def test_a_watch_ends_where_waiting_does_not_help(bench: Bench) -> None:
    bench.write("a", "a")
    bench.house.instead["GET"] = deque([problem(401, "TOKEN_INVALID", "who are you?")])
    with bench.sync() as sync, pytest.raises(RefusedFailure) as refused:
        sync.follow(5.0, delete_many=False, ready=lambda: None)
    assert refused.value.reason == "TOKEN_INVALID"
    assert bench.slept == []


def test_a_house_that_goes_in_between_is_waited_for_and_the_rest_is_done_then(bench: Bench) -> None:
    for number in range(6):
        bench.write(f"{number}", f"text {number}")
    bench.house.instead["POST"] = deque([AWAY])
    bench.watch(pause)
    assert len(bench.kept) == 6
    assert bench.told.words.count("waiting NOT_THE_HOUSE") == 1
    bench.house.instead["POST"] = deque([AWAY])
    bench.write("more", "m")
    with pytest.raises(UnreachableFailure):
        bench.once()


def test_a_file_that_is_refused_is_tried_again_later_and_later_or_when_it_changed(bench: Bench) -> None:
    bench.write("full", "f")
    bench.write("noise.bin", "noise")
    full = problem(507, "STORAGE_FULL", "the disk is full")
    bad = problem(415, "FORMAT_UNSUPPORTED", "not read here")
    bench.house.instead["POST"] = deque([full, full, full, bad, full])
    counts: list[int] = []

    def count() -> None:
        counts.append(len(bench.house.came("POST")))

    def mended() -> None:
        count()
        (bench.root / "noise.bin").write_text("words")

    bench.jobs = 1
    bench.watch(*[count] * 8, mended, count, count)

    # After 5 s, 10 s and 20 s what passes; what is bad for good not before it is another.
    assert counts == [2, 4, 4, 5, 5, 5, 5, 6, 6, 6, 7]
    assert bench.kept == {"full": "f", "noise.bin": "words"}
    assert bench.told.words.count("FORMAT_UNSUPPORTED noise.bin") == 1


def run(bench: Bench, *arguments: str) -> int:
    return main(
        ["--url", bench.house.url, "sync", str(bench.root), "-c", "notes", "--as", NAME, *arguments],
    )


def test_the_command_tells_people_what_became_of_each(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.keep("same", "s")
    bench.keep("gone", "g")
    bench.keep("old", "m")
    bench.house.add("", b"s")
    for name, text in (("same", "s"), ("moved", "m"), ("noise.bin", "noise")):
        bench.write(name, text)
    bench.house.bad.add(b"noise")

    assert run(bench, "-j", "1") == 1

    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "taken    moved: 1 B, 1 passage",
        "failed   noise.bin: not read here (FORMAT_UNSUPPORTED)",
        "deleted  gone",
        "deleted  old: moved",
        "1 file taken into notes, 2 deleted, 1 unchanged, 1 failed",
    ]
    assert told.err.splitlines() == [
        "1 document with bytes of the folder came by another way; see --adopt",
        "meld: 1 of the files and documents could not be synced",
        "  reason FILES_FAILED",
    ]


def test_the_command_gives_programs_a_line_for_each(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("same", "gone"):
        bench.keep(name, name)
    bench.write("same", "same")
    bench.write("new", "new")
    assert run(bench, "--json") == 0
    sent, deleted, summed = map(json.loads, capsys.readouterr().out.splitlines())
    assert (sent["path"], sent["existing"], sent["document"]["metadata"]) == ("new", False, {MARK: NAME})
    assert (deleted["path"], deleted["why"], deleted["deleted"]["state"]) == ("gone", "gone", "COMPLETE")
    counts = {"taken": 1, "deleted": 1, "unchanged": 1, "restless": 0, "failed": 0}
    assert summed == {"collection": "notes", "folder": NAME, **counts}


def test_a_dry_run_tells_all_and_does_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("same", "s"), ("changed", "then"), ("gone", "g")):
        bench.keep(name, text)
    for name, text in (("same", "s"), ("changed", "now"), ("new", "n")):
        bench.write(name, text)
    before = [dict(each) for each in bench.house.documents]
    assert run(bench, "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "send     changed: changed, 3 B",
        "send     new: new, 1 B",
        "delete   gone: gone",
        "would send 2 files to notes and delete 1 document, 1 unchanged, 0 failed",
    ]
    assert run(bench, "--dry-run", "--json") == 0
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [(each["path"], each["planned"]) for each in lines[:3]] == [
        *(("changed", "send"), ("new", "send"), ("gone", "delete"))
    ]
    assert lines[3]["dry_run"] is True
    assert bench.house.documents == before
    assert {method for method, _ in bench.house.requests} == {"GET"}


def test_a_dry_run_names_what_it_would_wait_for(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    (bench.root / "young").write_text("y")
    assert run(bench, "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "wait     young: being written to",
        "would send 0 files to notes and delete 0 documents, 0 unchanged, 0 failed, 1 being written to",
    ]


def test_a_dry_run_ends_as_the_run_would(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.keep("gone", "g")
    assert run(bench, "--dry-run") == 1
    told = capsys.readouterr()
    assert "delete   gone: gone" in told.out
    assert "FOLDER_EMPTY" in told.err
    assert run(bench, "--dry-run", "--delete-many") == 0
    assert run(bench, "--dry-run", "--no-delete") == 0
    assert run(bench, "--dry-run", "--watch") == 2


def test_a_collection_is_created_when_that_is_said(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.house.exists = False
    bench.write("a", "a")
    assert run(bench) == 1
    assert "--create" in capsys.readouterr().err
    assert run(bench, "--dry-run") == 1
    assert run(bench, "--create", "--dry-run") == 0
    assert not bench.house.exists
    assert run(bench, "--create") == 0
    assert bench.kept == {"a": "a"}


def test_patterns_decide_what_the_folder_holds(bench: Bench) -> None:
    bench.write("a.md", "a")
    bench.write("b.txt", "b")
    assert run(bench) == 0
    assert bench.kept == {"a.md": "a", "b.txt": "b"}
    # It is still on the disk, and no longer meant.
    assert run(bench, "--exclude", "*.txt") == 0
    assert bench.kept == {"a.md": "a"}


def test_a_folder_without_a_name_is_called_by_its_path(bench: Bench, tmp_path: Path) -> None:
    bench.write("a.md", "a")
    link = tmp_path / "link"
    link.symlink_to(bench.root)
    for way in (bench.root, link):
        assert main(["--url", bench.house.url, "sync", str(way), "-c", "notes"]) == 0
    assert bench.house.names() == {f"{bench.root.resolve()}//a.md": "a"}
    assert main(["--url", bench.house.url, "sync", str(tmp_path / "nothing"), "-c", "notes"]) == 2
