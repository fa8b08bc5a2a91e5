"""One SQLite file: a single writer that commits in groups, and a few readers.

The writer is a thread with a queue. It takes what waits there, runs each job in its own savepoint, and
commits once for all; a caller hears of its success only after that commit has reached the disk (WAL,
synchronous=FULL). Readers see a snapshot and never wait for the writer.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from services.chassis.crash import crash_point
from services.chassis.errors import (
    DataLossError,
    InternalError,
    ResourceExhaustedError,
    ServiceError,
    UnavailableError,
)
from services.chassis.start import StartError
from services.vector.record import schema
from services.vector.record.noting import note_documents

T = TypeVar("T")
Connection = sqlite3.Connection

_log = logging.getLogger(__name__)

_BUSY_MS = 2_000
_READERS = 4
_GROUP = 64
# A group takes a second, a document of the largest size allowed some twenty.
_STUCK_SECONDS = 60.0
# What runs alone writes the whole file.
_ALONE_SECONDS = 3_600.0
# Below this a failed write of the operating system means: no space.
_NO_SPACE_BYTES = 1 << 20


def connect(path: Path, *, readonly: bool) -> Connection:
    """A connection to a record that lives: WAL, and a commit that is on disk."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("PRAGMA temp_store = MEMORY")
    if readonly:
        connection.execute("PRAGMA query_only = ON")
    return connection


@dataclass
class _Write(Generic[T]):
    work: Callable[[Connection], T]
    milestone: str | None
    committed: Callable[[T], None] | None
    # Runs by itself and outside of any transaction.
    alone: bool = False
    future: Future[T] = field(default_factory=Future)


class _Read(Generic[T]):
    """A read that can be interrupted from another thread while it runs, and only then."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self._work = work
        self._running: Connection | None = None
        self._guard = threading.Lock()

    def run(self, connection: Connection) -> T:
        with self._guard:
            self._running = connection
        try:
            connection.execute("BEGIN")
            try:
                outcome = self._work(connection)
                # Nothing was written; undoing would forget temporary tables, and the whole schema with them.
                connection.execute("COMMIT")
                return outcome
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        finally:
            with self._guard:
                self._running = None

    def interrupt(self) -> None:
        with self._guard:
            if self._running is not None:
                self._running.interrupt()


class Database:
    """The file, its writer and its readers. Made by `open`, ended by `close`."""

    def __init__(self, path: Path, writer: Connection) -> None:
        self.path = path
        self._connection = writer
        self._jobs: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._opened: list[Connection] = []
        self._readers = ThreadPoolExecutor(_READERS, "record-read", initializer=self._open_reader)
        self._thread = threading.Thread(target=self._run, name="record-write", daemon=True)
        self._closed = False
        self._busy_since: float | None = None
        self._guard = threading.Lock()
        self._running_alone: _Write[Any] | None = None
        self._next_alone: _Write[Any] | None = None
        self._thread.start()

    @classmethod
    def open(cls, path: Path) -> Database:
        """Opens the file and makes it when missing. Raises StartError when it cannot be used."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = connect(path, readonly=False)
            schema.prepare(writer)
            note_documents(writer)
        except (OSError, sqlite3.Error) as error:
            raise StartError(f"the record {path} cannot be opened: {error}") from error
        return cls(path, writer)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on a snapshot in a reader's thread. Cancelling interrupts its statement.

        Raises UnavailableError (RECORD_BUSY), DataLossError (RECORD_DAMAGED).
        """
        job = _Read(work)
        future = self._readers.submit(self._read, job)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            job.interrupt()
            raise

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        milestone: str | None = None,
        committed: Callable[[T], None] | None = None,
    ) -> T:
        """Runs `work` in the writer's thread and returns after the commit that holds it.

        A caller that is cancelled before its turn withdraws the job; later, the outcome is unknown to it.
        `committed` is called with the result in the writer's thread after the commit, whether or not the
        caller still waits. `milestone` names the commit for crash points. Whatever `work` raises undoes that
        job alone. Raises ResourceExhaustedError (STORAGE_FULL), UnavailableError (RECORD_BUSY),
        DataLossError.
        """
        if self._closed:
            raise UnavailableError("the record is closed", reason="RECORD_BUSY")
        # Callers wait for their job, so the queue is no longer than the calls that the server admits.
        job = _Write(work, milestone, committed)
        self._jobs.put(job)
        return await asyncio.wrap_future(job.future)

    async def rewrite(self) -> None:
        """Writes the whole file anew (VACUUM): nothing is in it then but what is kept. Other writes wait.

        Takes a temporary file and a log, each as large as what is kept, beside the record. Cancelling undoes
        it. Raises what write raises.
        """

        def work(connection: Connection) -> None:
            # A record does not fit into memory, and the temporary folder of the system may be memory.
            folder = str(self.path.parent).replace("'", "''")
            connection.execute(f"PRAGMA temp_store_directory = '{folder}'")
            connection.execute("PRAGMA temp_store = FILE")
            try:
                connection.execute("VACUUM")
            finally:
                connection.execute("PRAGMA temp_store = MEMORY")

        if shutil.disk_usage(self.path.parent).free < 2 * self.path.stat().st_size + _NO_SPACE_BYTES:
            raise ResourceExhaustedError("the disk has no space for a new file", reason="STORAGE_FULL")
        await self._alone(work)

    async def cut_log(self) -> bool:
        """Takes the log into the file and cuts it to nothing; false while readers need it."""

        def work(connection: Connection) -> bool:
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

        return await self._alone(work)

    async def _alone(self, work: Callable[[Connection], T]) -> T:
        if self._closed:
            raise UnavailableError("the record is closed", reason="RECORD_BUSY")
        job = _Write(work, None, None, alone=True)
        self._jobs.put(job)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            with self._guard:
                if self._running_alone is job:
                    self._connection.interrupt()
            raise

    async def ping(self) -> None:
        """A read, and a sign of life of the writer: it works on a group, not too long, or takes an empty job.

        An empty job locks the file and writes nothing. Raises what read and write raise, UnavailableError
        (RECORD_BUSY) for a writer that is stuck.
        """
        await self.read(_version)
        since = self._busy_since
        if since is None:
            await self.write(_version)
        elif time.monotonic() - since > _STUCK_SECONDS:
            raise UnavailableError("the record's writer is stuck", reason="RECORD_BUSY")

    def close(self) -> None:
        """Ends after the jobs that wait. Blocks."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._readers.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()
        self._connection.close()

    def _open_reader(self) -> None:
        connection = connect(self.path, readonly=True)
        self._opened.append(connection)
        self._local.connection = connection

    def _read(self, job: _Read[T]) -> T:
        try:
            return job.run(self._local.connection)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def _run(self) -> None:
        while True:
            jobs = self._next_group()
            if not jobs:
                return
            self._busy_since = time.monotonic()
            try:
                if jobs[0].alone:
                    # It takes as long as the file is large, which is no sign of being stuck.
                    self._busy_since += _ALONE_SECONDS
                    self._run_alone(jobs[0])
                else:
                    self._commit(jobs)
            except Exception as error:
                # The thread must live on, and nobody may wait for ever.
                _log.exception("the record's writer failed")
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                for job in jobs:
                    if not job.future.done():
                        job.future.set_exception(error)
            finally:
                self._busy_since = None

    def _next_group(self) -> list[_Write[Any]]:
        """The jobs that wait, at least one; empty at the end."""
        jobs: list[_Write[Any]] = []
        while len(jobs) < _GROUP:
            job: _Write[Any] | None
            try:
                if self._next_alone is not None:
                    job, self._next_alone = self._next_alone, None
                else:
                    job = self._jobs.get(block=not jobs)
            except queue.Empty:
                break
            if job is None:
                # Seen again at the next turn, when the jobs before it are done.
                if jobs:
                    self._jobs.put(None)
                break
            if job.alone and jobs:
                self._next_alone = job
                break
            if job.future.set_running_or_notify_cancel():
                jobs.append(job)
                if job.alone:
                    break
        return jobs

    def _run_alone(self, job: _Write[Any]) -> None:
        with self._guard:
            self._running_alone = job
        try:
            result = job.work(self._connection)
        except sqlite3.Error as error:
            job.future.set_exception(translated(error, self.path))
        else:
            job.future.set_result(result)
        finally:
            with self._guard:
                self._running_alone = None

    def _commit(self, jobs: list[_Write[Any]]) -> None:
        outcomes: list[tuple[_Write[Any], Any, Exception | None]] = []
        milestones = {job.milestone for job in jobs if job.milestone}
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                outcomes.append(self._attempt(job))
            for name in milestones:
                crash_point(f"vector.before_{name}")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if len(jobs) > 1:
                # One job may have been too much for the disk; the others need not fail with it.
                for job in jobs:
                    self._commit([job])
                return
            _log.error("a commit failed: %s", error)
            jobs[0].future.set_exception(translated(error, self.path))
            return
        for name in milestones:
            crash_point(f"vector.after_{name}")
        for job, result, fault in outcomes:
            if fault is not None:
                job.future.set_exception(fault)
                continue
            if job.committed is not None:
                job.committed(result)
            job.future.set_result(result)

    def _attempt(self, job: _Write[T]) -> tuple[_Write[T], T | None, Exception | None]:
        self._connection.execute("SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except sqlite3.Error as error:
            if not self._connection.in_transaction or self._whole(error):
                raise
            fault: Exception = translated(error, self.path)
        except Exception as error:  # handed to the caller of write
            fault = error
        else:
            self._connection.execute("RELEASE job")
            return job, result, None
        self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")
        return job, None, fault

    @staticmethod
    def _whole(error: sqlite3.Error) -> bool:
        """Whether the error is about the file and not about one statement."""
        return _code(error) in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOMEM,
        )


def translated(error: sqlite3.Error, path: Path) -> ServiceError:
    """What callers hear of an error of the file in `path`."""
    code = _code(error)
    no_space = code == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < _NO_SPACE_BYTES
    if code == sqlite3.SQLITE_FULL or no_space:
        return ResourceExhaustedError("the disk of the record is full", reason="STORAGE_FULL")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT):
        return UnavailableError("the record is busy", reason="RECORD_BUSY", retry_after=1.0)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR):
        return DataLossError(f"the record cannot be read: {error}", reason="RECORD_DAMAGED")
    return InternalError(f"the record refused a statement: {error}", reason="INTERNAL")


def _code(error: sqlite3.Error) -> int:
    """The primary result code; extended codes carry it in their low byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _version(connection: Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
