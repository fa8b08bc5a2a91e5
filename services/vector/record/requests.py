"""Writes that were done already, by the id that their caller gave them. Nobody meets the ids of another."""

from __future__ import annotations

from services.vector.documents import Request
from services.vector.faults import request_id_reused
from services.vector.record.database import Connection
from services.vector.record.times import now_micros

KEPT_SECONDS = 7 * 24 * 3600


def outcome(connection: Connection, space: str, method: str, request: Request | None) -> str | None:
    """What the first call with this id made; None when there was none.

    Raises FailedPreconditionError (REQUEST_ID_REUSED) when that call asked for something else.
    """
    if request is None:
        return None
    row = connection.execute(
        "SELECT method, fingerprint, outcome FROM requests WHERE space = ? AND request_id = ?",
        (space, request.request_id),
    ).fetchone()
    if row is None:
        return None
    if row[:2] != (method, request.fingerprint):
        raise request_id_reused(request.request_id)
    return str(row[2])


def remember(connection: Connection, space: str, method: str, request: Request | None, made: str) -> None:
    """Stores the outcome in the transaction that made it; forgets those older than a week."""
    if request is None:
        return
    now = now_micros()
    connection.execute(
        "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)",
        (space, request.request_id, method, request.fingerprint, made, now),
    )
    connection.execute("DELETE FROM requests WHERE create_time < ?", (now - KEPT_SECONDS * 1_000_000,))
