"""The bytes of documents as they came: kept in pieces, read by range, no more than a piece in memory."""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from services.chassis.errors import InternalError

if TYPE_CHECKING:
    from services.vector.record.database import Connection

PIECE_BYTES = 256 * 1024

# Whether there is one, of the document `d`.
KEPT = "EXISTS (SELECT 1 FROM originals o WHERE o.document_key = d.key)"


def keep(connection: Connection, document_key: int, path: Path, content_sha256: str) -> None:
    """Makes the file in `path` the original of a document that has none.

    Raises InternalError when the file is not the one of that hash any more.
    """
    digest, start = hashlib.sha256(), 0
    with path.open("rb") as file:
        # An empty file has one piece too, by which it is known to be kept.
        while (piece := file.read(PIECE_BYTES)) or not start:
            digest.update(piece)
            connection.execute(
                "INSERT INTO originals (document_key, byte_start, byte_end, piece) VALUES (?, ?, ?, ?)",
                (document_key, start, start + len(piece), piece),
            )
            if not piece:
                break
            start += len(piece)
    if digest.hexdigest() != content_sha256:
        raise InternalError("the file is not what arrived any more", reason="INTERNAL")


def move(connection: Connection, from_key: int, to_key: int) -> None:
    """Makes the original of a document that of another one, which has none."""
    connection.execute("UPDATE originals SET document_key = ? WHERE document_key = ?", (to_key, from_key))


def has(connection: Connection, document_key: int) -> bool:
    """Whether the document has an original."""
    found = connection.execute("SELECT 1 FROM originals WHERE document_key = ? LIMIT 1", (document_key,))
    return found.fetchone() is not None


def read_original(connection: Connection, document_key: int, byte_start: int, byte_end: int) -> bytes:
    """The first bytes of the range, those that stand in one piece; empty where they are not there."""
    row = connection.execute(
        "SELECT byte_start, piece FROM originals WHERE document_key = ? AND byte_start <= ?"
        " ORDER BY byte_start DESC LIMIT 1",
        (document_key, byte_start),
    ).fetchone()
    if row is None:
        return b""
    base, piece = row
    return bytes(piece[byte_start - base : byte_end - base])


def is_whole(connection: Connection, document_key: int, size: int, content_sha256: str) -> bool:
    """Whether the pieces join to the file of that size and hash. Reads all of it."""
    digest, end = hashlib.sha256(), 0
    for start, stop, piece in connection.execute(
        "SELECT byte_start, byte_end, CAST(piece AS BLOB) FROM originals WHERE document_key = ?"
        " ORDER BY byte_start",
        (document_key,),
    ):
        if start != end or stop - start != len(piece):
            return False
        digest.update(piece)
        end = stop
    return end == size and digest.hexdigest() == content_sha256


def erase(connection: Connection, document_key: int) -> None:
    """Of a document that may have none."""
    connection.execute("DELETE FROM originals WHERE document_key = ?", (document_key,))


def erase_some(connection: Connection, collection_key: int, after_key: int, most_bytes: int) -> int | None:
    """Erases the originals of documents of a collection that follow `after_key`, until they are so large.

    Returns where to go on; None at the end.
    """
    erased = 0
    for key, size in connection.execute(
        f"SELECT d.key, d.bytes FROM documents d WHERE d.collection_key = ? AND d.key > ? AND {KEPT}"
        " ORDER BY d.key",
        (collection_key, after_key),
    ):
        erase(connection, key)
        erased += size
        if erased >= most_bytes:
            return int(key)
    return None
