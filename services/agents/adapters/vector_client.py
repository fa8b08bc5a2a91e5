"""Passages from the vector service, and documents for it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence

import grpc
import grpc.aio
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.agents.model import Passage, Quote, Standing
from services.agents.ports import Embeddings, Likeness, Nearness, Vectors
from services.chassis.errors import ServiceError, UnavailableError, from_rpc_error

SERVICE = vector_pb2.DESCRIPTOR.services_by_name["VectorService"]

# What the transport says when the service did not answer, and what a busy or blind one says.
_SILENT = frozenset({"UPSTREAM_UNAVAILABLE", "UPSTREAM_DEADLINE", "DEADLINE", "TOO_MANY_CALLS"})
_EMBED_SECONDS = 5.0
# As long as the search that follows.
_LIST_SECONDS = 10.0
_PING_SECONDS = 1.0
_INGEST_SECONDS = 120.0
_PIECE_BYTES = 256 << 10


class VectorClient:
    """A Retriever and Knowledge over a channel to the vector service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = vector_pb2_grpc.VectorServiceStub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    async def ping(self) -> None:
        """Raises when the vector service does not serve."""
        answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=_PING_SECONDS)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise UnavailableError("the vector service is not ready", reason="RETRIEVAL_UNAVAILABLE")

    async def search(
        self, query: str, collection_ids: Sequence[str], top_k: int | None
    ) -> tuple[tuple[Passage, ...], str]:
        """See Retriever."""
        request = vector_pb2.SearchRequest(
            collection_ids=collection_ids,
            query=query,
            top_k=top_k or 0,
            mode=vector_pb2.SEARCH_MODE_HYBRID,
        )
        try:
            found = await self._stub.Search(request)
        except grpc.RpcError as error:
            raise translated(error) from error
        return tuple(_passage(hit) for hit in found.hits), found.degraded_reason

    async def collections(self, most: int) -> tuple[str, ...]:
        """See Retriever."""
        try:
            page = await self._stub.ListCollections(
                vector_pb2.ListCollectionsRequest(page_size=most), timeout=_LIST_SECONDS
            )
        except grpc.RpcError as error:
            raise translated(error) from error
        return tuple(one.collection_id for one in page.collections)

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        """Of embed, for who learns by himself what they are worth."""
        return (await self.embed(texts)).vectors

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See Retriever."""
        request = vector_pb2.EmbedTextsRequest(texts=texts)
        try:
            made = await self._stub.EmbedTexts(request, timeout=_EMBED_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        vectors = np.array([embedding.values for embedding in made.embeddings], dtype=np.float32)
        # A vector service of before says nothing of it: cosines count as they are.
        return Embeddings(vectors, Likeness(made.similarity_factor or 1.0, made.similarity_offset))

    async def compare(self, question: str, quotes: Sequence[Quote]) -> Nearness | None:
        """See Retriever."""
        passages: dict[str, list[int]] = {}
        for number, quote in enumerate(quotes):
            passages.setdefault(quote.passage.chunk_id, []).append(number)
        request = vector_pb2.CompareWordsRequest(
            question=question,
            passages=[
                vector_pb2.PassageSpans(
                    document_id=quotes[numbers[0]].passage.document_id,
                    chunk_id=chunk_id,
                    extraction_sha256=quotes[numbers[0]].passage.extraction_sha256,
                    spans=[
                        vector_pb2.Span(byte_start=quotes[n].byte_start, byte_end=quotes[n].byte_end)
                        for n in numbers
                    ],
                )
                for chunk_id, numbers in passages.items()
            ],
        )
        try:
            made = await self._stub.CompareWords(request, timeout=_EMBED_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                # A vector service of before.
                return None
            raise translated(error) from error
        if not all(span.known for span in made.spans):
            return None
        rows = np.empty((len(quotes), len(made.words)), np.float32)
        order = [number for numbers in passages.values() for number in numbers]
        for number, span in zip(order, made.spans, strict=True):
            rows[number] = span.nearness
        return Nearness(
            tuple(made.words),
            np.array(made.weights, np.float32),
            rows,
            Likeness(made.similarity_factor or 1.0, made.similarity_offset),
        )

    async def verify(self, quotes: Sequence[Quote]) -> list[Standing | None]:
        """See Retriever."""
        request = vector_pb2.VerifyCitationsRequest(
            citations=[
                vector_pb2.Citation(
                    document_id=quote.passage.document_id,
                    extraction_sha256=quote.passage.extraction_sha256,
                    span=vector_pb2.Span(byte_start=quote.byte_start, byte_end=quote.byte_end),
                    quote=quote.text,
                )
                for quote in quotes
            ]
        )
        try:
            answer = await self._stub.VerifyCitations(request)
        except grpc.RpcError as error:
            raise translated(error) from error
        return [
            Standing(verdict.page, verdict.location) if verdict.verified else None
            for verdict in answer.verdicts
        ]

    async def ingest(
        self,
        collection_id: str,
        filename: str,
        media_type: str,
        data: bytes,
        *,
        title: str,
        external_id: str,
    ) -> str:
        """See Knowledge."""

        async def parts() -> AsyncIterator[vector_pb2.IngestDocumentRequest]:
            header = vector_pb2.IngestHeader(
                collection_id=collection_id,
                filename=filename,
                media_type=media_type,
                external_id=external_id,
                title=title,
                bytes=len(data),
                content_sha256=hashlib.sha256(data).hexdigest(),
            )
            yield vector_pb2.IngestDocumentRequest(header=header)
            for start in range(0, len(data), _PIECE_BYTES):
                yield vector_pb2.IngestDocumentRequest(data=data[start : start + _PIECE_BYTES])

        document_id = ""
        try:
            async for said in self._stub.IngestDocument(parts(), timeout=_INGEST_SECONDS):
                document_id = said.document.document_id
        except grpc.RpcError as error:
            raise translated(error) from error
        return document_id


def _passage(hit: vector_pb2.Hit) -> Passage:
    return Passage(
        document_id=hit.document_id,
        title=hit.title,
        chunk_id=hit.chunk_id,
        collection_id=hit.collection_id,
        text=hit.text,
        byte_start=hit.span.byte_start,
        byte_end=hit.span.byte_end,
        extraction_sha256=hit.extraction_sha256,
        page=hit.page,
        score=hit.score,
        lexical_score=hit.lexical_score,
        vector_score=hit.vector_score,
        location=hit.location,
    )


def translated(error: grpc.RpcError) -> ServiceError:
    failure = from_rpc_error(error)
    if failure.reason in _SILENT:
        return UnavailableError(
            "passages cannot be retrieved: the vector service does not answer",
            reason="RETRIEVAL_UNAVAILABLE",
            retry_after=1.0,
        )
    return failure
