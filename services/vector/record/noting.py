"""Notes what there is to tell of documents: that one is READY, or that it has FAILED.

A note is written by the statement that changes the state, and so in its transaction: who commits the one has
committed the other, whatever part of the record it is. Triggers do that, and they are the writer's alone:
none is in the file, where a snapshot may not have any.

A note has no words of the document and goes with it.
"""

# ruff: noqa: S608 # the numbers in SQL are ours

from __future__ import annotations

import sqlite3

from services.vector.documents import DocumentState

# Of the whole house, some five megabytes. Who does not ask for longer than these took has missed the rest.
KEPT = 100_000

# What `was_ready` of a document says: no; yes, and that is noted; yes, with a text whose place another took,
# and with this one not yet; with this one too, and that is noted.
NEVER_READY, WAS_READY, WAS_READY_BEFORE, READY_AGAIN = range(4)

# Milliseconds are what this clock of SQLite has.
_NOW = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000"
_FORGET = f"DELETE FROM happenings WHERE position <= (SELECT max(position) FROM happenings) - {KEPT};"
_TRIGGERS = f"""
CREATE TEMP TRIGGER document_was_ready AFTER UPDATE OF state ON main.documents
WHEN NEW.state = {DocumentState.READY:d} AND NEW.was_ready IN ({NEVER_READY}, {WAS_READY_BEFORE})
BEGIN
    UPDATE documents SET was_ready = NEW.was_ready + 1 WHERE key = NEW.key;
    INSERT INTO happenings (document_key, state, error_reason, time) VALUES (NEW.key, NEW.state, '', {_NOW});
    {_FORGET}
END;
CREATE TEMP TRIGGER document_has_failed AFTER UPDATE OF state ON main.documents
WHEN NEW.state = {DocumentState.FAILED:d} AND OLD.state <> NEW.state
BEGIN
    INSERT INTO happenings (document_key, state, error_reason, time)
    VALUES (NEW.key, NEW.state, NEW.error_reason, {_NOW});
    {_FORGET}
END;
CREATE TEMP TRIGGER document_has_gone AFTER DELETE ON main.documents
BEGIN
    DELETE FROM happenings WHERE document_key = OLD.key;
END;
"""


def note_documents(connection: sqlite3.Connection) -> None:
    """From now on what this connection does to documents is noted."""
    connection.executescript(_TRIGGERS)
