"""Questions with known answers: what a restored house must find again.

Asked in lexical mode, which answers equally on equal data, and of the documents that
were there when the backup began. The answers are taken from the living house before
and after the copy; a question counts when both agree, so that what was written or
deleted meanwhile does not look like a loss later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice, zip_longest
from typing import Any

from google.protobuf import timestamp_pb2

from meldrag.vector.v1 import vector_pb2
from services.backup.clients import repeated

MOST = 20
_HITS = 5
_CALL_SECONDS = 30.0
_PATIENCE_SECONDS = 30.0
_READ_BYTES = 2_000
_WORDS = 12
_LONGEST_WORD = 60
_COLLECTIONS = 1_000


@dataclass(frozen=True)
class Hit:
    """A passage: its document, the extraction and the bytes of it."""

    document_id: str
    extraction_sha256: str
    byte_start: int
    byte_end: int


@dataclass(frozen=True)
class Canary:
    """A question to a collection and what it found, best first.

    before: nanoseconds since 1970; only documents received earlier were asked.
    """

    collection_id: str
    query: str
    before: int
    hits: tuple[Hit, ...]

    def to_json(self) -> dict[str, Any]:
        """For manifest.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Any) -> Canary:
        """Out of manifest.json. Raises ValueError, KeyError or TypeError."""
        hits = (
            Hit(
                str(hit["document_id"]),
                str(hit["extraction_sha256"]),
                int(hit["byte_start"]),
                int(hit["byte_end"]),
            )
            for hit in said["hits"]
        )
        return cls(str(said["collection_id"]), str(said["query"]), int(said["before"]), tuple(hits))


class Canaries:
    """Asks the vector service (`stub`). All methods raise ServiceError."""

    def __init__(self, stub: Any, patience: float = _PATIENCE_SECONDS) -> None:
        self._stub = stub
        self._patience = patience

    def choose(self) -> tuple[Canary, ...]:
        """Up to MOST questions out of the stored texts, a document each, of every collection in turn."""
        lists = [self._documents(collection) for collection in self._collections()]
        # Newest first. A microsecond later is after all that is there, and before all that comes.
        newest = {
            documents[0].collection_id: documents[0].create_time.ToNanoseconds() + 1_000
            for documents in lists
            if documents
        }
        turns = (document for turn in zip_longest(*lists) for document in turn if document is not None)
        chosen: list[Canary] = []
        for document in islice(turns, 2 * MOST):
            if (query := self._query(document)) and len(chosen) < MOST:
                collection = document.collection_id
                chosen.append(self.ask(Canary(collection, query, newest[collection], ())))
        return tuple(canary for canary in chosen if canary.hits)

    def ask(self, canary: Canary) -> Canary:
        """The question with what it finds now."""
        before = timestamp_pb2.Timestamp()
        before.FromNanoseconds(canary.before)
        request = vector_pb2.SearchRequest(
            collection_ids=[canary.collection_id],
            query=canary.query,
            top_k=_HITS,
            mode=vector_pb2.SEARCH_MODE_LEXICAL,
            filter=vector_pb2.Filter(max_create_time=before),
        )
        reply = repeated(lambda: self._stub.Search(request, timeout=_CALL_SECONDS), self._patience)
        hits = (
            Hit(hit.document_id, hit.extraction_sha256, hit.span.byte_start, hit.span.byte_end)
            for hit in reply.hits
        )
        return replace(canary, hits=tuple(hits))

    def still_hold(self, canaries: Sequence[Canary]) -> tuple[Canary, ...]:
        """Those that find now what they found then."""
        return tuple(canary for canary in canaries if self.ask(canary) == canary)

    def _collections(self) -> Iterator[str]:
        token, seen = "", 0
        while seen < _COLLECTIONS:
            request = vector_pb2.ListCollectionsRequest(page_token=token)
            page = repeated(
                lambda request=request: self._stub.ListCollections(request, timeout=_CALL_SECONDS),  # type: ignore[misc]
                self._patience,
            )
            for collection in page.collections:
                seen += 1
                yield collection.collection_id
            token = page.next_page_token
            if not token:
                return

    def _documents(self, collection_id: str) -> list[Any]:
        request = vector_pb2.ListDocumentsRequest(
            collection_id=collection_id,
            page_size=MOST,
            states=[vector_pb2.DOCUMENT_STATE_EMBEDDING, vector_pb2.DOCUMENT_STATE_READY],
        )
        reply = repeated(lambda: self._stub.ListDocuments(request, timeout=_CALL_SECONDS), self._patience)
        return list(reply.documents)

    def _query(self, document: Any) -> str:
        """Some words from the middle of what the document begins with; "" when it has none."""
        request = vector_pb2.ReadDocumentTextRequest(
            collection_id=document.collection_id,
            document_id=document.document_id,
            span=vector_pb2.Span(byte_start=0, byte_end=min(_READ_BYTES, document.text_bytes)),
        )

        def read() -> str:
            stream = self._stub.ReadDocumentText(request, timeout=_CALL_SECONDS)
            return "".join(piece.text for piece in stream)

        words = [
            word
            for word in repeated(read, self._patience).split()
            if word.isprintable() and len(word) <= _LONGEST_WORD
        ]
        start = max(0, (len(words) - _WORDS) // 2)
        return " ".join(words[start : start + _WORDS])
