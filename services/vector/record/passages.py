"""The reads that search makes: filters to keys, and passages by key."""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from services.vector.access import Caller, Role
from services.vector.documents import Scalar, chunk_id, embedded_text
from services.vector.embedding.ports import ModelName
from services.vector.record import places
from services.vector.record.collections import ROLE, bound
from services.vector.record.database import Connection, Database
from services.vector.record.generations import GenerationState
from services.vector.record.places import Where
from services.vector.record.texts import Text, read_text, texts_of
from services.vector.record.times import to_micros
from services.vector.record.vectors import Keys

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """Which documents may answer; all parts that are given must hold."""

    document_ids: Sequence[str] = ()
    external_ids: Sequence[str] = ()
    media_types: Sequence[str] = ()
    min_create_time: datetime | None = None
    max_create_time: datetime | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(
            self.document_ids
            or self.external_ids
            or self.media_types
            or self.min_create_time
            or self.max_create_time
            or self.metadata
        )


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage as the record has it."""

    chunk_key: int
    document_key: int
    document_id: str
    external_id: str
    title: str
    chunk_id: str
    collection_key: int
    collection_id: str
    text: str
    byte_start: int
    byte_end: int
    extraction_sha256: str
    page: int
    location: str
    headings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PassageWords:
    """What is kept of the words of a passage, see services.vector.late, and what they are words of.

    model: that made the vectors of its collection. byte_start: of `body` in the extraction.
    """

    model: ModelName
    extraction_sha256: str
    title: str
    headings: tuple[str, ...]
    byte_start: int
    body: str
    codes: bytes

    @property
    def embedded_text(self) -> str:
        """What the model read; ends with the body."""
        return embedded_text(self.title, self.headings, self.body)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage stands: enough to order and to name it."""

    chunk_key: int
    document_key: int
    document_id: str
    chunk_id: str


class Passages:
    """Passages of committed documents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def allowed(self, collection_key: int, condition: Condition) -> Keys:
        """Keys of the passages of the documents that meet the condition, ascending."""

        def work(connection: Connection) -> Keys:
            where, values = _where(condition)
            rows = connection.execute(
                "SELECT h.key FROM documents d JOIN chunks h ON h.document_key = d.key"
                f" WHERE d.collection_key = ? AND d.state IN (3, 4){where} ORDER BY h.key",
                (collection_key, *values),
            )
            return np.fromiter((key for (key,) in rows), dtype=np.int64)

        return await self._database.read(work)

    async def owners(self, chunk_keys: Sequence[int]) -> dict[int, int]:
        """The documents of these passages, key by key; passages that are gone are left out."""

        def work(connection: Connection) -> dict[int, int]:
            passages, documents = connection.execute(
                "SELECT json_group_array(key), json_group_array(document_key) FROM chunks"
                " WHERE key IN (SELECT value FROM json_each(?))",
                (json.dumps(list(chunk_keys)),),
            ).fetchone()
            return dict(zip(json.loads(passages), json.loads(documents), strict=True))

        return await self._database.read(work)

    async def places(self, chunk_keys: Iterable[int]) -> dict[int, Place]:
        """Where these passages stand; those that are not, or no longer, in the record are left out."""

        def work(connection: Connection) -> dict[int, Place]:
            rows = connection.execute(
                "SELECT h.key, d.key, d.document_id, h.ordinal FROM chunks h JOIN documents d ON d.key ="
                " h.document_key"
                " WHERE h.key IN (SELECT value FROM json_each(?)) AND d.state IN (3, 4)",
                (json.dumps(list(chunk_keys)),),
            )
            return {
                key: Place(key, document_key, document_id, chunk_id(document_id, ordinal))
                for key, document_key, document_id, ordinal in rows
            }

        return await self._database.read(work)

    async def words(
        self, caller: Caller, wanted: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], PassageWords]:
        """Of passages that the caller may read; those are left out that are not there, or of whose words
        nothing is kept.

        wanted: document id and ordinal, see services.vector.documents.chunk_id.
        """

        def work(connection: Connection) -> dict[tuple[str, int], PassageWords]:
            rows = connection.execute(
                "SELECT d.document_id, h.ordinal, n.embedding_model, n.dimension, n.revision,"
                " d.extraction_sha256, d.title, h.headings, d.key, h.byte_start, h.byte_end, w.codes"
                " FROM json_each(:wanted) asked"
                " JOIN documents d ON d.document_id = json_extract(asked.value, '$[0]')"
                " JOIN chunks h ON h.document_key = d.key AND h.ordinal = json_extract(asked.value, '$[1]')"
                " JOIN collections c ON c.key = d.collection_key"
                f" JOIN generations n ON n.collection_key = c.key AND n.state = {GenerationState.CURRENT:d}"
                " JOIN vectors v ON v.generation_key = n.key AND v.chunk_key = h.key"
                " JOIN word_codes w ON w.seq = v.seq"
                f" WHERE {ROLE} >= {Role.READER:d} AND d.state IN (3, 4)",
                bound(caller, wanted=json.dumps(wanted)),
            ).fetchall()
            found = {}
            for document_id, ordinal, model, dimension, revision, extraction, title, headings, *rest in rows:
                document_key, start, end, codes = rest
                text = read_text(connection, document_key, start, end)
                try:
                    body = text.data.decode()
                except UnicodeDecodeError:
                    # A check tells of it.
                    continue
                found[document_id, ordinal] = PassageWords(
                    ModelName(model, dimension, revision),
                    extraction,
                    title,
                    tuple(json.loads(headings)),
                    text.byte_start,
                    body,
                    codes,
                )
            return found

        return await self._database.read(work)

    async def get(self, chunk_keys: Sequence[int]) -> dict[int, FoundPassage]:
        """These passages with their text; those that are gone are left out, and those whose text is damaged,
        so that it costs no other its answer. A check tells of it.
        """

        def work(connection: Connection) -> dict[int, FoundPassage]:
            rows = connection.execute(
                "SELECT h.key, d.key, d.document_id, d.external_id, d.title, h.ordinal, c.key,"
                " c.collection_id,"
                " h.byte_start, h.byte_end, d.extraction_sha256, h.page, h.headings"
                " FROM chunks h JOIN documents d ON d.key = h.document_key"
                " JOIN collections c ON c.key = d.collection_key"
                " WHERE h.key IN (SELECT value FROM json_each(?)) AND d.state IN (3, 4)",
                (json.dumps(list(chunk_keys)),),
            ).fetchall()
            texts = texts_of(connection, [row[0] for row in rows])
            placed = places.placed(connection, {row[1] for row in rows})
            found = {}
            for row in rows:
                if row[0] not in texts:
                    continue
                try:
                    found[row[0]] = _passage(connection, row, texts[row[0]], placed)
                except UnicodeDecodeError:
                    _log.error("a passage is damaged", extra={"fields": {"document": row[2]}})
            return found

        return await self._database.read(work)


def _passage(connection: Connection, row: tuple[object, ...], text: Text, placed: Set[int]) -> FoundPassage:
    key, document_key, document_id, external_id, title, ordinal, collection_key, collection_id, *rest = row
    start, end, extraction, page, headings = rest
    where = Where()
    if document_key in placed:
        where = places.locate(connection, int(str(document_key)), int(str(start)), int(str(end)))
    return FoundPassage(
        chunk_key=int(str(key)),
        document_key=int(str(document_key)),
        document_id=str(document_id),
        external_id=str(external_id),
        title=str(title),
        chunk_id=chunk_id(str(document_id), int(str(ordinal))),
        collection_key=int(str(collection_key)),
        collection_id=str(collection_id),
        text=text.data.decode(),
        byte_start=int(str(start)),
        byte_end=int(str(end)),
        extraction_sha256=str(extraction),
        page=int(str(page)) or where.page,
        location=where.location,
        headings=tuple(json.loads(str(headings))),
    )


def _where(condition: Condition) -> tuple[str, list[object]]:
    """SQL that begins with AND, and the values it binds; no value ever becomes part of the SQL."""
    parts: list[str] = []
    values: list[object] = []
    for column, wanted in (
        ("document_id", condition.document_ids),
        ("external_id", condition.external_ids),
        ("media_type", condition.media_types),
    ):
        if wanted:
            parts.append(f"d.{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(list(wanted)))
    if condition.min_create_time is not None:
        parts.append("d.create_time >= ?")
        values.append(to_micros(condition.min_create_time))
    if condition.max_create_time is not None:
        parts.append("d.create_time < ?")
        values.append(to_micros(condition.max_create_time))
    for name, value in condition.metadata.items():
        # JSON keeps truth values apart from numbers, SQL does not.
        if isinstance(value, bool):
            kinds, bound = "('true')" if value else "('false')", int(value)
            parts.append(
                f"EXISTS (SELECT 1 FROM json_each(d.metadata) WHERE key = ? AND type IN {kinds} AND atom = ?)"
            )
            values += [name, bound]
            continue
        kinds = "('text')" if isinstance(value, str) else "('integer', 'real')"
        parts.append(
            f"EXISTS (SELECT 1 FROM json_each(d.metadata) WHERE key = ? AND type IN {kinds} AND atom = ?)"
        )
        values += [name, value]
    return "".join(f" AND {part}" for part in parts), values
