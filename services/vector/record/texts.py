"""The extracted text of documents: kept in pieces, read by range."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.vector.record.database import Connection


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of extracted text: whole characters, from `byte_start` on."""

    data: bytes
    byte_start: int


def read_text(connection: Connection, document_key: int, byte_start: int, byte_end: int) -> Text:
    """The range widened to whole characters; empty where the document has gone."""
    rows = connection.execute(
        "SELECT byte_start, piece FROM texts WHERE document_key = ? AND byte_start < ? AND byte_end > ?"
        " ORDER BY byte_start",
        (document_key, max(byte_end, byte_start + 1), byte_start),
    ).fetchall()
    return _cut(rows, byte_start, byte_end)


def texts_of(connection: Connection, chunk_keys: Sequence[int]) -> dict[int, Text]:
    """The texts of passages, as `read_text` gives them; those whose document has gone are left out."""
    held: dict[int, tuple[int, int, list[tuple[int, bytes]]]] = {}
    for key, start, end, base, piece in connection.execute(
        "SELECT h.key, h.byte_start, h.byte_end, t.byte_start, t.piece FROM chunks h"
        " JOIN texts t ON t.document_key = h.document_key"
        " AND t.byte_start < max(h.byte_end, h.byte_start + 1) AND t.byte_end > h.byte_start"
        " WHERE h.key IN (SELECT value FROM json_each(?)) ORDER BY h.key, t.byte_start",
        (json.dumps(list(chunk_keys)),),
    ):
        held.setdefault(key, (start, end, []))[2].append((base, piece))
    return {key: _cut(rows, start, end) for key, (start, end, rows) in held.items()}


def _cut(rows: Sequence[tuple[int, bytes]], byte_start: int, byte_end: int) -> Text:
    """The range of consecutive pieces, given as (first byte, piece), widened to whole characters."""
    if not rows:
        return Text(b"", byte_start)
    base = rows[0][0]
    data = b"".join(piece for _, piece in rows)
    start, end = max(0, byte_start - base), min(len(data), byte_end - base)
    # Pieces begin and end between characters, so these loops stay inside `data`.
    while start > 0 and data[start : start + 1] and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return Text(data[start:end], base + start)


def pieces(text: bytes, size: int) -> Iterable[tuple[int, int]]:
    """Consecutive ranges of at most `size` bytes that end between characters."""
    start = 0
    while start < len(text):
        end = min(len(text), start + size)
        while end < len(text) and text[end] & 0xC0 == 0x80:
            end -= 1
        yield start, end
        start = end
