"""A snapshot brings back what was, wholly or not at all."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import redis

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.chassis.errors import AbortedError
from services.chassis.snapshot import Manifest, describe, pack
from services.session import redis_snapshots
from services.session.model import Lifetimes
from services.session.redis_store import SCHEMA, key_prefix, open_redis_store
from tests.contract.session.conftest import House, new_run_id, refusal, running_house, settings_for
from tests.contract.session.test_process import serving, start
from tests.support.redis_server import RedisServer, free_port, running_redis

pytestmark = pytest.mark.slow

PIECE = 100_000
OTHER = [("x-tenant", "other")]


@asynccontextmanager
async def house_at(server: RedisServer, folder: Path, **fields: Any) -> AsyncIterator[House]:
    async with running_house(settings_for(server, **{"meld_data_dir": folder, **fields})) as house:
        yield house


@pytest.fixture
def other_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("other")) as server:
        yield server


async def exported(stub: Any) -> bytes:
    stream = stub.ExportSnapshot(session_pb2.ExportSnapshotRequest(), timeout=60)
    pieces = [response.data async for response in stream]
    assert max(map(len, pieces)) <= 256 * 1024
    return b"".join(pieces)


def requests(data: bytes, request_id: str = "") -> Iterator[Any]:
    for place in range(0, max(len(data), 1), PIECE):
        yield session_pb2.ImportSnapshotRequest(
            data=data[place : place + PIECE], request_id=request_id if place == 0 else ""
        )


async def imported(stub: Any, data: bytes, request_id: str = "") -> int:
    return int((await stub.ImportSnapshot(requests(data, request_id), timeout=60)).sessions)


def hashes(server: RedisServer) -> dict[str, dict[bytes, bytes]]:
    """What every session and run that counts consists of, but for when it expires, in whatever generation."""
    with redis.Redis(port=server.port) as client:
        prefix = key_prefix((client.hget("meld:generation", "name") or b"").decode()) + "{"
        return {
            key.decode().removeprefix(prefix): {
                name: value for name, value in client.hgetall(key).items() if name != b"expires"
            }
            for key in client.scan_iter(match=f"{prefix}*}}:*", count=1000)
            if re.search(rb"\}:(session|run):[^:]+$", key)
        }


def generations(server: RedisServer) -> set[str]:
    """Names of generations, counting or not, that have keys; and of licences and locks."""
    with redis.Redis(port=server.port) as client:
        keys = [key.decode() for key in client.scan_iter(count=1000)]
    return {key.split("{")[0] for key in keys if key not in {"meld:{store}", "meld:generation"}}


async def filled(house: House, sessions: int = 3) -> list[str]:
    """Sessions with messages and runs, of two tenants."""
    ids = []
    for number in range(sessions):
        session = await house.session(
            title=f"title {number} – ü", collection_ids=["a", "b"], metadata={"n": number, "x": None}
        )
        ids.append(session.session_id)
        await house.append(session.session_id, "one", "two ✓", request_id=f"r {number}")
        run_id = new_run_id()
        await house.run(run_id, session_id=session.session_id)
        noted = [session_pb2.RunEntry(position=n) for n in (1, 2)]
        await house.stub.AppendRunEvents(session_pb2.AppendRunEventsRequest(run_id=run_id, entries=noted))
        taken = session_pb2.TakeRunRequest(run_id=run_id, previous_owner="", owner="heir")
        await house.stub.TakeRun(taken)
        await house.record(run_id, 1, 5, session_pb2.RUN_STATE_SUCCEEDED)
    await house.run(new_run_id())
    await house.stub.CreateSession(session_pb2.CreateSessionRequest(title="theirs"), metadata=OTHER)
    return ids


async def seen(house: House) -> list[Any]:
    """What callers see through the lists, their order included, but for when sessions expire."""
    answers: list[Any] = []
    for metadata in ([], OTHER):
        sessions = await house.stub.ListSessions(session_pb2.ListSessionsRequest(), metadata=metadata)
        runs = await house.stub.ListRuns(session_pb2.ListRunsRequest(), metadata=metadata)
        answers += [list(sessions.sessions), list(runs.runs)]
        for session in sessions.sessions:
            session.ClearField("expire_time")
            own = await house.stub.ListRuns(
                session_pb2.ListRunsRequest(session_id=session.session_id), metadata=metadata
            )
            messages = await house.stub.ListMessages(
                session_pb2.ListMessagesRequest(session_id=session.session_id), metadata=metadata
            )
            answers += [list(own.runs), list(messages.messages)]
    return answers


async def test_it_comes_back_on_an_empty_store_and_goes_on(
    redis_server: RedisServer, other_redis: RedisServer, tmp_path: Path
) -> None:
    async with house_at(redis_server, tmp_path) as house:
        ids = await filled(house)
        before = await seen(house)
        snapshot = await exported(house.stub)
    async with house_at(other_redis, tmp_path) as house:
        assert await imported(house.stub, snapshot) == 4
        assert await seen(house) == before
        assert hashes(other_redis) == hashes(redis_server)
        # An append that was repeated across the restore is still the same one.
        again = await house.append(ids[0], "one", "two ✓", request_id="r 0")
        assert again.existing
        await house.append(ids[0], "three", request_id="new")
        assert await house.texts(ids[0]) == ["one", "two ✓", "three"]
        deleted = await house.stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id=ids[0]))
        assert (deleted.deleted_messages, deleted.deleted_runs) == (3, 1)
    with redis.Redis(port=redis_server.port) as old, redis.Redis(port=other_redis.port) as new:
        [generation] = generations(other_redis)
        for key in old.scan_iter(match="meld:{*}:*"):
            kind = key.decode().split(":")[2]
            at = f"{generation}{key.decode().removeprefix('meld:')}"
            if kind != "once" and ids[0] not in at and new.exists(at):
                # Longer by the time since the copy, which is told to the second.
                assert old.pttl(key) - 1000 <= new.pttl(at) <= old.pttl(key) + 60_000
    assert list((tmp_path / "session").iterdir()) == []


async def test_every_acknowledged_write_before_an_export_is_in_it_whole(
    redis_server: RedisServer, other_redis: RedisServer, tmp_path: Path
) -> None:
    """Under load: each session has at least what was acknowledged when the call began, without a gap."""
    async with house_at(redis_server, tmp_path) as house:
        ids = [(await house.session()).session_id for _ in range(20)]
        run_ids = [new_run_id() for _ in range(5)]
        for run_id in run_ids:
            await house.run(run_id)
        counts, events = dict.fromkeys(ids, 0), dict.fromkeys(run_ids, 0)
        stop = asyncio.Event()

        async def write(mine: list[str]) -> None:
            while not stop.is_set():
                for session_id in mine:
                    await house.append(
                        session_id, str(counts[session_id]), request_id=f"{session_id}{counts[session_id]}"
                    )
                    counts[session_id] += 1
                await house.session()

        async def record(run_id: str) -> None:
            while not stop.is_set():
                events[run_id] = await house.record(run_id, events[run_id] + 1, events[run_id] + 3)

        writers = [asyncio.create_task(write(ids[n::4])) for n in range(4)]
        writers += [asyncio.create_task(record(run_id)) for run_id in run_ids]
        await asyncio.sleep(1)
        known, recorded = dict(counts), dict(events)
        snapshot = await exported(house.stub)
        stop.set()
        await asyncio.gather(*writers)
    async with house_at(other_redis, tmp_path) as house:
        await imported(house.stub, snapshot)
        for session_id in ids:
            texts = await house.texts(session_id)
            assert known[session_id] <= len(texts) <= counts[session_id]
            assert texts == [str(n) for n in range(len(texts))]
        for run_id in run_ids:
            sequences = await house.watched_now(run_id)
            assert recorded[run_id] <= len(sequences) <= events[run_id]
            assert sequences == list(range(1, len(sequences) + 1))


async def test_large_sessions_and_runs_come_back(
    redis_server: RedisServer, other_redis: RedisServer, tmp_path: Path
) -> None:
    async with house_at(redis_server, tmp_path) as house:
        many, wide = (await house.session()).session_id, (await house.session()).session_id
        for turn in range(130):
            await house.append(many, *(f"{turn}.{n}" for n in range(16)), request_id=str(turn))
        for turn in range(3):
            await house.append(wide, "x" * 900_000, "y" * 900_000, request_id=str(turn))
        run_id = new_run_id()
        await house.run(run_id)
        for first in range(1, 3000, 1000):
            await house.record(run_id, first, first + 999)
        snapshot = await exported(house.stub)
    async with house_at(other_redis, tmp_path) as house:
        assert await imported(house.stub, snapshot) == 2
        assert hashes(other_redis) == hashes(redis_server)
        assert len(await house.texts(many)) == 2080


async def test_a_living_store_is_replaced_for_every_service_on_it(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with house_at(redis_server, tmp_path) as house, house_at(redis_server, tmp_path) as replica:
        ids = await filled(house)
        before = await seen(house)
        snapshot = await exported(house.stub)
        await house.append(ids[0], "later", request_id="later")
        newer = (await replica.session()).session_id

        assert await imported(house.stub, snapshot, "again") == 4

        # The one that did not import reads, and writes, what counts now: without a moment in between.
        error = await refusal(replica.append(newer, "x", request_id="x"))
        assert error.reason == "SESSION_NOT_FOUND"
        assert await seen(replica) == before == await seen(house)
        await replica.append(ids[1], "after", request_id="after")
        assert (await house.texts(ids[1]))[-1] == "after"
        assert len(generations(redis_server)) == 1

        # The same request again takes nothing away; another content under its name is refused.
        assert await imported(replica.stub, snapshot, "again") == 4
        assert (await house.texts(ids[1]))[-1] == "after"
        other = await exported(house.stub)
        error = await refusal(imported(house.stub, other, "again"))
        assert error.reason == "REQUEST_ID_REUSED"
        # Also when another import came in between.
        assert await imported(house.stub, other, "other") == 4
        assert await imported(house.stub, snapshot, "again") == 4
        assert (await house.texts(ids[1]))[-1] == "after"


async def test_what_has_expired_meanwhile_comes_back_with_what_was_left(
    redis_server: RedisServer, other_redis: RedisServer, tmp_path: Path
) -> None:
    lifetime = 6
    async with house_at(redis_server, tmp_path, permanent_session_lifetime=lifetime) as house:
        gone = (await house.session(title="gone before the copy")).session_id
        with redis.Redis(port=redis_server.port) as client:
            client.pexpire(f"meld:{{local}}:session:{gone}", 1)
            await asyncio.sleep(0.05)
        await filled(house)
        before = await seen(house)
        snapshot = await exported(house.stub)
        await asyncio.sleep(lifetime + 0.2)
        assert (await seen(house))[0] == []
    async with house_at(other_redis, tmp_path) as house:
        kept = (await house.session()).session_id
        asked = time.time()
        assert await imported(house.stub, snapshot) == 4
        after = await house.stub.ListSessions(session_pb2.ListSessionsRequest())
        assert await seen(house) == before
        assert {(await refusal(house.texts(name))).reason for name in (kept, gone)} == {"SESSION_NOT_FOUND"}
        # The answer says so too, and Redis does it: within the lifetime, and not long after it.
        with redis.Redis(port=other_redis.port) as client:
            [generation] = generations(other_redis)
            for session in after.sessions:
                until = session.expire_time.ToMicroseconds() / 1e6
                assert asked < until <= time.time() + lifetime + 1
                left = client.pttl(f"{generation}{{local}}:session:{session.session_id}") / 1000
                assert abs(time.time() + left - until) < 1
            keys = list(client.scan_iter(match=f"{generation}{{*"))
            assert all(0 < client.pttl(key) <= (lifetime + 1) * 1000 for key in keys)


def made(folder: Path, lines: bytes, key: bytes = b"", **changes: Any) -> bytes:
    """A snapshot of these lines with a right seal."""
    path, none = folder / "made", folder / "none"
    path.write_bytes(lines)
    none.write_bytes(b"")
    fields: dict[str, Any] = {
        "service": "session",
        "schema_version": SCHEMA,
        "created_time": datetime.now(UTC),
        "counts": {"sessions": 0, "messages": 0, "runs": 0, "events": 0},
        "parts": (describe(path, "records.ndjson"), describe(none, "attachments.bin")),
        **changes,
    }
    return b"".join(pack(Manifest(**fields), [path], key))


async def test_a_snapshot_of_an_earlier_release_is_taken(redis_server: RedisServer, tmp_path: Path) -> None:
    async with house_at(redis_server, tmp_path) as house:
        [kept, *_] = await filled(house)
        snapshot = await exported(house.stub)
        lines = snapshot.split(b"\n", 3)[3]
        manifest: dict[str, Any] = json.loads(snapshot.split(b"\n")[1])
        (tmp_path / "old").write_bytes(lines)
        old = {"schema_version": 3, "parts": (describe(tmp_path / "old", "records.ndjson"),)}
        counts = {kind: manifest["counts"][kind] for kind in ("sessions", "messages", "runs", "events")}
        before = await seen(house)
        await house.append(kept, "later", request_id="later")
        assert await imported(house.stub, made(tmp_path, lines, counts=counts, **old)) == 4
        assert await seen(house) == before
        # As one of this release it lacks the files.
        wrong = made(tmp_path, lines, counts=counts, parts=old["parts"])
        assert (await refusal(imported(house.stub, wrong))).reason == "SNAPSHOT_INVALID"


async def test_what_cannot_be_used_changes_nothing(redis_server: RedisServer, tmp_path: Path) -> None:
    async with house_at(redis_server, tmp_path, meld_snapshot_key="ours") as house:
        await filled(house)
        snapshot = await exported(house.stub)
        before = await seen(house)
        flipped = bytearray(snapshot)
        flipped[-40] ^= 1
        for wrong, reason in (
            (b"", "SNAPSHOT_INVALID"),
            (snapshot[:-1], "SNAPSHOT_INVALID"),
            (bytes(flipped), "SNAPSHOT_INVALID"),
            (snapshot + b"x", "SNAPSHOT_INVALID"),
            (made(tmp_path, b"", b"theirs"), "SNAPSHOT_FOREIGN"),
            (made(tmp_path, b"", b"ours", service="vector"), "SNAPSHOT_FOREIGN"),
            (made(tmp_path, b"", b"ours", schema_version=SCHEMA + 1), "SNAPSHOT_NEWER"),
            (made(tmp_path, b"", b"ours", parts=()), "SNAPSHOT_INVALID"),
            (made(tmp_path, b"", b"ours", counts={"sessions": 1}), "SNAPSHOT_INVALID"),
            (made(tmp_path, b'{"kind": "user"}\n', b"ours"), "SNAPSHOT_INVALID"),
        ):
            error = await refusal(imported(house.stub, wrong, "same"))
            assert error.reason == reason, wrong[:100]
            assert error.code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}
            assert await seen(house) == before
        assert generations(redis_server) == {"meld:"}
        assert list((tmp_path / "session").iterdir()) == []
        assert await imported(house.stub, snapshot, "same") == 4


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("session", ("created", "soon")),
        ("session", ("messages", "x")),
        ("session", ("m1", None)),
        ("session", (b"\xff", "x")),
        ("run", ("state", "asleep")),
        ("run", ("e2", None)),
    ],
)
async def test_what_is_damaged_in_the_store_is_named(
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kind: str,
    change: tuple[str | bytes, str | None],
    large: bool,
) -> None:
    """Whoever wants a copy has to know what stands in the way of it."""
    if large:
        monkeypatch.setattr(redis_snapshots, "_SMALL_BYTES", 0)
    async with house_at(redis_server, tmp_path) as house:
        ids = await filled(house)
        with redis.Redis(port=redis_server.port) as client:
            damaged = ids[1]
            if kind == "run":
                runs = await house.stub.ListRuns(session_pb2.ListRunsRequest(session_id=ids[1]))
                damaged = runs.runs[0].run_id
            key = f"meld:{{local}}:{kind}:{damaged}"
            field, value = change
            if value is None:
                assert client.hdel(key, field) == 1
            else:
                client.hset(key, field, value)
            error = await refusal(exported(house.stub))
            assert (error.code, error.reason) == (grpc.StatusCode.DATA_LOSS, "RECORD_DAMAGED")
            assert (error.metadata["kind"], error.metadata["id"]) == (kind, damaged)
            assert damaged in error.message
            assert error.metadata["problem"]
            client.delete(key)
        assert await exported(house.stub)


async def test_a_kind_that_is_new_here_is_not_silently_left_out(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with house_at(redis_server, tmp_path) as house:
        await filled(house)
        await exported(house.stub)
        with redis.Redis(port=redis_server.port) as client:
            prefix = key_prefix((client.hget("meld:generation", "name") or b"").decode())
            for key in ("{local}:gadget:g1", "{local}:gadgets", "{local}:session:ses_1:gadgets"):
                client.hset(f"{prefix}{key}", "name", "g1")
                error = await refusal(exported(house.stub))
                assert (error.code, error.reason) == (grpc.StatusCode.DATA_LOSS, "RECORD_DAMAGED")
                assert key.split(":")[1] in error.message
                client.delete(f"{prefix}{key}")
        await exported(house.stub)


@pytest.mark.parametrize(
    ("kind", "lose"),
    [
        ("sessions", lambda client, session, run: client.delete(session)),
        ("messages", lambda client, session, run: client.hdel(session, "m2")),
        ("runs", lambda client, session, run: client.delete(run)),
        ("events", lambda client, session, run: client.hdel(run, "e1", "e3")),
    ],
)
async def test_what_the_store_loses_while_it_is_loaded_does_not_count(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, lose: Any
) -> None:
    """As one that evicts."""
    async with house_at(redis_server, tmp_path) as house:
        ids = await filled(house)
        runs = await house.stub.ListRuns(session_pb2.ListRunsRequest(session_id=ids[0]))
        snapshot = await exported(house.stub)
        await house.session(title="newer")
        before = await seen(house)
        with redis.Redis(port=redis_server.port) as client:

            def evict(place: str) -> None:
                if place == "import_count":
                    [session] = client.keys(f"meld:*:{{local}}:session:{ids[0]}")
                    [run] = client.keys(f"meld:*:{{local}}:run:{runs.runs[0].run_id}")
                    assert lose(client, session, run)

            monkeypatch.setattr(redis_snapshots, "crash_point", evict)
            error = await refusal(imported(house.stub, snapshot, "same"))
            assert (error.code, error.reason) == (grpc.StatusCode.DATA_LOSS, "IMPORT_INCOMPLETE")
            assert error.metadata["kind"] == kind
            assert int(error.metadata["counted"]) < int(error.metadata["expected"])
            assert await seen(house) == before
            assert generations(redis_server) == {"meld:"}
            monkeypatch.setattr(redis_snapshots, "crash_point", lambda _: None)
        assert await imported(house.stub, snapshot, "same") == 4


async def test_of_two_imports_the_second_is_told_to_wait(redis_server: RedisServer, tmp_path: Path) -> None:
    async with house_at(redis_server, tmp_path) as house, house_at(redis_server, tmp_path) as replica:
        await filled(house)
        snapshot = await exported(house.stub)
        first = house.stub.ImportSnapshot(timeout=60)
        await first.write(session_pb2.ImportSnapshotRequest(data=snapshot[:1000]))
        with redis.Redis(port=redis_server.port) as client:
            for _ in range(500):
                if client.exists("meld:import"):
                    break
                await asyncio.sleep(0.02)
        error = await refusal(imported(replica.stub, snapshot))
        assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "IMPORT_RUNNING")
        await first.write(session_pb2.ImportSnapshotRequest(data=snapshot[1000:]))
        await first.done_writing()
        assert (await first).sessions == 4
        assert await imported(replica.stub, snapshot) == 4


async def test_who_lost_the_lock_replaces_nothing(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that stood still until another import took its place."""
    async with house_at(redis_server, tmp_path) as house, house_at(redis_server, tmp_path) as replica:
        await filled(house)
        small = await exported(house.stub)
        await house.session(title="more")
        large = await exported(house.stub)
        with redis.Redis(port=redis_server.port) as client:
            overtaken = asyncio.Event()

            def stand_still(place: str) -> None:
                """The lock runs out just before the switch, and another import goes through."""
                if place == "import_loaded" and not overtaken.is_set():
                    overtaken.set()
                    client.delete("meld:import")
                    client.delete(*client.keys("meld:next:*"))

            monkeypatch.setattr(redis_snapshots, "crash_point", stand_still)
            before = await seen(house)
            error = await refusal(imported(house.stub, small))
            assert error.reason == "IMPORT_RUNNING"
            assert await seen(house) == before
            assert await imported(replica.stub, large) == 5
        assert await seen(house) == before
        assert len(generations(redis_server)) == 1


async def test_an_export_that_an_import_overtakes_is_no_mixture(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_snapshots, "_READ_ENTRIES", 1)
    async with house_at(redis_server, tmp_path) as house:
        await filled(house)
        snapshot = await exported(house.stub)
        async with open_redis_store("127.0.0.1", redis_server.port, "", Lifetimes(100, 100)) as store:
            taken = redis_snapshots.RedisSnapshots(store).entries()
            await anext(taken)
            await imported(house.stub, snapshot)
            with pytest.raises(AbortedError, match="being imported"):
                async for _ in taken:
                    pass


@pytest.mark.parametrize(
    ("place", "new"),
    [
        ("import_load:1", False),
        ("import_load:3", False),
        ("import_loaded", False),
        ("import_switched", True),
        ("import_sweep:1", True),
        ("import_sweep:2", True),
    ],
)
async def test_a_killed_service_leaves_the_old_or_the_new(
    redis_server: RedisServer, tmp_path: Path, place: str, new: bool
) -> None:
    async with house_at(redis_server, tmp_path) as house:
        await filled(house, 10)
        for _ in range(4):
            session_id = (await house.session()).session_id
            await house.append(session_id, "x" * 600_000, "y" * 600_000, request_id="r")
        snapshot, old_state = await exported(house.stub), await seen(house)
        await house.session(title="newer")
        living = await seen(house)
    port = free_port()
    process = start(redis_server, port, MELD_CRASH_AT=place, MELD_DATA_DIR=str(tmp_path))
    try:
        assert serving(port)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await refusal(imported(session_pb2_grpc.SessionServiceStub(channel), snapshot, "once"))
        assert process.wait(20) == -9
    finally:
        process.kill()
        process.communicate()
    async with house_at(redis_server, tmp_path) as house:
        assert await seen(house) == (old_state if new else living)
        # The lock runs out, and who is there removes the rest.
        for _ in range(600):
            if len(generations(redis_server)) == 1:
                break
            await asyncio.sleep(0.1)
        assert len(generations(redis_server)) == 1
        assert await seen(house) == (old_state if new else living)
        assert await imported(house.stub, snapshot, "once") == 15
        assert await seen(house) == old_state


async def test_a_redis_killed_in_the_middle_has_the_old_or_the_new(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house_at(own_redis, tmp_path) as house:
        await filled(house, 5)
        snapshot, old_state = await exported(house.stub), await seen(house)
        await house.session(title="newer")
        for place, new in (("import_load", False), ("import_loaded", False), ("import_switched", True)):
            living = await seen(house)
            killed = asyncio.Event()

            def kill(passed: str, place: str = place, killed: asyncio.Event = killed) -> None:
                if passed == place and not killed.is_set():
                    killed.set()
                    own_redis.kill()

            monkeypatch.setattr(redis_snapshots, "crash_point", kill)
            answer = asyncio.create_task(imported(house.stub, snapshot))
            while not killed.is_set():
                await asyncio.sleep(0.01)
            await asyncio.wait([answer])
            await asyncio.to_thread(own_redis.start)
            for _ in range(200):
                try:
                    now = await seen(house)
                    break
                except grpc.RpcError:
                    await asyncio.sleep(0.1)
            assert now == (old_state if new else living)
            # The lock of the one that failed runs out, and its leftovers go.
            for _ in range(600):
                if len(generations(own_redis)) == 1:
                    break
                await asyncio.sleep(0.1)
            assert len(generations(own_redis)) == 1
