"""Repairs beside each other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.vector.record import mending
from services.vector.record.database import Connection
from services.vector.record.record import Record, opened
from tests.unit.vector.record.test_reembedding import OLD, OWNER, take


async def _tables(record: Record) -> list[str]:
    def work(connection: Connection) -> list[str]:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'lexical%_next'")
        return [name for (name,) in rows]

    return await record._database.read(work)


async def test_two_repairs_of_a_keyword_index_lose_nothing_and_are_not_taken_for_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "_STEP_DOCUMENTS", 2)
    with opened(tmp_path / "r.sqlite3") as record:
        await record.collections.create(OWNER, "books", description="", model=OLD, request=None)
        for number in range(40):
            await take(record, number)
        first = asyncio.create_task(record.mending.rebuild_lexicon(1))
        async with asyncio.timeout(20):
            while not (names := await _tables(record)):
                await asyncio.sleep(0)
        assert not (await record.inspection.rows()).findings
        await record.mending.remove_rows(names[0])
        second = asyncio.create_task(record.mending.rebuild_lexicon(1))
        await asyncio.gather(first, second)

        def found(connection: Connection) -> int:
            query = "SELECT count(*) FROM lexical_1 WHERE lexical_1 MATCH 'number'"
            return int(connection.execute(query).fetchone()[0])

        assert await record._database.read(found) == 40
        assert await _tables(record) == []
        assert not (await record.inspection.documents(1, 0)).findings
