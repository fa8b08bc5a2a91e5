"""Vectors in the record: those to come, those that are there, and the reads that exact search makes."""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.vector.documents import DocumentState
from services.vector.embedding.ports import ModelName
from services.vector.record.database import Connection, Database
from services.vector.record.generations import GenerationState
from services.vector.record.texts import read_text
from services.vector.record.times import now_micros

# What a model is given of a passage h of a document d.
_TEXT = "d.key, d.title, h.headings, h.byte_start, h.byte_end"

# Generation and number of a vector, in that order.
Cursor = tuple[int, int]

Matrix = NDArray[np.float32]
Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A passage without its vector in a generation, with what the model is to read.

    space: whose turn it takes; '' for what the house itself embeds anew.
    """

    chunk_key: int
    generation_key: int
    title: str
    headings: tuple[str, ...]
    body: str
    space: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """Names it among all that wait."""
        return self.generation_key, self.chunk_key


@dataclass(frozen=True, slots=True)
class Made:
    """What a model made of a passage. vector: (dimension,). codes: of its words, see services.vector.late;
    None by a model that does not tell of words.
    """

    generation_key: int
    chunk_key: int
    vector: Matrix
    codes: bytes | None = None


@dataclass(frozen=True, slots=True)
class Turns:
    """Turns until a document's first waiting passage has its vector, and its last; 1 is the next."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a document is after a write of vectors."""

    document_id: str
    state: DocumentState
    chunks: int
    vectors: int


@dataclass(frozen=True, slots=True)
class VectorRows:
    """Vectors of a generation in the order they were written. keys: (n,), vectors: (n, dimension)."""

    keys: Keys
    vectors: Matrix
    last_seq: int


class Vectors:
    """float32 vectors of unit length, one per passage and generation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, model: ModelName, limit: int) -> list[Waiting]:
        """Passages that wait for a vector of this model, at most `limit`.

        People take turns: the first of each comes before the second of any; those of one come in the order
        of their commit. What is embedded anew for another model waits as one person (the space ''),
        so that a house that takes documents in all day gets to its end.
        """

        def work(connection: Connection) -> list[Waiting]:
            queues: list[list[Waiting]] = []
            made = _made_by(connection, model)
            spaces = _spaces(connection)
            for number, space in enumerate(spaces):
                # What the others leave of it.
                share = -(-(limit - sum(map(len, queues))) // (len(spaces) - number))
                queues.append(_waiting(connection, made, space, share))
            turns = zip_longest(*queues)
            return [one for turn in turns for one in turn if one is not None][:limit]

        return await self._database.read(work)

    async def places(self, model: ModelName, document_keys: Sequence[int]) -> dict[int, Turns]:
        """By document, for those with passages that wait for this model: where these stand among all that do.

        What the model refused, and is asked again much later, is not counted.
        """

        def work(connection: Connection) -> dict[int, Turns]:
            return _places(connection, _made_by(connection, model), document_keys)

        return await self._database.read(work)

    async def store(self, vectors: Sequence[Made]) -> list[Progress]:
        """Writes vectors and queues them for the index.

        Passages that were deleted meanwhile, and generations that went, are left out. Returns the documents
        that got further in what answers.
        """

        def work(connection: Connection) -> list[Progress]:
            documents: Counter[int] = Counter()
            collections: Counter[int] = Counter()
            for made in vectors:
                generation_key, chunk_key = made.generation_key, made.chunk_key
                row = connection.execute(
                    "DELETE FROM embedding_queue WHERE chunk_key = ? AND generation_key = ?"
                    " RETURNING (SELECT collection_key FROM generations WHERE key = generation_key),"
                    " (SELECT state FROM generations WHERE key = generation_key)",
                    (chunk_key, generation_key),
                ).fetchone()
                if row is None:
                    continue
                collection_key, state = row
                blob = np.ascontiguousarray(made.vector, dtype="<f4").tobytes()
                seq = connection.execute(
                    "INSERT INTO vectors (chunk_key, generation_key, vector, sha256) VALUES (?, ?, ?, ?)",
                    (chunk_key, generation_key, blob, hashlib.sha256(blob).digest()),
                ).lastrowid
                if made.codes is not None:
                    connection.execute("INSERT INTO word_codes VALUES (?, ?)", (seq, made.codes))
                connection.execute("INSERT INTO index_additions VALUES (?, ?)", (chunk_key, generation_key))
                if state != GenerationState.CURRENT:
                    continue
                (document_key,) = connection.execute(
                    "SELECT document_key FROM chunks WHERE key = ?", (chunk_key,)
                ).fetchone()
                documents[document_key] += 1
                collections[collection_key] += 1
            for collection_key, added in collections.items():
                connection.execute(
                    "UPDATE collections SET vectors = vectors + ? WHERE key = ?", (added, collection_key)
                )
            return [_advance(connection, key, added) for key, added in documents.items()]

        return await self._database.write(work, milestone="vectors_store")

    async def without_codes(
        self, model: ModelName, after: Cursor, limit: int
    ) -> tuple[list[Waiting], Cursor]:
        """Passages whose vectors this model made and of whose words nothing is kept, at most `limit`.

        An older release wrote them. after: (0, 0), or what the call before answered, for those that follow.
        """

        def work(connection: Connection) -> tuple[list[Waiting], Cursor]:
            return _without_codes(connection, _made_by(connection, model), after, limit)

        return await self._database.read(work)

    async def add_codes(self, codes: Sequence[Made]) -> None:
        """Writes what is kept of words beside vectors that are there; those that are gone are left out."""

        def work(connection: Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO word_codes SELECT seq, ? FROM vectors"
                " WHERE chunk_key = ? AND generation_key = ?",
                [(made.codes, made.chunk_key, made.generation_key) for made in codes],
            )

        await self._database.write(work)

    async def codes_of(self, generation_key: int, chunk_keys: Sequence[int]) -> dict[int, bytes]:
        """What is kept of the words of these passages; those of which nothing is kept are left out."""

        def work(connection: Connection) -> dict[int, bytes]:
            return dict(
                connection.execute(
                    "SELECT v.chunk_key, w.codes FROM vectors v JOIN word_codes w ON w.seq = v.seq"
                    " WHERE v.generation_key = ? AND v.chunk_key IN (SELECT value FROM json_each(?))",
                    (generation_key, json.dumps(list(chunk_keys))),
                ).fetchall()
            )

        return await self._database.read(work)

    async def postpone(self, generation_key: int, chunk_key: int, delay_seconds: float) -> None:
        """The model refused this text: the rest goes first."""

        def work(connection: Connection) -> None:
            connection.execute(
                "UPDATE embedding_queue SET attempts = attempts + 1, not_before = ?"
                " WHERE chunk_key = ? AND generation_key = ?",
                (now_micros() + int(delay_seconds * 1e6), chunk_key, generation_key),
            )

        await self._database.write(work)

    async def after(self, generation_key: int, seq: int, dimension: int, limit: int) -> VectorRows:
        """Vectors of a generation written after `seq`, at most `limit`."""
        return await self._database.read(
            lambda connection: rows_after(connection, generation_key, seq, dimension, limit)
        )

    async def of_chunks(self, generation_key: int, chunk_keys: Sequence[int], dimension: int) -> VectorRows:
        """Vectors of these passages; those without one are left out. Any order."""

        def work(connection: Connection) -> VectorRows:
            rows = connection.execute(
                "SELECT chunk_key, vector FROM vectors WHERE generation_key = ?"
                " AND chunk_key IN (SELECT value FROM json_each(?))",
                (generation_key, json.dumps(list(chunk_keys))),
            ).fetchall()
            return VectorRows(
                np.array([key for key, _ in rows], dtype=np.int64),
                stacked([v for _, v in rows], dimension),
                0,
            )

        return await self._database.read(work)


def rows_after(
    connection: Connection, generation_key: int, seq: int, dimension: int, limit: int
) -> VectorRows:
    """See Vectors.after."""
    rows = connection.execute(
        "SELECT seq, chunk_key, vector FROM vectors WHERE generation_key = ? AND seq > ? ORDER BY seq"
        " LIMIT ?",
        (generation_key, seq, limit),
    ).fetchall()
    return VectorRows(
        np.array([key for _, key, _ in rows], dtype=np.int64),
        stacked([vector for _, _, vector in rows], dimension),
        rows[-1][0] if rows else seq,
    )


def copy(connection: Connection, seq: int, generation_key: int, chunk_key: int) -> None:
    """Gives a passage what there is of another one with the same text: the vector, and of its words."""
    own = connection.execute(
        "INSERT INTO vectors (chunk_key, generation_key, vector, sha256)"
        " SELECT ?, ?, vector, sha256 FROM vectors WHERE seq = ?",
        (chunk_key, generation_key, seq),
    ).lastrowid
    connection.execute("INSERT INTO word_codes SELECT ?, codes FROM word_codes WHERE seq = ?", (own, seq))


def _made_by(connection: Connection, model: ModelName) -> str:
    """Keys of generations in use whose vectors this model makes, a JSON list."""
    rows = connection.execute(
        "SELECT key, revision FROM generations"
        " WHERE state IN (?, ?) AND embedding_model = ? AND dimension = ?",
        (GenerationState.CURRENT, GenerationState.BUILDING, model.name, model.dimension),
    )
    return json.dumps(
        [key for key, revision in rows if model.agrees(ModelName(model.name, model.dimension, revision))]
    )


def stacked(blobs: Sequence[bytes], dimension: int) -> Matrix:
    return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(blobs), dimension)


def _spaces(connection: Connection) -> list[str]:
    """Who has passages that wait, by one step in the index for each."""
    found: list[str] = []
    row = connection.execute("SELECT min(space) FROM embedding_queue").fetchone()
    while row is not None and row[0] is not None:
        found.append(str(row[0]))
        row = connection.execute(
            "SELECT min(space) FROM embedding_queue WHERE space > ?", (found[-1],)
        ).fetchone()
    return found


def _waiting(connection: Connection, generation_keys: str, space: str, limit: int) -> list[Waiting]:
    rows = connection.execute(
        f"SELECT q.chunk_key, q.generation_key, {_TEXT}"
        " FROM embedding_queue q JOIN chunks h ON h.key = q.chunk_key"
        " JOIN documents d ON d.key = h.document_key"
        # The plus keeps SQLite from the index by generation: that would sort the whole queue each time.
        " WHERE q.space = ? AND +q.generation_key IN (SELECT value FROM json_each(?)) AND q.not_before <= ?"
        " ORDER BY q.chunk_key LIMIT ?",
        (space, generation_keys, now_micros(), limit),
    ).fetchall()
    return [
        _with_text(connection, chunk_key, generation_key, text, space)
        for chunk_key, generation_key, *text in rows
    ]


def _without_codes(
    connection: Connection, generation_keys: str, after: Cursor, limit: int
) -> tuple[list[Waiting], Cursor]:
    rows = connection.execute(
        f"SELECT v.generation_key, v.seq, v.chunk_key, {_TEXT}"
        # Apart, so that of those that have codes nothing but the index is read.
        " FROM (SELECT generation_key, seq FROM vectors v"
        "  WHERE (generation_key, seq) > (?, ?) AND generation_key IN (SELECT value FROM json_each(?))"
        "  AND NOT EXISTS (SELECT 1 FROM word_codes w WHERE w.seq = v.seq)"
        "  ORDER BY generation_key, seq LIMIT ?) m"
        " JOIN vectors v ON v.seq = m.seq JOIN chunks h ON h.key = v.chunk_key"
        " JOIN documents d ON d.key = h.document_key ORDER BY v.generation_key, v.seq",
        (*after, generation_keys, limit),
    ).fetchall()
    found = [
        _with_text(connection, chunk_key, generation_key, text)
        for generation_key, _, chunk_key, *text in rows
    ]
    return found, rows[-1][:2] if rows else after


def _with_text(
    connection: Connection, chunk_key: int, generation_key: int, text: Sequence[Any], space: str = ""
) -> Waiting:
    """text: the columns of _TEXT."""
    document_key, title, headings, start, end = text
    # A check tells of text that is damaged. Here it may not keep the others from their vectors.
    body = read_text(connection, document_key, start, end).data.decode(errors="replace")
    return Waiting(chunk_key, generation_key, title, tuple(json.loads(headings)), body, space)


def _places(connection: Connection, generation_keys: str, document_keys: Sequence[int]) -> dict[int, Turns]:
    now = now_micros()
    mine = connection.execute(
        "SELECT h.document_key, q.space, min(q.chunk_key), count(*) FROM json_each(?) k"
        " JOIN chunks h ON h.document_key = k.value JOIN embedding_queue q ON q.chunk_key = h.key"
        " JOIN generations g ON g.key = q.generation_key AND g.state = ?"
        " WHERE +q.generation_key IN (SELECT value FROM json_each(?)) AND q.not_before <= ?"
        " GROUP BY h.document_key ORDER BY q.space, min(q.chunk_key)",
        (json.dumps(list(document_keys)), GenerationState.CURRENT, generation_keys, now),
    ).fetchall()
    if not mine:
        return {}
    waiting: dict[str, int] = dict(
        connection.execute(
            "SELECT space, count(*) FROM embedding_queue"
            " WHERE +generation_key IN (SELECT value FROM json_each(?)) AND not_before <= ? GROUP BY space",
            (generation_keys, now),
        ).fetchall()
    )

    def turn(space: str, rank: int) -> int:
        """The turn of a space's passage number `rank`, from 0: the others have had as many by then."""
        others = sum(min(count, rank) for name, count in waiting.items() if name != space)
        return rank + others + 1

    found: dict[int, Turns] = {}
    before, rank, from_key = "", 0, 0
    for document_key, space, first_key, count in mine:
        if space != before:
            before, rank, from_key = space, 0, 0
        (between,) = connection.execute(
            "SELECT count(*) FROM embedding_queue WHERE space = ? AND chunk_key >= ? AND chunk_key < ?"
            " AND +generation_key IN (SELECT value FROM json_each(?)) AND not_before <= ?",
            (space, from_key, first_key, generation_keys, now),
        ).fetchone()
        rank, from_key = rank + between, first_key
        found[document_key] = Turns(turn(space, rank), turn(space, rank + count - 1))
    return found


def _advance(connection: Connection, document_key: int, added: int) -> Progress:
    row = connection.execute(
        "UPDATE documents SET vectors = vectors + ?1, state = CASE WHEN vectors + ?1 >= chunks THEN ?2"
        " ELSE state END"
        " WHERE key = ?3 RETURNING document_id, state, chunks, vectors",
        (added, DocumentState.READY, document_key),
    ).fetchone()
    document_id, state, chunks, vectors = row
    return Progress(document_id, DocumentState(state), chunks, vectors)
