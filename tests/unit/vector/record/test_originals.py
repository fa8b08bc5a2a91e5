"""Originals in the record: pieces of a file, and which file that must be."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from services.chassis.errors import InternalError
from services.vector.record import originals, schema
from services.vector.record.database import connect
from services.vector.record.originals import PIECE_BYTES


@pytest.fixture
def record(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A record with one collection and three documents of eleven bytes."""
    with closing(connect(tmp_path / "record.sqlite3", readonly=False)) as connection:
        schema.prepare(connection)
        connection.execute(
            "INSERT INTO collections (key, tenant_id, collection_id, description, create_time)"
            " VALUES (1, 't', 'books', '', 0)"
        )
        for key in (1, 2, 3):
            connection.execute(
                "INSERT INTO documents (key, document_id, collection_key, external_id, title, filename,"
                " state, create_time, bytes) VALUES (?, ?, 1, '', '', '', 4, 0, 11)",
                (key, str(key)),
            )
        yield connection


def file(tmp_path: Path, data: bytes) -> tuple[Path, str]:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_file_is_kept_in_pieces(record: sqlite3.Connection, tmp_path: Path, size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    path, sha256 = file(tmp_path, data[:size])
    assert not originals.has(record, 1)
    originals.keep(record, 1, path, sha256)
    assert originals.has(record, 1)
    assert originals.is_whole(record, 1, size, sha256)
    assert not originals.is_whole(record, 1, size + 1, sha256)
    assert not originals.is_whole(record, 1, size, "0" * 64)
    (most,) = record.execute("SELECT max(length(piece)) FROM originals").fetchone()
    assert most == min(size, PIECE_BYTES)
    at, read = 0, b""
    while piece := originals.read_original(record, 1, at, size):
        read += piece
        at += len(piece)
    assert read == data[:size]


def test_another_file_than_the_one_that_arrived_is_told(record: sqlite3.Connection, tmp_path: Path) -> None:
    path, _ = file(tmp_path, b"other bytes")
    with pytest.raises(InternalError, match="not what arrived"):
        originals.keep(record, 1, path, hashlib.sha256(b"the bytes").hexdigest())


def test_originals_of_a_collection_go_some_at_a_time(record: sqlite3.Connection, tmp_path: Path) -> None:
    path, sha256 = file(tmp_path, b"eleven here")
    for key in (1, 2, 3):
        originals.keep(record, key, path, sha256)
    # The step ends with the document that passes the bound.
    assert originals.erase_some(record, 1, 0, 12) == 2
    assert [originals.has(record, key) for key in (1, 2, 3)] == [False, False, True]
    assert originals.erase_some(record, 9, 0, 12) is None
    assert originals.erase_some(record, 1, 2, 12) is None
    assert not originals.has(record, 3)


def test_no_document_goes_without_its_original(record: sqlite3.Connection, tmp_path: Path) -> None:
    originals.keep(record, 1, *file(tmp_path, b"eleven here"))
    with pytest.raises(sqlite3.IntegrityError):
        record.execute("DELETE FROM documents WHERE key = 1")
