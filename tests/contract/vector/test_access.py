"""Collections of several people of one tenant: who sees, reads, writes, deletes and shares them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis import roles
from services.chassis.errors import ServiceError
from tests.contract.vector.snapshots import exported, imported
from tests.contract.vector.world import Client, WordEmbedder, refused

READER, WRITER = pb.COLLECTION_ROLE_READER, pb.COLLECTION_ROLE_WRITER
TEXT = "The canary sings of gold."

Ask = Callable[[Client, str], Awaitable[object]]
READS: dict[str, Ask] = {
    "GetCollection": lambda c, d: c.call("GetCollection", pb.GetCollectionRequest(collection_id="diary")),
    "ListDocuments": lambda c, d: c.list("diary"),
    "GetDocument": lambda c, d: c.get(d, "diary"),
    "ReadDocumentText": lambda c, d: c.text(d, "diary"),
    "Search": lambda c, d: c.search("canary", collection_ids=["diary"]),
    "Search in several": lambda c, d: c.search("canary", collection_ids=["own", "diary"]),
}
WRITES: dict[str, Ask] = {
    "IngestDocument": lambda c, d: c.ingest("Another text.", collection_id="diary"),
    "ImportDocuments": lambda c, d: c.import_all([{"text": "One more text."}], "diary"),
    "DeleteDocument": lambda c, d: c.delete(d, "diary"),
}
OWNS: dict[str, Ask] = {
    "SetCollectionAccess": lambda c, d: share(c),
    "DeleteCollection": lambda c, d: c.call(
        "DeleteCollection", pb.DeleteCollectionRequest(collection_id="diary")
    ),
}
ALL = {**READS, **WRITES, **OWNS}


async def share(client: Client, *grants: pb.Grant, request_id: str = "") -> pb.Collection:
    request = pb.SetCollectionAccessRequest(collection_id="diary", grants=grants, request_id=request_id)
    return (await client.call("SetCollectionAccess", request)).collection


async def listed(client: Client) -> list[str]:
    page = await client.call("ListCollections", pb.ListCollectionsRequest())
    return [one.collection_id for one in page.collections]


@pytest.fixture
async def anna(client: Client) -> Client:
    """Owns the collection `diary`."""
    anna = client.person("anna")
    await anna.create("diary")
    return anna


@pytest.fixture
async def ben(client: Client) -> Client:
    """Is in the group `cooks` and owns the collection `own`."""
    ben = client.person("ben", groups="cooks")
    await ben.create("own")
    return ben


@pytest.fixture
async def page(anna: Client) -> str:
    """A document of the diary."""
    return (await anna.ready(TEXT, collection_id="diary", request_id="once")).document_id


@pytest.mark.parametrize("name", ALL)
async def test_without_a_grant_it_is_as_if_it_were_not_there(ben: Client, page: str, name: str) -> None:
    with pytest.raises(ServiceError) as hidden:
        await ALL[name](ben, page)
    await ben.of("elsewhere").create("own")
    with pytest.raises(ServiceError) as missing:
        await ALL[name](ben.of("elsewhere"), page)
    assert refused(hidden.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    assert refused(missing.value) == refused(hidden.value)
    assert (missing.value.message, missing.value.metadata) == (hidden.value.message, hidden.value.metadata)
    assert await listed(ben) == ["own"]


@pytest.mark.parametrize(
    "grant", [pb.Grant(subject="ben"), pb.Grant(group="cooks"), pb.Grant(group="everyone")]
)
async def test_a_reader_reads_and_no_more(anna: Client, ben: Client, page: str, grant: pb.Grant) -> None:
    grant.role = READER
    await share(anna, grant)
    for ask in READS.values():
        await ask(ben, page)
    assert await listed(ben) == ["diary", "own"]
    seen = (await ben.call("GetCollection", pb.GetCollectionRequest(collection_id="diary"))).collection
    assert (seen.owner, seen.role, list(seen.grants)) == ("anna", READER, [])
    for name, ask in {**WRITES, **OWNS}.items():
        with pytest.raises(ServiceError) as caught:
            await ask(ben, page)
        assert refused(caught.value) == ("PERMISSION_DENIED", "COLLECTION_ACCESS_DENIED"), name
        needs = "writer" if name in WRITES else "owner"
        assert caught.value.metadata == {"collection_id": "diary", "needs": needs}
    assert [one.document_id for one in await anna.list("diary")] == [page]


async def test_a_writer_writes_and_does_not_own(anna: Client, ben: Client, page: str) -> None:
    await share(anna, pb.Grant(subject="ben", role=READER), pb.Grant(group="cooks", role=WRITER))
    for ask in (*READS.values(), *WRITES.values()):
        await ask(ben, page)
    for ask in OWNS.values():
        with pytest.raises(ServiceError) as caught:
            await ask(ben, page)
        assert refused(caught.value) == ("PERMISSION_DENIED", "COLLECTION_ACCESS_DENIED")


async def test_a_grant_is_for_whom_it_names(client: Client, anna: Client, page: str) -> None:
    """A group named as a person is another, and so is a person of another tenant."""
    await share(anna, pb.Grant(subject="cooks", role=READER), pb.Grant(group="ben", role=READER))
    ben = client.person("ben", groups="cooks")
    assert await listed(ben) == []
    await share(anna, pb.Grant(subject="ben", role=READER))
    assert await listed(ben) == ["diary"]
    assert await listed(ben.of("elsewhere")) == []
    assert await listed(anna.of("elsewhere")) == []


async def test_what_is_taken_back_is_gone_at_once(anna: Client, ben: Client, page: str) -> None:
    await share(anna, pb.Grant(subject="ben", role=WRITER))
    document = await ben.get(page, "diary")
    citation = pb.Citation(
        document_id=page,
        extraction_sha256=document.extraction_sha256,
        span=pb.Span(byte_start=0, byte_end=3),
        quote="The",
    )
    asked = pb.VerifyCitationsRequest(citations=[citation])
    assert (await ben.call("VerifyCitations", asked)).verdicts[0].verified
    await share(anna)
    verdict = (await ben.call("VerifyCitations", asked)).verdicts[0]
    assert (verdict.verified, verdict.fault) == (False, pb.CITATION_FAULT_DOCUMENT_NOT_FOUND)
    with pytest.raises(ServiceError, match="there is no collection diary"):
        await ben.text(page, "diary")


@pytest.mark.parametrize("role", [roles.OWNER, roles.ADMIN])
async def test_who_runs_the_house_may_do_everything(client: Client, page: str, role: str) -> None:
    chief = client.person("chief", role=role)
    await chief.create("own")
    for ask in ALL.values():
        await ask(chief, page)
        if ask is ALL["DeleteDocument"]:
            page = (await chief.list("diary"))[0].document_id
    assert await listed(chief) == ["books", "own"]
    with pytest.raises(ServiceError, match="there is no collection books"):
        await chief.of("elsewhere").list("books")


async def test_ids_of_requests_and_pages_are_a_persons_own(anna: Client, ben: Client, page: str) -> None:
    await share(anna, pb.Grant(subject="ben", role=WRITER))
    await anna.create("diary2")
    first = await ben.ingest("Mine alone.", collection_id="diary", request_id="once")
    assert first[-1].document.document_id != page
    await ben.call("CreateCollection", pb.CreateCollectionRequest(collection_id="made", request_id="x"))
    await anna.call("CreateCollection", pb.CreateCollectionRequest(collection_id="made2", request_id="x"))
    token = await anna.call("ListDocuments", pb.ListDocumentsRequest(collection_id="diary", page_size=1))
    for method, request in (
        ("ListDocuments", pb.ListDocumentsRequest(collection_id="diary", page_token=token.next_page_token)),
        (
            "ListCollections",
            pb.ListCollectionsRequest(
                page_token=(
                    await anna.call("ListCollections", pb.ListCollectionsRequest(page_size=1))
                ).next_page_token
            ),
        ),
    ):
        assert request.page_token
        await anna.call(method, request)
        with pytest.raises(ServiceError) as caught:
            await ben.call(method, request)
        assert caught.value.reason == "INVALID_PAGE_TOKEN"


async def test_a_text_that_another_has_is_embedded_anew(
    ben: Client, anna: Client, page: str, embedder: WordEmbedder
) -> None:
    """How fast a document is ready must not tell that somebody else has it."""
    before = len(embedder.passages)
    await ben.ready(TEXT, collection_id="own")
    assert len(embedder.passages) == before + 1
    await share(anna, pb.Grant(subject="ben", role=READER))
    await ben.create("own2")
    await ben.ready(TEXT, collection_id="own2")
    assert len(embedder.passages) == before + 1


async def test_grants_are_told_to_the_owner_and_repeated_requests_change_nothing(
    anna: Client, page: str
) -> None:
    cooks = pb.Grant(group="cooks", role=WRITER)
    made = await share(anna, cooks, request_id="share")
    assert (made.owner, made.role, list(made.grants)) == ("anna", pb.COLLECTION_ROLE_OWNER, [cooks])
    await share(anna)
    assert list((await share(anna, cooks, request_id="share")).grants) == []
    with pytest.raises(ServiceError) as caught:
        await share(anna, request_id="share")
    assert caught.value.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    "grants",
    [
        [pb.Grant(role=READER)],
        [pb.Grant(subject="", role=READER)],
        [pb.Grant(subject="a" * 129, role=READER)],
        [pb.Grant(group="a\nb", role=READER)],
        [pb.Grant(subject="a")],
        [pb.Grant(subject="a", role=pb.COLLECTION_ROLE_OWNER)],
        [pb.Grant(subject="a", role=77)],  # type: ignore[arg-type] # not one of the roles
        [pb.Grant(subject="a", role=READER), pb.Grant(subject="a", role=WRITER)],
        [pb.Grant(subject=f"a{n}", role=READER) for n in range(257)],
    ],
)
async def test_grants_that_make_no_sense_are_refused(anna: Client, grants: list[pb.Grant]) -> None:
    with pytest.raises(ServiceError) as caught:
        await share(anna, *grants)
    assert refused(caught.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_a_snapshot_carries_owners_and_grants(
    client: Client, anna: Client, ben: Client, page: str
) -> None:
    await share(anna, pb.Grant(group="cooks", role=READER))
    copy = await exported(client)
    await share(anna)
    await imported(client, copy)
    assert TEXT.encode() == await ben.text(page, "diary")
    assert await listed(client.person("carl")) == []
    seen = await anna.call("GetCollection", pb.GetCollectionRequest(collection_id="diary"))
    assert list(seen.collection.grants) == [pb.Grant(group="cooks", role=READER)]


async def test_an_explanation_is_of_what_may_be_read_and_of_nothing_else(
    anna: Client, ben: Client, client: Client, page: str
) -> None:
    """No cause of a drop says that something may not be read: it would say that it is there (ADR 128)."""
    await ben.ready("Another canary, of one's own.", collection_id="own")

    async def explained(caller: Client, *collection_ids: str, **filters: list[str]) -> pb.SearchResponse:
        return await caller.search(
            "canary gold",
            collection_ids=collection_ids,
            explain=True,
            top_k=1,
            similarity_threshold=-1,
            filter=pb.Filter(**filters),
        )

    # A document that is elsewhere is in no list of what was left out, filtered for or not.
    own = await explained(ben, "own")
    assert page not in {one.document_id for one in (*own.hits, *own.dropped)}
    aimed = await explained(ben, "own", document_ids=[page])
    unknown = await explained(ben, "own", document_ids=["0" * 32])
    assert aimed == unknown
    assert page not in {one.document_id for one in aimed.dropped}
    for name in ("diary", "nothing"):
        with pytest.raises(ServiceError) as error:
            await explained(ben, "own", name)
        assert refused(error.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
        assert error.value.message == f"there is no collection {name}"

    # Whoever may read hears all of it, and all the same.
    await share(anna, pb.Grant(group="cooks", role=READER))
    heard = [await explained(one, "own", "diary") for one in (ben, client)]
    assert heard[0] == heard[1]
    assert len(heard[0].hits) + len(heard[0].dropped) == 2
    await share(anna)
    with pytest.raises(ServiceError):
        await explained(ben, "own", "diary")
