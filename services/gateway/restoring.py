"""A received backup at work: checked, and gone back to, whether or not anybody waits for the end of it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.backup import work
from services.backup.clients import Keepers
from services.backup.contents import Contents
from services.backup.failure import (
    BackupError,
    BusyError,
    DiffersError,
    InvalidBackupError,
    NewerBackupError,
    NotReadyError,
)
from services.chassis import context
from services.gateway.problem import ProblemError, from_service_error, internal

_log = logging.getLogger(__name__)

# Steps are told this often; the last one of a stage always.
_TELL_SECONDS = 0.25
_MOST_LINES = 20


class AbandonedError(Exception):
    """Whoever wanted it has left, and nothing was changed yet."""


@dataclass(frozen=True)
class Step:
    """How far it is. stage: verifying, documents, sessions or comparing. done, total: bytes; 0 of 0 where
    nobody knows.
    """

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class End:
    """What came of it: the result, or the problem that ended it."""

    result: dict[str, Any] | None = None
    problem: ProblemError | None = None


class Restoring:
    """Checks the backup in a folder, then replaces all that is kept by it.

    keepers: the services to bring back; None where it is only checked. release: called at the end, once.
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        keepers: AbstractContextManager[Keepers] | None,
        release: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._key = key
        self._keepers = keepers
        self._release = release
        self._deciding = threading.Lock()
        self._abandoned = False
        self._decided = False
        self._told = ("", 0.0)
        self.steps: queue.SimpleQueue[Step | End] = queue.SimpleQueue()

    def start(self) -> None:
        """Begins, in a thread of its own: a client that leaves takes no half of a restore with it."""
        call = context.Call(context.principal(), context.request_id(), float("inf"))
        threading.Thread(target=self._run, args=(call,), name="restore").start()

    def abandon(self) -> None:
        """Stops it, unless living data are being replaced already."""
        with self._deciding:
            self._abandoned = self._abandoned or not self._decided

    def _run(self, call: context.Call) -> None:
        with context.entered(call):
            end = self._end()
        try:
            # Before the end is told: whoever hears of it may come with the next one.
            self._release()
        except OSError:
            _log.exception("an archive could not be removed")
        self.steps.put(end)

    def _end(self) -> End:
        try:
            return End(self._work())
        except AbandonedError:
            return End(problem=ProblemError(499, "CLIENT_GONE", "the client closed the connection"))
        except BackupError as error:
            problem = problem_of(error)
            _log.warning("a backup ended with a problem", extra={"fields": {"reason": problem.reason}})
            return End(problem=problem)
        except Exception:
            _log.exception("a backup could not be worked on")
            return End(problem=internal())

    def _work(self) -> dict[str, Any]:
        contents = work.verify(
            self._folder, self._key, _log.info, lambda done, total: self._seen("verifying", done, total)
        )
        if self._keepers is None:
            return described(contents)
        with self._deciding:
            if self._abandoned:
                raise AbandonedError
            self._decided = True
        with self._keepers as keepers:
            there = work.go_back(self._folder, contents, keepers, _log.info, self._seen)
        return {"backup": described(contents), "there": dict(sorted(there.items()))}

    def _seen(self, stage: str, done: int, total: int) -> None:
        if self._abandoned:
            raise AbandonedError
        now = time.monotonic()
        before, moment = self._told
        if stage != before or done == total or now - moment >= _TELL_SECONDS:
            self._told = (stage, now)
            self.steps.put(Step(stage, done, total))


def described(contents: Contents) -> dict[str, Any]:
    """A backup as its manifest has it."""
    return {
        "created": contents.created_time.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "parts": [
            {"name": name, "bytes": copy.size, "sha256": copy.sha256, "counts": dict(copy.counts)}
            for name, copy in sorted(contents.copies.items())
        ],
        "queries": len(contents.canaries),
        "conversations": len(contents.conversations),
    }


def problem_of(error: BackupError) -> ProblemError:
    """Why a backup was not made or taken, in the words of HTTP."""
    lines = [*error.lines[:_MOST_LINES], *(["and more"] if len(error.lines) > _MOST_LINES else [])]
    detail = "; ".join(lines)
    match error:
        case NewerBackupError():
            return ProblemError(409, "BACKUP_NEWER", detail)
        case InvalidBackupError():
            return ProblemError(422, "BACKUP_INVALID", detail)
        case BusyError():
            return ProblemError(409, "BACKUP_RUNNING", detail)
        case NotReadyError():
            return ProblemError(503, "UPSTREAM_UNAVAILABLE", detail, retry_after=5.0)
        case DiffersError():
            return ProblemError(500, "RESTORE_DIFFERS", detail)
    if error.cause is not None:
        said = from_service_error(error.cause)
        return ProblemError(
            said.status, said.reason, detail, metadata=said.metadata, retry_after=said.retry_after
        )
    return ProblemError(500, "BACKUP_FAILED", detail)
