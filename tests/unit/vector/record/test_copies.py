"""Copies of the record: still while it changes, checked, and fitted to another place."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.context import LOCAL_OWNER
from services.chassis.errors import DataLossError, InvalidArgumentError
from services.vector.access import Caller
from services.vector.documents import Request
from services.vector.embedding.ports import ModelName
from services.vector.record import copies
from services.vector.record.copies import Contents, Stop, StoppedError
from services.vector.record.record import Record, opened
from services.vector.record.schema import VERSION


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Record]:
    with opened(tmp_path / "record.sqlite3") as record:
        yield record


async def collection(record: Record, name: str) -> int:
    made = await record.collections.create(
        Caller.of(LOCAL_OWNER), name, description="", model=ModelName("m", 4), request=None
    )
    return made.key


async def rows(record: Record) -> int:
    return await record._database.read(
        lambda connection: int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])
    )


async def test_what_is_on_its_way_in_is_left_out(record: Record, tmp_path: Path) -> None:
    key = await collection(record, "books")
    await record.documents.receive(key, "", "", "a.txt", {})

    contents = record.copy(tmp_path / "copy", Stop())

    assert contents.counts == {"collections": 1, "documents": 0, "chunks": 0, "vectors": 0}
    with opened(tmp_path / "copy") as copy:
        assert await rows(copy) == 0
    assert await rows(record) == 1


async def test_a_copy_is_of_one_moment_though_others_write(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tables are changed together, over and over; no copy shows one without the other."""
    monkeypatch.setattr(copies, "_PAGES_PER_STEP", 1)
    ended = threading.Event()
    for table in ("a", "b"):
        statement = f"CREATE TABLE {table} (n INTEGER, filler BLOB)"
        await record._database.write(lambda connection, statement=statement: connection.execute(statement))  # type: ignore[misc]
    turns = 0

    def both(connection: sqlite3.Connection) -> None:
        for table in ("a", "b"):
            connection.execute(f"INSERT INTO {table} VALUES (?, zeroblob(20000))", (turns,))

    async def write() -> None:
        nonlocal turns
        while not ended.is_set():
            turns += 1
            await record._database.write(both)

    writing = asyncio.create_task(write())
    for number in range(5):
        while turns < 10 * (number + 1):  # counted by another task
            await asyncio.sleep(0.01)
        acknowledged = turns - 1
        before = turns
        path = tmp_path / f"copy{number}"
        await asyncio.to_thread(record.copy, path, Stop())
        assert turns > before, "the writers stood still"
        connection = sqlite3.connect(path)
        sides = [connection.execute(f"SELECT count(*), max(n) FROM {table}").fetchone() for table in "ab"]
        connection.close()
        assert sides[0] == sides[1]
        assert sides[0][0] >= acknowledged
    ended.set()
    await writing


async def test_a_copy_can_be_stopped(record: Record, tmp_path: Path) -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(StoppedError):
        record.copy(tmp_path / "copy", stop)
    await collection(record, "works on")


async def test_a_damaged_record_is_not_given_out(record: Record, tmp_path: Path) -> None:
    key = await collection(record, "books")
    await record._database.write(
        lambda connection: connection.execute(
            "INSERT INTO documents (document_id, collection_key, external_id, title, filename, state,"
            " text_bytes, create_time) VALUES ('d', ?, '', '', '', 4, 10, 0)",
            (key,),
        )
    )
    with pytest.raises(DataLossError, match="text of document d"):
        record.copy(tmp_path / "copy", Stop())


async def test_the_index_gets_a_generation_that_neither_record_had(record: Record, tmp_path: Path) -> None:
    with opened(tmp_path / "other.sqlite3") as other:
        for _ in range(3):
            await other.index_queue.restart()
        other_name, other_generation = await other.index_queue.identity()
        contents = other.copy(tmp_path / "copy", Stop())
    name, generation = await record.index_queue.identity()
    page_key = await record.page_key()
    request = Request("r1", "fingerprint")

    copies.verify(tmp_path / "copy", VERSION, Stop())
    copies.fit(tmp_path / "copy", Stop())
    copies.adopt(tmp_path / "copy", tmp_path / "record.sqlite3", "t", request, contents)

    with opened(tmp_path / "copy") as adopted:
        assert await adopted.index_queue.identity() == (name, max(generation, other_generation) + 1)
        assert name != other_name
        assert await adopted.page_key() != page_key
        assert await adopted.restored("t", request) == contents
        assert await adopted.restored("u", request) is None


async def test_a_record_that_cannot_tell_its_index_is_replaced_all_the_same(
    record: Record, tmp_path: Path
) -> None:
    contents = record.copy(tmp_path / "copy", Stop())
    noise = tmp_path / "noise"
    noise.write_bytes(b"noise" * 1000)

    copies.adopt(tmp_path / "copy", noise, "t", None, contents)

    with opened(tmp_path / "copy") as adopted:
        _, generation = await adopted.index_queue.identity()
        assert generation > 1_000_000


def test_a_copy_is_one_file(record: Record, tmp_path: Path) -> None:
    record.copy(tmp_path / "copy", Stop())
    connection = sqlite3.connect(tmp_path / "copy")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("copy-")]


@pytest.mark.parametrize("content", [b"", b"noise" * 1000])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    for version in (0, 1):
        with pytest.raises(InvalidArgumentError) as error:
            copies.verify(tmp_path / "file", version, Stop())
        assert error.value.reason == "SNAPSHOT_INVALID"


def test_contents_come_back_as_they_were() -> None:
    contents = Contents(1, 2, 3, 4, "ab")
    assert Contents.from_json(contents.to_json()) == contents
