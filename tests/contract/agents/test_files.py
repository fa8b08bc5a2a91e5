"""Files and documents of runs, over real gRPC."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc.aio
import pytest

from services.agents.adapters.attachment_client import AttachmentClient
from services.agents.adapters.vector_client import VectorClient
from services.agents.files import RunFiles
from services.chassis.errors import (
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted, unavailable

LARGE = random.Random(3).randbytes(5_000_003)
RUN = "run_" + "0" * 26


@dataclass
class Neighbours:
    session: SessionNeighbour
    vector: VectorNeighbour
    files: RunFiles
    knowledge: VectorClient
    attachments: AttachmentClient


@pytest.fixture
async def house() -> AsyncIterator[Neighbours]:
    session, vector = SessionNeighbour(), VectorNeighbour()
    async with AsyncExitStack() as stack:
        addresses = [
            await stack.enter_async_context(hosted(name, one))
            for name, one in (("session", session), ("vector", vector))
        ]
        to_session, to_vector = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address)) for address in addresses
        ]
        attachments = AttachmentClient(to_session)
        yield Neighbours(
            session, vector, RunFiles(attachments, RUN, "ses_1"), VectorClient(to_vector), attachments
        )


async def test_a_run_keeps_a_file_once_however_often_it_does(house: Neighbours) -> None:
    first = await house.files.keep("chart.svg", "image/svg+xml", LARGE, "chart")
    assert await house.files.keep("chart.svg", "image/svg+xml", LARGE, "chart") == first
    known, data = house.session.attachments[first.attachment_id]
    assert (known.session_id, known.run_id) == ("ses_1", RUN)
    assert data == LARGE
    others = [
        await house.files.keep("chart.svg", "image/svg+xml", LARGE, "another"),
        await house.files.keep("chart.svg", "image/svg+xml", b"other bytes", "chart"),
        await RunFiles(house.attachments, "run_" + "1" * 26, "").keep(
            "chart.svg", "image/svg+xml", LARGE, "chart"
        ),
    ]
    assert len({first.attachment_id, *(one.attachment_id for one in others)}) == 4
    assert all(len(name) <= 128 for name in house.session.kept)


async def test_a_file_is_read_within_a_limit(house: Neighbours) -> None:
    attachment_id = house.session.attach("talk.wav", "audio/wav", LARGE)
    described = await house.files.describe(attachment_id)
    assert (described.filename, described.media_type, described.bytes) == (
        "talk.wav",
        "audio/wav",
        len(LARGE),
    )
    assert await house.files.read(attachment_id, len(LARGE)) == LARGE
    with pytest.raises(ResourceExhaustedError) as refused:
        await house.files.read(attachment_id, len(LARGE) - 1)
    assert (refused.value.reason, refused.value.metadata["limit"]) == ("ATTACHMENT_TOO_LARGE", "5000002")


async def test_bytes_that_are_others_are_not_given_out(house: Neighbours) -> None:
    attachment_id = house.session.attach("a", "image/png", b"abc")
    house.session.attachments[attachment_id] = (house.session.attachments[attachment_id][0], b"abd")
    with pytest.raises(DataLossError) as damaged:
        await house.files.read(attachment_id, 100)
    assert damaged.value.reason == "CHECKSUM_MISMATCH"


async def test_what_is_not_there_and_who_does_not_answer(house: Neighbours) -> None:
    for call in (house.files.describe("att_none"), house.files.read("att_none", 10)):
        with pytest.raises(NotFoundError) as missing:
            await call
        assert missing.value.reason == "ATTACHMENT_NOT_FOUND"
    house.session.faults.error = house.vector.faults.error = unavailable()
    for call in (
        house.files.describe("att_none"),
        house.files.read("att_none", 10),
        house.files.keep("a", "image/png", b"a", "k"),
    ):
        with pytest.raises(UnavailableError) as away:
            await call
        assert away.value.reason == "SESSION_UNAVAILABLE"


async def test_text_becomes_a_document(house: Neighbours) -> None:
    document_id = await house.knowledge.ingest(
        "talks", "talk.vtt", "text/vtt", LARGE, title="The talk", external_id="att_1"
    )
    assert document_id == "doc-att_1"
    header, data = house.vector.ingested["att_1"]
    assert data == LARGE
    assert (header.collection_id, header.filename, header.media_type) == ("talks", "talk.vtt", "text/vtt")
    assert (header.title, header.bytes) == ("The talk", len(LARGE))
    house.vector.faults.error = InvalidArgumentError("no text", reason="DOCUMENT_EMPTY")
    with pytest.raises(InvalidArgumentError) as refused:
        await house.knowledge.ingest("talks", "a.vtt", "text/vtt", b"", title="", external_id="x")
    assert refused.value.reason == "DOCUMENT_EMPTY"
