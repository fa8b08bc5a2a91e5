"""No statement walks through a collection: what a document costs does not grow with those that are there.

What SQLite would do is asked of SQLite, for every statement that ran.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.vector.record import database, lexicon
from services.vector.record.lexicon import Shelf
from tests.contract.vector.test_upkeep import settled
from tests.contract.vector.world import eventually, running

# Tables that have a row for each document, passage or vector, by the names that statements give them.
LARGE = "documents|d|chunks|h|vectors|v|texts|t"
# All rows, or all of a collection's in the order of their keys.
WALKS = re.compile(rf"SCAN ({LARGE})\b|SEARCH ({LARGE}) USING .*\((collection|generation)_key=\?\)$")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> dict[str, None]:
    """Every statement that runs from now on, with its values."""
    ran: dict[str, None] = {}
    connect = database.connect

    def traced(path: Path, *, readonly: bool) -> sqlite3.Connection:
        connection = connect(path, readonly=readonly)
        connection.set_trace_callback(ran.setdefault)
        return connection

    monkeypatch.setattr(database, "connect", traced)
    return ran


async def test_no_statement_walks_through_a_collection(tmp_path: Path, statements: dict[str, None]) -> None:
    async with running(tmp_path) as client:
        await client.create()
        await client.ready("The first heron stands in the reeds.")
        # What a start does once may read everything, and it does so beside the first documents.
        await eventually(lambda: settled(client))
        statements.clear()
        await client.ready("A heron by its name.", external_id="heron")
        await client.ready("A heron by its name, told anew.", external_id="heron")
        await client.ready("A heron by its name, told anew.", external_id="heron")
        document = await client.ready("A heron by its words.")
        await client.ready("A heron by its words.")
        await client.import_all(
            {"text": f"Heron {number}.", "external_id": str(number)} for number in range(3)
        )
        for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID):
            assert (await client.search("heron", mode=mode)).hits
        await client.get(document.document_id)
        await client.list(page_size=2)
        assert await client.list(external_id="heron")
        await client.text(document.document_id)
        await client.delete(document.document_id)

    assert len(statements) > 100
    walks = {}
    with sqlite3.connect(tmp_path / "vector" / "record.sqlite3") as connection:
        for shelf in (Shelf(1), Shelf(1, of_documents=True)):
            # Readers have tables of their own that show the words of an index.
            list(lexicon.occurrences(connection, shelf, []))
        for statement in statements:
            if statement.lstrip().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
                plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
                if found := [step for step in plan if WALKS.search(step)]:
                    walks[statement] = found
    assert not walks
