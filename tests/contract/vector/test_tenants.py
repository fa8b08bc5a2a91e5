"""Tenants: what belongs to another is as if it were not there, with the very same answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import Client, WordEmbedder

Ask = Callable[[Client, str], Awaitable[object]]

ASKS: dict[str, Ask] = {
    "GetCollection": lambda c, d: c.call("GetCollection", pb.GetCollectionRequest(collection_id="secret")),
    "DeleteCollection": lambda c, d: c.call(
        "DeleteCollection", pb.DeleteCollectionRequest(collection_id="secret")
    ),
    "ListDocuments": lambda c, d: c.list("secret"),
    "Search": lambda c, d: c.search("canary", collection_ids=["secret"]),
    "GetDocument": lambda c, d: c.get(d, "secret"),
    "GetDocument in own": lambda c, d: c.get(d, "books"),
    "DeleteDocument": lambda c, d: c.delete(d, "secret"),
    "DeleteDocument in own": lambda c, d: c.delete(d, "books"),
    "ReadDocumentText": lambda c, d: c.text(d, "books"),
    "Ingest": lambda c, d: c.ingest("text", collection_id="secret"),
    "Import": lambda c, d: c.import_all([{"text": "x"}], "secret"),
}


@pytest.fixture
async def secret(client: Client) -> str:
    """Another tenant's document, and that tenant's collection `secret`."""
    other = client.of("other")
    await other.create("secret")
    return (await other.ready("The canary sings of gold.", collection_id="secret")).document_id


@pytest.mark.parametrize("name", ASKS)
async def test_foreign_and_missing_are_answered_alike(client: Client, secret: str, name: str) -> None:
    with pytest.raises(ServiceError) as foreign:
        await ASKS[name](client, secret)
    with pytest.raises(ServiceError) as missing:
        await ASKS[name](
            client.of("third") if "own" not in name and name != "ReadDocumentText" else client, "0" * 32
        )
    assert foreign.value.code is missing.value.code
    assert foreign.value.code.name == "NOT_FOUND"
    assert foreign.value.reason == missing.value.reason
    assert foreign.value.message.replace(secret, "") == missing.value.message.replace("0" * 32, "")
    assert "canary" not in str(foreign.value.metadata)


async def test_the_same_names_live_apart(client: Client, secret: str) -> None:
    other = client.of("other")
    await client.create("secret")
    await client.ready("The canary is mine.", collection_id="secret", external_id="e", request_id="r")
    await other.ready("The canary is theirs.", collection_id="secret", external_id="e", request_id="r")
    mine = await client.search("canary", collection_ids=["secret"], similarity_threshold=-1)
    assert [hit.text for hit in mine.hits] == ["The canary is mine."]
    listed = await client.call("ListCollections", pb.ListCollectionsRequest())
    assert [(one.collection_id, one.documents) for one in listed.collections] == [("books", 0), ("secret", 1)]


async def test_statistics_of_others_do_not_move_scores(client: Client, secret: str) -> None:
    """BM25 of a passage depends on its own collection alone."""
    await client.ready("A canary and a finch.")
    before = (await client.search("canary", mode=pb.SEARCH_MODE_LEXICAL)).hits[0].lexical_score
    await client.of("other").import_all([{"text": f"canary {n}"} for n in range(30)], "secret")
    assert (await client.search("canary", mode=pb.SEARCH_MODE_LEXICAL)).hits[0].lexical_score == before


async def test_a_foreign_text_is_embedded_anew(client: Client, secret: str, embedder: WordEmbedder) -> None:
    """How fast a document is ready must not tell that another tenant has it."""
    before = len(embedder.passages)
    await client.ready("The canary sings of gold.")
    assert len(embedder.passages) == before + 1


async def test_foreign_citations_do_not_verify(client: Client, secret: str) -> None:
    other = client.of("other")
    document = await other.get(secret, "secret")
    citation = pb.Citation(
        document_id=secret,
        extraction_sha256=document.extraction_sha256,
        span=pb.Span(byte_start=0, byte_end=3),
        quote="The",
    )
    request = pb.VerifyCitationsRequest(citations=[citation])
    assert (await other.call("VerifyCitations", request)).verdicts[0].verified
    verdict = (await client.call("VerifyCitations", request)).verdicts[0]
    assert (verdict.verified, verdict.fault) == (False, pb.CITATION_FAULT_DOCUMENT_NOT_FOUND)
