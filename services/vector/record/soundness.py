"""Whether what the record has of a document is what was committed, by the hashes that were stored with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.vector.documents import embedded_text, text_hash
from services.vector.record import lexicon

if TYPE_CHECKING:
    from services.vector.record.database import Connection


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with its words. body: exactly the bytes of its span."""

    chunk_key: int
    headings: tuple[str, ...]
    body: str


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document with its words."""

    key: int
    title: str
    filename: str
    text: str
    passages: Sequence[StoredPassage]

    def entries(self) -> list[lexicon.Entry]:
        """Its passages as the keyword index has them."""
        return [
            lexicon.Entry(one.chunk_key, lexicon.headings_text(one.headings), one.body)
            for one in self.passages
        ]


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong. of_text: the text itself is; else a passage is. chunks: how many passages."""

    of_text: bool
    message: str
    chunks: int


def examined(connection: Connection, document_key: int) -> StoredDocument | Damage | None:
    """A committed document, read in full and compared with its hashes; None where there is none.

    Holds the text of one document in memory.
    """
    row = connection.execute(
        "SELECT CAST(title AS BLOB), CAST(filename AS BLOB), extraction_sha256, text_bytes, chunks"
        " FROM documents WHERE key = ? AND state IN (3, 4)",
        (document_key,),
    ).fetchone()
    if row is None:
        return None
    # As bytes: SQLite hands out no text that is not UTF-8.
    raw_title, raw_filename, sha256, size, chunks = row
    text = _text(connection, document_key)
    if text is None or len(text) != size or hashlib.sha256(text).hexdigest() != sha256:
        return Damage(True, "its text does not have the hash that names it", chunks)
    try:
        title, filename = raw_title.decode(), raw_filename.decode()
    except UnicodeDecodeError:
        return Damage(False, "its title or the name of its file cannot be read", chunks)
    rows = connection.execute(
        "SELECT key, ordinal, byte_start, byte_end, CAST(headings AS BLOB), embedded_sha256 FROM chunks"
        " WHERE document_key = ? ORDER BY ordinal",
        (document_key,),
    ).fetchall()
    if len(rows) != chunks or any(row[1] != ordinal for ordinal, row in enumerate(rows)):
        return Damage(False, f"{len(rows)} of its {chunks} passages are there", max(0, chunks - len(rows)))
    passages, wrong = [], 0
    for key, _, start, end, headings, embedded in rows:
        passage = _passage(text, key, start, end, headings)
        if passage is None or text_hash(embedded_text(title, passage.headings, passage.body)) != embedded:
            wrong += 1
        else:
            passages.append(passage)
    if wrong:
        return Damage(False, f"{wrong} of its passages are not what was embedded", wrong)
    return StoredDocument(document_key, title, filename, text.decode(), passages)


def _text(connection: Connection, document_key: int) -> bytes | None:
    """The whole text; None where pieces do not join."""
    parts, end = [], 0
    for start, stop, piece in connection.execute(
        "SELECT byte_start, byte_end, CAST(piece AS BLOB) FROM texts WHERE document_key = ?"
        " ORDER BY byte_start",
        (document_key,),
    ):
        if start != end or stop - start != len(piece):
            return None
        parts.append(bytes(piece))
        end = stop
    return b"".join(parts)


def _passage(text: bytes, key: int, start: int, end: int, headings: bytes) -> StoredPassage | None:
    try:
        above = json.loads(headings)
        if not 0 <= start < end <= len(text) or not all(isinstance(one, str) for one in above):
            return None
        return StoredPassage(key, tuple(above), text[start:end].decode())
    except (ValueError, TypeError):
        # A span that cuts a character, or headings that are no list.
        return None
