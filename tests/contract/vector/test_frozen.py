"""What older releases kept is opened by this one, and everything still answers."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.start import StartError
from services.vector.record.schema import VERSION
from tests.contract.vector.snapshots import all_embedded, imported
from tests.contract.vector.test_upkeep import settled
from tests.contract.vector.world import Client, WordEmbedder, eventually, running, walk
from tests.support.frozen import unsaid
from tests.tools.freeze_vectors import DIMENSION, answers

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
# An older one is tried in test_finding.
SCHEMAS = (3, 4, 5)


def test_each_schema_that_was_in_use_is_frozen() -> None:
    """The newest was frozen when the next one came, or is that of this release."""
    assert SCHEMAS[-1] in (VERSION, VERSION - 1)
    assert [_frozen(schema)["schema"] for schema in SCHEMAS] == list(SCHEMAS)


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_its_record_is_opened_and_written_on(schema: int, tmp_path: Path) -> None:
    frozen = _frozen(schema)
    path = tmp_path / "vector" / "record.sqlite3"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as record:
        record.executescript(frozen["record"])
    async with running(tmp_path, WordEmbedder(dimension=DIMENSION)) as client:
        assert unsaid(frozen["answers"], await answers(client)) == []
        await _goes_on(client)
    with closing(sqlite3.connect(path)) as record:
        assert record.execute("PRAGMA user_version").fetchone() == (VERSION,)


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_its_snapshot_is_taken_in(schema: int, tmp_path: Path) -> None:
    frozen = _frozen(schema)
    async with running(tmp_path, WordEmbedder(dimension=DIMENSION)) as client:
        await client.create("before")
        await imported(client, gzip.decompress(base64.b64decode(frozen["snapshot"])))
        await all_embedded(client)
        assert unsaid(frozen["answers"], await answers(client)) == []
        await _goes_on(client)


async def test_a_newer_record_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "vector" / "record.sqlite3"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as record:
        record.executescript(f"PRAGMA user_version = {VERSION + 1}; CREATE TABLE theirs (it)")
    with pytest.raises(StartError, match=f"schema version {VERSION + 1}, this release knows {VERSION}"):
        async with running(tmp_path):
            raise AssertionError("it serves")
    with closing(sqlite3.connect(path)) as record:
        assert record.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


async def _goes_on(client: Client) -> None:
    """Requests of then are known, writes go on, and the indexes are whole."""
    again = await client.create(description="Of an older release", request_id="create-1")
    assert again.documents == 3
    made = await client.ready("The lamp was mended.", external_id="new")
    assert (await client.search("mended")).hits[0].external_id == "new"
    kitchen = (await client.list(external_id="kitchen"))[0]
    receipt = await client.delete(kitchen.document_id)
    assert receipt.state == pb.DELETION_STATE_COMPLETE
    for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE):
        found = await client.search("Bread ERR_OVEN_42", mode=mode, similarity_threshold=-1)
        assert kitchen.document_id not in {hit.document_id for hit in found.hits}
    assert made.document_id in {one.document_id for one in await client.list()}
    await eventually(lambda: settled(client))
    assert await walk(client, every_tenant=True) == []


def _frozen(schema: int) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((FIXTURES / f"vectors-{schema}.json").read_text())
    return kept
