"""Extracted text in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.vector.documents import Document
from services.vector.faults import document_not_found, invalid_field
from services.vector.record.documents import Documents

_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole characters, and where they stand."""

    text: str
    byte_start: int
    byte_end: int


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
    while start < end:
        # A character has at most four bytes: what is widened stays below the limit.
        text = await documents.text(document.key, start, min(end, start + _PIECE_BYTES - 6))
        if not text.data:
            raise document_not_found(document.document_id)
        stop = text.byte_start + len(text.data)
        yield Piece(text.data.decode(), text.byte_start, stop)
        start = stop
