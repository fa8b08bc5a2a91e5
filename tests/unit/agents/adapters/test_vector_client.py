"""How near words come, as the vector service says it, in the order of the quotes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.agents.adapters.vector_client import VectorClient
from services.agents.model import Passage, Quote
from services.agents.ports import Likeness
from services.chassis.errors import UnavailableError


class Service(vector_pb2_grpc.VectorServiceServicer):
    """Says of each span where it begins, where `known` is true of its passage."""

    def __init__(self, *, known: bool = True) -> None:
        self.known = known
        self.asked: list[vector_pb2.CompareWordsRequest] = []

    async def CompareWords(self, request: Any, context: Any) -> vector_pb2.CompareWordsResponse:
        self.asked.append(request)
        spans = [
            vector_pb2.SpanNearness(known=True, nearness=[span.byte_start, span.byte_end])
            for passage in request.passages
            for span in passage.spans
        ]
        if not self.known:
            spans[-1] = vector_pb2.SpanNearness()
        return vector_pb2.CompareWordsResponse(
            words=["how", "deep"],
            weights=[1.0, 3.0],
            spans=spans,
            similarity_factor=2.0,
            similarity_offset=-1.0,
        )


class Old(vector_pb2_grpc.VectorServiceServicer):
    """Of a release that compares no words."""


class Blind(vector_pb2_grpc.VectorServiceServicer):
    """Is away."""

    async def CompareWords(self, request: Any, context: Any) -> vector_pb2.CompareWordsResponse:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        raise AssertionError


@asynccontextmanager
async def client_of(service: Any) -> AsyncIterator[VectorClient]:
    server = grpc.aio.server()
    vector_pb2_grpc.add_VectorServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield VectorClient(channel)
    finally:
        await server.stop(0)


def quotes() -> list[Quote]:
    """Of two passages in turns, as of one document each."""
    first = Passage("d1", "t", "d1-0", "k", "One. Two. Three.", 0, 16, "x1")
    second = Passage("d2", "t", "d2-3", "k", "Four. Five.", 100, 111, "x2")
    return [
        Quote.of(first, 0, 4),
        Quote.of(second, 0, 5),
        Quote.of(first, 10, 16),
        Quote.of(second, 6, 11),
        Quote.of(first, 5, 9),
    ]


async def test_rows_stand_in_the_order_of_the_quotes() -> None:
    service = Service()
    async with client_of(service) as client:
        made = await client.compare("How deep?", quotes())
    assert made is not None
    assert made.words == ("how", "deep")
    assert made.weights.tolist() == [1.0, 3.0]
    assert made.of.dtype == np.float32
    assert made.of.tolist() == [[0, 4], [100, 105], [10, 16], [106, 111], [5, 9]]
    assert made.likeness == Likeness(2.0, -1.0)
    (request,) = service.asked
    assert request.question == "How deep?"
    assert [(one.document_id, one.chunk_id, one.extraction_sha256) for one in request.passages] == [
        ("d1", "d1-0", "x1"),
        ("d2", "d2-3", "x2"),
    ]


async def test_what_is_not_known_of_all_is_not_known() -> None:
    async with client_of(Service(known=False)) as client:
        assert await client.compare("How deep?", quotes()) is None


async def test_a_service_of_before_knows_nothing() -> None:
    async with client_of(Old()) as client:
        assert await client.compare("How deep?", quotes()) is None


async def test_a_service_that_is_away_is_told() -> None:
    async with client_of(Blind()) as client:
        with pytest.raises(UnavailableError) as error:
            await client.compare("How deep?", quotes())
    assert error.value.reason == "RETRIEVAL_UNAVAILABLE"
