"""Documents are read again from their originals, and are what they were until the new text is committed."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.context import LOCAL_OWNER
from services.chassis.errors import ServiceError
from services.vector import reading
from services.vector.access import Caller
from services.vector.extraction.errors import ParserLimitError
from services.vector.extraction.extractor import extract_plain
from services.vector.extraction.model import Extraction, Limits, Place
from services.vector.record import mending
from tests.contract.vector.snapshots import exported, imported
from tests.contract.vector.test_document_events import news, share, told
from tests.contract.vector.test_jobs import cancel, nobody_reads, retry, spooled
from tests.contract.vector.test_originals import read as original
from tests.contract.vector.test_purge import holding, purge
from tests.contract.vector.test_upkeep import FLIP, kinds, settled, sql
from tests.contract.vector.world import Client, WordEmbedder, eventually, refused, running, walk
from tests.unit.vector.extraction.test_recognition import LISTS, mixed, program

PARAGRAPHS = [
    f"Paragraph {number} speaks of bird{number}. " + "It stands and waits. " * 12 for number in range(8)
]
TEXT = "\n\n".join(PARAGRAPHS)
FIRST = "(SELECT min(document_key) FROM chunks)"
OTHER = "The otter swims below the ice and comes up again."


class Parser:
    """Takes the place of the parsers: what it reads of any file, or the error it ends with."""

    def __init__(self, text: str = OTHER, *faults: Exception) -> None:
        self.text = text
        self.faults = list(faults)
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[tuple[str, str, bytes]] = []
        self.warnings: tuple[str, ...] = ()
        self.places = (Place(0, "", 0, 1),)

    async def extract(
        self, path: Path, filename: str, claimed_media_type: str, limits: Limits, *, deadline: float | None
    ) -> Extraction:
        self.asked.append((filename, claimed_media_type, await asyncio.to_thread(path.read_bytes)))
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop(0)
        read = extract_plain(self.text, "A title of the parser")
        return replace(read, warnings=self.warnings, places=self.places)


def parsed_by(client: Client, parser: Parser) -> Parser:
    client.application.jobs._extractor = parser
    return parser


async def reread(
    client: Client, document_id: str, collection_id: str = "books", **fields: Any
) -> list[pb.ReprocessDocumentResponse]:
    request = pb.ReprocessDocumentRequest(collection_id=collection_id, document_id=document_id, **fields)
    return await client.stream("ReprocessDocument", request)


async def why_not(client: Client, document_id: str, **fields: Any) -> tuple[str, str]:
    with pytest.raises(ServiceError) as error:
        await reread(client, document_id, **fields)
    return refused(error.value)


async def cancel_reprocess(client: Client, document_id: str, **fields: Any) -> pb.Document:
    request = pb.CancelReprocessRequest(collection_id="books", document_id=document_id, **fields)
    return (await client.call("CancelReprocess", request)).document


def stages(steps: Sequence[Any]) -> list[str]:
    return [pb.IngestStage.Name(one.stage).removeprefix("INGEST_STAGE_") for one in steps]


async def whole(client: Client) -> None:
    """Nothing waits, and a check of all there is finds nothing."""
    await eventually(lambda: settled(client))
    assert await walk(client, every_tenant=True) == []


def kept(document: pb.Document) -> tuple[object, ...]:
    """What no reading changes."""
    return (
        document.document_id,
        document.external_id,
        document.title,
        document.filename,
        dict(document.metadata),
        document.create_time.ToNanoseconds(),
        document.content_sha256,
        document.bytes,
        document.has_original,
    )


@asynccontextmanager
async def under_way(client: Client, document_id: str, **fields: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """A reading that has its turn and waits in the parser until the block ends."""
    parser = client.application.jobs._extractor
    assert isinstance(parser, Parser)
    parser.gate.clear()
    before = len(parser.asked)
    task = asyncio.create_task(reread(client, document_id, **fields))

    async def begun() -> bool:
        return len(parser.asked) > before or task.done()

    await eventually(begun)
    try:
        yield task
    finally:
        parser.gate.set()


# -- a new text --------------------------------------------------------------------------------------


async def test_a_new_text_takes_the_place_of_the_old_and_all_else_stays(
    client: Client, tmp_path: Path
) -> None:
    struct = pb.IngestHeader().metadata
    struct.update({"shelf": "upper", "year": 1884.0})
    before = await client.ready(TEXT, filename="a.md", external_id="e", title="Birds", metadata=struct)
    await eventually(lambda: settled(client))
    parser = parsed_by(client, Parser())
    parser.warnings = ("page 2 has a picture",)
    steps = await reread(client, before.document_id, wait_ready=True)
    assert stages(steps)[:4] == ["RECEIVED", "PARSED", "CHUNKED", "COMMITTED"]
    assert stages(steps)[-1] == "READY"
    assert not any(step.existing for step in steps)
    assert parser.asked == [("a.md", before.media_type, TEXT.encode())]
    after = await client.get(before.document_id)
    assert kept(after) == kept(before)
    assert (after.state, after.reprocessing, list(after.warnings)) == (
        pb.DOCUMENT_STATE_READY,
        False,
        ["page 2 has a picture"],
    )
    assert await client.text(after.document_id) == OTHER.encode()
    assert after.extraction_sha256 == hashlib.sha256(OTHER.encode()).hexdigest()
    assert await original(client, after.document_id) == TEXT.encode()
    for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID):
        found = await client.search("otter below the ice", mode=mode, similarity_threshold=0.1)
        assert [hit.text for hit in found.hits] == [OTHER], mode
    assert list((await client.search("bird3", mode=pb.SEARCH_MODE_LEXICAL)).hits) == []
    assert [one.document_id for one in await client.list(external_id="e")] == [before.document_id]
    collection = await client.call("GetCollection", pb.GetCollectionRequest(collection_id="books"))
    assert (collection.collection.documents, collection.collection.chunks) == (1, after.chunks)
    assert collection.collection.vectors == after.chunks
    await whole(client)
    assert spooled(tmp_path) == []


async def test_what_is_the_same_is_left_alone(client: Client, embedder: WordEmbedder, tmp_path: Path) -> None:
    before = await client.ready(TEXT, filename="a.md")
    await eventually(lambda: settled(client))
    asked, held = len(embedder.passages), rows(tmp_path)
    steps = await reread(client, before.document_id)
    assert (stages(steps)[-1], steps[-1].existing) == ("COMMITTED", True)
    assert await client.get(before.document_id) == before
    assert (len(embedder.passages), rows(tmp_path)) == (asked, held)
    await whole(client)


@pytest.mark.parametrize("what", ["warnings", "places"])
async def test_what_is_said_of_the_same_text_is_renewed_and_nothing_embedded(
    client: Client, embedder: WordEmbedder, what: str
) -> None:
    parser = parsed_by(client, Parser(TEXT))
    document = await client.ready(TEXT, filename="a.txt")
    assert (await reread(client, document.document_id))[-1].existing
    asked = len(embedder.passages)
    if what == "warnings":
        parser.warnings = ("page 2 has a picture",)
    else:
        parser.places = (Place(0, "page 7", 7, 0),)
    assert not (await reread(client, document.document_id, wait_ready=True))[-1].existing
    after = await client.get(document.document_id)
    (hit,) = (await client.search("bird3", mode=pb.SEARCH_MODE_LEXICAL)).hits
    assert (list(after.warnings), hit.location) == (
        (["page 2 has a picture"], "line 1-7") if what == "warnings" else ([], "page 7")
    )
    assert after.extraction_sha256 == document.extraction_sha256
    assert len(embedder.passages) == asked
    await whole(client)


def rows(folder: Path) -> list[tuple[object, ...]]:
    """Keys of all that is there of documents."""
    with closing(sqlite3.connect(folder / "vector" / "record.sqlite3")) as record:
        return [
            *record.execute("SELECT 'document', key, document_id FROM documents"),
            *record.execute("SELECT 'chunk', key, ordinal FROM chunks"),
            *record.execute("SELECT 'vector', seq, chunk_key FROM vectors"),
            *record.execute("SELECT 'job', document_id, attempts FROM ingests"),
        ]


async def test_passages_that_did_not_change_keep_their_vectors_and_words(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    async with running(tmp_path, embedder, meld_chunk_tokens=60, meld_chunk_max_tokens=80) as client:
        await client.create()
        before = await client.ready(TEXT, filename="a.md")
        await eventually(lambda: settled(client))
        sql(tmp_path, "INSERT INTO word_codes SELECT seq, x'0102' FROM vectors")
        asked = len(embedder.passages)
        # The last paragraph is read otherwise, the others as they were.
        parsed_by(client, Parser(TEXT.replace("bird7", "fish7")))
        after = (await reread(client, before.document_id, wait_ready=True))[-1].document
        assert after.chunks == before.chunks > 4
        assert 0 < len(embedder.passages) - asked < after.chunks
        assert all("fish7" in text for text in embedder.passages[asked:])
        with closing(sqlite3.connect(tmp_path / "vector" / "record.sqlite3")) as record:
            (codes,) = record.execute("SELECT count(*) FROM word_codes").fetchone()
        assert codes == after.chunks - (len(embedder.passages) - asked)
        await whole(client)


async def test_other_settings_split_the_same_text_otherwise_and_citations_of_it_hold(tmp_path: Path) -> None:
    async with running(tmp_path, meld_chunk_tokens=200, meld_chunk_max_tokens=254) as client:
        await client.create()
        before = await client.ready(TEXT, filename="a.md")
    async with running(tmp_path, meld_chunk_tokens=40, meld_chunk_max_tokens=60) as client:
        after = (await reread(client, before.document_id, wait_ready=True))[-1].document
        assert after.chunks > before.chunks
        assert after.extraction_sha256 == before.extraction_sha256
        assert await verdict(client, before, "Paragraph 0") == (True, 0)
        await whole(client)


async def verdict(client: Client, document: pb.Document, quote: str) -> tuple[bool, int]:
    citation = pb.Citation(
        document_id=document.document_id,
        extraction_sha256=document.extraction_sha256,
        span=pb.Span(byte_start=0, byte_end=len(quote)),
        quote=quote,
    )
    answer = await client.call("VerifyCitations", pb.VerifyCitationsRequest(citations=[citation]))
    return answer.verdicts[0].verified, answer.verdicts[0].fault


async def test_text_that_was_missing_is_there_once_text_recognition_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    async with running(tmp_path) as client:
        await client.create()
        before = await client.ready(mixed(), filename="scan.pdf")
        (warning,) = before.warnings
        assert "page 2 is missing" in warning
        assert stages(await reread(client, before.document_id))[-1] == "COMMITTED"
        assert list((await client.get(before.document_id)).warnings) == [warning]
    program(programs, f"{LISTS}\necho 'Text of a picture.'")
    async with running(tmp_path) as client:
        after = (await reread(client, before.document_id, wait_ready=True))[-1].document
        assert (kept(after), list(after.warnings)) == (kept(before), [])
        (hit,) = (await client.search("picture", mode=pb.SEARCH_MODE_LEXICAL)).hits
        assert hit.document_id == before.document_id
        assert "Text of a picture." in hit.text
        await whole(client)


async def test_citations_of_the_old_text_are_told_that_it_changed(client: Client) -> None:
    before = await client.ready(TEXT, filename="a.md")
    parsed_by(client, Parser())
    after = (await reread(client, before.document_id))[-1].document
    assert await verdict(client, before, "Paragraph 0") == (False, pb.CITATION_FAULT_EXTRACTION_CHANGED)
    assert await verdict(client, after, "The otter") == (True, 0)


async def test_the_old_text_answers_until_the_new_one_is_there(client: Client) -> None:
    before = await client.ready(TEXT, filename="a.md")
    parsed_by(client, Parser())
    async with under_way(client, before.document_id) as reading:
        now = await client.get(before.document_id)
        assert (now.state, now.reprocessing, now.HasField("queue")) == (pb.DOCUMENT_STATE_READY, True, False)
        assert await client.text(before.document_id) == TEXT.encode()
        assert (await client.search("bird3")).hits[0].document_id == before.document_id
    assert stages(await reading)[-1] == "COMMITTED"
    assert await client.text(before.document_id) == OTHER.encode()


async def test_who_looked_at_it_a_moment_before_finds_it_as_it_is(client: Client) -> None:
    await client.ready(TEXT, filename="a.md")
    documents, caller = client.application.record.documents, Caller.of(LOCAL_OWNER)
    (known,) = await documents.page(caller, "books", before_key=2**62, size=1, states=[], external_id="")
    parsed_by(client, Parser())
    await reread(client, known.document_id)
    text = [piece.text async for piece in reading.pieces(documents, known, None)]
    assert "".join(text) == OTHER
    data = [piece async for piece in reading.original(documents, known, 0, 0)]
    assert b"".join(data) == TEXT.encode()


async def test_a_search_that_knew_the_old_vectors_finds_the_new_ones_alone(client: Client) -> None:
    document = await client.ready(TEXT, filename="a.md")
    near = {"mode": pb.SEARCH_MODE_DENSE, "similarity_threshold": -1.0}
    before = await client.search("bird3 stands", **near)
    assert before.hits
    parsed_by(client, Parser())
    await reread(client, document.document_id, wait_ready=True)
    after = await client.search("bird3 stands", **near)
    assert [hit.text for hit in after.hits] == [OTHER]


async def test_it_is_ready_once_more_and_told_so(client: Client) -> None:
    document = await client.ready(TEXT, filename="a.md")
    token = (await news(client)).next_page_token
    await reread(client, document.document_id, wait_ready=True)
    page = await news(client, token)
    # Nothing has changed.
    assert told(page) == []
    parsed_by(client, Parser())
    await reread(client, document.document_id, wait_ready=True)
    page = await news(client, token)
    assert (told(page), page.events[0].again) == ([("READY", document.document_id)], True)
    parsed_by(client, Parser(TEXT))
    await reread(client, document.document_id, wait_ready=True)
    page = await news(client, page.next_page_token)
    assert (told(page), page.events[0].again) == ([("READY", document.document_id)], True)
    assert told(await news(client, page.next_page_token)) == []
    # All that is known of it is the newest: what is noted goes with the text that it was of.
    assert told(await news(client)) == [("READY", document.document_id)]


async def test_the_old_text_is_gone_after_a_purge(client: Client, tmp_path: Path) -> None:
    document = await client.ready("<p>One</p><!-- a -->", filename="a.html")
    parsed_by(client, Parser("The qzoldtextvxk is gone soon."))
    await reread(client, document.document_id, wait_ready=True)
    assert holding(tmp_path / "vector", b"qzoldtextvxk")
    parsed_by(client, Parser())
    await reread(client, document.document_id, wait_ready=True)
    await eventually(lambda: settled(client))
    await purge(client)
    assert holding(tmp_path / "vector", b"qzoldtextvxk") == []


async def test_a_keyword_index_that_is_made_anew_meanwhile_has_the_new_text(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = await client.ready(TEXT, filename="a.md")
    await client.import_all([{"text": f"Text {number}."} for number in range(6)])
    monkeypatch.setattr(mending, "_STEP_DOCUMENTS", 1)
    parsed_by(client, Parser())
    record = client.application.record
    write, rebuilding = record._database.write, record.mending.rebuilding
    rebuilding.add(1)
    await write(partial(mending._begin, 1))
    # The document is in the next index already, with its old text.
    after = await write(partial(mending._extend, 1, 0))
    await reread(client, document.document_id)
    while after is not None:
        after = await write(partial(mending._extend, 1, after))
    rebuilding.clear()
    assert [hit.text for hit in (await client.search("otter", mode=pb.SEARCH_MODE_LEXICAL)).hits] == [OTHER]
    await whole(client)


async def test_it_is_read_again_for_a_model_that_is_being_built(tmp_path: Path) -> None:
    other = WordEmbedder("others", 32)
    async with running(tmp_path, others=[other]) as client:
        await client.create()
        document = await client.ready(TEXT, filename="a.md")
        other.gate.clear()
        change = asyncio.create_task(
            client.stream(
                "ReembedCollection",
                pb.ReembedCollectionRequest(collection_id="books", embedding_model="others"),
            )
        )
        await eventually(lambda: client.application.record.reembedding.under_way(1))
        parsed_by(client, Parser())
        await reread(client, document.document_id)
        other.gate.set()
        await change
        await whole(client)
        assert [hit.text for hit in (await client.search("otter")).hits] == [OTHER]


# -- damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repaired", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        FLIP.format(table="texts", column="piece", where=f"document_key = {FIRST}"),
        f"DELETE FROM texts WHERE document_key = {FIRST}",
        f"UPDATE chunks SET headings = CAST(x'ff' AS TEXT) WHERE document_key = {FIRST}",
    ],
)
async def test_a_damaged_text_is_mended_from_the_original(
    client: Client, tmp_path: Path, damage: str, repaired: bool
) -> None:
    document = await client.ready(TEXT, filename="a.md", external_id="e")
    await client.import_all([{"text": "Another text about a stork."}])
    await eventually(lambda: settled(client))
    sql(tmp_path, damage)
    assert kinds(await walk(client))
    if repaired:
        await walk(client, "RepairIndex")
        (aside,) = await client.list(states=[pb.DOCUMENT_STATE_FAILED])
        assert (aside.error.reason, aside.has_original) == ("DOCUMENT_DAMAGED", True)
        assert "read it again" in aside.error.message
        # Trying again is for what was never taken in.
        with pytest.raises(ServiceError, match="read again from its original") as error:
            await retry(client, aside.document_id)
        assert error.value.reason == "INGEST_STATE"
    after = (await reread(client, document.document_id, wait_ready=True))[-1].document
    assert kept(after) == kept(document)
    assert (after.state, after.HasField("error")) == (pb.DOCUMENT_STATE_READY, False)
    assert after.extraction_sha256 == document.extraction_sha256
    assert await client.text(document.document_id) == TEXT.encode()
    for word, count in (("bird3", 1), ("stork", 1)):
        assert len((await client.search(word, mode=pb.SEARCH_MODE_LEXICAL)).hits) == count
    await whole(client)


async def test_one_that_was_set_aside_stays_so_when_it_cannot_be_read(client: Client, tmp_path: Path) -> None:
    document = await client.ready(TEXT, filename="a.md")
    await eventually(lambda: settled(client))
    sql(tmp_path, "DELETE FROM texts")
    await walk(client, "RepairIndex")
    parsed_by(client, Parser(OTHER, ParserLimitError.over(30, "seconds")))
    assert await why_not(client, document.document_id) == ("RESOURCE_EXHAUSTED", "PARSER_LIMIT")
    now = await client.get(document.document_id)
    assert (now.state, now.error.reason, now.has_original) == (
        pb.DOCUMENT_STATE_FAILED,
        "DOCUMENT_DAMAGED",
        True,
    )
    assert not now.reprocessing
    await reread(client, document.document_id)
    assert await client.text(document.document_id) == OTHER.encode()


async def test_a_younger_document_of_the_same_name_is_not_pushed_aside(
    client: Client, tmp_path: Path
) -> None:
    document = await client.ready(TEXT, filename="a.md", external_id="e")
    await eventually(lambda: settled(client))
    sql(tmp_path, "DELETE FROM texts")
    await walk(client, "RepairIndex")
    newer = await client.ready("A newer text of it.", filename="a.md", external_id="e")
    assert await why_not(client, document.document_id) == ("FAILED_PRECONDITION", "INGEST_STATE")
    assert await client.text(newer.document_id) == b"A newer text of it."


async def test_a_damaged_original_leaves_the_document_as_it_was(client: Client, tmp_path: Path) -> None:
    document = await client.ready(TEXT, filename="a.md")
    await eventually(lambda: settled(client))
    sql(tmp_path, FLIP.format(table="originals", column="piece", where="byte_start = 0"))
    assert await why_not(client, document.document_id) == ("DATA_LOSS", "RECORD_DAMAGED")
    now = await client.get(document.document_id)
    assert (now.state, now.reprocess_error.reason) == (pb.DOCUMENT_STATE_READY, "RECORD_DAMAGED")
    assert await client.text(document.document_id) == TEXT.encode()
    assert spooled(tmp_path) == []
    assert kinds(await walk(client, "RepairIndex")) == {"ORIGINAL_DAMAGED"}
    assert await why_not(client, document.document_id) == ("NOT_FOUND", "ORIGINAL_NOT_KEPT")


async def test_an_original_that_is_removed_takes_the_job_with_it(client: Client, tmp_path: Path) -> None:
    document = await client.ready(TEXT, filename="a.md")
    await eventually(lambda: settled(client))
    async with nobody_reads(client):
        reading = asyncio.create_task(reread(client, document.document_id))
        await eventually(lambda: _reprocessing(client, document.document_id))
        sql(tmp_path, FLIP.format(table="originals", column="piece", where="byte_start = 0"))
        await walk(client, "RepairIndex")
    with pytest.raises(ServiceError):
        await reading
    now = await client.get(document.document_id)
    assert (now.state, now.reprocessing) == (pb.DOCUMENT_STATE_READY, False)
    await whole(client)


async def _reprocessing(client: Client, document_id: str) -> bool:
    return (await client.get(document_id)).reprocessing


# -- what is refused ---------------------------------------------------------------------------------


async def test_a_reading_that_fails_leaves_all_and_tells_why(client: Client, tmp_path: Path) -> None:
    before = await client.ready(TEXT, filename="a.md")
    await eventually(lambda: settled(client))
    held = rows(tmp_path)
    token = (await news(client)).next_page_token
    parsed_by(client, Parser(OTHER, ParserLimitError.over(30, "seconds")))
    assert await why_not(client, before.document_id) == ("RESOURCE_EXHAUSTED", "PARSER_LIMIT")
    now = await client.get(before.document_id)
    assert (now.reprocess_error.reason, now.HasField("error")) == ("PARSER_LIMIT", False)
    now.ClearField("reprocess_error")
    assert now == before
    assert rows(tmp_path) == held
    assert told(await news(client, token)) == []
    await whole(client)
    # The next one is another try, and nothing is left of what was said.
    await reread(client, before.document_id)
    assert not (await client.get(before.document_id)).HasField("reprocess_error")


async def test_without_a_file_there_is_nothing_to_read(client: Client) -> None:
    (made,) = await client.import_all([{"text": "A text and no file."}])
    assert await why_not(client, made.document.document_id) == ("NOT_FOUND", "ORIGINAL_NOT_KEPT")
    with pytest.raises(ServiceError):
        await client.ingest(b"%PDF-1.7 broken", filename="a.pdf")
    (failed,) = await client.list(states=[pb.DOCUMENT_STATE_FAILED])
    assert await why_not(client, failed.document_id) == ("FAILED_PRECONDITION", "INGEST_STATE")
    async with nobody_reads(client):
        arriving = asyncio.create_task(client.ingest(TEXT))
        (waits,) = await eventually(lambda: client.list(states=[pb.DOCUMENT_STATE_RECEIVED]))
        assert await why_not(client, waits.document_id) == ("ABORTED", "DOCUMENT_BUSY")
    await arriving


async def test_what_is_read_again_already_is_busy(client: Client) -> None:
    document = await client.ready(TEXT, filename="a.md")
    parsed_by(client, Parser())
    async with under_way(client, document.document_id) as reading:
        assert await why_not(client, document.document_id) == ("ABORTED", "DOCUMENT_BUSY")
        assert await why_not(client, document.document_id, request_id="r") == ("ABORTED", "DOCUMENT_BUSY")
    assert stages(await reading)[-1] == "COMMITTED"


async def test_who_may_write_the_collection_may_do_it_and_nobody_else(client: Client) -> None:
    document = await client.ready(TEXT, filename="a.md")
    await share(client, "anna")
    assert await why_not(client.person("anna"), document.document_id) == (
        "PERMISSION_DENIED",
        "COLLECTION_ACCESS_DENIED",
    )
    with pytest.raises(ServiceError) as error:
        await cancel_reprocess(client.person("anna"), document.document_id)
    assert error.value.reason == "COLLECTION_ACCESS_DENIED"
    for stranger in (client.person("bob"), client.of("other")):
        assert await why_not(stranger, document.document_id) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    grants = [pb.Grant(subject="anna", role=pb.COLLECTION_ROLE_WRITER)]
    await client.call(
        "SetCollectionAccess", pb.SetCollectionAccessRequest(collection_id="books", grants=grants)
    )
    parsed_by(client, Parser())
    async with under_way(client.person("anna"), document.document_id) as reading:
        # Who may not write any more when the text is there does not write it.
        await share(client, "anna")
    with pytest.raises(ServiceError) as error:
        await reading
    assert error.value.reason == "COLLECTION_ACCESS_DENIED"
    assert await client.text(document.document_id) == TEXT.encode()


# -- the same request once more ------------------------------------------------------------------------


async def test_the_same_request_is_done_once(client: Client, tmp_path: Path) -> None:
    document = await client.ready(TEXT, filename="a.md")
    parser = parsed_by(client, Parser())
    async with under_way(client, document.document_id, request_id="r") as reading:
        second = asyncio.create_task(reread(client, document.document_id, request_id="r", wait_ready=True))
        await asyncio.sleep(0.1)
    assert stages(await reading)[-1] == "COMMITTED"
    assert stages(await second)[-1] == "READY"
    held = rows(tmp_path)
    again = await reread(client, document.document_id, request_id="r")
    assert (stages(again), again[0].existing) == (["COMMITTED"], True)
    assert (len(parser.asked), rows(tmp_path)) == (1, held)
    other = await client.ready("Another text.", filename="b.txt")
    assert await why_not(client, other.document_id, request_id="r") == (
        "FAILED_PRECONDITION",
        "REQUEST_ID_REUSED",
    )


async def test_a_request_that_failed_may_be_made_again(client: Client) -> None:
    document = await client.ready(TEXT, filename="a.md")
    parsed_by(client, Parser(OTHER, ParserLimitError.over(30, "seconds")))
    assert (await why_not(client, document.document_id, request_id="r"))[1] == "PARSER_LIMIT"
    assert stages(await reread(client, document.document_id, request_id="r"))[-1] == "COMMITTED"
    assert await client.text(document.document_id) == OTHER.encode()


# -- the queue -----------------------------------------------------------------------------------------


async def test_it_waits_for_its_turn_and_says_so(client: Client) -> None:
    document = await client.ready(TEXT, filename="a.md")
    async with nobody_reads(client):
        reading = asyncio.create_task(reread(client, document.document_id))
        await eventually(lambda: _reprocessing(client, document.document_id))
        now = await client.get(document.document_id)
        assert (now.state, now.queue.position) == (pb.DOCUMENT_STATE_READY, 1)
        assert [one.queue.position for one in await client.list()] == [1]
    await reading


async def test_a_caller_who_leaves_ends_nothing(client: Client) -> None:
    document = await client.ready(TEXT, filename="a.md")
    parsed_by(client, Parser())
    async with under_way(client, document.document_id) as reading:
        reading.cancel()
        await asyncio.wait([reading])
    await eventually(lambda: _has(client, document.document_id, OTHER))


async def _has(client: Client, document_id: str, text: str) -> bool:
    return await client.text(document_id) == text.encode()


async def test_a_deadline_is_the_callers_and_the_job_goes_on(client: Client) -> None:
    document = await client.ready(TEXT, filename="a.md")
    parser = parsed_by(client, Parser())
    parser.gate.clear()
    request = pb.ReprocessDocumentRequest(collection_id="books", document_id=document.document_id)
    with pytest.raises(ServiceError) as error:
        await client.stream("ReprocessDocument", request, seconds=1.0)
    assert error.value.code.name == "DEADLINE_EXCEEDED"
    assert await _reprocessing(client, document.document_id)
    parser.gate.set()
    await eventually(lambda: _has(client, document.document_id, OTHER))


@pytest.mark.parametrize("begun", [True, False])
async def test_it_is_cancelled_and_the_document_is_what_it_was(
    client: Client, tmp_path: Path, begun: bool
) -> None:
    before = await client.ready(TEXT, filename="a.md")
    await eventually(lambda: settled(client))
    parsed_by(client, Parser())
    if begun:
        async with under_way(client, before.document_id) as reading:
            assert await cancel_reprocess(client, before.document_id, request_id="c") == before
            assert spooled(tmp_path) == []
    else:
        async with nobody_reads(client):
            reading = asyncio.create_task(reread(client, before.document_id))
            await eventually(lambda: _reprocessing(client, before.document_id))
            assert await cancel_reprocess(client, before.document_id, request_id="c") == before
    with pytest.raises(ServiceError) as error:
        await reading
    assert refused(error.value) == ("ABORTED", "INGEST_CANCELLED")
    assert await client.get(before.document_id) == before
    assert await client.text(before.document_id) == TEXT.encode()
    # The same request is known; another one finds nothing to end.
    assert await cancel_reprocess(client, before.document_id, request_id="c") == before
    with pytest.raises(ServiceError) as error:
        await cancel_reprocess(client, before.document_id)
    assert refused(error.value) == ("FAILED_PRECONDITION", "INGEST_STATE")
    await whole(client)
    assert stages(await reread(client, before.document_id))[-1] == "COMMITTED"


async def test_taking_back_an_ingest_never_takes_a_document_that_was_ready(
    client: Client, embedder: WordEmbedder
) -> None:
    """While its new passages wait for their vectors it is EMBEDDING, and still no file on its way in."""
    document = await client.ready(TEXT, filename="a.md")
    parsed_by(client, Parser())
    embedder.gate.clear()
    after = (await reread(client, document.document_id))[-1].document
    assert after.state == pb.DOCUMENT_STATE_EMBEDDING
    with pytest.raises(ServiceError) as error:
        await cancel(client, document.document_id)
    assert error.value.reason == "INGEST_STATE"
    embedder.gate.set()
    await whole(client)
    assert await client.text(document.document_id) == OTHER.encode()


async def test_one_that_was_never_ready_may_be_read_again_and_taken_back(
    client: Client, embedder: WordEmbedder, tmp_path: Path
) -> None:
    embedder.gate.clear()
    document = (await client.ingest(TEXT, filename="a.md"))[-1].document
    assert document.state == pb.DOCUMENT_STATE_EMBEDDING
    parsed_by(client, Parser())
    await reread(client, document.document_id)
    async with under_way(client, document.document_id) as reading:
        receipt = await cancel(client, document.document_id)
    assert (receipt.state, receipt.files) == (pb.DELETION_STATE_COMPLETE, 0)
    with pytest.raises(ServiceError):
        await reading
    embedder.gate.set()
    assert await client.list() == []
    await whole(client)
    assert spooled(tmp_path) == []


async def test_a_delete_ends_it_and_leaves_nothing(client: Client, tmp_path: Path) -> None:
    document = await client.ready(TEXT, filename="a.md")
    parsed_by(client, Parser())
    async with under_way(client, document.document_id) as reading:
        receipt = await client.delete(document.document_id)
        assert (receipt.state, receipt.files, receipt.record_originals) == (pb.DELETION_STATE_COMPLETE, 0, 0)
    with pytest.raises(ServiceError) as error:
        await reading
    assert error.value.reason == "INGEST_CANCELLED"
    assert await client.list() == []
    await whole(client)
    assert spooled(tmp_path) == []


async def test_a_delete_of_the_collection_ends_it(client: Client, tmp_path: Path) -> None:
    document = await client.ready(TEXT, filename="a.md")
    parsed_by(client, Parser())
    async with under_way(client, document.document_id) as reading:
        request = pb.DeleteCollectionRequest(collection_id="books")
        receipt = (await client.call("DeleteCollection", request)).receipt
        assert (receipt.state, receipt.files) == (pb.DELETION_STATE_COMPLETE, 0)
    with pytest.raises(ServiceError):
        await reading
    await whole(client)


async def test_a_file_that_is_sent_meanwhile_wins(client: Client, tmp_path: Path) -> None:
    document = await client.ready(TEXT, filename="a.md", external_id="e")
    parser = parsed_by(client, Parser())
    async with under_way(client, document.document_id) as reading:
        sending = asyncio.create_task(client.ingest("A newer file.", filename="a.md", external_id="e"))
        await eventually(lambda: _twice(parser))
        parser.text = "A newer text."
    newer = (await sending)[-1].document
    # Whichever is committed first: what was read again goes with the document that is replaced.
    (outcome,) = await asyncio.gather(reading, return_exceptions=True)
    assert isinstance(outcome, list) or outcome.reason in ("INGEST_CANCELLED", "DOCUMENT_NOT_FOUND")
    with pytest.raises(ServiceError) as error:
        await client.get(document.document_id)
    assert error.value.reason == "DOCUMENT_NOT_FOUND"
    assert [one.document_id for one in await client.list()] == [newer.document_id]
    assert await client.text(newer.document_id) == b"A newer text."
    await whole(client)
    assert spooled(tmp_path) == []


async def _twice(parser: Parser) -> bool:
    return len(parser.asked) == 2


# -- the service's end -------------------------------------------------------------------------------


async def test_a_job_goes_on_in_the_next_process(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        document = await client.ready(TEXT, filename="a.md")
        parsed_by(client, Parser())
        async with under_way(client, document.document_id, request_id="r") as reading:
            await client.switch.application.jobs.close()
        with pytest.raises(ServiceError):
            await reading
    async with running(tmp_path, meld_chunk_tokens=40, meld_chunk_max_tokens=60) as client:
        (after,) = await eventually(lambda: _none_reread(client))
        assert (after.document_id, after.state) == (document.document_id, pb.DOCUMENT_STATE_READY)
        assert after.chunks > document.chunks
        assert await original(client, document.document_id) == TEXT.encode()
        # It was this very request.
        assert stages(await reread(client, document.document_id, request_id="r")) == ["COMMITTED"]
        await whole(client)
        assert spooled(tmp_path) == []


async def _none_reread(client: Client) -> list[pb.Document]:
    there = await client.list()
    done = all(not one.reprocessing and one.state == pb.DOCUMENT_STATE_READY for one in there)
    return there if done else []


async def test_one_whose_reading_ended_the_service_three_times_is_left_as_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.create()
        document = await client.ready(TEXT, filename="a.md")
        async with nobody_reads(client):
            reading = asyncio.create_task(reread(client, document.document_id))
            await eventually(lambda: _reprocessing(client, document.document_id))
            await client.switch.application.jobs.close()
        with pytest.raises(ServiceError):
            await reading
    sql(tmp_path, "UPDATE ingests SET attempts = 3")
    async with running(tmp_path) as client:
        now = await client.get(document.document_id)
        assert (now.state, now.reprocessing) == (pb.DOCUMENT_STATE_READY, False)
        assert now.reprocess_error.reason == "INTERRUPTED"
        assert await client.text(document.document_id) == TEXT.encode()
        await whole(client)


async def test_a_snapshot_has_the_document_and_no_job(client: Client, tmp_path: Path) -> None:
    document = await client.ready(TEXT, filename="a.md")
    await eventually(lambda: settled(client))
    parsed_by(client, Parser())
    async with under_way(client, document.document_id) as reading:
        snapshot = await exported(client)
    await reading
    async with running(tmp_path / "elsewhere") as other:
        await imported(other, snapshot)
        there = await other.get(document.document_id)
        assert (there.state, there.reprocessing) == (pb.DOCUMENT_STATE_READY, False)
        assert await other.text(document.document_id) == TEXT.encode()
        await whole(other)
