"""Records of older releases are brought up to this one."""

import sqlite3
from pathlib import Path

from services.chassis.context import Principal
from services.vector.access import Caller, Grant, Role
from services.vector.record import schema
from services.vector.record.database import Database
from services.vector.record.record import opened


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def test_a_record_of_version_1_keeps_its_rows_and_gets_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite3"
    with sqlite3.connect(path) as old:
        schema._make(old)
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO collections (tenant_id, collection_id, description, embedding_model, dimension,"
            " create_time) VALUES ('t', 'c', '', 'm', 4, 0)"
        )
        old.execute(
            "INSERT INTO documents (document_id, collection_key, external_id, title, filename, state,"
            " create_time) VALUES ('d', 1, '', 'T', 'f', 4, 0)"
        )
        old.execute("INSERT INTO requests VALUES ('t', 'r', 'CreateCollection', '', 'c', 0)")
        installation = old.execute("SELECT value FROM meta WHERE name = 'installation'").fetchone()
    old.close()

    Database.open(path).close()

    with sqlite3.connect(path) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert new.execute("SELECT title, warnings FROM documents").fetchone() == ("T", "[]")
        assert new.execute("SELECT count(*) FROM places").fetchone() == (0,)
        assert new.execute("SELECT owner FROM collections").fetchall() == [("",)]
        assert new.execute("SELECT * FROM grants").fetchall() == [(1, "group:everyone", 2)]
        assert new.execute("SELECT space, request_id FROM requests").fetchall() == [("t", "r")]
        assert new.execute("SELECT value FROM meta WHERE name = 'installation'").fetchone() == installation
    new.close()


def test_a_new_record_has_the_same_tables_as_one_that_was_brought_up(tmp_path: Path) -> None:
    fresh, aged = tmp_path / "fresh", tmp_path / "aged"
    with sqlite3.connect(aged) as old:
        schema._make(old)
        old.execute("PRAGMA user_version = 1")
    old.close()
    shapes = []
    for path in (fresh, aged):
        Database.open(path).close()
        with sqlite3.connect(path) as connection:
            tables = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            shapes.append({table: columns(connection, table) for table in tables})
        connection.close()
    assert shapes[0] == shapes[1]


async def test_who_used_an_older_record_still_can_and_others_of_the_tenant_too(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite3"
    with sqlite3.connect(path) as old:
        schema._make(old)
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO collections (tenant_id, collection_id, description, embedding_model, dimension,"
            " create_time) VALUES ('acme', 'books', '', 'm', 4, 0)"
        )
    old.close()
    with opened(path) as record:
        found = {
            who.subject: await record.collections.get(Caller.of(who), "books")
            for who in (
                Principal("acme", "owner", frozenset()),
                Principal("acme", "anna", frozenset(), role="member"),
            )
        }
        assert {subject: one.role for subject, one in found.items()} == {
            "owner": Role.OWNER,
            "anna": Role.WRITER,
        }
        assert found["owner"].grants == (Grant("", "everyone", Role.WRITER),)
