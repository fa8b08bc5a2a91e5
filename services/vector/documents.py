"""What the service keeps: collections, documents, passages. Values without behaviour of storage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.vector.access import Grant, Role
from services.vector.embedding.ports import ModelName
from services.vector.extraction.model import Place

Scalar = str | float | bool

# Of the number of a passage within its document.
_ORDINAL_DIGITS = 9


class DocumentState(IntEnum):
    """How far a document is; the numbers are those of the contract and of the record."""

    RECEIVED = 1
    PARSING = 2
    EMBEDDING = 3
    READY = 4
    FAILED = 5

    @property
    def committed(self) -> bool:
        """Whether the document is durable and found by search."""
        return self in (DocumentState.EMBEDDING, DocumentState.READY)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a document was not taken: the name of an ErrorReason, and words for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A knowledge base. `key` is the record's own number for it and never leaves the service.

    generation_key: of the vectors that answer, which `model` made. role: what whoever asked for it may do
    with it. grants: only for who may change them.
    """

    key: int
    tenant_id: str
    collection_id: str
    description: str
    generation_key: int
    model: ModelName
    documents: int
    chunks: int
    vectors: int
    create_time: datetime
    owner: str
    role: Role
    grants: tuple[Grant, ...] = ()

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self.model.dimension


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the record has it. `key` grows with the order of arrival, and of reading again.

    failure: why it FAILED; of one that is there, why its last reading again came to nothing. has_original:
    whether the bytes that it was made of are kept. reprocessing: whether it waits to be read again, or is.
    """

    key: int
    document_id: str
    collection_key: int
    collection_id: str
    external_id: str
    title: str
    filename: str
    state: DocumentState
    failure: Failure | None
    size: int
    media_type: str
    content_sha256: str
    extraction_sha256: str
    text_bytes: int
    pages: int
    metadata: Mapping[str, Scalar]
    create_time: datetime
    chunks: int
    vectors: int
    warnings: tuple[str, ...] = ()
    has_original: bool = False
    reprocessing: bool = False


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a document waits: turns until its own, 1 is the next, and seconds until this step of it is done.

    seconds: None when nothing was measured yet.
    """

    position: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of a document on its way into the record: a span of its text with what stands above it."""

    byte_start: int
    byte_end: int
    page: int
    headings: tuple[str, ...]
    body: str

    def embedded_text(self, title: str) -> str:
        """What the embedding model reads: the passage below its title and headings."""
        return embedded_text(title, self.headings, self.body)


def embedded_text(title: str, headings: Sequence[str], body: str) -> str:
    """The title, the headings that do not repeat it, and the passage, a line each."""
    above = [title, *(heading for heading in headings if heading != title)]
    return "\n".join(part for part in (*above, body) if part)


def text_hash(text: str) -> bytes:
    """SHA-256 of the UTF-8 text: names a text that has been embedded."""
    return hashlib.sha256(text.encode()).digest()


def chunk_id(document_id: str, ordinal: int) -> str:
    """The public id of a passage."""
    return f"{document_id}-{ordinal}"


def chunk_ordinal(document_id: str, passage_id: str) -> int | None:
    """The ordinal in a public id of a passage of the document; None when it is no such id."""
    owner, _, number = passage_id.rpartition("-")
    if owner != document_id or not number.isascii() or not number.isdigit() or len(number) > _ORDINAL_DIGITS:
        return None
    return int(number)


@dataclass(frozen=True, slots=True)
class Draft:
    """A document ready to be committed. `document_id` is that of its RECEIVED row where it has one.

    size: bytes of the original.
    """

    document_id: str
    external_id: str
    title: str
    filename: str
    size: int
    media_type: str
    content_sha256: str
    extraction_sha256: str
    text: bytes
    pages: int
    metadata: Mapping[str, Scalar]
    create_time: datetime
    passages: Sequence[Passage]
    places: Sequence[Place] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A write that its caller may repeat: the id, and a hash of all that was asked."""

    request_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is left of something after its delete, and how much the delete removed.

    purge_time: when the files were last written anew without it. asked: whether the vector index could be
    asked what it has of it.
    """

    resource: str
    record_documents: int
    record_chunks: int
    record_evaluations: int
    record_originals: int
    lexical_entries: int
    vector_entries: int
    files: int
    tombstone_id: str
    delete_time: datetime
    deleted_documents: int
    deleted_chunks: int
    deleted_evaluations: int
    purge_time: datetime | None = None
    asked: bool = True

    @property
    def complete(self) -> bool:
        """Whether nothing is left, for sure."""
        return self.asked and not (
            self.record_documents
            or self.record_chunks
            or self.record_evaluations
            or self.record_originals
            or self.lexical_entries
            or self.vector_entries
            or self.files
        )
