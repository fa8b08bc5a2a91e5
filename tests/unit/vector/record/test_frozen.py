"""Records that older releases wrote (tests/tools/freeze_record.py) are opened by this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from services.chassis.context import LOCAL_OWNER
from services.chassis.start import StartError
from services.vector.access import Caller
from services.vector.documents import DocumentState
from services.vector.embedding.ports import ModelName
from services.vector.record import copies, schema
from services.vector.record.copies import Stop
from services.vector.record.database import Database
from services.vector.record.lexicon import Shelf
from services.vector.record.record import Record, opened
from services.vector.record.vectors import Made

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
FROZEN = sorted(FIXTURES.glob("record-*.sql"))
OWNER = Caller.of(LOCAL_OWNER)


def thawed(frozen: Path, path: Path) -> Path:
    """The record as that release left it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(frozen.read_text())
    return path


def test_every_version_before_this_one_that_was_ever_kept_is_here() -> None:
    assert [path.name for path in FROZEN] == [f"record-{n}.sql" for n in range(2, schema.VERSION)]


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.stem)
async def test_what_an_older_release_kept_is_all_there(tmp_path: Path, frozen: Path) -> None:
    path = thawed(frozen, tmp_path / "record.sqlite3")
    with opened(path) as record:
        collection = await record.collections.get(OWNER, "books")
        assert (collection.model, collection.vectors, collection.chunks) == (ModelName("words", 4), 2, 4)
        documents = await record.documents.page(
            OWNER, "books", before_key=2**62, size=9, states=[], external_id=""
        )
        assert [(one.external_id, one.state) for one in documents] == [
            ("kitchen", DocumentState.EMBEDDING),
            ("harbour", DocumentState.READY),
        ]
        text = await record.documents.text(documents[1].key, 0, 99)
        assert text.data == b"Boats moor at the east pier.\n\nThe lamp is lit at dusk."
        # Words, in the way of this release.
        found = await record.postings.rank(Shelf(collection.key), ['"bread"'])
        assert found.best(9) == [4]
        rows = await record.vectors.after(collection.generation_key, 0, 4, 9)
        assert rows.keys.tolist() == [1, 2]
        assert np.array_equal(rows.vectors, np.eye(4, dtype=np.float32)[:2])
        # What waited goes on to wait, and the index has its collection under the key that it had.
        waiting = await record.vectors.waiting(ModelName("words", 4), 9)
        assert [one.chunk_key for one in waiting] == [3, 4]
        assert await record.index_queue.removals(9) == (collection.key, [5])
        assert collection.generation_key == collection.key == 1
        await record.vectors.store([Made(1, 3, rows.vectors[0]), Made(1, 4, rows.vectors[0])])
        assert (await record.collections.get(OWNER, "books")).vectors == 4
        tombstone = await record.tombstones.get(LOCAL_OWNER.space, await deletion(record))
        assert tombstone.generations == (1,)
        # A generation that comes later has a key of its own.
        key = await record.reembedding.begin(OWNER, "books", ModelName("other", 3), 0)
        assert key == 2


async def deletion(record: Record) -> str:
    return await record._database.read(
        lambda connection: str(connection.execute("SELECT tombstone_id FROM tombstones").fetchone()[0])
    )


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.stem)
def test_a_snapshot_of_an_older_release_can_be_taken_in(tmp_path: Path, frozen: Path) -> None:
    path = thawed(frozen, tmp_path / "record.sqlite3")
    version = int(frozen.stem.rpartition("-")[2])
    contents = copies.verify(path, version, Stop())
    assert contents.counts == {"collections": 1, "documents": 2, "chunks": 4, "vectors": 2}
    copies.fit(path, Stop())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.stem)
def test_a_record_of_a_newer_release_is_left_as_it_is(tmp_path: Path, frozen: Path) -> None:
    path = thawed(frozen, tmp_path / "record.sqlite3")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(StartError, match=f"schema version {schema.VERSION + 1}, this release knows"):
        Database.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION + 1,)
        assert connection.execute("SELECT collection_id FROM collections").fetchall() == [("books",)]
