"""The keyword index: two contentless FTS5 tables per collection, one of passages and one of whole documents.

Their rowids are the keys of chunks and of documents. A passage is judged by its own words and by those of the
document it stands in. services/vector/tokens.py says what a word is; identifiers have a column of their own.
FTS5 keeps no copy of the text: an entry is removed by giving it the very words it was made from, which the
record has; adding and removing therefore build the columns in one place.
"""

# ruff: noqa: S608 # table names are made of a number; all else is bound

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.vector import tokens

if TYPE_CHECKING:
    from services.vector.record.database import Connection

# Words are split at everything that is no letter, digit, mark or private character, accents fold, English is
# stemmed. Marks are letters of Hindi and Thai.
_TOKENIZER = "porter unicode61 remove_diacritics 2 categories ''L* N* Co Mn Mc''"

# A word of the title counts three times (SciFact, training split: nDCG@10 0.708 against 0.701 for once).
_PASSAGE_WEIGHTS = "3.0, 1.0, 1.0, 1.0"
_DOCUMENT_WEIGHTS = "3.0, 1.0, 1.0"


@dataclass(frozen=True, slots=True)
class Words:
    """BM25 of a passage, and of the document that it stands in; 0 where no word of the question occurs."""

    passage: float
    document: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage as the keyword index sees it."""

    chunk_key: int
    headings: str
    body: str


def create(connection: Connection, collection_key: int) -> None:
    """Makes the tables of a new collection."""
    for name, columns in (
        (_passages(collection_key), "title, headings, body, names"),
        (_documents(collection_key), "title, body, names"),
    ):
        connection.execute(
            f"CREATE VIRTUAL TABLE {name} USING fts5 ({columns}, content='', tokenize='{_TOKENIZER}')"
        )


def drop(connection: Connection, collection_key: int) -> None:
    """Removes the tables of a collection."""
    connection.execute(f"DROP TABLE IF EXISTS {_passages(collection_key)}")
    connection.execute(f"DROP TABLE IF EXISTS {_documents(collection_key)}")


def rebuild(connection: Connection) -> None:
    """Makes all tables anew from the record, after what they keep has changed with a release."""
    for (collection_key,) in connection.execute("SELECT key FROM collections").fetchall():
        drop(connection, collection_key)
        create(connection, collection_key)
    documents = connection.execute(
        "SELECT key, collection_key, title, filename FROM documents WHERE state IN (3, 4) ORDER BY key"
    )
    for key, collection_key, title, filename in documents.fetchall():
        text, entries = written(connection, key)
        add(connection, collection_key, key, title=title, filename=filename, text=text, entries=entries)


def written(connection: Connection, document_key: int) -> tuple[str, list[Entry]]:
    """The text of a document in the record, and its passages."""
    pieces = connection.execute(
        "SELECT piece FROM texts WHERE document_key = ? ORDER BY byte_start", (document_key,)
    )
    text = b"".join(piece for (piece,) in pieces)
    rows = connection.execute(
        "SELECT key, headings, byte_start, byte_end FROM chunks WHERE document_key = ? ORDER BY key",
        (document_key,),
    )
    return text.decode(), [
        Entry(key, headings_text(json.loads(headings)), text[start:end].decode())
        for key, headings, start, end in rows
    ]


def add(
    connection: Connection,
    collection_key: int,
    document_key: int,
    *,
    title: str,
    filename: str,
    text: str,
    entries: Iterable[Entry],
) -> None:
    """Adds a document and its passages."""
    columns = _Columns(title, filename)
    connection.execute(
        f"INSERT INTO {_documents(collection_key)} (rowid, title, body, names) VALUES (?, ?, ?, ?)",
        (document_key, *columns.document(text)),
    )
    connection.executemany(
        f"INSERT INTO {_passages(collection_key)} (rowid, title, headings, body, names)"
        " VALUES (?, ?, ?, ?, ?)",
        ((entry.chunk_key, *columns.passage(entry)) for entry in entries),
    )


def remove(
    connection: Connection,
    collection_key: int,
    document_key: int,
    *,
    title: str,
    filename: str,
    text: str,
    entries: Iterable[Entry],
) -> None:
    """Removes a document and its passages; all words must be those that were added."""
    columns = _Columns(title, filename)
    name = _documents(collection_key)
    connection.execute(
        f"INSERT INTO {name} ({name}, rowid, title, body, names) VALUES ('delete', ?, ?, ?, ?)",
        (document_key, *columns.document(text)),
    )
    name = _passages(collection_key)
    connection.executemany(
        f"INSERT INTO {name} ({name}, rowid, title, headings, body, names) VALUES ('delete', ?, ?, ?, ?, ?)",
        ((entry.chunk_key, *columns.passage(entry)) for entry in entries),
    )


class _Columns:
    """What the tables get of a document and of its passages."""

    def __init__(self, title: str, filename: str) -> None:
        self._title = tokens.spaced(title)
        # The name of the file is found as a whole, and in each of its passages.
        self._head = f"{title} {filename}"

    def document(self, text: str) -> tuple[str, str, str]:
        return self._title, tokens.spaced(text), tokens.names(f"{self._head} {text}")

    def passage(self, entry: Entry) -> tuple[str, str, str, str]:
        return (
            self._title,
            tokens.spaced(entry.headings),
            tokens.spaced(entry.body),
            tokens.names(f"{self._head} {entry.headings} {entry.body}"),
        )


def headings_text(headings: Sequence[str]) -> str:
    """Headings as one column."""
    return " ".join(headings)


def best(
    connection: Connection, collection_key: int, expression: str, limit: int, allowed: Sequence[int] | None
) -> list[tuple[int, float]]:
    """The best passages by their own BM25 as (key, score above 0), at most `limit`, out of `allowed`."""
    name = _passages(collection_key)
    only, values = "", []
    if allowed is not None:
        # With the sign FTS5 reads its postings once and SQLite drops what is not wanted; without it FTS5
        # would read them again for each key.
        only, values = " AND +rowid IN (SELECT value FROM json_each(?))", [json.dumps(allowed)]
    return _pairs(
        connection,
        f"SELECT rowid AS key, bm25({name}, {_PASSAGE_WEIGHTS}) AS score FROM {name}"
        f" WHERE {name} MATCH ?{only} ORDER BY score, key LIMIT ?",
        (expression, *values, limit),
    )


def words(
    connection: Connection, collection_key: int, expression: str, places: Sequence[tuple[int, int]]
) -> dict[int, Words]:
    """Both scores of passages given as (chunk key, document key)."""
    passages = _scores(
        connection, _passages(collection_key), _PASSAGE_WEIGHTS, expression, [key for key, _ in places]
    )
    documents = _scores(
        connection,
        _documents(collection_key),
        _DOCUMENT_WEIGHTS,
        expression,
        sorted({document_key for _, document_key in places}),
    )
    return {
        key: Words(passages.get(key, 0.0), documents.get(document_key, 0.0)) for key, document_key in places
    }


def matching(
    connection: Connection, collection_key: int, expression: str, chunk_keys: Sequence[int]
) -> set[int]:
    """Those of the passages that an expression matches."""
    found = _scores(connection, _passages(collection_key), _PASSAGE_WEIGHTS, expression, chunk_keys)
    return set(found)


def count(connection: Connection, collection_key: int, chunk_keys: Sequence[int]) -> int:
    """How many of these passages the index still holds; 0 when its tables are gone."""
    name = _passages(collection_key)
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    if exists is None or not chunk_keys:
        return 0
    # The docsize table has one row per entry.
    (left,) = connection.execute(
        f"SELECT count(*) FROM {name}_docsize WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(chunk_keys)),),
    ).fetchone()
    return int(left)


def _scores(
    connection: Connection, name: str, weights: str, expression: str, keys: Sequence[int]
) -> dict[int, float]:
    return dict(
        _pairs(
            connection,
            f"SELECT rowid AS key, bm25({name}, {weights}) AS score FROM {name}"
            f" WHERE {name} MATCH ? AND +rowid IN (SELECT value FROM json_each(?))",
            (expression, json.dumps(list(keys))),
        )
    )


def _pairs(connection: Connection, query: str, values: Sequence[object]) -> list[tuple[int, float]]:
    """Rows of (key, score) of a query, scores turned so that more is better.

    They come as one value: Python's lock is given up and taken again for every row that is fetched, and
    beside a busy thread each of those costs up to a switch interval (5 ms).
    """
    (found,) = connection.execute(
        f"WITH found AS MATERIALIZED ({query}) SELECT json_group_array(json_array(key, score)) FROM found",
        values,
    ).fetchone()
    return [(key, -score) for key, score in json.loads(found)]


def _passages(collection_key: int) -> str:
    return f"lexical_{int(collection_key)}"


def _documents(collection_key: int) -> str:
    return f"lexical_documents_{int(collection_key)}"
