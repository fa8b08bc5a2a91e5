"""Jobs over a real record, with files that are lost, tried again and left at the worst moment."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from services.chassis.context import LOCAL_OWNER
from services.chassis.errors import FailedPreconditionError, NotFoundError, ServiceError, UnavailableError
from services.vector.access import Caller
from services.vector.documents import Document, DocumentState
from services.vector.embedding.ports import ModelName
from services.vector.extraction.errors import ParserLimitError
from services.vector.extraction.extractor import extract_plain
from services.vector.extraction.model import Extraction, Limits
from services.vector.ingest.claims import Claims
from services.vector.ingest.drafting import Drafter
from services.vector.ingest.jobs import Jobs
from services.vector.ingest.spool import Spool, spool_name
from services.vector.ingest.turns import Turns
from services.vector.record.record import Record, opened

OWNER = Caller.of(LOCAL_OWNER)
MODEL = ModelName("m", 4)
TEXT = b"The heron stands in shallow water. It waits for a fish that does not come."


class Reader:
    """Reads text; `faults` are raised first, one a call, but for None. text: what it reads in any file, else
    what is in it.
    """

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = list(faults)
        self.text = ""

    async def extract(
        self, path: Path, filename: str, claimed_media_type: str, limits: Limits, *, deadline: float | None
    ) -> Extraction:
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        return extract_plain(self.text or await asyncio.to_thread(path.read_text), "")


class House:
    """What Jobs need, over a folder; another one over the same folder is the next process."""

    def __init__(self, folder: Path, record: Record, reader: Reader) -> None:
        self.record = record
        self.reader = reader
        executor = ThreadPoolExecutor(4)
        self.spool = Spool(folder / "spool", 1 << 20, executor)
        self.claims = Claims()
        self.jobs = Jobs(
            documents=record.documents,
            ingests=record.ingests,
            vectors=record.vectors,
            spool=self.spool,
            extractor=reader,
            limits=Limits(file_bytes=1 << 20),
            drafter=Drafter(200, 254, lambda texts: [len(text.split()) for text in texts]),
            executor=executor,
            claims=self.claims,
            turns=Turns(2),
            keep_originals=True,
            committed=lambda: None,
            renew_words=record.mending.rebuild_lexicon,
            embedding_rates=dict,
        )

    async def arrived(self, text: bytes = TEXT, external_id: str = "") -> tuple[Document, int, str]:
        """A document whose bytes are in the spool, and their size and hash."""
        row = await self.record.documents.receive(1, external_id, "", "a.txt", {})

        async def pieces() -> AsyncIterator[bytes]:
            yield text

        spooled = await self.spool.receive(spool_name(1, row.document_id), pieces(), 0, "")
        return row, spooled.size, spooled.sha256

    async def upload(self, text: bytes = TEXT, external_id: str = "", *, stay: bool = True) -> str:
        """To its end, or only until it is a job."""
        row, size, sha256 = await self.arrived(text, external_id)
        claim = self.claims.hold(OWNER.space, 1, external_id, "")
        steps = await self.jobs.put(row, size, sha256, caller=OWNER, media_type="", request=None, claim=claim)
        with suppress(ServiceError):
            async for _ in steps:
                if not stay:
                    break
        await steps.aclose()
        return row.document_id

    async def reread(self, document_id: str) -> None:
        """To its end. Raises what it ends with."""
        steps = await self.jobs.reprocess(OWNER, "books", document_id, None)
        async for _ in steps:
            pass

    async def get(self, document_id: str) -> Document:
        return await self.record.documents.get(OWNER, "books", document_id)

    async def becomes(self, document_id: str, state: DocumentState) -> Document:
        async with asyncio.timeout(20):
            while (document := await self.get(document_id)).state is not state:
                await asyncio.sleep(0.002)
        return document

    def files(self) -> list[str]:
        return [path.name for path in self.spool.path("").iterdir()]


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Record]:
    with opened(tmp_path / "record.sqlite3") as record:
        await record.collections.create(OWNER, "books", description="", model=MODEL, request=None)
        yield record


@pytest.fixture
def house(tmp_path: Path, record: Record) -> Callable[..., House]:
    return lambda *faults: House(tmp_path, record, Reader(*faults))


async def test_a_file_that_a_power_cut_shortened_is_not_taken_for_the_whole(
    house: Callable[..., House],
) -> None:
    before = house()
    await before.jobs.start()
    row, size, sha256 = await before.arrived()
    await before.record.ingests.put(
        row.document_id, size, sha256, caller=OWNER, media_type="", request=None, worker="ended"
    )
    path = before.spool.path(spool_name(1, row.document_id))
    path.write_bytes(TEXT[:20] + bytes(len(TEXT) - 20))

    after = house()
    await after.jobs.start()
    failed = await after.becomes(row.document_id, DocumentState.FAILED)
    assert failed.failure is not None
    assert failed.failure.reason == "INTERRUPTED"
    assert "lost" in failed.failure.message
    # Sent again it is taken.
    again = await after.get(await after.upload())
    assert again.state.committed
    assert again.text_bytes == len(TEXT)


async def test_a_file_is_on_the_disk_before_the_record_says_so(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = house()
    await one.jobs.start()
    synced: list[tuple[str, int]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").readlink().name, os.fstat(handle).st_size))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    row, _, _ = await one.arrived()
    assert (spool_name(1, row.document_id), len(TEXT)) in synced
    assert "spool" in [name for name, _ in synced]


async def test_who_tries_again_at_once_is_not_overtaken_by_the_end_of_the_first_try(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = house(ParserLimitError.over(30, "s"))
    await one.jobs.start()
    kept = one.record.ingests.kept

    async def slowly() -> object:
        await asyncio.sleep(0.3)
        return await kept()

    monkeypatch.setattr(one.record.ingests, "kept", slowly)
    upload = asyncio.create_task(one.upload())
    async with asyncio.timeout(20):
        while not (rows := await _rows(one)) or rows[0].state is not DocumentState.FAILED:
            await asyncio.sleep(0.002)
    document_id = rows[0].document_id
    await one.jobs.retry(OWNER, "books", document_id, None)
    assert (await one.becomes(document_id, DocumentState.EMBEDDING)).text_bytes == len(TEXT)
    assert await upload == document_id
    await asyncio.sleep(0.05)
    assert one.files() == []
    assert not one.jobs._live


async def _rows(one: House) -> list[Document]:
    return await one.record.documents.page(
        OWNER, "books", before_key=2**62, size=9, states=[], external_id=""
    )


async def test_who_reads_again_at_once_is_not_overtaken_by_the_end_of_the_first_reading(
    house: Callable[..., House],
) -> None:
    one = house()
    await one.jobs.start()
    document_id = await one.upload()
    before = await one.get(document_id)
    one.reader.faults.append(ParserLimitError.over(30, "s"))
    reason = ""
    try:
        await one.reread(document_id)
    except ServiceError as error:
        reason = error.reason
        # Nothing is waited for in between.
        await one.reread(document_id)
    assert reason == "PARSER_LIMIT"
    assert await one.get(document_id) == before
    assert one.files() == []
    assert not one.jobs._live


async def test_what_was_just_taken_in_is_read_again_after_the_end_of_that(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = house()
    await one.jobs.start()
    document_id = await one.upload(external_id="e")
    # Its words are damaged, so whatever takes its place has the keyword index made anew.
    sql = "UPDATE documents SET extraction_sha256 = 'aa'"
    await one.record._database.write(lambda connection: connection.execute(sql).rowcount)
    made = asyncio.Event()

    async def slowly(_: int) -> None:
        await made.wait()

    monkeypatch.setattr(one.jobs, "_renew_words", slowly)
    newer = asyncio.create_task(one.upload(b"The newer text of it.", "e"))
    async with asyncio.timeout(20):
        while (rows := await _rows(one))[0].document_id == document_id or not rows[0].state.committed:
            await asyncio.sleep(0.002)
    reading = asyncio.create_task(one.reread(rows[0].document_id))
    await asyncio.sleep(0.05)
    assert one.files() == [spool_name(1, rows[0].document_id)]
    made.set()
    assert await newer == rows[0].document_id
    await reading
    assert one.files() == []


async def test_a_stop_while_a_reading_that_failed_is_noted_leaves_the_job_to_the_next_process(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = house()
    await one.jobs.start()
    document_id = await one.upload()
    one.reader.faults.append(ParserLimitError.over(30, "s"))
    noting = asyncio.Event()

    async def never(*_: object) -> None:
        noting.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(one.record.ingests, "give_up", never)
        reading = asyncio.create_task(one.reread(document_id))
        await asyncio.wait_for(noting.wait(), 20)
        await one.jobs.close()
        with pytest.raises(ServiceError, match="goes on after it"):
            await reading
    assert (await one.get(document_id)).reprocessing
    after = house()
    await after.jobs.start()
    async with asyncio.timeout(20):
        while (await after.get(document_id)).reprocessing:
            await asyncio.sleep(0.002)
    assert (await after.get(document_id)).failure is None
    assert after.files() == []


async def test_a_record_that_does_not_take_the_end_of_a_reading_leaves_it_to_another_look(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = house()
    await one.jobs.start()
    document_id = await one.upload()
    one.reader.faults.append(ParserLimitError.over(30, "s"))

    async def busy(*_: object) -> None:
        raise UnavailableError("busy", reason="RECORD_BUSY")

    with monkeypatch.context() as patched:
        patched.setattr(one.record.ingests, "give_up", busy)
        with pytest.raises(ServiceError) as refused:
            await one.reread(document_id)
    assert refused.value.reason == "PARSER_LIMIT"
    assert (one.files(), (await one.get(document_id)).reprocessing) == ([], True)
    monkeypatch.setattr("services.vector.ingest.jobs._LEASE_SECONDS", 0.0)
    await asyncio.sleep(0.01)
    await one.jobs.look()
    async with asyncio.timeout(20):
        while (await one.get(document_id)).reprocessing:
            await asyncio.sleep(0.002)
    assert (await one.get(document_id)).state.committed


async def test_an_older_version_that_is_read_again_does_not_become_the_newer_one(
    house: Callable[..., House],
) -> None:
    """It has a younger row then, and is no younger for that."""
    one = house(None, ParserLimitError.over(30, "s"))
    await one.jobs.start()
    first = await one.upload(b"Version one, of January.", "policy")
    second = await one.upload(b"Version two, of June.", "policy")
    assert (await one.get(second)).state is DocumentState.FAILED
    # Another text, so that something is written.
    one.reader.text = "Version one, better read."
    await one.reread(first)
    assert (await one.get(first)).key > (await one.get(second)).key
    one.reader.text = ""
    await one.jobs.retry(OWNER, "books", second, None)
    assert (await one.becomes(second, DocumentState.EMBEDDING)).external_id == "policy"
    with pytest.raises(NotFoundError):
        await one.get(first)


async def test_a_failed_version_does_not_come_back_over_a_newer_one(house: Callable[..., House]) -> None:
    one = house(ParserLimitError.over(30, "s"))
    await one.jobs.start()
    first = await one.upload(b"Version one, of January.", "policy")
    second = await one.upload(b"Version two, of June.", "policy")
    with pytest.raises(FailedPreconditionError, match="a newer one has taken its place") as refused:
        await one.jobs.retry(OWNER, "books", first, None)
    assert refused.value.reason == "INGEST_STATE"
    assert {row.document_id: row.state for row in await _rows(one)} == {
        first: DocumentState.FAILED,
        second: DocumentState.EMBEDDING,
    }


async def test_a_stop_while_a_failure_is_noted_keeps_the_bytes(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house(OSError("no process can be started"))
    await before.jobs.start()
    begun = asyncio.Event()

    async def busy(*_: object, **__: object) -> Document:
        begun.set()
        await asyncio.sleep(60)
        raise AssertionError("it was to be stopped")

    with monkeypatch.context() as patched:
        patched.setattr(before.record.documents, "fail", busy)
        document_id = await before.upload(stay=False)
        async with asyncio.timeout(20):
            await begun.wait()
        await before.jobs.close()
    assert before.files() == [spool_name(1, document_id)]

    after = house()
    await after.jobs.start()
    assert (await after.becomes(document_id, DocumentState.EMBEDDING)).text_bytes == len(TEXT)


async def test_a_caller_who_leaves_while_the_record_is_busy_leaves_no_row(
    house: Callable[..., House],
) -> None:
    one = house()
    await one.jobs.start()
    busy = asyncio.create_task(one.record._database.write(lambda _: time.sleep(0.3)))
    await asyncio.sleep(0.05)
    # They are one group, which is under way when the caller leaves.
    slow = asyncio.create_task(one.record._database.write(lambda _: time.sleep(0.5)))
    await asyncio.sleep(0)
    arriving = asyncio.create_task(one.record.documents.receive(1, "", "", "a.txt", {}))
    await busy
    await asyncio.sleep(0.1)
    arriving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await arriving
    await slow
    assert await _rows(one) == []
