"""A collection made to hold what a folder holds, once or again and again."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from meldrag_cli.failures import Failure, RefusedFailure, UnreachableFailure, UsageFailure
from meldrag_cli.files import File
from meldrag_cli.folders import QUIET_SECONDS, Contents, Folder
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.patience import MUCH_SECONDS, Answer, passing, patiently
from meldrag_cli.plans import Delete, Held, Holdings, Marks, Plan, Why, guard, plan, shown
from meldrag_cli.sending import Outcome, Seen, Sending
from meldrag_cli.several import several

_PAGE_SIZE = 1000
_LOOK_SECONDS = 1.0
# How long a sync that is done once waits for files that somebody writes to.
_RESTLESS_SECONDS = 30.0
# A watch spends at most a twentieth of its time on looks at the folder, and a hundredth on lists of the
# house.
_REST = 20
_LIST_REST = 100
_LIST_SECONDS = 60.0
# Between tries: of a house that is away, and of a file that was refused for a time.
_LONGEST_PAUSE = 60.0
_LATER_SECONDS = 5.0
_LATEST_SECONDS = 3600.0
# Of one file, and over sooner or later.
_PASSING = frozenset({"DOCUMENT_BUSY", "FILE_CHANGED", "INGEST_CANCELLED", "NOT_READABLE", "DEADLINE"})
# Of the folder or of the plan: a watch waits until it is otherwise, for a disk that is away may come back.
_HELD_BACK = frozenset(
    {
        *("FILE_NOT_FOUND", "NOT_A_FOLDER", "NOT_READABLE", "TOO_MANY_FILES"),
        *("FOLDER_EMPTY", "FOLDER_DIFFERS", "DELETES_MANY"),
    }
)


@dataclass(frozen=True)
class Deleted:
    """What became of a document that was to be deleted: its receipt, or why it is still there.

    receipt: None for one that had gone already.
    """

    delete: Delete
    receipt: dict[str, Any] | None = None
    failure: Failure | None = None

    @property
    def pending(self) -> bool:
        """Whether it is hidden, and the house still removes what is left of it."""
        return self.receipt is not None and self.receipt["state"] != "COMPLETE"


@dataclass
class Sum:
    """How many files and documents a round has dealt with.

    pending: those among the deleted of which something is still being removed. restless: files that somebody
    writes to. twice: as a Plan has it.
    """

    taken: int = 0
    deleted: int = 0
    pending: int = 0
    unchanged: int = 0
    restless: int = 0
    failed: int = 0
    twice: int = 0

    @property
    def eventful(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.taken or self.deleted or self.failed)


class Report(Protocol):
    """Is told what happens, in the thread of the sync."""

    def reading(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """While files are read: is told how many bytes of how many."""
        ...

    def sending(self, files: Sequence[File]) -> AbstractContextManager[tuple[Seen, Callable[[File], None]]]:
        """While files are sent: is told how far each is, in any thread, and which is done."""
        ...

    def sent(self, outcome: Outcome) -> None:
        """What became of a file."""
        ...

    def deleted(self, deleted: Deleted) -> None:
        """What became of a document."""
        ...

    def waiting(self, failure: Failure) -> None:
        """That nothing can be done before something changes."""
        ...

    def going_on(self) -> None:
        """That this is over."""
        ...

    def summed(self, summed: Sum) -> None:
        """That a round is over."""
        ...


@dataclass(frozen=True)
class Wish:
    """How a folder is to be kept in a collection.

    wait: until new documents have their vectors. delete: also what has gone. again: send also what failed
    before. adopt: as `plan` has it. seconds: how long one file may take.
    """

    wait: bool = True
    delete: bool = True
    again: bool = False
    adopt: bool = False
    jobs: int = 4
    seconds: float = 3600.0


@dataclass
class _Trouble:
    """A file that was refused: with which bytes, and when it is tried again on the monotonic clock."""

    sha256: str
    at: float
    pause: float


@dataclass
class _Told:
    """What was said of files already, so that a watch says it once."""

    unread: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Sync:
    """Keeps one folder in one collection."""

    def __init__(
        self,
        gateway: Gateway,
        collection: str,
        *,
        folder: Folder,
        marks: Marks,
        wish: Wish,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """clock: seconds that only go on. sleep: lets some of them pass."""
        self._gateway = gateway
        self._collection = collection
        self._where = path("collections", collection, "documents")
        self._folder = folder
        self._marks = marks
        self._wish = wish
        self._report = report
        self._clock = clock
        self._sleep = sleep
        self._held: Holdings | None = None
        self._list_at = 0.0
        self._troubles: dict[str, _Trouble] = {}
        self._told = _Told()
        # Of the last round.
        self._restless: list[str] = []

    def preview(self, *, exists: bool) -> tuple[Plan, Contents, RefusedFailure | None]:
        """What would be done to what the folder has, and what the guard would say to it. Does nothing.

        exists: whether there is such a collection. Raises what `once` raises before it does anything.
        """
        contents = self._contents()
        held = self._list(contents) if exists else Holdings()
        made = self._plan(contents, held)
        try:
            guard(made, contents, held)
        except RefusedFailure as refused:
            return made, contents, refused
        return made, contents, None

    def once(self, *, delete_many: bool) -> Sum:
        """Makes the collection hold what the folder holds. Files that somebody writes to are waited for.

        delete_many: without the guard. Raises UsageFailure for a folder that cannot be read, RefusedFailure
        for what the guard or the house refuses, UnreachableFailure when the house has gone.
        """
        end = self._clock() + _RESTLESS_SECONDS
        summed = self.round(delete_many=delete_many, wait=self._wish.wait)
        while summed.restless and self._clock() < end:
            self._sleep(QUIET_SECONDS)
            # For what the collection holds of these files by another way.
            self._held = None
            more = self.round(delete_many=delete_many, wait=self._wish.wait)
            summed.taken += more.taken
            summed.deleted += more.deleted
            summed.pending += more.pending
            summed.failed += more.failed
            summed.restless, summed.twice = more.restless, more.twice
        for name in self._restless:
            self._refused(name, RefusedFailure("FILE_RESTLESS", "somebody still writes to it"))
        return summed

    def follow(self, every: float, *, delete_many: bool, ready: Callable[[], None]) -> None:
        """Does so again and again, and never returns.

        every: seconds from one look at the folder to the next; more where a look takes long. delete_many: as
        `once` has it, for the first round alone. ready: what the house is asked before. A house that is away
        is waited for, and after the first round a folder that is. Raises what `once` raises for the rest.
        """
        first, away = True, 0
        asked = False
        while True:
            try:
                if not asked:
                    ready()
                    asked = True
                summed = self.round(delete_many=delete_many and first, wait=False)
            except (RefusedFailure, UnreachableFailure, UsageFailure) as failure:
                if not _waited_for(failure, first=first):
                    raise
                self._report.waiting(failure)
                if failure.reason not in _HELD_BACK:
                    # What was done before that is not known for sure.
                    self._held = None
                self._sleep(max(every, min(_LONGEST_PAUSE, 2.0**away)))
                away += 1
                continue
            if away:
                self._report.going_on()
            if first or summed.eventful:
                self._report.summed(summed)
            first, away = False, 0
            rest = _REST * self._folder.view_seconds
            self._sleep(max(rest, min(every, QUIET_SECONDS) if summed.restless else every))

    def round(self, *, delete_many: bool, wait: bool) -> Sum:
        """Looks once, and does what is to be done. Raises what `once` raises."""
        contents = self._contents()
        began = self._clock()
        if self._held is None or began >= self._list_at:
            self._held = None
            self._held = self._list(contents)
            now = self._clock()
            self._list_at = now + max(_LIST_SECONDS, _LIST_REST * (now - began))
        held = self._held
        made = self._plan(contents, held)
        if not delete_many:
            guard(made, contents, held)
        self._restless = contents.restless
        summed = Sum(unchanged=made.unchanged, restless=len(contents.restless), twice=made.twice)
        summed.failed += self._tell_unread(contents) + self._tell_failed(made)
        self._send(made, contents, held, summed, wait=wait)
        self._delete(made, contents, held, summed)
        if wait:
            self._await(made.unready, summed)
        return summed

    def _contents(self) -> Contents:
        with self._report.reading() as seen:
            return self._folder.contents(seen)

    def _list(self, contents: Contents) -> Holdings:
        def read() -> Holdings:
            documents = self._gateway.items(self._where, "documents", page_size=_PAGE_SIZE)
            return Holdings.of(documents, self._marks, contents.hashes.values())

        return self._patiently(read)

    def _plan(self, contents: Contents, held: Holdings) -> Plan:
        made = plan(contents, held, again=self._wish.again, adopt=self._wish.adopt)
        if not self._wish.delete:
            made.delete.clear()
        return made

    def _tell_unread(self, contents: Contents) -> int:
        """Reports what cannot be read, once; how much that is."""
        unread = {**contents.lost, **contents.unread}
        fresh = {name: why for name, why in unread.items() if self._told.unread.get(name) != why}
        for name, why in fresh.items():
            self._refused(name, RefusedFailure("NOT_READABLE", why))
        self._told.unread = unread
        return len(fresh)

    def _tell_failed(self, made: Plan) -> int:
        """Reports what failed before, once; how much that is."""
        failed = {name: each.sha256 for name, each in made.failed.items()}
        fresh = [name for name, sha256 in failed.items() if self._told.failed.get(name) != sha256]
        for name in fresh:
            each = made.failed[name]
            self._refused(name, RefusedFailure(each.reason, each.message))
        self._told.failed |= failed
        return len(fresh)

    def _refused(self, name: str, failure: Failure) -> None:
        self._report.sent(Outcome(File(self._folder.root / name, shown(name), 0), failure=failure))

    def _send(self, made: Plan, contents: Contents, held: Holdings, summed: Sum, *, wait: bool) -> None:
        files = []
        now = self._clock()
        self._troubles = {name: each for name, each in self._troubles.items() if name in contents.sizes}
        self._told.failed = {name: each for name, each in self._told.failed.items() if name in contents.sizes}
        for each in made.send:
            sha256 = contents.hashes[each.path]
            trouble = self._troubles.get(each.path)
            if trouble is not None and trouble.sha256 == sha256 and now < trouble.at:
                continue
            try:
                self._marks.fields(each.path)
            except RefusedFailure as failure:
                summed.failed += 1
                self._refused(each.path, failure)
                self._trouble(each.path, sha256, failure)
                continue
            files.append(File(self._folder.root / each.path, each.path, contents.sizes[each.path]))
        if not files:
            return
        with self._report.sending(files) as (seen, done):
            sending = Sending(
                self._gateway,
                self._collection,
                jobs=self._wish.jobs,
                wait=wait,
                fields=lambda file: {**self._marks.fields(file.name), "sha256": contents.hashes[file.name]},
                seconds=self._wish.seconds,
                seen=seen,
                listed=True,
            )
            for outcome in sending.outcomes(files):
                done(outcome.file)
                self._report.sent(outcome)
                name = outcome.file.name
                if outcome.failure is not None:
                    summed.failed += 1
                    self._trouble(name, contents.hashes[name], outcome.failure)
                    continue
                document = outcome.document or {}
                summed.taken += 1
                self._troubles.pop(name, None)
                held.coming.pop(name, None)
                held.whole[name] = Held.of(document)

    def _trouble(self, name: str, sha256: str, failure: Failure) -> None:
        """Leaves a file alone for a while, or until it is another."""
        old = self._troubles.get(name)
        pause = _LATER_SECONDS if old is None or old.sha256 != sha256 else min(2 * old.pause, _LATEST_SECONDS)
        passes = isinstance(failure, RefusedFailure) and (failure.reason in _PASSING or passing(failure))
        at = self._clock() + pause if passes else float("inf")
        self._troubles[name] = _Trouble(sha256, at, pause)
        # What the house keeps of it is told by the next list.
        self._told.failed[name] = sha256

    def _delete(self, made: Plan, contents: Contents, held: Holdings, summed: Sum) -> None:
        there = {each.sha256 for name, each in held.whole.items() if name in contents.hashes}
        # What moved goes once it has come.
        due = [
            each for each in made.delete if each.why not in (Why.MOVED, Why.ADOPTED) or each.sha256 in there
        ]
        stop = threading.Event()
        try:
            for deleted in several(due, self._deleted, self._wish.jobs, stop):
                if deleted is None:
                    continue
                self._report.deleted(deleted)
                if deleted.failure is not None:
                    summed.failed += 1
                    self._list_at = 0.0
                    continue
                summed.deleted += 1
                summed.pending += deleted.pending
                held.forget(deleted.delete)
        finally:
            stop.set()

    def _deleted(self, each: Delete) -> Deleted | None:
        """Deletes a document; None when its file is back. In any thread."""
        if each.why in (Why.GONE, Why.MOVED) and not self._folder.missing(each.path):
            return None
        where, key = f"{self._where}/{each.document_id}", uuid.uuid4().hex
        try:
            if each.coming:
                try:
                    receipt = self._patiently(lambda: self._gateway.post(f"{where}/cancel", None, key=key))
                    return _proven(each, receipt)
                except RefusedFailure as refused:
                    # It has been read meanwhile.
                    if refused.reason != "INGEST_STATE":
                        raise
            return _proven(each, self._patiently(lambda: self._gateway.delete(where, key=key)))
        except RefusedFailure as refused:
            if refused.reason == "DOCUMENT_NOT_FOUND":
                return Deleted(each)
            return Deleted(each, failure=refused)

    def _ids(self, state: str) -> set[str]:
        documents = self._gateway.items(self._where, "documents", page_size=_PAGE_SIZE, state=state)
        return {str(each["id"]) for each in documents}

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        return patiently(ask, longest=MUCH_SECONDS, sleep=self._sleep)

    def _await(self, unready: Sequence[Held], summed: Sum) -> None:
        """Waits until documents that were there have all their vectors."""
        left = {each.document_id for each in unready}
        states = "RECEIVED,PARSING,EMBEDDING"
        end = self._clock() + self._wish.seconds
        while left:
            left &= self._patiently(lambda: self._ids(states))
            if left and self._clock() > end:
                raise RefusedFailure(
                    "DEADLINE", f"{len(left)} documents have not got all their vectors in time"
                )
            if left:
                self._sleep(_LOOK_SECONDS)
        for each in unready:
            if each.coming:
                document = self._gateway.get(f"{self._where}/{each.document_id}")
                if document["state"] == "FAILED":
                    error = document["error"] or {}
                    name = self._marks.path(document) or str(document["filename"])
                    reason = str(error.get("reason") or "DOCUMENT_FAILED")
                    self._refused(name, RefusedFailure(reason, str(error.get("message") or "it failed")))
                    summed.failed += 1


def _proven(each: Delete, receipt: dict[str, Any]) -> Deleted:
    left = sum(receipt["left"].values())
    if receipt["state"] == "COMPLETE" and left:
        detail = f"{left} of its entries are still there"
        return Deleted(each, receipt, RefusedFailure("NOT_GONE", detail, receipt=receipt))
    return Deleted(each, receipt)


def _waited_for(failure: Failure, *, first: bool) -> bool:
    """Whether a watch goes on after that."""
    if isinstance(failure, UnreachableFailure):
        return True
    if failure.reason in _HELD_BACK:
        return not first
    return isinstance(failure, RefusedFailure) and passing(failure)
