"""What happens to documents is noted with what makes it happen, and read by those who may."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from services.chassis import roles
from services.chassis.context import LOCAL_OWNER, Principal
from services.vector.access import Caller
from services.vector.documents import Document, DocumentState, Draft, Failure, Passage
from services.vector.embedding.ports import ModelName
from services.vector.record import mending
from services.vector.record.copies import Stop
from services.vector.record.database import Connection
from services.vector.record.happenings import Happening
from services.vector.record.noting import KEPT, WAS_READY_BEFORE
from services.vector.record.record import Record, opened
from services.vector.record.vectors import Made

OWNER = Caller.of(LOCAL_OWNER)
MODEL = ModelName("m", 4)


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Record]:
    with opened(tmp_path / "record.sqlite3") as record:
        await record.collections.create(OWNER, "books", description="", model=MODEL, request=None)
        yield record


async def arrived(record: Record, name: str = "a.txt") -> Document:
    return await record.documents.receive(1, "", f"On {name}", name, {})


async def committed(record: Record, name: str = "a.txt") -> Document:
    """A document that waits for one vector."""
    document, text = await arrived(record, name), f"Words of {name}.".encode()
    sha256 = hashlib.sha256(text).hexdigest()
    draft = Draft(
        document_id=document.document_id,
        external_id="",
        title=document.title,
        filename=name,
        size=len(text),
        media_type="text/plain",
        content_sha256=sha256,
        extraction_sha256=sha256,
        text=text,
        pages=0,
        metadata={},
        create_time=datetime.now(UTC),
        passages=[Passage(0, len(text), 0, (), text.decode())],
        warnings=("a picture was not read",),
    )
    return (await record.documents.commit(1, OWNER, draft, None)).document


async def embedded(record: Record) -> None:
    """All that waits gets its vector."""
    row = np.ones(4, dtype=np.float32)
    await record.vectors.store(
        [Made(1, one.chunk_key, row) for one in await record.vectors.waiting(MODEL, 99)]
    )


async def noted(record: Record, position: int = 0, size: int = 99) -> list[Happening]:
    return list((await record.happenings.after(OWNER, position, None, size)).happenings)


async def changed(record: Record, work: Callable[[Connection], object]) -> None:
    await record._database.write(work)


async def test_a_document_is_told_when_it_has_its_vectors_and_not_before(record: Record) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    document = await committed(record)
    assert await noted(record) == []
    await embedded(record)
    [one] = await noted(record)
    assert before <= one.time <= datetime.now(UTC)
    assert one == Happening(
        1, "books", document.document_id, DocumentState.READY, "", one.time, "On a.txt", "a.txt", 1
    )


async def test_each_failure_is_told_with_its_reason(record: Record) -> None:
    document = await arrived(record)
    await record.documents.fail(document.document_id, Failure("PARSER_LIMIT", "too long"))
    # As a retry does.
    await changed(record, lambda c: c.execute("UPDATE documents SET state = 1, error_reason = ''"))
    await record.documents.fail(document.document_id, Failure("ENCRYPTED", "has a password"))
    lost = await arrived(record, "b.txt")
    await record.documents.interrupt_all()
    assert [(one.document_id, one.state, one.error_reason) for one in await noted(record)] == [
        (document.document_id, DocumentState.FAILED, "PARSER_LIMIT"),
        (document.document_id, DocumentState.FAILED, "ENCRYPTED"),
        (lost.document_id, DocumentState.FAILED, "INTERRUPTED"),
    ]


async def test_a_document_that_is_repaired_is_not_told_again(record: Record) -> None:
    await committed(record)
    await embedded(record)
    await changed(record, lambda c: c.execute("DELETE FROM vectors"))
    await changed(record, lambda c: c.execute("DELETE FROM index_additions"))
    await changed(record, lambda c: mending.recount(c, 1))
    assert [
        one.state
        for one in await record.documents.page(
            OWNER, "books", before_key=2**62, size=9, states=[], external_id=""
        )
    ] == [DocumentState.EMBEDDING]
    await changed(
        record, lambda c: c.execute("INSERT INTO embedding_queue (chunk_key, generation_key) VALUES (1, 1)")
    )
    await embedded(record)
    assert len(await noted(record)) == 1


async def test_a_document_that_is_read_again_is_told_again_and_says_so(record: Record) -> None:
    document = await committed(record)
    await embedded(record)
    assert [one.again for one in await noted(record)] == [False]
    # As the commit of another text does, whose passages wait for their vectors.
    await changed(
        record,
        lambda c: c.execute("UPDATE documents SET state = 3, was_ready = ?", (WAS_READY_BEFORE,)),
    )
    await changed(record, lambda c: c.execute("UPDATE documents SET state = 4"))
    [_, again] = await noted(record)
    assert (again.document_id, again.again) == (document.document_id, True)
    # A repair of that tells nothing.
    await changed(record, lambda c: c.execute("UPDATE documents SET state = 3"))
    await changed(record, lambda c: c.execute("UPDATE documents SET state = 4"))
    assert len(await noted(record)) == 2


async def test_what_is_undone_was_never_noted(record: Record) -> None:
    document = await arrived(record)

    def work(connection: Connection) -> None:
        connection.execute("UPDATE documents SET state = 5 WHERE key = ?", (document.key,))
        raise LookupError

    with pytest.raises(LookupError):
        await changed(record, work)
    assert await noted(record) == []


async def test_a_deleted_document_takes_along_what_there_was_to_tell(record: Record) -> None:
    kept, gone = await committed(record), await committed(record, "b.txt")
    await embedded(record)
    await record.documents.delete(OWNER, "books", gone.document_id, None)
    assert [one.document_id for one in await noted(record)] == [kept.document_id]
    await record.collections.delete(OWNER, "books", None)
    await changed(record, lambda c: c.execute("SELECT 1"))
    left = await record._database.read(lambda c: c.execute("SELECT count(*) FROM happenings").fetchone())
    assert left == (0,)


async def test_pages_follow_each_other_without_a_gap(record: Record) -> None:
    ids = [(await committed(record, f"{number}.txt")).document_id for number in range(5)]
    await embedded(record)
    seen: list[str] = []
    position = 0
    for _ in range(4):
        page = await record.happenings.after(OWNER, position, None, 2)
        seen += [one.document_id for one in page.happenings]
        position = page.position
    assert sorted(seen) == sorted(ids)
    assert position == 5
    assert (await record.happenings.after(OWNER, 0, datetime.now(UTC) + timedelta(seconds=1), 9)) == (
        await record.happenings.after(OWNER, 5, None, 9)
    )


async def test_who_may_not_read_hears_nothing_and_goes_on_behind_it(record: Record) -> None:
    anna = Caller.of(Principal("local", "anna", roles.scopes_of("member"), frozenset(), "member"))
    await committed(record)
    await embedded(record)
    page = await record.happenings.after(anna, 0, None, 9)
    assert (page.happenings, page.position) == ((), 1)


async def test_the_newest_are_kept(record: Record) -> None:
    await committed(record)
    await embedded(record)
    await changed(
        record, lambda c: c.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'happenings'", (KEPT,))
    )
    await committed(record, "b.txt")
    await embedded(record)
    assert [one.position for one in await noted(record)] == [KEPT + 1]


async def test_damage_does_not_hold_up_what_follows(record: Record) -> None:
    await committed(record)
    await committed(record, "b.txt")
    await embedded(record)
    spoil = "UPDATE documents SET title = CAST(x'ff41' AS TEXT), warnings = '[' WHERE filename = 'a.txt'"
    await changed(record, lambda c: c.execute(spoil))
    told = {one.filename: (one.title, one.warnings) for one in await noted(record)}
    assert told == {"a.txt": ("\ufffdA", 0), "b.txt": ("On b.txt", 1)}


async def test_a_copy_has_none_and_is_still_sound(record: Record, tmp_path: Path) -> None:
    document = await arrived(record)
    await record.documents.fail(document.document_id, Failure("PARSER_LIMIT", "too long"))
    # What waits for another try is not in a copy.
    await changed(record, lambda c: c.execute("UPDATE documents SET state = 1"))
    await committed(record, "b.txt")
    await embedded(record)
    record.copy(tmp_path / "copy", Stop())
    with opened(tmp_path / "copy") as copy:
        assert await noted(copy) == []
        await committed(copy, "c.txt")
        await embedded(copy)
        assert [one.filename for one in await noted(copy)] == ["c.txt"]
