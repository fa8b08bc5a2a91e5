"""The record's file: group commit, isolation of jobs, versions."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.chassis.errors import InternalError, NotFoundError, ResourceExhaustedError, UnavailableError
from services.chassis.start import StartError
from services.vector.faults import document_not_found
from services.vector.record.database import Connection, Database
from services.vector.record.schema import VERSION


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "record.sqlite3")
    yield database
    database.close()


def put(name: str) -> object:
    def work(connection: Connection) -> str:
        connection.execute("INSERT INTO meta VALUES (?, 'x')", (name,))
        return name

    return work


async def names(database: Database) -> set[str]:
    return set(await database.read(lambda c: [name for (name,) in c.execute("SELECT name FROM meta")]))


async def test_jobs_that_wait_share_a_commit_and_each_gets_its_own_answer(database: Database) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        started.set()
        go.wait(10)

    first = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(started.wait, 10)
    waiting = [asyncio.create_task(database.write(put(f"n{n}"))) for n in range(20)]
    twice = asyncio.create_task(database.write(put("n3")))
    await asyncio.sleep(0.05)
    changes = await database.read(lambda c: c.execute("PRAGMA data_version").fetchone()[0])
    go.set()
    await first
    assert await asyncio.gather(*waiting) == [f"n{n}" for n in range(20)]
    with pytest.raises(InternalError):
        await twice
    assert {f"n{n}" for n in range(20)} <= await names(database)
    assert changes


async def test_a_job_that_fails_undoes_itself_alone(database: Database) -> None:
    def half(connection: Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('half', 'x')")
        raise document_not_found("d")

    results = await asyncio.gather(
        database.write(put("before")),
        database.write(half),
        database.write(put("after")),
        return_exceptions=True,
    )
    assert isinstance(results[1], NotFoundError)
    assert {"before", "after"} <= await names(database)
    assert "half" not in await names(database)


async def test_the_follower_hears_after_the_commit_though_the_caller_left(database: Database) -> None:
    started, go, heard = threading.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(connection: Connection) -> str:
        started.set()
        go.wait(10)
        connection.execute("INSERT INTO meta VALUES ('late', 'x')")
        return "late"

    task = asyncio.create_task(database.write(slow, committed=lambda _: loop.call_soon_threadsafe(heard.set)))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    go.set()
    async with asyncio.timeout(10):
        await heard.wait()
    assert "late" in await names(database)


async def test_a_job_whose_caller_left_before_its_turn_is_not_done(database: Database) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        started.set()
        go.wait(10)

    first = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(started.wait, 10)
    second = asyncio.create_task(database.write(put("withdrawn")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0.05)
    go.set()
    await first
    await database.ping()
    assert "withdrawn" not in await names(database)


async def test_a_cancelled_read_stops_its_statement(database: Database) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    reads = [asyncio.create_task(database.read(lambda c: c.execute(endless).fetchone())) for _ in range(4)]
    await asyncio.sleep(0.2)
    for read in reads:
        read.cancel()
    async with asyncio.timeout(10):
        # All four readers are free again.
        await asyncio.gather(*(database.ping() for _ in range(4)))


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(InternalError):
        await database.read(lambda c: c.execute("DELETE FROM meta").rowcount)


async def test_a_closed_database_refuses(database: Database) -> None:
    database.close()
    with pytest.raises(UnavailableError):
        await database.write(put("x"))


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite3"
    Database.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StartError, match=f"schema version {VERSION + 1}"):
        Database.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite3"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StartError, match="cannot be opened"):
        Database.open(path)


def test_what_is_acknowledged_is_on_disk_at_once(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "record.sqlite3")
    settings = [
        database._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]
    database.close()
    assert settings == ["wal", 2]


async def test_the_file_is_written_anew_between_other_writes_and_shrinks(database: Database) -> None:
    def grow(connection: Connection) -> None:
        connection.execute("CREATE TABLE bulk (b BLOB)")
        connection.executemany("INSERT INTO bulk VALUES (zeroblob(100000))", [()] * 50)

    await database.write(grow)
    await database.write(lambda c: c.execute("DELETE FROM bulk").rowcount)
    assert await database.cut_log()
    before = database.path.stat().st_size
    await asyncio.gather(
        *(database.write(put(f"a{n}")) for n in range(5)),
        database.rewrite(),
        *(database.write(put(f"b{n}")) for n in range(5)),
    )
    assert await database.cut_log()
    assert database.path.stat().st_size < before / 10
    assert database.path.with_name("record.sqlite3-wal").stat().st_size == 0
    assert {f"{kind}{n}" for kind in "ab" for n in range(5)} <= await names(database)
    # No temporary file stays beside it.
    assert {path.name for path in database.path.parent.iterdir()} <= {
        f"record.sqlite3{ending}" for ending in ("", "-wal", "-shm")
    }


async def test_a_log_that_a_reader_needs_is_not_cut(database: Database) -> None:
    reading, go = threading.Event(), threading.Event()

    def read(connection: Connection) -> int:
        (count,) = connection.execute("SELECT count(*) FROM meta").fetchone()
        reading.set()
        go.wait(20)
        return int(count)

    reader = asyncio.create_task(database.read(read))
    await asyncio.to_thread(reading.wait, 10)
    await database.write(put("while it reads"))
    assert not await database.cut_log()
    go.set()
    await reader
    assert await database.cut_log()


async def test_a_rewrite_without_space_says_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(database.path.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ResourceExhaustedError) as error:
        await database.rewrite()
    assert error.value.reason == "STORAGE_FULL"


async def test_a_job_that_is_alone_and_withdrawn_leaves_the_writer_alive(database: Database) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        started.set()
        go.wait(10)

    first = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(started.wait, 10)
    alone = asyncio.create_task(database.rewrite())
    await asyncio.sleep(0.05)
    alone.cancel()
    go.set()
    await first
    assert await database.write(put("after")) == "after"
