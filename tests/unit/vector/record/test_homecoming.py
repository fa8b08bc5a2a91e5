"""What was kept without login belongs to the house's own tenant after the step to schema 5."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from services.chassis.context import LOCAL_OWNER, Principal
from services.chassis.errors import NotFoundError
from services.vector.access import Caller, Role
from services.vector.record import schema
from services.vector.record.record import opened
from tests.unit.vector.record.test_frozen import FIXTURES, thawed

CALLER = {"tenant_id": "local", "space": "local", "subject": "owner", "groups": [], "manages": True}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A record of schema 4 of a house without login, in which somebody also signed in once."""
    path = thawed(FIXTURES / "record-4.sql", tmp_path / "record.sqlite3")
    with closing(sqlite3.connect(path)) as record, record:
        collections = (
            "INSERT INTO collections (tenant_id, collection_id, description, create_time, owner) VALUES"
        )
        record.execute(f"{collections} ('home', 'books', '', 1, 'usr_1')")
        record.execute(f"{collections} ('home', 'books-local', '', 1, 'usr_1')")
        record.execute(f"{collections} ('local', 'old', '', 1, '')")
        record.execute(f"{collections} ('acme', 'old', '', 1, '')")
        record.execute(
            "INSERT INTO grants SELECT key, 'group:everyone', 2 FROM collections WHERE collection_id = 'old'"
        )
        record.execute(
            "INSERT INTO grants SELECT key, 'group:cooks', 1 FROM collections WHERE tenant_id = 'local'"
        )
        record.executemany(
            "INSERT INTO ingests (document_id, collection_key, caller, media_type, request_id, fingerprint)"
            " VALUES (?, 1, ?, '', '', '')",
            [("d1", json.dumps(CALLER)), ("d2", json.dumps(CALLER | {"tenant_id": "acme"}))],
        )
    return path


def test_collections_receipts_and_what_waits(path: Path) -> None:
    with closing(sqlite3.connect(path)) as record:
        schema.prepare(record)
        rows = record.execute(
            "SELECT tenant_id, collection_id, owner FROM collections ORDER BY key"
        ).fetchall()
        assert rows == [
            # Both names are taken at home.
            ("home", "books-local-2", "owner"),
            ("home", "books", "usr_1"),
            ("home", "books-local", "usr_1"),
            ("home", "old", ""),
            ("acme", "old", ""),
        ]
        # Everyone was one person.
        shared = record.execute(
            "SELECT c.tenant_id, g.grantee FROM grants g JOIN collections c ON c.key = g.collection_key"
            " WHERE c.collection_id = 'old' ORDER BY 1, 2"
        )
        assert shared.fetchall() == [("acme", "group:everyone"), ("home", "group:cooks")]
        assert record.execute("SELECT DISTINCT tenant_id FROM tombstones").fetchall() == [("home",)]
        callers = [json.loads(text) for (text,) in record.execute("SELECT caller FROM ingests ORDER BY 1")]
        assert sorted(one["tenant_id"] for one in callers) == ["acme", "home"]
        assert CALLER | {"tenant_id": "home"} in callers


async def test_who_has_them_then(path: Path) -> None:
    with opened(path) as record:
        own = await record.collections.get(Caller.of(LOCAL_OWNER), "books-local-2")
        assert (own.role, own.documents) == (Role.OWNER, 2)
        chief = Principal("home", "usr_2", frozenset(), role="admin")
        assert (await record.collections.get(Caller.of(chief), "books-local-2")).role == Role.OWNER
        cook = Principal("home", "usr_3", frozenset(), frozenset({"cooks"}), "member")
        assert (await record.collections.get(Caller.of(cook), "books-local-2")).role == Role.READER
        member = Principal("home", "usr_4", frozenset(), role="member")
        with pytest.raises(NotFoundError):
            await record.collections.get(Caller.of(member), "books-local-2")
