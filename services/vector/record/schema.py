"""The tables of the record, and the version they have.

Times are microseconds since 1970 UTC. A key grows and is never used twice, so an entry that an index kept of
something deleted can never be taken for something new.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable

from services.chassis.start import StartError
from services.vector.record.generations import introduce
from services.vector.record.homecoming import move_home
from services.vector.record.rewording import reword

VERSION = 6

# Version 1; later ones are steps from it.
_TABLES = """
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE collections (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    description TEXT NOT NULL,
    embedding_model TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    documents INTEGER NOT NULL DEFAULT 0,
    chunks INTEGER NOT NULL DEFAULT 0,
    vectors INTEGER NOT NULL DEFAULT 0,
    create_time INTEGER NOT NULL,
    UNIQUE (tenant_id, collection_id)
);

-- States 3 and 4 are committed: only they are found by search.
CREATE TABLE documents (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id TEXT NOT NULL UNIQUE,
    collection_key INTEGER NOT NULL REFERENCES collections (key),
    external_id TEXT NOT NULL,
    title TEXT NOT NULL,
    filename TEXT NOT NULL,
    state INTEGER NOT NULL,
    error_reason TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    bytes INTEGER NOT NULL DEFAULT 0,
    media_type TEXT NOT NULL DEFAULT '',
    content_sha256 TEXT NOT NULL DEFAULT '',
    extraction_sha256 TEXT NOT NULL DEFAULT '',
    text_bytes INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0,
    metadata TEXT NOT NULL DEFAULT '{}',
    create_time INTEGER NOT NULL,
    chunks INTEGER NOT NULL DEFAULT 0,
    vectors INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX documents_by_collection ON documents (collection_key, key);
CREATE INDEX documents_by_content ON documents (collection_key, content_sha256);
CREATE UNIQUE INDEX documents_by_external_id ON documents (collection_key, external_id)
    WHERE external_id <> '' AND state IN (3, 4);
CREATE INDEX documents_uncommitted ON documents (state) WHERE state IN (1, 2);

-- The extracted text in pieces that end between characters; never updated.
CREATE TABLE texts (
    document_key INTEGER NOT NULL REFERENCES documents (key),
    byte_start INTEGER NOT NULL,
    byte_end INTEGER NOT NULL,
    piece BLOB NOT NULL,
    PRIMARY KEY (document_key, byte_start)
);

CREATE TABLE chunks (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    document_key INTEGER NOT NULL REFERENCES documents (key),
    ordinal INTEGER NOT NULL,
    byte_start INTEGER NOT NULL,
    byte_end INTEGER NOT NULL,
    page INTEGER NOT NULL,
    headings TEXT NOT NULL,
    embedded_sha256 BLOB NOT NULL,
    UNIQUE (document_key, ordinal)
);
CREATE INDEX chunks_by_embedded_text ON chunks (embedded_sha256);

CREATE TABLE vectors (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk_key INTEGER NOT NULL UNIQUE REFERENCES chunks (key),
    collection_key INTEGER NOT NULL,
    vector BLOB NOT NULL
);
CREATE INDEX vectors_by_collection ON vectors (collection_key, seq);

-- Passages that wait for their vector. `not_before` is 0 unless the model refused the text.
CREATE TABLE embedding_queue (
    chunk_key INTEGER PRIMARY KEY REFERENCES chunks (key),
    collection_key INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX embedding_queue_by_collection ON embedding_queue (collection_key);

-- What the vector index has still to learn: entries to add, entries to remove, collections to drop.
CREATE TABLE index_additions (
    chunk_key INTEGER PRIMARY KEY REFERENCES chunks (key),
    collection_key INTEGER NOT NULL
);
CREATE INDEX index_additions_by_collection ON index_additions (collection_key);
CREATE TABLE index_removals (
    chunk_key INTEGER PRIMARY KEY,
    collection_key INTEGER NOT NULL,
    tombstone_id TEXT NOT NULL
);
CREATE INDEX index_removals_by_tombstone ON index_removals (tombstone_id);
CREATE TABLE index_drops (
    collection_key INTEGER PRIMARY KEY,
    entries INTEGER NOT NULL,
    tombstone_id TEXT NOT NULL
);

CREATE TABLE tombstones (
    tombstone_id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    collection_key INTEGER NOT NULL,
    delete_time INTEGER NOT NULL,
    deleted_documents INTEGER NOT NULL,
    deleted_chunks INTEGER NOT NULL
) WITHOUT ROWID;

-- Writes that their callers may repeat. `outcome` is the id of what they made.
CREATE TABLE requests (
    tenant_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    method TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, request_id)
) WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (create_time);
"""


# Version -> what brings a record of the version before to it.
_STEPS: dict[int, tuple[str | Callable[[sqlite3.Connection], None], ...]] = {
    2: (
        # Which text of the original is missing, a JSON list.
        "ALTER TABLE documents ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]'",
        # Where the text from byte_start to the next place stands in the original.
        "CREATE TABLE places (document_key INTEGER NOT NULL REFERENCES documents (key),"
        " byte_start INTEGER NOT NULL, label TEXT NOT NULL, page INTEGER NOT NULL, line INTEGER NOT NULL,"
        " PRIMARY KEY (document_key, byte_start)) WITHOUT ROWID",
    ),
    3: (
        # The subject who made it; empty for one that belongs to the tenant.
        "ALTER TABLE collections ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
        # See services.vector.access: grantee is the name of a Grant, role a Role.
        "CREATE TABLE grants (collection_key INTEGER NOT NULL REFERENCES collections (key),"
        " grantee TEXT NOT NULL, role INTEGER NOT NULL, PRIMARY KEY (collection_key, grantee)) WITHOUT ROWID",
        # What there was, all of the tenant could read and write; so they still can.
        "INSERT INTO grants SELECT key, 'group:everyone', 2 FROM collections",
        # Ids of requests belong to a person.
        "ALTER TABLE requests RENAME COLUMN tenant_id TO space",
        # Keys of the passages that went with a document; none where the last is below the first.
        "ALTER TABLE tombstones ADD COLUMN first_chunk INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE tombstones ADD COLUMN last_chunk INTEGER NOT NULL DEFAULT -1",
        # Whose delete it was: nobody else asks for its receipt.
        "ALTER TABLE tombstones ADD COLUMN space TEXT NOT NULL DEFAULT ''",
        "UPDATE tombstones SET space = tenant_id",
        # Files that wait for their turn or are read now, and refused ones that may be tried again. caller: on
        # whose behalf, JSON. worker: the process that last said, at `heartbeat`, that it has this one.
        "CREATE TABLE ingests (document_id TEXT PRIMARY KEY, collection_key INTEGER NOT NULL,"
        " caller TEXT NOT NULL, media_type TEXT NOT NULL, request_id TEXT NOT NULL,"
        " fingerprint TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '',"
        " heartbeat INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
        # A delete that took an ingest back.
        "ALTER TABLE tombstones ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX tombstones_by_resource ON tombstones (resource) WHERE cancelled = 1",
        # What was measured, as services.vector.evaluation keeps it; subject: who did.
        "CREATE TABLE evaluations (key INTEGER PRIMARY KEY AUTOINCREMENT, evaluation_id TEXT NOT NULL UNIQUE,"
        " collection_key INTEGER NOT NULL REFERENCES collections (key), subject TEXT NOT NULL,"
        " report BLOB NOT NULL)",
        "CREATE INDEX evaluations_by_collection ON evaluations (collection_key, key)",
        "CREATE TABLE evaluated_queries (evaluation_key INTEGER NOT NULL REFERENCES evaluations (key),"
        " position INTEGER NOT NULL, outcome BLOB NOT NULL,"
        " PRIMARY KEY (evaluation_key, position)) WITHOUT ROWID",
        "ALTER TABLE tombstones ADD COLUMN deleted_evaluations INTEGER NOT NULL DEFAULT 0",
        # The keyword index has another idea of words, and a column for identifiers.
        reword,
        # Vectors, and what waits for them, belong to a generation of the collection.
        introduce,
    ),
    4: (
        # What there is to tell of documents, see services.vector.record.noting.
        "CREATE TABLE happenings (position INTEGER PRIMARY KEY AUTOINCREMENT, document_key INTEGER NOT NULL,"
        " state INTEGER NOT NULL, error_reason TEXT NOT NULL, time INTEGER NOT NULL)",
        "CREATE INDEX happenings_by_document ON happenings (document_key)",
        # Whether it was READY once: that is told once, also when it is repaired later.
        "ALTER TABLE documents ADD COLUMN was_ready INTEGER NOT NULL DEFAULT 0",
        "UPDATE documents SET was_ready = 1 WHERE state = 4",
    ),
    5: (
        # Documents in any state by the id that they have elsewhere.
        "CREATE INDEX documents_by_name ON documents (collection_key, external_id, key)"
        " WHERE external_id <> ''",
        # With all that a place in the queue is counted by.
        "DROP INDEX embedding_queue_by_space",
        "CREATE INDEX embedding_queue_by_space ON embedding_queue (space, chunk_key, not_before)",
        # What was kept without login belongs to the house.
        move_home,
    ),
    6: (
        # What is kept of a passage's words beside its vector, see services.vector.late. They go with it.
        "CREATE TABLE word_codes (seq INTEGER PRIMARY KEY REFERENCES vectors (seq) ON DELETE CASCADE,"
        " codes BLOB NOT NULL)",
        # The bytes of a file as it came, in pieces; never updated. A document without any has no original.
        "CREATE TABLE originals (document_key INTEGER NOT NULL REFERENCES documents (key),"
        " byte_start INTEGER NOT NULL, byte_end INTEGER NOT NULL, piece BLOB NOT NULL,"
        " PRIMARY KEY (document_key, byte_start))",
    ),
}


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables in an empty file, and brings those of an older release up to this one.

    Raises StartError for a file of a newer release.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StartError(
            f"the record has schema version {version}, this release knows {VERSION}: use the release that"
            " wrote it"
        )
    if version == VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    if version == 0:
        _make(connection)
    for step in range(max(version, 1) + 1, VERSION + 1):
        for statement in _STEPS[step]:
            if callable(statement):
                statement(connection)
            else:
                connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _make(connection: sqlite3.Connection) -> None:
    """The tables of version 1."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.executemany(
        "INSERT INTO meta (name, value) VALUES (?, ?)",
        [
            ("installation", secrets.token_hex(4)),
            ("page_key", secrets.token_hex(32)),
            ("index_generation", "1"),
        ],
    )
