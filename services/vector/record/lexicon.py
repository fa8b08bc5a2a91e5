"""The keyword index: one contentless FTS5 table per collection; rowid is the key of the chunk.

FTS5 keeps no copy of the text. An entry is removed by giving it the very words it was made from, which the
record has; adding and removing therefore build the columns in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from services.vector.record.database import Connection

# Words are split at everything that is no letter, digit or private character, accents fold, English is stemmed.
_TOKENIZER = "porter unicode61 remove_diacritics 2"


def table(collection_key: int) -> str:
    """Name of a collection's table."""
    return f"lexical_{int(collection_key)}"


def create(connection: Connection, collection_key: int) -> None:
    """Makes the table of a new collection."""
    connection.execute(
        f"CREATE VIRTUAL TABLE {table(collection_key)} USING"
        f" fts5 (title, headings, body, content='', tokenize='{_TOKENIZER}')"
    )


def drop(connection: Connection, collection_key: int) -> None:
    """Removes the table of a collection."""
    connection.execute(f"DROP TABLE {table(collection_key)}")


def add(
    connection: Connection, collection_key: int, title: str, chunks: Iterable[tuple[int, Sequence[str], str]]
) -> None:
    """Adds chunks of one document, each as (key, headings, body)."""
    connection.executemany(
        f"INSERT INTO {table(collection_key)} (rowid, title, headings, body) VALUES (?, ?, ?, ?)",  # noqa: S608 # our name
        ((key, title, " ".join(headings), body) for key, headings, body in chunks),
    )


def remove(
    connection: Connection, collection_key: int, title: str, chunks: Iterable[tuple[int, str, str]]
) -> None:
    """Removes chunks of one document, each as (key, headings as the record has them, body)."""
    name = table(collection_key)
    connection.executemany(
        f"INSERT INTO {name} ({name}, rowid, title, headings, body) VALUES ('delete', ?, ?, ?, ?)",  # noqa: S608 # our name
        ((key, title, " ".join(json.loads(headings)), body) for key, headings, body in chunks),
    )


def count(connection: Connection, collection_key: int, chunk_keys: Sequence[int]) -> int:
    """How many of these chunks the table still holds; 0 when the table is gone."""
    name = table(collection_key)
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    if exists is None or not chunk_keys:
        return 0
    # The docsize table has one row per entry.
    (left,) = connection.execute(
        f"SELECT count(*) FROM {name}_docsize WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 # our name
        (json.dumps(list(chunk_keys)),),
    ).fetchone()
    return int(left)
