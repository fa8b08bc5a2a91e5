"""Extracted text in pieces, and citations against it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import Client, refused, running

TEXT = "Grüße aus Köln. 日本語の文章。 " * 40_000  # 2 MB, many characters of two and three bytes


@pytest.fixture
async def long(client: Client) -> pb.Document:
    (outcome,) = await client.import_all([{"text": TEXT[:60_000], "title": "Long"}])
    return outcome.document


async def read(client: Client, document: pb.Document, **span: int) -> list[pb.ReadDocumentTextResponse]:
    request = pb.ReadDocumentTextRequest(collection_id="books", document_id=document.document_id)
    if span:
        request.span.CopyFrom(pb.Span(**span))
    return await client.stream("ReadDocumentText", request)


async def test_the_pieces_are_the_whole_text(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        document = (await client.ingest(TEXT, filename="long.txt"))[-1].document
        pieces = await read(client, document)
        whole = "".join(piece.text for piece in pieces).encode()
        assert hashlib.sha256(whole).hexdigest() == document.extraction_sha256
        assert len(whole) == document.text_bytes
        assert len(pieces) > 5
        at = 0
        for piece in pieces:
            assert len(piece.text.encode()) <= 256 * 1024
            assert (piece.span.byte_start, piece.span.byte_end) == (at, at + len(piece.text.encode()))
            at = piece.span.byte_end


async def test_a_range_is_widened_to_whole_characters(client: Client, long: pb.Document) -> None:
    # "Gr" "ü" is bytes 2 and 3.
    (piece,) = await read(client, long, byte_start=3, byte_end=3 + 1)
    assert piece.text == "ü"
    assert (piece.span.byte_start, piece.span.byte_end) == (2, 4)
    (piece,) = await read(client, long, byte_start=0, byte_end=3)
    assert piece.text == "Grü"
    assert await read(client, long, byte_start=5, byte_end=5) == []


@pytest.mark.parametrize(("start", "end"), [(-1, 4), (5, 4), (0, 10**9)])
async def test_a_range_outside_the_text_is_refused(
    client: Client, long: pb.Document, start: int, end: int
) -> None:
    with pytest.raises(ServiceError) as error:
        await read(client, long, byte_start=start, byte_end=end)
    assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")


def at(text: str, start: int) -> dict[str, object]:
    return {"quote": text, "span": pb.Span(byte_start=start, byte_end=start + len(text.encode()))}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"quote": "Grüße bus Köln."}, "QUOTE_DIFFERS"),
        ({"quote": "Grüße aus Köln"}, "QUOTE_DIFFERS"),
        ({"quote": "Grüße aus Köln. "}, "QUOTE_DIFFERS"),
        ({"quote": "Gru\u0308ße aus Köln."}, "QUOTE_DIFFERS"),
        (at("rüße aus Köln.G", 1), "QUOTE_DIFFERS"),
        ({"span": pb.Span(byte_start=3, byte_end=20)}, "SPAN_INVALID"),
        ({"span": pb.Span(byte_start=0, byte_end=3), "quote": "Gr"}, "SPAN_INVALID"),
        ({"span": pb.Span(byte_start=0, byte_end=3), "quote": "abc"}, "SPAN_INVALID"),
        ({"span": pb.Span(byte_start=0, byte_end=10**9)}, "SPAN_INVALID"),
        ({"span": pb.Span(byte_start=-1, byte_end=5)}, "SPAN_INVALID"),
        ({"span": pb.Span(byte_start=9, byte_end=9), "quote": ""}, "SPAN_INVALID"),
        ({"extraction_sha256": "0" * 64}, "EXTRACTION_CHANGED"),
        ({"extraction_sha256": ""}, "EXTRACTION_CHANGED"),
        ({"document_id": "f" * 32}, "DOCUMENT_NOT_FOUND"),
        ({"document_id": "'; DROP"}, "DOCUMENT_NOT_FOUND"),
    ],
)
async def test_a_citation_holds_only_byte_for_byte(
    client: Client, long: pb.Document, change: dict, fault: str | None
) -> None:
    fields = {
        "document_id": long.document_id,
        "extraction_sha256": long.extraction_sha256,
        **at("Grüße aus Köln.", 0),
        **change,
    }
    request = pb.VerifyCitationsRequest(citations=[pb.Citation(**fields)])
    (verdict,) = (await client.call("VerifyCitations", request)).verdicts
    assert verdict.verified is (fault is None)
    assert pb.CitationFault.Name(verdict.fault) == f"CITATION_FAULT_{fault or 'UNSPECIFIED'}"


async def test_verdicts_come_in_order_and_across_pieces_of_the_record(
    client: Client, long: pb.Document
) -> None:
    data = TEXT[:60_000].encode()
    start = 64 * 1024 - 400
    quote = data[start : start + 800].decode(errors="ignore")
    begin = data.index(quote.encode(), start - 8)
    good = pb.Citation(
        document_id=long.document_id, extraction_sha256=long.extraction_sha256, **at(quote, begin)
    )
    bad = pb.Citation(document_id="f" * 32)
    request = pb.VerifyCitationsRequest(citations=[good, bad, good])
    verdicts = (await client.call("VerifyCitations", request)).verdicts
    assert [one.verified for one in verdicts] == [True, False, True]
    for count in (0, 1001):
        with pytest.raises(ServiceError) as error:
            await client.call("VerifyCitations", pb.VerifyCitationsRequest(citations=[good] * count))
        assert error.value.code.name == "INVALID_ARGUMENT"
