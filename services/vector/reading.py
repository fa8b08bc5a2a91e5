"""Extracted text and original bytes, in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from services.vector.documents import Document
from services.vector.faults import (
    document_not_found,
    invalid_field,
    original_damaged,
    original_not_kept,
)
from services.vector.record.documents import Documents

_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole characters, and where they stand in which extraction."""

    text: str
    byte_start: int
    byte_end: int
    extraction_sha256: str


async def pieces(
    documents: Documents, document: Document, span: tuple[int, int] | None
) -> AsyncIterator[Piece]:
    """The text of a document or the part `span` of it, widened to whole characters, in order.

    Raises InvalidArgumentError (INVALID_FIELD) for a span outside the text, NotFoundError
    (DOCUMENT_NOT_FOUND) when the document has no text (yet) or goes meanwhile.
    """
    start, end = span or (0, document.text_bytes)
    if not 0 <= start <= end <= document.text_bytes:
        raise invalid_field("span", f"{start}..{end}", f"must lie within 0..{document.text_bytes}")
    if not document.state.committed:
        raise document_not_found(document.document_id)
    first = True
    while start < end:
        # A character has at most four bytes: what is widened stays below the limit.
        text = await documents.text(document.key, start, min(end, start + _PIECE_BYTES - 6))
        if not text.data and first and (renewed := await documents.renewed(document)) is not None:
            # It was read again in this very moment, and is there with the text that it has now.
            async for piece in pieces(documents, renewed, span):
                yield piece
            return
        if not text.data:
            raise document_not_found(document.document_id)
        first = False
        stop = text.byte_start + len(text.data)
        yield Piece(text.data.decode(), text.byte_start, stop, document.extraction_sha256)
        start = stop


async def original(
    documents: Documents, document: Document, byte_start: int, byte_end: int
) -> AsyncGenerator[bytes, None]:
    """The bytes that a document was made of from `byte_start` to before `byte_end`, 0 for all; one piece at
    least, of 256 KiB at most.

    The last piece of the whole is held back until its hash is found to be right, so that nobody takes what is
    damaged for the file. Raises NotFoundError (ORIGINAL_NOT_KEPT), InvalidArgumentError (INVALID_FIELD),
    DataLossError (RECORD_DAMAGED).
    """
    if not document.has_original:
        raise original_not_kept(document.document_id)
    size = document.size
    if not 0 <= byte_start <= size:
        raise invalid_field("byte_start", byte_start, f"must be 0 to {size}")
    if byte_end and not byte_start <= byte_end <= size:
        raise invalid_field("byte_end", byte_end, f"must be 0, or byte_start to {size}")
    end = byte_end or size
    digest = hashlib.sha256() if (byte_start, end) == (0, size) else None
    if byte_start == end:
        yield b""
    while byte_start < end:
        data = await documents.original(document.key, byte_start, end)
        if not data and (renewed := await documents.renewed(document)) is not None:
            # It was read again meanwhile; its bytes are the same.
            document = renewed
            continue
        if not data:
            await _require_there(documents, document)
            raise original_damaged(document.document_id)
        byte_start += len(data)
        if digest is not None:
            digest.update(data)
            if byte_start == end and digest.hexdigest() != document.content_sha256:
                raise original_damaged(document.document_id)
        yield data


async def _require_there(documents: Documents, document: Document) -> None:
    """Raises NotFoundError (DOCUMENT_NOT_FOUND) when it went meanwhile."""
    if not await documents.there(document.key):
        raise document_not_found(document.document_id)
