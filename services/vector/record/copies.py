"""Copies of the record's file: made from the living one, verified, and fitted to take its place.

A copy is one plain file without a log beside it. What is exported was checked exactly as an import will check
it, so a snapshot that was given out can be taken in. All functions block.
"""

# ruff: noqa: S608 # conditions and table names are written here

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from services.chassis.errors import DataLossError, ServiceError
from services.vector.documents import DocumentState, Request
from services.vector.faults import snapshot_invalid, snapshot_newer, storage_full
from services.vector.record import originals, schema
from services.vector.record.database import Connection, connect, translated
from services.vector.record.generations import LIVE, GenerationState
from services.vector.record.times import now_micros

IMPORT_SNAPSHOT = "ImportSnapshot"

# A copy never takes the space that the living record needs to go on.
RESERVE_BYTES = 64 << 20

_PAGES_PER_STEP = 2_048
_STEPS_PER_CHECK = 20_000
_COMMITTED = f"state IN ({DocumentState.EMBEDDING:d}, {DocumentState.READY:d})"
_UNCOMMITTED = f"state IN ({DocumentState.RECEIVED:d}, {DocumentState.PARSING:d})"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a record holds. content_sha256: over what each document is; equal records have equal ones."""

    collections: int
    documents: int
    chunks: int
    vectors: int
    content_sha256: str

    @property
    def counts(self) -> dict[str, int]:
        """By kind."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, int)}

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Contents:
        """Raises ValueError, KeyError or TypeError for what to_json did not make."""
        given = json.loads(text)
        numbers = {name: int(given[name]) for name in ("collections", "documents", "chunks", "vectors")}
        return cls(content_sha256=str(given["content_sha256"]), **numbers)


class Stop:
    """Ends the work that looks at it, from another thread."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self) -> None:
        """Nobody waits for the outcome any more."""
        self._asked = True

    def check(self) -> None:
        """Raises StoppedError once it was asked."""
        if self._asked:
            raise StoppedError

    def watch(self, connection: Connection) -> None:
        """Ends statements of a connection as well."""
        connection.set_progress_handler(lambda: self._asked, _STEPS_PER_CHECK)


class StoppedError(Exception):
    """The work was ended before its time; whoever asked for that knows why."""


def make(source: Path, target: Path, stop: Stop) -> Contents:
    """A copy of what is committed in the living record, as the new file `target`, on disk and checked.

    One read transaction holds it still from the first page to the last; writers go on. Documents that are on
    their way in are left out. Raises ResourceExhaustedError (STORAGE_FULL), DataLossError (RECORD_DAMAGED),
    UnavailableError (RECORD_BUSY), StoppedError.
    """
    log = source.with_name(f"{source.name}-wal")
    size = source.stat().st_size + (log.stat().st_size if log.exists() else 0)
    if shutil.disk_usage(target.parent).free < size + RESERVE_BYTES:
        raise storage_full("a copy of the record")
    try:
        with closing(connect(source, readonly=True)) as living, closing(_plain(target)) as copy:
            living.execute("BEGIN")
            living.execute("SELECT count(*) FROM meta").fetchone()
            living.backup(copy, pages=_PAGES_PER_STEP, progress=lambda *_: stop.check())
            living.execute("ROLLBACK")
        with closing(_plain(target)) as copy:
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute(f"DELETE FROM documents WHERE {_UNCOMMITTED}")
            # The bytes that these are about are not in the copy.
            copy.execute("DELETE FROM ingests")
            # Those who follow them follow this record, and not what becomes of a copy.
            copy.execute("DELETE FROM happenings")
            stop.watch(copy)
            _check(copy, stop)
            _check_vectors(copy)
            _check_originals(copy, stop)
            return _contents(copy, _digest(copy))
    except sqlite3.Error as error:
        stop.check()
        raise translated(error, target) from error
    except ServiceError as error:
        if error.reason != "SNAPSHOT_INVALID":
            raise
        problem = error.metadata["problem"]
        raise DataLossError(f"the record is damaged: {problem}", reason="RECORD_DAMAGED") from error


def verify(path: Path, version: int, stop: Stop) -> Contents:
    """Proves that a file that came from somewhere is a sound record, and brings it to this release's schema.

    version: what the file is said to have. Raises InvalidArgumentError (SNAPSHOT_INVALID),
    FailedPreconditionError (SNAPSHOT_NEWER), ResourceExhaustedError (STORAGE_FULL), StoppedError.
    """
    if version > schema.VERSION:
        raise snapshot_newer(version, schema.VERSION)
    with _judged(path, stop), closing(_plain(path)) as copy:
        stop.watch(copy)
        (found,) = copy.execute("PRAGMA user_version").fetchone()
        if found != version or version < 1:
            raise snapshot_invalid(f"its record has schema version {found}, not {version}")
        (programs,) = copy.execute(
            "SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'view')"
        ).fetchone()
        if programs:
            raise snapshot_invalid("its record has triggers or views")
        _check(copy, stop)
        # As it was made: what is of another release may be called something else in this one.
        digest = _digest(copy)
        schema.prepare(copy)
        _check_vectors(copy)
        _check_originals(copy, stop)
        return _contents(copy, digest)


def fit(path: Path, stop: Stop) -> None:
    """Makes a verified copy ready for a new index: every vector waits to be added, and nothing else."""
    with _judged(path, stop), _changing(path) as copy:
        stop.watch(copy)
        copy.execute("DELETE FROM index_removals")
        copy.execute("DELETE FROM index_drops")
        # Whatever it says of files on their way in, they are not here.
        copy.execute("DELETE FROM ingests")
        copy.execute("DELETE FROM happenings")
        copy.execute(
            "INSERT OR IGNORE INTO index_additions (chunk_key, generation_key)"
            f" SELECT chunk_key, generation_key FROM vectors WHERE {LIVE}"
        )


def adopt(path: Path, living: Path, space: str, request: Request | None, contents: Contents) -> None:
    """The last touch, when the living record is closed: what belongs to the place and not to the content.

    The index keeps its name and gets a generation that was never there, so that no entry of the old one can
    be taken for one of the new. Old page tokens end. Imports that were done stay known, this one among them.
    Raises ResourceExhaustedError (STORAGE_FULL), InternalError.
    """
    try:
        _adopt(path, living, space, request, contents)
    except sqlite3.Error as error:
        raise translated(error, path) from error


def _adopt(path: Path, living: Path, space: str, request: Request | None, contents: Contents) -> None:
    installation, generation, imports = _of_the_place(living)
    with _changing(path) as copy:
        (own,) = copy.execute(
            "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'index_generation'"
        ).fetchone()
        copy.executemany(
            "UPDATE meta SET value = ? WHERE name = ?",
            [
                (installation, "installation"),
                (str(max(own, generation) + 1), "index_generation"),
                (secrets.token_hex(32), "page_key"),
            ],
        )
        if request is not None:
            done = (space, request.request_id, IMPORT_SNAPSHOT, request.fingerprint, contents.to_json())
            imports.append((*done, now_micros()))
        copy.executemany("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?)", imports)


def _of_the_place(living: Path) -> tuple[str, int, list[tuple[object, ...]]]:
    """Name and generation of the index, and the imports that were done. A damaged record may not tell: it is
    the one that most needs to be replaced.
    """
    try:
        with closing(connect(living, readonly=True)) as record:
            meta = dict(record.execute("SELECT name, value FROM meta").fetchall())
            imports = record.execute("SELECT * FROM requests WHERE method = ?", (IMPORT_SNAPSHOT,)).fetchall()
            return str(meta["installation"]), int(meta["index_generation"]), imports
    except (sqlite3.Error, KeyError, ValueError):
        # No counter of an index gets as far as the clock.
        return secrets.token_hex(4), int(time.time()), []


def _plain(path: Path) -> Connection:
    """A connection to a file that nobody else has, whose schema is not trusted."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -16000")
    return connection


@contextmanager
def _changing(path: Path) -> Iterator[Connection]:
    """One transaction in a copy; the file is plain and on disk afterwards."""
    with closing(_plain(path)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.execute("BEGIN IMMEDIATE")
        yield copy
        copy.execute("COMMIT")


@contextmanager
def _judged(path: Path, stop: Stop) -> Iterator[None]:
    """What SQLite finds wrong with a file from elsewhere is the file's fault, but for a full disk."""
    try:
        yield
    except sqlite3.Error as error:
        stop.check()
        fault = translated(error, path)
        if fault.reason == "STORAGE_FULL":
            raise fault from error
        raise snapshot_invalid(f"its record cannot be read: {error}") from error


def _check(connection: Connection, stop: Stop) -> None:
    """Of a copy of any version. Raises InvalidArgumentError (SNAPSHOT_INVALID) for one that is not sound."""
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise snapshot_invalid(f"its record is damaged: {verdict}")
    orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
    if orphan is not None:
        raise snapshot_invalid(f"its table {orphan[0]} refers to what is not there")
    _check_texts(connection, stop)


def _check_vectors(connection: Connection) -> None:
    """Of a copy of this version."""
    orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
    if orphan is not None:
        raise snapshot_invalid(f"its table {orphan[0]} refers to what is not there")
    (misshapen,) = connection.execute(
        "SELECT count(*) FROM vectors v JOIN generations g ON g.key = v.generation_key"
        " WHERE length(v.vector) <> 4 * g.dimension"
    ).fetchone()
    if misshapen:
        raise snapshot_invalid(f"{misshapen} of its vectors have another dimension than their model")
    (cut,) = connection.execute(
        "SELECT count(*) FROM word_codes w JOIN vectors v ON v.seq = w.seq"
        " JOIN generations g ON g.key = v.generation_key WHERE length(w.codes) % ((g.dimension + 7) / 8) <> 0"
    ).fetchone()
    if cut:
        raise snapshot_invalid(f"what it keeps of the words of {cut} passages is of another dimension")
    (nameless,) = connection.execute(
        "SELECT count(*) FROM collections c WHERE NOT EXISTS (SELECT 1 FROM generations g"
        f" WHERE g.collection_key = c.key AND g.state = {GenerationState.CURRENT:d})"
    ).fetchone()
    if nameless:
        raise snapshot_invalid(f"{nameless} of its collections have no embedding model")


def _check_texts(connection: Connection, stop: Stop) -> None:
    """Every committed text is whole and has the hash that citations name it by."""
    keys = connection.execute(
        f"SELECT key, document_id, extraction_sha256, text_bytes FROM documents WHERE {_COMMITTED}"
    )
    for key, document_id, sha256, size in keys:
        stop.check()
        digest, end = hashlib.sha256(), 0
        for start, next_start, piece in connection.execute(
            "SELECT byte_start, byte_end, piece FROM texts WHERE document_key = ? ORDER BY byte_start", (key,)
        ):
            if start != end or next_start - start != len(piece):
                break
            digest.update(piece)
            end = next_start
        if end != size or digest.hexdigest() != sha256:
            raise snapshot_invalid(f"the text of document {document_id} is damaged")


def _check_originals(connection: Connection, stop: Stop) -> None:
    """Of a copy of this version: every original is whole and has the hash of its document."""
    for key, document_id, size, sha256 in connection.execute(
        f"SELECT d.key, d.document_id, d.bytes, d.content_sha256 FROM documents d WHERE {originals.KEPT}"
    ):
        stop.check()
        if not originals.is_whole(connection, key, size, sha256):
            raise snapshot_invalid(f"the original of document {document_id} is damaged")


def _contents(connection: Connection, digest: str) -> Contents:
    counts = {
        table: int(connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0])
        for table, condition in (
            ("collections", "true"),
            ("documents", _COMMITTED),
            ("chunks", "true"),
            (
                "vectors",
                f"generation_key IN (SELECT key FROM generations WHERE state = {GenerationState.CURRENT:d})",
            ),
        )
    }
    return Contents(content_sha256=digest, **counts)


def _digest(connection: Connection) -> str:
    """Of what the documents are and where; of a copy of any version."""
    digest = hashlib.sha256()
    for row in connection.execute(
        "SELECT c.tenant_id, c.collection_id, d.document_id, d.external_id, d.title, d.filename, d.metadata,"
        " d.extraction_sha256 FROM documents d JOIN collections c ON c.key = d.collection_key"
        f" WHERE d.{_COMMITTED} ORDER BY d.document_id"
    ):
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()
