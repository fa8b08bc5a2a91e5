"""The reads that compare the record with itself and with its keyword index, a bounded page each.

Each page is one read transaction: what it compares is of one moment, and writers go on.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from services.vector.record import lexicon, originals
from services.vector.record.database import Connection, Database, connect
from services.vector.record.findings import Finding, Kind
from services.vector.record.generations import LIVE, Generation, GenerationState, of_collection
from services.vector.record.soundness import Damage, StoredDocument, examined
from services.vector.record.vectors import Matrix

# A page of documents ends with the document that passes one of these.
_PAGE_DOCUMENTS = 128
_PAGE_BYTES = 2 << 20
_PAGE_ORIGINAL_BYTES = 32 << 20
_PAGE_ENTRIES = 10_000
PAGE_VECTORS = 1_000
# Faults that are named one by one; beyond, they are counted.
_MOST_NAMED = 20
_UNIT = 1e-3
# Generations that have, or wait for, a vector of every passage.
_COMPLETE = (GenerationState.CURRENT, GenerationState.BUILDING)
_COMMITTED = "state IN (3, 4)"


@dataclass(frozen=True, slots=True)
class Subject:
    """A collection to be looked at."""

    key: int
    tenant_id: str
    collection_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """What a page found. after: where the next page begins; None at the end. chunks: passages compared."""

    findings: list[Finding]
    after: int | None
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class VectorPage:
    """Vectors that agree with their checksums and should be in the index by now. vectors: (n, dimension).

    checked: those of `keys` that have a checksum.
    """

    page: Page
    keys: list[int]
    vectors: Matrix
    checked: frozenset[int]


class Inspection:
    """Reads only."""

    def __init__(self, database: Database, rebuilding: Collection[int] = ()) -> None:
        """rebuilding: collections whose keyword index is being made anew, at any time."""
        self._database = database
        self._rebuilding = rebuilding

    async def next_collection(self, tenant_id: str | None, after_key: int) -> Subject | None:
        """The collection that follows `after_key`; of all tenants where none is named."""

        def work(connection: Connection) -> Subject | None:
            row = connection.execute(
                "SELECT key, tenant_id, collection_id FROM collections"
                " WHERE key > ?1 AND (?2 IS NULL OR tenant_id = ?2) ORDER BY key LIMIT 1",
                (after_key, tenant_id),
            ).fetchone()
            return None if row is None else Subject(*row)

        return await self._database.read(work)

    async def collection(self, tenant_id: str, collection_id: str) -> Subject | None:
        """A collection of a tenant."""

        def work(connection: Connection) -> Subject | None:
            row = connection.execute(
                "SELECT key, tenant_id, collection_id FROM collections"
                " WHERE tenant_id = ? AND collection_id = ?",
                (tenant_id, collection_id),
            ).fetchone()
            return None if row is None else Subject(*row)

        return await self._database.read(work)

    async def total_chunks(self, tenant_id: str | None, collection_id: str) -> int:
        """Passages of committed documents."""

        def work(connection: Connection) -> int:
            (count,) = connection.execute(
                "SELECT coalesce(sum(chunks), 0) FROM collections WHERE (?1 IS NULL OR tenant_id = ?1)"
                " AND (?2 = '' OR collection_id = ?2)",
                (tenant_id, collection_id),
            ).fetchone()
            return int(count)

        return await self._database.read(work)

    async def documents(self, collection_key: int, after_key: int) -> Page:
        """Texts against their hashes, passages against their texts, and both against the keyword index."""

        def work(connection: Connection) -> Page:
            rows = connection.execute(
                "SELECT key, document_id, text_bytes, chunks, vectors FROM documents"
                f" WHERE collection_key = ? AND key > ? AND {_COMMITTED} ORDER BY key LIMIT ?",
                (collection_key, after_key, _PAGE_DOCUMENTS),
            ).fetchall()
            findings: list[Finding] = []
            size = chunks = 0
            sizes = lexicon.Sizes(connection, collection_key)
            generations = [one for one in of_collection(connection, collection_key) if one.state in _COMPLETE]
            with closing(sizes):
                for key, document_id, text_bytes, count, vectors in rows:
                    findings += [
                        *_of_document(connection, sizes, key, document_id),
                        *_of_embeddings(connection, generations, (key, document_id), vectors, count),
                    ]
                    after_page = key
                    size += text_bytes
                    chunks += count
                    if size >= _PAGE_BYTES:
                        break
            done = not rows or (after_page == rows[-1][0] and len(rows) < _PAGE_DOCUMENTS)
            return Page(findings, None if done else after_page, chunks)

        return await self._database.read(work)

    async def originals(self, collection_key: int, after_key: int) -> Page:
        """Originals against their hashes, those of documents that were set aside among them."""

        def work(connection: Connection) -> Page:
            rows = connection.execute(
                "SELECT d.key, d.document_id, d.bytes, d.content_sha256 FROM documents d"
                f" WHERE d.collection_key = ? AND d.key > ? AND {originals.KEPT} ORDER BY d.key LIMIT ?",
                (collection_key, after_key, _PAGE_DOCUMENTS),
            ).fetchall()
            findings: list[Finding] = []
            read = 0
            for key, document_id, size, sha256 in rows:
                if not originals.is_whole(connection, key, size, sha256):
                    words = "its original does not have the hash that names it"
                    findings.append(Finding(Kind.ORIGINAL_DAMAGED, words, 0, document_id, key))
                after_page = key
                read += size
                if read >= _PAGE_ORIGINAL_BYTES:
                    break
            done = not rows or (after_page == rows[-1][0] and len(rows) < _PAGE_DOCUMENTS)
            return Page(findings, None if done else after_page)

        return await self._database.read(work)

    async def entries(self, collection_key: int, after_id: int, *, of_documents: bool) -> Page:
        """Entries of the keyword index that stand for no passage, or for no document."""

        def work(connection: Connection) -> Page:
            if not lexicon.exists(connection, collection_key):
                missing = Finding(Kind.LEXICAL_MISSING, "the keyword index of this collection is not there")
                return Page([missing], None)
            name = lexicon.sizes_of(lexicon.Shelf(collection_key, of_documents))
            known = (
                f"SELECT 1 FROM documents d WHERE d.key = s.id AND d.collection_key = ?2 AND d.{_COMMITTED}"
                if of_documents
                else "SELECT 1 FROM chunks h JOIN documents d ON d.key = h.document_key"
                f" WHERE h.key = s.id AND d.collection_key = ?2 AND d.{_COMMITTED}"
            )
            last, count, orphans = connection.execute(
                f"SELECT max(id), count(*), coalesce(sum(NOT EXISTS ({known})), 0) FROM"
                f" (SELECT id FROM {name} WHERE id > ?1 ORDER BY id LIMIT {_PAGE_ENTRIES}) s",
                (after_id, collection_key),
            ).fetchone()
            words = f"the keyword index has {orphans} entries that the record does not have"
            found = [Finding(Kind.LEXICAL_ORPHAN, words, orphans)] if orphans else []
            return Page(found, last if count == _PAGE_ENTRIES else None)

        return await self._database.read(work)

    async def postings(self, collection_key: int) -> Page:
        """The words of the keyword index, counted, against the sizes of its entries."""

        def work(_: Connection) -> Page:
            # A connection of its own: the tables that show the words are temporary ones, which readers may
            # not make, and an index that is damaged must not disturb a connection that others use.
            with closing(connect(self._database.path, readonly=False)) as connection:
                connection.execute("BEGIN")
                try:
                    faults = lexicon.miscounted(connection, collection_key)
                except sqlite3.DatabaseError as error:
                    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (
                        sqlite3.SQLITE_CORRUPT,
                        sqlite3.SQLITE_ERROR,
                    ):
                        raise
                    faults = [f"the keyword index cannot be read: {error}"]
            return Page([Finding(Kind.LEXICAL_STALE, words) for words in faults], None)

        return await self._database.read(work)

    async def generation(self, collection_key: int, from_key: int) -> tuple[int, int] | None:
        """Key and dimension of the first generation of a collection, from a key on, that is in use."""

        def work(connection: Connection) -> tuple[int, int] | None:
            row = connection.execute(
                "SELECT key, dimension FROM generations WHERE collection_key = ? AND key >= ? AND state <> ?"
                " ORDER BY key LIMIT 1",
                (collection_key, from_key, GenerationState.RETIRED),
            ).fetchone()
            return None if row is None else (row[0], row[1])

        return await self._database.read(work)

    async def vectors(self, generation_key: int, dimension: int, after_seq: int) -> VectorPage:
        """Vectors against their checksums."""

        def work(connection: Connection) -> VectorPage:
            rows = connection.execute(
                "SELECT v.seq, v.chunk_key, v.vector, v.sha256, a.chunk_key IS NOT NULL, d.document_id"
                " FROM vectors v LEFT JOIN index_additions a"
                " ON a.chunk_key = v.chunk_key AND a.generation_key = v.generation_key"
                " LEFT JOIN chunks h ON h.key = v.chunk_key LEFT JOIN documents d ON d.key = h.document_key"
                " WHERE v.generation_key = ? AND v.seq > ? ORDER BY v.seq LIMIT ?",
                (generation_key, after_seq, PAGE_VECTORS),
            ).fetchall()
            damaged: list[int] = []
            keys: list[int] = []
            blobs: list[bytes] = []
            checked: set[int] = set()
            for _, key, vector, sha256, waits, _ in rows:
                blob = bytes(vector)
                if not _sound(blob, sha256, dimension):
                    damaged.append(key)
                elif not waits:
                    keys.append(key)
                    blobs.append(blob)
                    if sha256 is not None:
                        checked.add(key)
            findings = []
            if damaged:
                words = f"{len(damaged)} stored vectors do not agree with their checksum"
                findings.append(
                    Finding(
                        Kind.EMBEDDING_DAMAGED,
                        words,
                        len(damaged),
                        keys=tuple(damaged),
                        generation_key=generation_key,
                    )
                )
            after = rows[-1][0] if len(rows) == PAGE_VECTORS else None
            stacked = np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(blobs), dimension)
            return VectorPage(Page(findings, after), keys, stacked, frozenset(checked))

        return await self._database.read(work)

    async def settled(self, generation_key: int, chunk_keys: Sequence[int]) -> list[int]:
        """Those that still have a vector which should be in the index by now."""

        def work(connection: Connection) -> list[int]:
            rows = connection.execute(
                f"SELECT chunk_key FROM vectors WHERE generation_key = ?2 AND {LIVE}"
                " AND chunk_key IN (SELECT value FROM json_each(?1))"
                " AND chunk_key NOT IN (SELECT chunk_key FROM index_additions WHERE generation_key = ?2)",
                (json.dumps(list(chunk_keys)), generation_key),
            )
            return [key for (key,) in rows]

        return await self._database.read(work)

    async def unknown(self, generation_key: int, chunk_keys: Sequence[int]) -> list[int]:
        """Those that the index should not have of this generation, and that do not wait to be removed."""

        def work(connection: Connection) -> list[int]:
            rows = connection.execute(
                "SELECT value FROM json_each(?1) WHERE value NOT IN"
                " (SELECT chunk_key FROM vectors WHERE generation_key = ?2)"
                " AND value NOT IN (SELECT chunk_key FROM index_removals WHERE generation_key = ?2)"
                # It will be overwritten when the passage has its new vector.
                " AND value NOT IN (SELECT chunk_key FROM embedding_queue WHERE generation_key = ?2)"
                " AND NOT EXISTS (SELECT 1 FROM index_drops WHERE generation_key = ?2)",
                (json.dumps(list(chunk_keys)), generation_key),
            )
            return [key for (key,) in rows]

        return await self._database.read(work)

    async def foreign(self, generation_keys: Sequence[int]) -> list[int]:
        """Collections of the index that stand for no generation of the record and are not about to go."""

        def work(connection: Connection) -> list[int]:
            rows = connection.execute(
                "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT key FROM generations)"
                " AND value NOT IN (SELECT generation_key FROM index_drops)",
                (json.dumps(list(generation_keys)),),
            )
            return [key for (key,) in rows]

        return await self._database.read(work)

    async def counts(self, collection_key: int) -> Page:
        """The counts of a collection against its documents."""

        def work(connection: Connection) -> Page:
            stored = connection.execute(
                "SELECT documents, chunks, vectors FROM collections WHERE key = ?", (collection_key,)
            ).fetchone()
            there = connection.execute(
                "SELECT count(*), coalesce(sum(chunks), 0), coalesce(sum(vectors), 0) FROM documents"
                f" WHERE collection_key = ? AND {_COMMITTED}",
                (collection_key,),
            ).fetchone()
            if stored in (None, there):
                return Page([], None)
            words = f"documents, passages, vectors: {stored} are counted and {there} are there"
            return Page([Finding(Kind.COUNT_WRONG, words)], None)

        return await self._database.read(work)

    async def pending(self, tenant_id: str | None) -> Page:
        """Deletes that have not reached the vector index."""

        def work(connection: Connection) -> Page:
            rows = connection.execute(
                "SELECT t.resource, sum(q.entries) FROM tombstones t JOIN"
                " (SELECT tombstone_id, count(*) AS entries FROM index_removals GROUP BY tombstone_id"
                "  UNION ALL SELECT tombstone_id, max(entries, 1) FROM index_drops) q"
                " ON q.tombstone_id = t.tombstone_id WHERE ?1 IS NULL OR t.tenant_id = ?1"
                " GROUP BY t.tombstone_id LIMIT ?2",
                (tenant_id, _MOST_NAMED),
            ).fetchall()
            return Page(
                [
                    Finding(
                        Kind.DELETION_PENDING,
                        f"the delete of {resource} has not reached the vector index yet",
                        entries,
                    )
                    for resource, entries in rows
                ],
                None,
            )

        return await self._database.read(work)

    async def rows(self) -> Page:
        """Rows that belong to nothing, of all tenants."""
        return await self._database.read(
            lambda connection: Page(list(orphan_rows(connection, self._rebuilding)), None)
        )

    async def structure(self) -> Page:
        """The file of the record, as SQLite judges it."""

        def work(connection: Connection) -> Page:
            try:
                found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_NAMED})")]
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_INTERRUPT:
                    raise
                found = [str(error)]
            return Page(
                [
                    Finding(Kind.RECORD_DAMAGED, f"the file of the record: {one}"[:300])
                    for one in found
                    if one != "ok"
                ],
                None,
            )

        return await self._database.read(work)


def orphan_rows(connection: Connection, rebuilding: Collection[int] = ()) -> Iterator[Finding]:
    """Rows without an owner, a finding a table; `name` is the statement's condition."""
    for table, condition in ORPHANS:
        (count,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()
        if count:
            words = f"{count} rows of {table} belong to nothing"
            yield Finding(Kind.RECORD_ORPHAN, words, name=table)
    for name in lexicon.ownerless(connection, rebuilding):
        yield Finding(Kind.RECORD_ORPHAN, f"the keyword index {name} belongs to no collection", name=name)


_NO_GENERATION = "generation_key NOT IN (SELECT key FROM generations)"

# Table and condition of what belongs to nothing, in the order in which it can be deleted.
ORPHANS = (
    (
        "index_additions",
        "NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk_key = index_additions.chunk_key"
        " AND v.generation_key = index_additions.generation_key)",
    ),
    ("embedding_queue", f"chunk_key NOT IN (SELECT key FROM chunks) OR NOT ({LIVE})"),
    ("word_codes", "NOT EXISTS (SELECT 1 FROM vectors v WHERE v.seq = word_codes.seq)"),
    ("vectors", f"chunk_key NOT IN (SELECT key FROM chunks) OR {_NO_GENERATION}"),
    ("generations", "collection_key NOT IN (SELECT key FROM collections)"),
    ("chunks", "document_key NOT IN (SELECT key FROM documents)"),
    ("texts", "document_key NOT IN (SELECT key FROM documents)"),
    ("places", "document_key NOT IN (SELECT key FROM documents)"),
    ("originals", "document_key NOT IN (SELECT key FROM documents)"),
    ("ingests", "document_id NOT IN (SELECT document_id FROM documents)"),
    ("documents", "collection_key NOT IN (SELECT key FROM collections)"),
    ("grants", "collection_key NOT IN (SELECT key FROM collections)"),
    ("evaluated_queries", "evaluation_key NOT IN (SELECT key FROM evaluations)"),
    ("evaluations", "collection_key NOT IN (SELECT key FROM collections)"),
)


def _of_document(
    connection: Connection, sizes: lexicon.Sizes, key: int, document_id: str
) -> Iterator[Finding]:
    found = examined(connection, key)
    if isinstance(found, Damage):
        kind = Kind.TEXT_DAMAGED if found.of_text else Kind.CHUNK_DAMAGED
        yield Finding(kind, found.message, found.chunks, document_id, key)
    if not isinstance(found, StoredDocument):
        return
    missing, stale = sizes.compare(
        found.key, title=found.title, filename=found.filename, text=found.text, entries=found.entries()
    )
    if missing:
        words = f"{missing} entries of it are not in the keyword index"
        yield Finding(Kind.LEXICAL_MISSING, words, missing, document_id, key)
    if stale:
        words = f"{stale} entries of it in the keyword index were made from other words"
        yield Finding(Kind.LEXICAL_STALE, words, stale, document_id, key)


def _of_embeddings(
    connection: Connection,
    generations: Sequence[Generation],
    document: tuple[int, str],
    counted: int,
    chunks: int,
) -> Iterator[Finding]:
    key, document_id = document

    there = 0
    for generation in generations:
        rows = connection.execute(
            "SELECT h.key, v.chunk_key IS NOT NULL, q.chunk_key IS NOT NULL FROM chunks h"
            " LEFT JOIN vectors v ON v.chunk_key = h.key AND v.generation_key = ?1"
            " LEFT JOIN embedding_queue q ON q.chunk_key = h.key AND q.generation_key = ?1"
            " WHERE h.document_key = ?2",
            (generation.key, key),
        ).fetchall()
        missing = tuple(chunk for chunk, has, waits in rows if not has and not waits)
        if missing:
            words = f"{len(missing)} passages of it have no vector and do not wait for one"
            if generation.state is GenerationState.BUILDING:
                words = f"{words}, in the vectors that are being built"
            yield Finding(
                Kind.EMBEDDING_MISSING,
                words,
                len(missing),
                document_id,
                key,
                missing,
                generation_key=generation.key,
            )
        if generation.state is GenerationState.CURRENT:
            there = sum(has for _, has, _ in rows)
    (state,) = connection.execute("SELECT state FROM documents WHERE key = ?", (key,)).fetchone()
    if there != counted or (state == 4) != (there == chunks):
        words = f"it counts {counted} vectors and has {there}"
        yield Finding(Kind.COUNT_WRONG, words, 0, document_id, key)


def _sound(blob: bytes, sha256: bytes | None, dimension: int) -> bool:
    if len(blob) != 4 * dimension:
        return False
    if sha256 is not None:
        return hashlib.sha256(blob).digest() == sha256
    # One that an older release stored has no checksum; all models give unit length.
    vector = np.frombuffer(blob, dtype="<f4").astype(np.float64)
    return bool(np.isfinite(vector).all() and abs(float(np.linalg.norm(vector)) - 1.0) < _UNIT)
