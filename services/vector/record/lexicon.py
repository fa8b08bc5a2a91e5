"""The keyword index: two contentless FTS5 tables per collection, one of passages and one of whole documents.

Their rowids are the keys of chunks and of documents. A passage is judged by its own words and by those of the
document it stands in. services/vector/tokens.py says what a word is; identifiers have a column of their own.
FTS5 keeps no copy of the text: an entry is removed by giving it the very words it was
made from, which the record has; adding and removing therefore build the columns in one place.
"""

# ruff: noqa: S608 # table names are made of a number; all else is bound

from __future__ import annotations

import functools
import json
import re
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
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
_TITLE_WEIGHT = 3


# A row of so many comes at once.
_LENGTHS_PER_READ = 100_000
# So many indexes a connection shows the words of.
_MOST_SHOWN = 256
_local = threading.local()
# Scores are read in parts of so many; the least is about 1e-6.
_FINE = 1e12


@dataclass(frozen=True, slots=True)
class Shelf:
    """One of the two indexes of a collection."""

    collection_key: int
    of_documents: bool = False

    @property
    def table(self) -> str:
        """Its name."""
        return _documents(self.collection_key) if self.of_documents else _passages(self.collection_key)


@dataclass(frozen=True, slots=True)
class Stand:
    """What an index holds: another one as soon as anything is added, removed or made anew.

    entries: how many. words: how many they have together. last: the greatest key. root: of the table.
    """

    root: int
    entries: int
    words: int
    last: int
    schema: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Scored:
    """By one word or phrase. keys, scores: (n,), keys ascending. holding: how many entries hold it at all."""

    holding: int
    keys: Keys
    scores: NDArray[np.float64]


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


def stand(connection: Connection, shelf: Shelf, known: Stand | None = None) -> Stand:
    """How an index stands now; cheap. known: an earlier one of the same index, if there is one."""
    name = shelf.table
    schema, totals, last = connection.execute(
        f"SELECT schema_version, (SELECT block FROM {name}_data WHERE id = 1),"
        f" (SELECT max(id) FROM {name}_docsize) FROM pragma_schema_version"
    ).fetchone()
    root = known.root if known is not None and known.schema == schema else _root(connection, name)
    entries, *words = _unpacked(totals) or [0]
    return Stand(root, entries, sum(words), last or 0, schema)


def _weights(shelf: Shelf) -> list[int]:
    """What an occurrence in each column counts."""
    columns = _DOCUMENT_COLUMNS if shelf.of_documents else _PASSAGE_COLUMNS
    return [_TITLE_WEIGHT if column == "title" else 1 for column in columns]


def _root(connection: Connection, name: str) -> int:
    """Where the file has its words: another number for a table that took the place of another."""
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?", (f"{name}_data",)
    ).fetchone()
    return int(root)


def lengths(connection: Connection, shelf: Shelf, after: int) -> tuple[Keys, NDArray[np.int64]]:
    """The keys above `after` of an index, ascending, and how many words each entry has, (n,) both."""
    keys, counts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    while True:
        some, sizes, packed = connection.execute(
            "SELECT group_concat(id), group_concat(length(sz)), group_concat(hex(sz), '') FROM"
            f" (SELECT id, sz FROM {shelf.table}_docsize WHERE id > ? ORDER BY id LIMIT {_LENGTHS_PER_READ})",
            (after,),
        ).fetchone()
        if some is None:
            return np.concatenate(keys), np.concatenate(counts)
        keys.append(_numbers(some))
        counts.append(_sums(np.frombuffer(bytes.fromhex(packed), np.uint8), _numbers(sizes)))
        after = int(keys[-1][-1])


def occurrences(
    connection: Connection, shelf: Shelf, words: Sequence[str]
) -> Iterator[tuple[Keys, NDArray[np.float32]]]:
    """Of each word, as `term` gives it, the entries that hold it and how often, by the columns' weights.

    (n,) both, keys ascending. In a quarter of the time that `scores` takes. Makes a temporary table of the
    connection, which shows the words of the index and has none of its own.
    """
    shown = _shown(connection, shelf, "instance")
    # A digit for each occurrence, which is its weight.
    digit = f"CASE col WHEN 'title' THEN {_TITLE_WEIGHT} ELSE 1 END"
    for word in words:
        keys, digits = connection.execute(
            f"SELECT group_concat(doc), group_concat({digit}, '') FROM {shown} WHERE term = ?",
            (word,),
        ).fetchone()
        places = _numbers(keys or "")
        held = np.frombuffer((digits or "").encode(), np.uint8).astype(np.float32) - ord("0")
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        yield places[starts], np.add.reduceat(held, starts) if len(starts) else held


def common(connection: Connection, shelf: Shelf, least: int, most: int) -> list[tuple[str, int]]:
    """Words that `least` to `most` entries hold, with how many, the commonest first. Looks at all words."""
    shown = _shown(connection, shelf, "row")
    return connection.execute(
        f"SELECT term, doc FROM {shown} WHERE doc BETWEEN ? AND ? ORDER BY doc DESC, term", (least, most)
    ).fetchall()


def _shown(connection: Connection, shelf: Shelf, kind: str) -> str:
    """A temporary table of a connection with the words of an index, see fts5vocab."""
    name = f"{shelf.table}_{kind}"
    there = [one for (one,) in connection.execute("SELECT name FROM temp.sqlite_master WHERE type = 'table'")]
    if name in there:
        return f"temp.{name}"
    # Readers may not write, not even into what is their own.
    (only,) = connection.execute("PRAGMA query_only").fetchone()
    connection.execute("PRAGMA query_only = OFF")
    try:
        if len(there) >= _MOST_SHOWN:
            for one in there:
                connection.execute(f"DROP TABLE temp.{one}")
        connection.execute(f"CREATE VIRTUAL TABLE temp.{name} USING fts5vocab(main, {shelf.table}, {kind})")
    finally:
        connection.execute(f"PRAGMA query_only = {only}")
    return f"temp.{name}"


@functools.lru_cache(maxsize=65_536)
def term(part: str) -> str:
    """A word as the index has it, in lower case and stemmed; "" for a phrase and the beginning of words."""
    if part.endswith("*"):
        return ""
    tokenizer: sqlite3.Connection | None = getattr(_local, "tokenizer", None)
    if tokenizer is None:
        tokenizer = _local.tokenizer = sqlite3.connect(":memory:", isolation_level=None)
        tokenizer.execute(f"CREATE VIRTUAL TABLE one USING fts5 (words, content='', tokenize='{_TOKENIZER}')")
        tokenizer.execute("CREATE VIRTUAL TABLE terms USING fts5vocab (one, instance)")
    tokenizer.execute("INSERT INTO one (rowid, words) VALUES (1, ?)", (part,))
    found = [one for (one,) in tokenizer.execute("SELECT term FROM terms")]
    tokenizer.execute("INSERT INTO one (one) VALUES ('delete-all')")
    return str(found[0]) if len(found) == 1 else ""


def scores(connection: Connection, shelf: Shelf, parts: Sequence[tuple[str, int]]) -> Iterator[Scored]:
    """FTS5's BM25 by each word or phrase alone, of the entries that hold it with keys above its number."""
    name = shelf.table
    weights = ", ".join(map(str, _weights(shelf)))
    for part, after in parts:
        # One row: Python's lock is given up and taken again for every row that is fetched, and beside a busy
        # thread each of those costs up to a switch interval (5 ms). Whole numbers are written and read in a
        # quarter of the time of others.
        holding, keys, scored = connection.execute(
            f"WITH found AS MATERIALIZED (SELECT rowid AS key, bm25({name}, {weights}) AS score FROM {name}"
            f" WHERE {name} MATCH ?1 AND rowid > ?2 ORDER BY rowid)"
            f" SELECT (SELECT count(*) FROM {name} WHERE {name} MATCH ?1), group_concat(key),"
            f" group_concat(CAST(score * -{_FINE:.0f} AS INTEGER)) FROM found",
            (part, after),
        ).fetchone()
        yield Scored(holding, _numbers(keys or ""), _numbers(scored or "") / _FINE)


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


def sizes_of(shelf: Shelf) -> str:
    """The table with a row (id, sz) for each entry: the number of words in each column."""
    return f"{shelf.table}_docsize"


def ownerless(connection: Connection, rebuilding: Collection[int] = ()) -> list[str]:
    """Tables whose collection is not there, and those that were never put in their place.

    rebuilding: collections whose next tables are being made now.
    """
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'"
    )
    collections = {key for (key,) in connection.execute("SELECT key FROM collections")}
    return sorted(
        name
        for name, _ in rows
        if (own := _OWN.match(name))
        and int(own[1]) not in rebuilding
        and (own.end() != len(name) or int(own[1]) not in collections)
    )


def drop_ownerless(connection: Connection, name: str, rebuilding: Collection[int] = ()) -> bool:
    """Removes such a table; false when it has an owner by now."""
    if name not in ownerless(connection, rebuilding):
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


def _numbers(listed: str) -> Keys:
    # In two thirds of the time that JSON takes.
    return np.fromstring(listed, np.int64, sep=",")


def _sums(packed: NDArray[np.uint8], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the numbers in each stretch of bytes, as `_unpacked` reads one. packed: (sum of sizes,)."""
    ends = np.flatnonzero(packed < 0x80)
    places = np.arange(len(packed))
    # Seven bits a byte, the most significant first.
    distance = ends[np.searchsorted(ends, places)] - places
    values = (packed & 0x7F).astype(np.int64) << (7 * distance)
    sums: NDArray[np.int64] = np.add.reduceat(values, np.cumsum(sizes) - sizes)
    return sums


def _passages(collection_key: int) -> str:
    return f"lexical_{int(collection_key)}"


def _documents(collection_key: int) -> str:
    return f"lexical_documents_{int(collection_key)}"
