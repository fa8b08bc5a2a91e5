"""The writes that mend the record and its queues. Each looks again, in its own transaction, at what it mends:
what was mended or deleted meanwhile stays as it is.
"""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial

from services.chassis.crash import crash_point
from services.vector.documents import DocumentState
from services.vector.record import lexicon, originals
from services.vector.record.database import Connection, Database
from services.vector.record.documents import erase_passages
from services.vector.record.generations import LIVE, GenerationState
from services.vector.record.inspection import ORPHANS
from services.vector.record.soundness import Damage, StoredDocument, examined

# A step of a new keyword index ends with the document that passes one of these.
_STEP_DOCUMENTS = 128
_STEP_BYTES = 1 << 20
_MOST_STEPS = 1_000_000
_COMMITTED = "state IN (3, 4)"
_DAMAGED = "what is stored of this document is damaged; send the original again"
_MENDABLE = "what is stored of this document is damaged; read it again from its original, which is kept"
_COUNTED = (
    "UPDATE collections SET"
    f" documents = (SELECT count(*) FROM documents WHERE collection_key = ?1 AND {_COMMITTED}),"
    f" chunks = (SELECT coalesce(sum(chunks), 0) FROM documents WHERE collection_key = ?1 AND {_COMMITTED}),"
    f" vectors = (SELECT coalesce(sum(vectors), 0) FROM documents WHERE collection_key = ?1 AND {_COMMITTED})"
    " WHERE key = ?1"
)


class Mending:
    """Every method may be called again; raises what a write raises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lexicon = asyncio.Lock()
        # Collections whose keyword index is being made anew.
        self.rebuilding: set[int] = set()

    async def rebuild_lexicon(self, collection_key: int) -> None:
        """Makes the keyword index of a collection anew from the record, beside the one that answers.

        Writers come in between: what is committed meanwhile has a higher key and comes later, what is deleted
        is taken out of both. Documents whose words are damaged are left out. One at a time: another that
        begins would throw away what the first has made.
        """
        async with self._lexicon:
            self.rebuilding.add(collection_key)
            try:
                await self._rebuild(collection_key)
            finally:
                self.rebuilding.discard(collection_key)

    async def _rebuild(self, collection_key: int) -> None:
        await self._database.write(partial(_begin, collection_key))
        after: int | None = 0
        for _ in range(_MOST_STEPS):
            if after is None:
                return
            after = await self._database.write(partial(_extend, collection_key, after))
            crash_point("vector.lexicon_step")

    async def quarantine(self, document_key: int) -> bool:
        """Sets a damaged document aside; false when it is sound or gone.

        It is FAILED then and in no index but for entries of the keyword index, which is to be made anew. What
        is left of its text stays.
        """
        return await self._database.write(partial(_quarantine, document_key))

    async def remove_original(self, document_key: int) -> None:
        """Removes what is left of a damaged original, so that the same file can be sent again."""

        def work(connection: Connection) -> None:
            row = connection.execute(
                "SELECT bytes, content_sha256 FROM documents WHERE key = ?", (document_key,)
            ).fetchone()
            if row is not None and not originals.is_whole(connection, document_key, *row):
                originals.erase(connection, document_key)
                # There is nothing any more that it could be read again from.
                connection.execute(
                    "DELETE FROM ingests WHERE document_id IN"
                    " (SELECT document_id FROM documents WHERE key = ?)",
                    (document_key,),
                )

        await self._database.write(work)

    async def embed_again(self, collection_key: int, generation_key: int, chunk_keys: Sequence[int]) -> None:
        """Forgets the vectors of these passages in a generation and lets them be made from their texts.

        Those of one that is kept are only forgotten: whoever goes back to it has them made.
        """
        await self._database.write(partial(_embed_again, collection_key, generation_key, chunk_keys))

    async def index_again(self, generation_key: int, chunk_keys: Sequence[int]) -> None:
        """Lets these entries be written into the vector index again."""

        def work(connection: Connection) -> None:
            connection.execute(
                "INSERT OR IGNORE INTO index_additions (chunk_key, generation_key)"
                f" SELECT chunk_key, generation_key FROM vectors WHERE generation_key = ? AND {LIVE}"
                " AND chunk_key IN (SELECT value FROM json_each(?))",
                (generation_key, json.dumps(list(chunk_keys))),
            )

        await self._database.write(work)

    async def remove_entries(self, generation_key: int, chunk_keys: Sequence[int]) -> None:
        """Lets these entries be removed from the vector index, where the record still does not have them."""

        def work(connection: Connection) -> None:
            connection.execute(
                "INSERT OR IGNORE INTO index_removals (chunk_key, generation_key, tombstone_id)"
                " SELECT value, ?1, '' FROM json_each(?2) WHERE value NOT IN"
                " (SELECT chunk_key FROM vectors WHERE generation_key = ?1)"
                " AND value NOT IN (SELECT chunk_key FROM embedding_queue WHERE generation_key = ?1)",
                (generation_key, json.dumps(list(chunk_keys))),
            )

        await self._database.write(work)

    async def drop_collections(self, generation_keys: Sequence[int]) -> None:
        """Lets these collections be removed from the vector index, where the record has no such
        generation.
        """

        def work(connection: Connection) -> None:
            connection.execute(
                "INSERT OR IGNORE INTO index_drops (generation_key, entries, tombstone_id)"
                " SELECT value, 0, '' FROM json_each(?) WHERE value NOT IN (SELECT key FROM generations)",
                (json.dumps(list(generation_keys)),),
            )

        await self._database.write(work)

    async def count_again(self, collection_key: int) -> None:
        """Makes the counts of a collection and of its documents those of what is there."""

        def work(connection: Connection) -> None:
            recount(connection, collection_key)

        await self._database.write(work)

    async def remove_rows(self, table: str) -> None:
        """Removes the rows of a table that belong to nothing, or a keyword index that does."""

        def work(connection: Connection) -> None:
            if lexicon.drop_ownerless(connection, table, self.rebuilding):
                return
            connection.execute("PRAGMA defer_foreign_keys = ON")
            # Rows that go may own rows of another table: children first, until nothing is left.
            for _ in ORPHANS:
                removed = 0
                connection.execute(
                    "INSERT OR IGNORE INTO index_removals (chunk_key, generation_key, tombstone_id)"
                    f" SELECT chunk_key, generation_key, '' FROM vectors WHERE {dict(ORPHANS)['vectors']}"
                )
                for name, condition in ORPHANS:
                    removed += connection.execute(f"DELETE FROM {name} WHERE {condition}").rowcount
                if not removed:
                    return

        await self._database.write(work)


def _begin(collection_key: int, connection: Connection) -> None:
    if _has(connection, collection_key):
        lexicon.create_next(connection, collection_key)


def _extend(collection_key: int, after_key: int, connection: Connection) -> int | None:
    """Adds some documents to the next index; where to go on. At the end it takes its place."""
    if not _has(connection, collection_key):
        return None
    rows = connection.execute(
        f"SELECT key, text_bytes FROM documents WHERE collection_key = ? AND key > ? AND {_COMMITTED}"
        " ORDER BY key LIMIT ?",
        (collection_key, after_key, _STEP_DOCUMENTS),
    ).fetchall()
    size = 0
    for key, text_bytes in rows:
        found = examined(connection, key)
        if isinstance(found, StoredDocument):
            lexicon.add(
                connection,
                collection_key,
                key,
                title=found.title,
                filename=found.filename,
                text=found.text,
                entries=found.entries(),
                into_next=True,
            )
        after_key = key
        size += text_bytes
        if size >= _STEP_BYTES:
            break
    if rows:
        return after_key
    lexicon.put_next(connection, collection_key)
    return None


def _has(connection: Connection, collection_key: int) -> bool:
    found = connection.execute("SELECT 1 FROM collections WHERE key = ?", (collection_key,)).fetchone()
    return found is not None


def _quarantine(document_key: int, connection: Connection) -> bool:
    if not isinstance(examined(connection, document_key), Damage):
        return False
    erase_passages(connection, document_key, "")
    (title,) = connection.execute(
        "SELECT CAST(title AS BLOB) FROM documents WHERE key = ?", (document_key,)
    ).fetchone()
    (collection_key,) = connection.execute(
        # Without the hash of an extraction no citation can hold.
        "UPDATE documents SET state = ?, error_reason = 'DOCUMENT_DAMAGED', error_message = ?, title = ?,"
        " chunks = 0, vectors = 0, extraction_sha256 = '' WHERE key = ? RETURNING collection_key",
        (
            DocumentState.FAILED,
            _MENDABLE if originals.has(connection, document_key) else _DAMAGED,
            title.decode(errors="replace"),
            document_key,
        ),
    ).fetchone()
    connection.execute(_COUNTED, (collection_key,))
    return True


def _embed_again(
    collection_key: int, generation_key: int, chunk_keys: Sequence[int], connection: Connection
) -> None:
    found = connection.execute("SELECT state FROM generations WHERE key = ?", (generation_key,)).fetchone()
    if found is None:
        return
    state = GenerationState(found[0])
    keys = json.dumps(list(chunk_keys))
    these = "chunk_key IN (SELECT value FROM json_each(?))"
    for table in ("index_additions", "vectors"):
        connection.execute(
            f"DELETE FROM {table} WHERE {these} AND generation_key = ?", (keys, generation_key)
        )
    if state in (GenerationState.PREVIOUS, GenerationState.RETIRED):
        connection.execute(
            "INSERT OR IGNORE INTO index_removals (chunk_key, generation_key, tombstone_id)"
            " SELECT value, ?, '' FROM json_each(?)",
            (generation_key, keys),
        )
        return
    connection.execute(
        "INSERT OR IGNORE INTO embedding_queue (chunk_key, generation_key)"
        " SELECT h.key, ? FROM chunks h JOIN documents d ON d.key = h.document_key"
        f" WHERE h.key IN (SELECT value FROM json_each(?)) AND d.collection_key = ? AND d.{_COMMITTED}",
        (generation_key, keys, collection_key),
    )
    if state is GenerationState.CURRENT:
        recount(connection, collection_key, keys)


def recount(connection: Connection, collection_key: int, chunk_keys: str = "") -> None:
    """Makes the counts of a collection and of its documents those of what there is of its vectors now.

    chunk_keys: a JSON list; then only the documents of these passages are counted again.
    """
    there = (
        "(SELECT count(*) FROM vectors v JOIN chunks h ON h.key = v.chunk_key"
        " WHERE h.document_key = documents.key AND v.generation_key = (SELECT key FROM generations"
        f" WHERE collection_key = ?1 AND state = {GenerationState.CURRENT:d}))"
    )
    only = " AND key IN (SELECT document_key FROM chunks WHERE key IN (SELECT value FROM json_each(?4)))"
    connection.execute(
        f"UPDATE documents SET vectors = {there}, state = CASE WHEN {there} >= chunks THEN ?2 ELSE ?3 END"
        f" WHERE collection_key = ?1 AND {_COMMITTED}{only if chunk_keys else ''}",
        (collection_key, DocumentState.READY, DocumentState.EMBEDDING, *([chunk_keys] if chunk_keys else [])),
    )
    connection.execute(_COUNTED, (collection_key,))
