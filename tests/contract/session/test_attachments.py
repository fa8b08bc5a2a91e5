"""Files are kept wholly or not at all, belong to one tenant, and go with their session or their time."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import redis

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.agents.adapters.attachment_client import AttachmentClient
from services.agents.files import RunFiles
from services.chassis.errors import UnavailableError, from_rpc_error
from services.session.attachment_files import AttachmentFiles, AttachmentSweep
from services.session.attachments import MAX_UPLOADS
from services.session.model import Lifetimes
from services.session.redis_attachments import RedisAttachments
from services.session.redis_store import open_redis_store
from tests.contract.session.conftest import House, new_run_id, refusal
from tests.contract.session.test_process import serving, start
from tests.contract.session.test_snapshots import exported, house_at, imported
from tests.support.redis_server import RedisServer, free_port

pytestmark = pytest.mark.slow

PIECE = 256 << 10
OTHER = [("x-tenant", "other")]
LARGE = random.Random(5).randbytes(9_000_001)


def parts(data: bytes, request_id: str = "", **header: Any) -> Iterator[Any]:
    fields = {"filename": "a.bin", "media_type": "application/octet-stream", **header}
    yield session_pb2.PutAttachmentRequest(header=session_pb2.Attachment(**fields), request_id=request_id)
    for place in range(0, len(data), PIECE):
        yield session_pb2.PutAttachmentRequest(data=data[place : place + PIECE])


async def put(house: House, data: bytes, request_id: str = "", **header: Any) -> Any:
    metadata = header.pop("metadata", None)
    reply = await house.stub.PutAttachment(parts(data, request_id, **header), metadata=metadata, timeout=60)
    return reply.attachment


async def read(house: House, attachment_id: str, start: int = 0, end: int = 0, metadata: Any = None) -> bytes:
    request = session_pb2.ReadAttachmentRequest(attachment_id=attachment_id, byte_start=start, byte_end=end)
    said = [part async for part in house.stub.ReadAttachment(request, metadata=metadata, timeout=60)]
    assert said[0].attachment.attachment_id == attachment_id
    assert not any(part.HasField("attachment") for part in said[1:])
    assert max(len(part.data) for part in said) <= PIECE
    return b"".join(part.data for part in said)


async def get(house: House, attachment_id: str, metadata: Any = None) -> Any:
    request = session_pb2.GetAttachmentRequest(attachment_id=attachment_id)
    return (await house.stub.GetAttachment(request, metadata=metadata)).attachment


async def delete(house: House, attachment_id: str, metadata: Any = None) -> None:
    request = session_pb2.DeleteAttachmentRequest(attachment_id=attachment_id)
    await house.stub.DeleteAttachment(request, metadata=metadata)


async def listed(house: House, session_id: str = "", metadata: Any = None, **fields: Any) -> list[str]:
    found, token = [], ""
    while True:
        request = session_pb2.ListAttachmentsRequest(session_id=session_id, page_token=token, **fields)
        page = await house.stub.ListAttachments(request, metadata=metadata)
        found += [one.attachment_id for one in page.attachments]
        token = page.next_page_token
        if not token:
            return found


def files(folder: Path) -> list[Path]:
    """The bytes that are kept, and what is on its way."""
    attachments = folder / "attachments"
    return sorted(path for path in attachments.glob("*") if path.name != "store")


@pytest.fixture
async def kept(redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(redis_server, tmp_path) as house:
        yield house


@asynccontextmanager
async def sweep_of(
    server: RedisServer, folder: Path, age: float, lifetime: int = 86_400
) -> AsyncIterator[AttachmentSweep]:
    """A sweep that removes what has `age` seconds and is named by nobody."""
    async with open_redis_store("127.0.0.1", server.port, "", Lifetimes(86_400, 86_400)) as store:
        known = RedisAttachments(store, lifetime, 1 << 30)
        yield AttachmentSweep(
            AttachmentFiles(folder / "attachments"), known, unnamed_seconds=age, part_seconds=age
        )


async def swept(server: RedisServer, folder: Path, age: float = -1) -> None:
    async with sweep_of(server, folder, age) as sweep:
        await sweep.sweep()


async def test_a_large_file_comes_back_as_it_was(kept: House, tmp_path: Path) -> None:
    session = await kept.session()
    run_id = new_run_id()
    digest = hashlib.sha256(LARGE).hexdigest()
    made = await put(
        kept,
        LARGE,
        session_id=session.session_id,
        run_id=run_id,
        filename="C:\\photos\\a \u202egnp.exe",
        media_type="image/png",
        bytes=len(LARGE),
        sha256=digest.upper(),
    )
    assert (made.filename, made.media_type) == ("a gnp.exe", "image/png")
    assert (made.bytes, made.sha256) == (len(LARGE), digest)
    assert (made.session_id, made.run_id) == (session.session_id, run_id)
    assert await get(kept, made.attachment_id) == made
    assert await read(kept, made.attachment_id) == LARGE
    assert len(files(tmp_path)) == 1
    assert files(tmp_path)[0].read_bytes() == LARGE


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (5, 0), (300_000, 900_000), (PIECE, PIECE), (9_000_001, 0)]
)
async def test_a_range_of_a_file(kept: House, start: int, end: int) -> None:
    made = await put(kept, LARGE)
    assert await read(kept, made.attachment_id, start, end) == LARGE[start : end or None]


async def test_a_run_keeps_and_reads_its_files(kept: House) -> None:
    session = await kept.session()
    files = RunFiles(AttachmentClient(kept.channel), new_run_id(), session.session_id)
    first = await files.keep("chart.svg", "image/svg+xml", LARGE, "chart")
    assert await files.keep("chart.svg", "image/svg+xml", LARGE, "chart") == first
    assert await listed(kept, session.session_id) == [first.attachment_id]
    assert await files.describe(first.attachment_id) == first
    assert await files.read(first.attachment_id, len(LARGE)) == LARGE


async def test_an_empty_file_is_one_too(kept: House) -> None:
    made = await put(kept, b"")
    assert made.bytes == 0
    assert await read(kept, made.attachment_id) == b""


@pytest.mark.parametrize(("start", "end"), [(-1, 0), (4, 0), (2, 1), (0, 4)])
async def test_a_range_that_is_none_is_refused(kept: House, start: int, end: int) -> None:
    made = await put(kept, b"abc")
    error = await refusal(read(kept, made.attachment_id, start, end))
    assert error.reason == "INVALID_FIELD"


async def test_a_repeated_request_answers_as_the_first_did(kept: House, tmp_path: Path) -> None:
    first = await put(kept, b"one", "r 1")
    reply = await kept.stub.PutAttachment(parts(b"one", "r 1"))
    assert (reply.attachment, reply.existing) == (first, True)
    assert (await refusal(put(kept, b"other", "r 1"))).reason == "REQUEST_ID_REUSED"
    assert (await refusal(put(kept, b"one", "r 1", filename="b"))).reason == "REQUEST_ID_REUSED"
    assert await listed(kept) == [first.attachment_id]
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ({"bytes": 4}, b"abc", "CHECKSUM_MISMATCH"),
        ({"sha256": "0" * 64}, b"abc", "CHECKSUM_MISMATCH"),
        ({"sha256": "abc"}, b"abc", "INVALID_FIELD"),
        ({"session_id": "ses_none"}, b"abc", "SESSION_NOT_FOUND"),
        ({"filename": "../.."}, b"abc", "INVALID_FIELD"),
        ({"media_type": "a\nb"}, b"abc", "INVALID_FIELD"),
        ({"run_id": "no run"}, b"abc", "INVALID_FIELD"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    kept: House, tmp_path: Path, header: dict[str, Any], data: bytes, reason: str
) -> None:
    assert (await refusal(put(kept, data, **header))).reason == reason
    assert await listed(kept) == []
    assert files(tmp_path) == []


async def test_bytes_without_a_header_are_refused(kept: House) -> None:
    async def calls(*messages: Any) -> Any:
        return await kept.stub.PutAttachment(iter(messages))

    data = session_pb2.PutAttachmentRequest(data=b"abc")
    header = session_pb2.PutAttachmentRequest(header=session_pb2.Attachment(filename="a"))
    for messages in ((), (data,), (header, header), (header, session_pb2.PutAttachmentRequest())):
        assert (await refusal(calls(*messages))).reason == "INVALID_FIELD"
    wide = session_pb2.PutAttachmentRequest(data=bytes(PIECE + 1))
    assert (await refusal(calls(header, wide))).reason == "INVALID_FIELD"


async def test_one_file_has_a_largest_size(redis_server: RedisServer, tmp_path: Path) -> None:
    """MELD_MAX_ATTACHMENT_BYTES."""
    async with house_at(redis_server, tmp_path, meld_max_attachment_bytes=1_000_000) as house:
        for header in ({"bytes": 1_000_001}, {}):
            error = await refusal(put(house, bytes(1_000_001), **header))
            assert (error.code, error.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "ATTACHMENT_TOO_LARGE",
            )
            assert error.metadata["limit"] == "1000000"
        assert files(tmp_path) == []
        await put(house, bytes(1_000_000))


async def test_all_files_of_a_tenant_have_a_largest_size(redis_server: RedisServer, tmp_path: Path) -> None:
    """MELD_MAX_ATTACHMENTS_BYTES; the smallest file counts 4 KiB."""
    async with house_at(redis_server, tmp_path, meld_max_attachments_bytes=20_000) as house:
        first = await put(house, bytes(10_000))
        await put(house, b"")
        error = await refusal(put(house, bytes(6_000)))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
        assert len(files(tmp_path)) == 2
        await put(house, bytes(6_000), metadata=OTHER)
        await delete(house, first.attachment_id)
        await put(house, bytes(15_000))


async def test_the_bytes_lie_where_the_setting_says(redis_server: RedisServer, tmp_path: Path) -> None:
    """MELD_ATTACHMENTS_PATH."""
    named = tmp_path / "named"
    async with house_at(redis_server, tmp_path / "usual", meld_attachments_path=named) as house:
        await put(house, b"abc")
    assert [path.read_bytes() for path in named.glob("local.*")] == [b"abc"]
    assert not (tmp_path / "usual" / "attachments").exists()


async def test_a_file_without_a_session_goes_at_its_time(redis_server: RedisServer, tmp_path: Path) -> None:
    """MELD_ATTACHMENT_LIFETIME."""
    async with house_at(redis_server, tmp_path, meld_attachment_lifetime=1) as house:
        session = await house.session()
        stays = await put(house, b"stays", session_id=session.session_id)
        goes = await put(house, b"goes")
        assert goes.expire_time.seconds - goes.create_time.seconds == 1
        while (await listed(house)) != [stays.attachment_id]:
            await asyncio.sleep(0.1)
        assert (await refusal(get(house, goes.attachment_id))).reason == "ATTACHMENT_NOT_FOUND"
        assert (await refusal(delete(house, goes.attachment_id))).reason == "ATTACHMENT_NOT_FOUND"
        assert len(files(tmp_path)) == 2
        await swept(redis_server, tmp_path, 1000)
        assert [path.read_bytes() for path in files(tmp_path)] == [b"stays"]
        assert await read(house, stays.attachment_id) == b"stays"
    with redis.Redis(port=redis_server.port) as client:
        assert client.get("meld:{local}:attachments:bytes") == b"4096"


async def test_where_nothing_is_said_it_goes_as_a_session_does(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with house_at(redis_server, tmp_path, permanent_session_lifetime=777) as house:
        made = await put(house, b"x")
        assert made.expire_time.seconds - made.create_time.seconds == 777


async def test_a_file_of_a_session_stays_as_long_as_that(redis_server: RedisServer, tmp_path: Path) -> None:
    fields = {"permanent_session_lifetime": 2, "meld_attachment_lifetime": 1}
    async with house_at(redis_server, tmp_path, **fields) as house:
        session = await house.session()
        made = await put(house, b"x", session_id=session.session_id)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            await house.append(session.session_id, "more", request_id=str(time.monotonic()))
            known = await get(house, made.attachment_id)
            await asyncio.sleep(0.1)
        now = await house.stub.GetSession(session_pb2.GetSessionRequest(session_id=session.session_id))
        assert known.expire_time.seconds > made.expire_time.seconds
        assert known.expire_time.seconds <= now.session.expire_time.seconds
        while await listed(house):
            await asyncio.sleep(0.1)
        await swept(redis_server, tmp_path, 1000)
        assert files(tmp_path) == []


async def test_a_file_is_a_write_to_its_session(kept: House) -> None:
    first = await kept.session()
    await kept.session()
    made = await put(kept, b"x", session_id=first.session_id)
    page = await kept.stub.ListSessions(session_pb2.ListSessionsRequest())
    assert page.sessions[0].session_id == first.session_id
    assert page.sessions[0].expire_time == made.expire_time


async def test_files_go_with_their_session(kept: House, tmp_path: Path) -> None:
    session, other = await kept.session(), await kept.session()
    mine = [await put(kept, b"%d" % number, session_id=session.session_id) for number in range(3)]
    theirs = await put(kept, b"theirs", session_id=other.session_id)
    alone = await put(kept, b"alone")
    assert await listed(kept, session.session_id) == [one.attachment_id for one in reversed(mine)]
    assert await listed(kept, page_size=2) == [
        *(alone.attachment_id, theirs.attachment_id),
        *(one.attachment_id for one in reversed(mine)),
    ]
    await kept.stub.DeleteSession(
        session_pb2.DeleteSessionRequest(session_id=session.session_id, request_id="d")
    )
    assert await listed(kept) == [alone.attachment_id, theirs.attachment_id]
    assert (await refusal(listed(kept, session.session_id))).reason == "SESSION_NOT_FOUND"
    assert (await refusal(read(kept, mine[0].attachment_id))).reason == "ATTACHMENT_NOT_FOUND"
    assert sorted(path.read_bytes() for path in files(tmp_path)) == [b"alone", b"theirs"]
    repeated = session_pb2.DeleteSessionRequest(session_id=session.session_id, request_id="d")
    await kept.stub.DeleteSession(repeated)
    await delete(kept, theirs.attachment_id)
    assert (await refusal(delete(kept, theirs.attachment_id))).reason == "ATTACHMENT_NOT_FOUND"
    assert await listed(kept, other.session_id) == []
    assert [path.read_bytes() for path in files(tmp_path)] == [b"alone"]


async def test_what_belongs_to_another_tenant_is_not_there(kept: House) -> None:
    session = await kept.session()
    made = await put(kept, b"ours", session_id=session.session_id)
    for call in (
        get(kept, made.attachment_id, OTHER),
        read(kept, made.attachment_id, metadata=OTHER),
        delete(kept, made.attachment_id, OTHER),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ATTACHMENT_NOT_FOUND")
    assert (await refusal(put(kept, b"", session_id=session.session_id, metadata=OTHER))).reason == (
        "SESSION_NOT_FOUND"
    )
    assert await listed(kept, metadata=OTHER) == []
    page = await kept.stub.ListAttachments(session_pb2.ListAttachmentsRequest())
    assert [one.attachment_id for one in page.attachments] == [made.attachment_id]
    assert (await refusal(get(kept, "a/../b"))).reason == "INVALID_FIELD"


async def test_replicas_share_the_files(redis_server: RedisServer, tmp_path: Path) -> None:
    async with house_at(redis_server, tmp_path) as one, house_at(redis_server, tmp_path) as two:
        made = await put(one, LARGE)
        assert await read(two, made.attachment_id) == LARGE
        await asyncio.gather(swept(redis_server, tmp_path), swept(redis_server, tmp_path))
        assert await read(two, made.attachment_id) == LARGE
        await delete(two, made.attachment_id)
        assert (await refusal(read(one, made.attachment_id))).reason == "ATTACHMENT_NOT_FOUND"


async def test_who_reads_a_file_reads_it_to_the_end(kept: House) -> None:
    made = await put(kept, LARGE)
    request = session_pb2.ReadAttachmentRequest(attachment_id=made.attachment_id)
    call = kept.stub.ReadAttachment(request)
    data = (await call.read()).data
    await delete(kept, made.attachment_id)
    while (said := await call.read()) is not grpc.aio.EOF:
        data += said.data
    assert data == LARGE


async def test_bytes_that_are_gone_are_damage(kept: House, tmp_path: Path) -> None:
    made = await put(kept, b"abcdef")
    os.truncate(files(tmp_path)[0], 3)
    error = await refusal(read(kept, made.attachment_id))
    assert (error.code, error.reason) == (grpc.StatusCode.DATA_LOSS, "RECORD_DAMAGED")
    for reason in ("not those that were kept", "missing"):
        refused = await refusal(exported(kept.stub))
        assert (refused.reason, refused.metadata["id"]) == ("RECORD_DAMAGED", made.attachment_id)
        assert reason in refused.message
        for path in files(tmp_path):
            path.unlink()
    assert (await refusal(read(kept, made.attachment_id))).reason == "RECORD_DAMAGED"
    await delete(kept, made.attachment_id)
    assert await exported(kept.stub)


async def test_as_many_come_in_as_a_process_takes(kept: House, tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[Any]:
        first, *rest = parts(b"slow")
        yield first
        await go_on.wait()
        for part in rest:
            yield part

    slow = [asyncio.ensure_future(kept.stub.PutAttachment(slowly())) for _ in range(MAX_UPLOADS)]
    while len(files(tmp_path)) < MAX_UPLOADS:
        await asyncio.sleep(0.02)
    error = await refusal(put(kept, b"one more"))
    assert (error.reason, error.retry_after) == ("TOO_MANY_CALLS", 1.0)
    slow[0].cancel()
    while len(files(tmp_path)) == MAX_UPLOADS:
        await asyncio.sleep(0.02)
    await put(kept, b"one more")
    go_on.set()
    await asyncio.gather(*slow[1:])
    assert len(files(tmp_path)) == MAX_UPLOADS


@pytest.mark.parametrize(
    ("place", "kept_files"),
    [
        ("attachment_piece:3", 0),
        ("attachment_received", 0),
        ("attachment_named", 0),
        ("attachment_recorded", 1),
    ],
)
async def test_a_process_that_is_killed_leaves_no_half_file(
    redis_server: RedisServer, tmp_path: Path, place: str, kept_files: int
) -> None:
    port = free_port()
    process = start(redis_server, port, MELD_CRASH_AT=place, MELD_DATA_DIR=str(tmp_path))
    try:
        assert await asyncio.to_thread(serving, port)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_retries", 0)]) as channel:
            stub: Any = session_pb2_grpc.SessionServiceStub(channel)
            with pytest.raises(grpc.RpcError):
                await stub.PutAttachment(parts(LARGE, "r"), timeout=30)
        assert process.wait(30) == -9
    finally:
        process.kill()
    assert len(files(tmp_path)) == 1
    async with house_at(redis_server, tmp_path) as house:
        assert len(await listed(house)) == kept_files
        # What is young may still be on its way in another replica.
        await swept(redis_server, tmp_path, 1000)
        assert len(files(tmp_path)) == 1
        await swept(redis_server, tmp_path)
        assert len(files(tmp_path)) == kept_files
        made = await put(house, LARGE, "r")
        assert await listed(house) == [made.attachment_id]
        assert await read(house, made.attachment_id) == LARGE
        assert [path.read_bytes() for path in files(tmp_path)] == [LARGE]


async def test_nothing_is_removed_for_a_store_that_does_not_know_it(
    redis_server: RedisServer, own_redis: RedisServer, tmp_path: Path
) -> None:
    async with house_at(redis_server, tmp_path) as house:
        made = await put(house, b"x")
        await swept(redis_server, tmp_path)
        # A Redis that is empty: every file would be nobody's.
        await swept(own_redis, tmp_path)
        assert await read(house, made.attachment_id) == b"x"
    (tmp_path / "attachments" / "store").unlink()
    await swept(own_redis, tmp_path)
    assert files(tmp_path) == []


async def test_a_snapshot_brings_files_back(
    redis_server: RedisServer, own_redis: RedisServer, tmp_path: Path
) -> None:
    async with house_at(redis_server, tmp_path / "a") as house, house_at(own_redis, tmp_path / "b") as other:
        session = await house.session()
        large = await put(house, LARGE, session_id=session.session_id)
        small = await put(house, b"small", filename="s.txt", media_type="text/plain")
        empty = await put(house, b"")
        theirs = await put(house, b"theirs", metadata=OTHER)
        before = await listed(house)
        snapshot = await exported(house.stub)
        assert list((tmp_path / "a" / "session").iterdir()) == []
        gone = await put(other, b"what was there before")
        assert await imported(other.stub, snapshot) == 1
        assert list((tmp_path / "b" / "session").iterdir()) == []
        assert await listed(other) == before
        assert await listed(other, session.session_id) == [large.attachment_id]
        assert await read(other, large.attachment_id) == LARGE
        assert await read(other, empty.attachment_id) == b""
        assert await read(other, theirs.attachment_id, metadata=OTHER) == b"theirs"
        again = await get(other, small.attachment_id)
        assert again.expire_time.ToMicroseconds() >= small.expire_time.ToMicroseconds()
        again.expire_time.CopyFrom(small.expire_time)
        assert again == small
        assert (await refusal(get(other, gone.attachment_id))).reason == "ATTACHMENT_NOT_FOUND"
        # Only what counts stays, and it counts as before.
        await swept(own_redis, tmp_path / "b")
        assert len(files(tmp_path / "b")) == 4
        with redis.Redis(port=own_redis.port) as client:
            name = client.hget("meld:generation", "name").decode()
            total = client.get(f"meld:{name}:{{local}}:attachments:bytes")
            assert int(total) == len(LARGE) + 2 * 4096
        # Into the house that it is from, over what is there.
        await delete(house, large.attachment_id)
        assert await imported(house.stub, snapshot) == 1
        assert await read(house, large.attachment_id) == LARGE


async def test_a_snapshot_with_other_bytes_changes_nothing(redis_server: RedisServer, tmp_path: Path) -> None:
    async with house_at(redis_server, tmp_path) as house:
        made = await put(house, b"abcdef" * 1000)
        snapshot = await exported(house.stub)
        before = files(tmp_path)
        for wrong in (snapshot[:-1], snapshot[:-1] + b"x", snapshot + b"x"):
            assert (await refusal(imported(house.stub, wrong))).reason == "SNAPSHOT_INVALID"
            assert files(tmp_path) == before
            assert await read(house, made.attachment_id) == b"abcdef" * 1000


@pytest.mark.parametrize("place", ["import_file:2", "import_loaded"])
async def test_an_import_that_is_killed_leaves_what_was(
    redis_server: RedisServer, tmp_path: Path, place: str
) -> None:
    async with house_at(redis_server, tmp_path) as house:
        made = [await put(house, b"%d" % number) for number in range(3)]
        snapshot = await exported(house.stub)
        await delete(house, made[0].attachment_id)
    port = free_port()
    process = start(redis_server, port, MELD_CRASH_AT=place, MELD_DATA_DIR=str(tmp_path))
    try:
        assert await asyncio.to_thread(serving, port)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_retries", 0)]) as channel:
            stub: Any = session_pb2_grpc.SessionServiceStub(channel)
            with pytest.raises(grpc.RpcError):
                await imported(stub, snapshot)
        assert process.wait(30) == -9
    finally:
        process.kill()
    async with house_at(redis_server, tmp_path) as house:
        assert await listed(house) == [made[2].attachment_id, made[1].attachment_id]
        assert await read(house, made[1].attachment_id) == b"1"
        await swept(redis_server, tmp_path)
        assert sorted(path.read_bytes() for path in files(tmp_path)) == [b"1", b"2"]


async def test_a_full_disk_is_named(kept: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = await refusal(put(kept, b"abc"))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
    assert files(tmp_path) == []


async def test_while_the_store_is_away_nothing_is_removed(own_redis: RedisServer, tmp_path: Path) -> None:
    async with house_at(own_redis, tmp_path) as house:
        made = await put(house, b"x")
        async with sweep_of(own_redis, tmp_path, -1) as sweep:
            own_redis.kill()
            assert (await refusal(put(house, b"y"))).reason == "STORE_UNAVAILABLE"
            with pytest.raises(UnavailableError):
                await sweep.sweep()
        assert b"x" in [path.read_bytes() for path in files(tmp_path)]
        own_redis.start()
        while await _unavailable(get(house, made.attachment_id)):
            await asyncio.sleep(0.2)
        assert await read(house, made.attachment_id) == b"x"


async def _unavailable(call: Any) -> bool:
    try:
        await call
    except grpc.RpcError as error:
        return from_rpc_error(error).reason == "STORE_UNAVAILABLE"
    return False
