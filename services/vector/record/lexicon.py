"""The keyword index: two contentless FTS5 tables per collection, one of passages and one of whole documents.

Their rowids are the keys of chunks and of documents. A passage is judged by its own words and by those of the
document it stands in. services/vector/tokens.py says what a word is; identifiers have a column of their own.
FTS5 keeps no copy of the text: an entry is removed by giving it the very words it was
made from, which the record has; adding and removing therefore build the columns in one place.
"""

# ruff: noqa: S608 # table names are made of a number; all else is bound

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.vector import tokens

if TYPE_CHECKING:
    from services.vector.record.database import Connection
    from services.vector.record.vectors import Keys

# A step of a merge that changes fewer rows has done nothing (fts5, "the merge command").
_LEAST_CHANGES = 2

# Words are split at everything that is no letter, digit, mark or private character, accents fold, English is
# stemmed. Marks are letters of Hindi and Thai.
_TOKENIZER = "porter unicode61 remove_diacritics 2 categories ''L* N* Co Mn Mc''"

_PASSAGE_COLUMNS = ("title", "headings", "body", "names")
_DOCUMENT_COLUMNS = ("title", "body", "names")

# Ends the names of tables that are being made to take the place of others.
_NEXT = "_next"
_OWN = re.compile(r"lexical_(?:documents_)?(\d+)")

# A word of the title counts three times (SciFact, training split: nDCG@10 0.708 against 0.701 for once).
_PASSAGE_WEIGHTS = "3.0, 1.0, 1.0, 1.0"
_DOCUMENT_WEIGHTS = "3.0, 1.0, 1.0"


# A word or a phrase of an expression, as services.vector.search.question writes them.
_PART = re.compile(r'"[^"]*"(?: \*)?')
# What FTS5's bm25 gives a word that more than half of the passages hold.
_LEAST_RARITY = 1e-6


@dataclass(frozen=True, slots=True)
class Words:
    """BM25 of a passage, and of the document that it stands in; 0 where no word of the question occurs."""

    passage: float
    document: float


@dataclass(frozen=True, slots=True)
class Proposed:
    """About the best passages by an expression, and what it says of each that matches.

    keys: the best, in no order. matching: (n,), ascending, all that hold a word of the expression. held:
    (n,), the sum of BM25's weights of the words that each holds.
    """

    keys: list[int]
    matching: Keys
    held: NDArray[np.float64]

    def held_by(self, keys: Keys) -> NDArray[np.float64]:
        """Of each of these (m,); 0 for those that do not match."""
        if not len(self.matching):
            return np.zeros(len(keys))
        at = np.minimum(np.searchsorted(self.matching, keys), len(self.matching) - 1)
        found: NDArray[np.float64] = np.where(self.matching[at] == keys, self.held[at], 0.0)
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage as the keyword index sees it."""

    chunk_key: int
    headings: str
    body: str


def create(connection: Connection, collection_key: int) -> None:
    """Makes the tables of a new collection."""
    _create(connection, _passages(collection_key), _documents(collection_key))


def _create(connection: Connection, passages: str, documents: str) -> None:
    for name, columns in ((passages, _PASSAGE_COLUMNS), (documents, _DOCUMENT_COLUMNS)):
        connection.execute(
            f"CREATE VIRTUAL TABLE {name} USING fts5 ({', '.join(columns)}, content='',"
            f" tokenize='{_TOKENIZER}')"
        )


def drop(connection: Connection, collection_key: int) -> None:
    """Removes the tables of a collection, and those that were to take their place."""
    drop_next(connection, collection_key)
    connection.execute(f"DROP TABLE IF EXISTS {_passages(collection_key)}")
    connection.execute(f"DROP TABLE IF EXISTS {_documents(collection_key)}")


def exists(connection: Connection, collection_key: int) -> bool:
    """Whether both tables of a collection are there."""
    return _there(connection, _passages(collection_key)) and _there(connection, _documents(collection_key))


def create_next(connection: Connection, collection_key: int) -> None:
    """Makes empty tables that are to take the place of a collection's; those of an ended attempt go."""
    drop_next(connection, collection_key)
    _create(connection, _passages(collection_key) + _NEXT, _documents(collection_key) + _NEXT)


def drop_next(connection: Connection, collection_key: int) -> None:
    """Gives up what was to take the place of a collection's tables."""
    connection.execute(f"DROP TABLE IF EXISTS {_passages(collection_key)}{_NEXT}")
    connection.execute(f"DROP TABLE IF EXISTS {_documents(collection_key)}{_NEXT}")


def put_next(connection: Connection, collection_key: int) -> None:
    """Lets the next tables take the place of a collection's."""
    for name in (_passages(collection_key), _documents(collection_key)):
        connection.execute(f"DROP TABLE IF EXISTS {name}")
        connection.execute(f"ALTER TABLE {name}{_NEXT} RENAME TO {name}")


def add(
    connection: Connection,
    collection_key: int,
    document_key: int,
    *,
    title: str,
    filename: str,
    text: str,
    entries: Iterable[Entry],
    into_next: bool = False,
) -> None:
    """Adds a document and its passages; into the tables that are to be the next ones if told so."""
    ending = _NEXT if into_next else ""
    _add(
        connection,
        _passages(collection_key) + ending,
        _documents(collection_key) + ending,
        document_key,
        title=title,
        filename=filename,
        text=text,
        entries=entries,
    )


def _add(
    connection: Connection,
    passages: str,
    documents: str,
    document_key: int,
    *,
    title: str,
    filename: str,
    text: str,
    entries: Iterable[Entry],
) -> None:
    words = _Words(title, filename)
    connection.execute(
        f"INSERT INTO {documents} (rowid, {', '.join(_DOCUMENT_COLUMNS)}) VALUES (?, ?, ?, ?)",
        (document_key, *words.of_document(text)),
    )
    connection.executemany(
        f"INSERT INTO {passages} (rowid, {', '.join(_PASSAGE_COLUMNS)}) VALUES (?, ?, ?, ?, ?)",
        ((entry.chunk_key, *words.of_passage(entry)) for entry in entries),
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
    """Removes a document and its passages, from the next tables too; all words must be those that were
    added.
    """
    words = _Words(title, filename)
    whole = words.of_document(text)
    held = [(entry.chunk_key, *words.of_passage(entry)) for entry in entries]
    for ending in ("", _NEXT):
        documents, passages = _documents(collection_key) + ending, _passages(collection_key) + ending
        if not _there(connection, documents):
            continue
        if _holds(connection, documents, document_key):
            connection.execute(
                f"INSERT INTO {documents} ({documents}, rowid, {', '.join(_DOCUMENT_COLUMNS)})"
                " VALUES ('delete', ?, ?, ?, ?)",
                (document_key, *whole),
            )
        # What the index does not hold must not be removed from it: its counts would become wrong.
        connection.executemany(
            f"INSERT INTO {passages} ({passages}, rowid, {', '.join(_PASSAGE_COLUMNS)})"
            " VALUES ('delete', ?, ?, ?, ?, ?)",
            [row for row in held if _holds(connection, passages, row[0])],
        )


class _Words:
    """What the tables get of a document and of its passages."""

    def __init__(self, title: str, filename: str) -> None:
        self._title = tokens.spaced(title)
        # The name of the file is found as a whole, and in each of its passages.
        self._head = f"{title} {filename}"

    def of_document(self, text: str) -> tuple[str, str, str]:
        return self._title, tokens.spaced(text), tokens.names(f"{self._head} {text}")

    def of_passage(self, entry: Entry) -> tuple[str, str, str, str]:
        return (
            self._title,
            tokens.spaced(entry.headings),
            tokens.spaced(entry.body),
            tokens.names(f"{self._head} {entry.headings} {entry.body}"),
        )


def _there(connection: Connection, name: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)
    ).fetchone()
    return found is not None


def _holds(connection: Connection, name: str, rowid: int) -> bool:
    return connection.execute(f"SELECT 1 FROM {name}_docsize WHERE id = ?", (rowid,)).fetchone() is not None


def headings_text(headings: Sequence[str]) -> str:
    """Headings as one column."""
    return " ".join(headings)


def proposed(
    connection: Connection,
    collection_key: int,
    expression: str,
    limit: int,
    *,
    alike: int,
    passages: int,
    allowed: Keys | None = None,
) -> Proposed:
    """About the best passages by BM25: `limit` where so many match, and those that are as good as the last.

    A passage is judged by which words of the expression it holds, each with the weight that BM25 gives it;
    where that leaves more than `alike`, BM25 itself decides. So most passages that match are only looked up
    and not ranked, for which FTS5 looks up how long each is (2 µs). See docs/adr/0129.

    expression: as services.vector.search.question writes it. passages: how many the collection has. allowed:
    only these, ascending.
    """
    name = _passages(collection_key)
    parts = _PART.findall(expression)
    # One statement: Python's lock is given up and taken again for each.
    each = f"(SELECT group_concat(rowid) FROM {name} WHERE {name} MATCH ?)"
    listed = connection.execute(f"SELECT {', '.join([each] * len(parts)) or 'NULL'}", parts).fetchone()
    found, weights = [np.empty(0, np.int64)], [np.empty(0)]
    for keys_of_part in listed:
        # A number in two thirds of the time that it takes as JSON.
        keys = np.fromstring(keys_of_part or "", np.int64, sep=",")
        rarity = math.log((passages - len(keys) + 0.5) / (len(keys) + 0.5)) if len(keys) < passages else 0.0
        found.append(keys)
        weights.append(np.full(len(keys), max(_LEAST_RARITY, rarity)))
    matching, places = np.unique(np.concatenate(found), return_inverse=True)
    held = np.bincount(places, np.concatenate(weights), len(matching)).astype(np.float64)
    if allowed is not None:
        kept = np.isin(matching, allowed, assume_unique=True)
        matching, held = matching[kept], held[kept]
    good = matching
    if len(matching) > limit:
        good = matching[held >= np.partition(held, len(held) - limit)[len(held) - limit]]
    if len(good) <= max(limit, alike):
        return Proposed(_as_list(good), matching, held)
    everything = allowed is None and len(good) == len(matching)
    ranked = best(connection, collection_key, expression, limit, None if everything else good)
    return Proposed([key for key, _ in ranked], matching, held)


def best(
    connection: Connection, collection_key: int, expression: str, limit: int, allowed: Keys | None = None
) -> list[tuple[int, float]]:
    """The best passages by their own BM25 as (key, score above 0), at most `limit`, out of `allowed`."""
    name = _passages(collection_key)
    only, values = "", []
    if allowed is not None:
        # With the sign FTS5 reads its postings once and SQLite drops what is not wanted; without it FTS5
        # would read them again for each key.
        only, values = " AND +rowid IN (SELECT value FROM json_each(?))", [json.dumps(_as_list(allowed))]
    return _pairs(
        connection,
        f"SELECT rowid AS key, bm25({name}, {_PASSAGE_WEIGHTS}) AS score FROM {name}"
        f" WHERE {name} MATCH ?{only} ORDER BY score, key LIMIT ?",
        (expression, *values, limit),
    )


def of_passages(
    connection: Connection, collection_key: int, expression: str, chunk_keys: Sequence[int]
) -> dict[int, float]:
    """BM25 of those of the passages in which a word of the expression occurs."""
    return _scores(connection, _passages(collection_key), _PASSAGE_WEIGHTS, expression, chunk_keys)


def of_documents(
    connection: Connection, collection_key: int, expression: str, document_keys: Sequence[int]
) -> dict[int, float]:
    """BM25 of those of the documents in which a word of the expression occurs."""
    return _scores(connection, _documents(collection_key), _DOCUMENT_WEIGHTS, expression, document_keys)


def matching(
    connection: Connection, collection_key: int, expression: str, chunk_keys: Sequence[int]
) -> set[int]:
    """Those of the passages that an expression matches."""
    name = _passages(collection_key)
    (found,) = connection.execute(
        f"SELECT json_group_array(rowid) FROM {name} WHERE {name} MATCH ?"
        " AND +rowid IN (SELECT value FROM json_each(?))",
        (expression, json.dumps(list(chunk_keys))),
    ).fetchone()
    return set(json.loads(found))


def count(connection: Connection, collection_key: int, first_key: int, last_key: int) -> int:
    """How many of the passages with keys in this range the index still holds; 0 when its tables are gone."""
    name = _passages(collection_key)
    if last_key < first_key or not _there(connection, name):
        return 0
    # The docsize table has one row per entry.
    (left,) = connection.execute(
        f"SELECT count(*) FROM {name}_docsize WHERE id BETWEEN ? AND ?", (first_key, last_key)
    ).fetchone()
    return int(left)


def count_all(connection: Connection, collection_key: int) -> int:
    """How many entries of passages the index holds; 0 when its tables are gone."""
    name = _passages(collection_key)
    if not _there(connection, name):
        return 0
    return int(connection.execute(f"SELECT count(*) FROM {name}_docsize").fetchone()[0])


def sizes_of(collection_key: int, *, of_documents: bool) -> str:
    """The table with a row (id, sz) for each entry: the number of words in each column."""
    return f"{_documents(collection_key) if of_documents else _passages(collection_key)}_docsize"


def ownerless(connection: Connection) -> list[str]:
    """Tables whose collection is not there, and those that were never put in their place."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'"
    )
    collections = {key for (key,) in connection.execute("SELECT key FROM collections")}
    return sorted(
        name
        for name, _ in rows
        if (own := _OWN.match(name)) and (own.end() != len(name) or int(own[1]) not in collections)
    )


def drop_ownerless(connection: Connection, name: str) -> bool:
    """Removes such a table; false when it has an owner by now."""
    if name not in ownerless(connection):
        return False
    connection.execute(f"DROP TABLE {name}")
    return True


def names(connection: Connection) -> list[str]:
    """All tables of keyword indexes."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'"
    )
    return sorted(name for (name,) in rows if _OWN.match(name))


def merge(connection: Connection, name: str, pages: int, *, first: bool) -> bool:
    """Merges about `pages` pages of what was added and removed one by one; whether there is more to do.

    An entry that was removed is only marked until what it was written in is merged. first: the beginning of
    a merge of all.
    """
    before = connection.total_changes
    connection.execute(
        f"INSERT INTO {name} ({name}, rank) VALUES ('merge', ?)", (-pages if first else pages,)
    )
    return connection.total_changes - before >= _LEAST_CHANGES


def miscounted(connection: Connection, collection_key: int) -> list[str]:
    """Where the words of the index, counted, are not those of its entries.

    Reads all of the index. Raises sqlite3.DatabaseError for one that cannot be read. The connection must be
    allowed to make temporary tables.
    """
    faults = []
    for name, columns in (
        (_passages(collection_key), _PASSAGE_COLUMNS),
        (_documents(collection_key), _DOCUMENT_COLUMNS),
    ):
        if not _there(connection, name):
            continue
        connection.execute(f"CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, {name}, col)")
        counted = dict(connection.execute("SELECT col, sum(cnt) FROM words GROUP BY col").fetchall())
        connection.execute("DROP TABLE temp.words")
        sizes = [0] * len(columns)
        for (packed,) in connection.execute(f"SELECT sz FROM {name}_docsize"):
            for column, size in enumerate(_unpacked(packed)[: len(columns)]):
                sizes[column] += size
        held = [counted.get(column, 0) for column in columns]
        if held != sizes:
            faults.append(f"{name} holds {sum(held)} words and its entries have {sum(sizes)}")
    return faults


class Sizes:
    """How many words each entry should have, found by making it again in memory."""

    def __init__(self, connection: Connection, collection_key: int) -> None:
        self._connection = connection
        self._tables = (_passages(collection_key), _documents(collection_key))
        self._there = exists(connection, collection_key)
        self._memory = sqlite3.connect(":memory:", isolation_level=None)
        _create(self._memory, *self._tables)

    def compare(
        self, document_key: int, *, title: str, filename: str, text: str, entries: Sequence[Entry]
    ) -> tuple[int, int]:
        """How many of the entries of a document, itself among them, are missing, and how many differ."""
        passages, documents = self._tables
        if not self._there:
            return len(entries) + 1, 0
        _add(
            self._memory,
            passages,
            documents,
            document_key,
            title=title,
            filename=filename,
            text=text,
            entries=entries,
        )
        missing = stale = 0
        for name, keys in ((passages, [entry.chunk_key for entry in entries]), (documents, [document_key])):
            wanted = dict(self._memory.execute(f"SELECT id, sz FROM {name}_docsize").fetchall())
            held = dict(
                self._connection.execute(
                    f"SELECT id, sz FROM {name}_docsize WHERE id IN (SELECT value FROM json_each(?))",
                    (json.dumps(keys),),
                ).fetchall()
            )
            missing += sum(key not in held for key in keys)
            stale += sum(key in held and held[key] != wanted[key] for key in keys)
            self._memory.execute(f"INSERT INTO {name} ({name}) VALUES ('delete-all')")
        return missing, stale

    def close(self) -> None:
        """Ends it."""
        self._memory.close()


def _unpacked(packed: bytes) -> list[int]:
    """The numbers in SQLite's form of variable length, each below 2^63."""
    numbers, value = [], 0
    for byte in packed:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    return numbers


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

    They come as one row: Python's lock is given up and taken again for every row that is fetched, and
    beside a busy thread each of those costs up to a switch interval (5 ms). Two plain lists, because many
    small ones would call the garbage collector.
    """
    keys, scores = connection.execute(
        f"WITH found AS MATERIALIZED ({query})"
        " SELECT json_group_array(key), json_group_array(score) FROM found",
        values,
    ).fetchone()
    return [(key, -score) for key, score in zip(json.loads(keys), json.loads(scores), strict=True)]


def _as_list(keys: Keys) -> list[int]:
    listed: list[int] = keys.tolist()
    return listed


def _passages(collection_key: int) -> str:
    return f"lexical_{int(collection_key)}"


def _documents(collection_key: int) -> str:
    return f"lexical_documents_{int(collection_key)}"
