"""What was kept without login was of a tenant of its own, `local`; it is of the house's own tenant now."""

from __future__ import annotations

import itertools
import json
import sqlite3

from services.chassis.context import HOME

_BEFORE = "local"
_LONGEST = 63


def move_home(connection: sqlite3.Connection) -> None:
    """Collections, receipts and files that wait. A name that is taken at home gets `-local` behind it.

    Of those that nobody owns the step to schema 3 said that everyone may write them: that was one person.
    """
    names = "SELECT collection_id FROM collections WHERE tenant_id = ?"
    taken = {str(name) for (name,) in connection.execute(names, (HOME,))}
    connection.execute(
        "DELETE FROM grants WHERE grantee = 'group:everyone'"
        " AND collection_key IN (SELECT key FROM collections WHERE tenant_id = ? AND owner = '')",
        (_BEFORE,),
    )
    rows = connection.execute("SELECT key, collection_id FROM collections WHERE tenant_id = ?", (_BEFORE,))
    for key, collection_id in rows.fetchall():
        name = next(one for one in _names(str(collection_id)) if one not in taken)
        taken.add(name)
        connection.execute(
            "UPDATE collections SET tenant_id = ?, collection_id = ? WHERE key = ?", (HOME, name, key)
        )
    connection.execute("UPDATE tombstones SET tenant_id = ? WHERE tenant_id = ?", (HOME, _BEFORE))
    waiting = connection.execute("SELECT document_id, caller FROM ingests").fetchall()
    for document_id, dumped in waiting:
        caller = json.loads(dumped)
        if caller["tenant_id"] == _BEFORE:
            moved = json.dumps(caller | {"tenant_id": HOME}, ensure_ascii=False)
            connection.execute("UPDATE ingests SET caller = ? WHERE document_id = ?", (moved, document_id))


def _names(collection_id: str) -> itertools.chain[str]:
    """The id, then others like it that are as valid."""

    def behind(tail: str) -> str:
        return collection_id[: _LONGEST - len(tail)] + tail

    numbered = (behind(f"-local-{number}") for number in itertools.count(2))
    return itertools.chain((collection_id, behind("-local")), numbered)
