"""Runs, their events, and those who watch."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import redis

from meldrag.session.v1 import session_pb2
from tests.contract.session.conftest import House, event, new_run_id, payload, refusal
from tests.support.redis_server import RedisServer
from tests.support.waits import promised

RUNNING, SUCCEEDED, FAILED = (
    session_pb2.RUN_STATE_RUNNING,
    session_pb2.RUN_STATE_SUCCEEDED,
    session_pb2.RUN_STATE_FAILED,
)


async def get_run(house: House, run_id: str) -> Any:
    return (await house.stub.GetRun(session_pb2.GetRunRequest(run_id=run_id))).run


async def test_a_run_from_its_opening_to_its_end(house: House) -> None:
    session_id = (await house.session()).session_id
    run_id = new_run_id()
    opening = session_pb2.Run(run_id=run_id, session_id=session_id, agent_id="auto")
    opening.request.type_url, opening.request.value = "type.googleapis.com/test.Ask", b"\0ask"
    opened = (await house.stub.CreateRun(session_pb2.CreateRunRequest(run=opening))).run
    assert (opened.state, opened.last_sequence) == (RUNNING, 0)
    assert opened.request == opening.request
    assert not opened.HasField("end_time")
    await house.stub.AppendRunEvents(
        session_pb2.AppendRunEventsRequest(run_id=run_id, events=[event(1), event(2)], agent_id="research")
    )
    assert await house.record(run_id, 3, 3, SUCCEEDED) == 3
    ended = await get_run(house, run_id)
    assert (ended.state, ended.last_sequence, ended.agent_id) == (SUCCEEDED, 3, "research")
    assert ended.end_time.ToMicroseconds() >= ended.create_time.ToMicroseconds()
    assert ended.session_id == session_id


async def test_what_a_run_has_used_is_kept_with_its_end(house: House) -> None:
    told, untold = new_run_id(), new_run_id()
    await house.run(told)
    await house.run(untold)
    usage = session_pb2.RunUsage(input_tokens=120, output_tokens=12, model="small", cost_usd=0.0042)
    going = session_pb2.AppendRunEventsRequest(run_id=told, events=[event(1)], usage=usage)
    await house.stub.AppendRunEvents(going)
    assert not (await get_run(house, told)).HasField("usage")
    end = session_pb2.AppendRunEventsRequest(run_id=told, events=[event(2)], state=SUCCEEDED, usage=usage)
    await house.stub.AppendRunEvents(end)
    await house.stub.AppendRunEvents(end)
    await house.record(untold, 1, 1, SUCCEEDED)
    listed = (await house.stub.ListRuns(session_pb2.ListRunsRequest())).runs
    assert {run.run_id: run.usage if run.HasField("usage") else None for run in listed} == {
        told: usage,
        untold: None,
    }
    for wrong, field in (
        (session_pb2.RunUsage(input_tokens=-1), "usage.input_tokens"),
        (session_pb2.RunUsage(model="a\nb"), "usage.model"),
        (session_pb2.RunUsage(cost_usd=float("nan")), "usage.cost_usd"),
    ):
        bad = session_pb2.AppendRunEventsRequest(run_id=untold, state=SUCCEEDED, usage=wrong)
        assert (await refusal(house.stub.AppendRunEvents(bad))).metadata["field"] == field


async def test_a_run_keeps_the_run_that_it_is_below(house: House) -> None:
    run_id, above = new_run_id(), new_run_id()
    assert (await house.run(run_id, parent_run_id=above)).parent_run_id == above
    assert (await get_run(house, run_id)).parent_run_id == above
    assert (await house.run(new_run_id())).parent_run_id == ""
    refused = await refusal(house.run(new_run_id(), parent_run_id="nobody"))
    assert refused.metadata["field"] == "run.parent_run_id"


async def test_the_first_opener_of_a_run_stays_its_owner(house: House) -> None:
    run_id = new_run_id()
    assert (await house.run(run_id, owner="10.0.0.2:50051#a")).owner == "10.0.0.2:50051#a"
    assert (await house.run(run_id, owner="10.0.0.3:50051#b")).owner == "10.0.0.2:50051#a"
    await house.record(run_id, 1, 1)
    assert (await get_run(house, run_id)).owner == "10.0.0.2:50051#a"
    refused = await refusal(house.run(new_run_id(), owner="x" * 201))
    assert refused.metadata["field"] == "run.owner"


async def test_opening_a_run_twice(house: House) -> None:
    run_id = new_run_id()
    first = await house.run(run_id)
    await house.record(run_id, 1, 1)
    again = await house.run(run_id)
    assert (again.create_time, again.last_sequence) == (first.create_time, 1)
    error = await refusal(house.run(run_id, agent_id="ceo"))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED")
    assert error.metadata == {"request_id": run_id}


async def test_repeated_events_are_skipped_and_gaps_refused(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    assert await house.record(run_id, 1, 4) == 4
    assert await house.record(run_id, 2, 3) == 4
    assert await house.record(run_id, 3, 6) == 6
    assert await house.watched_now(run_id) == [1, 2, 3, 4, 5, 6]

    gap = await refusal(house.record(run_id, 8, 8))
    assert (gap.code, gap.reason) == (grpc.StatusCode.ABORTED, "SEQUENCE_CONFLICT")
    assert gap.metadata == {"run_id": run_id, "expected_sequence": "7", "sequence": "8"}

    other = event(6)
    other.payload.value = b"something else"
    request = session_pb2.AppendRunEventsRequest(run_id=run_id, events=[event(5), other, event(7)])
    clash = await refusal(house.stub.AppendRunEvents(request))
    assert clash.reason == "SEQUENCE_CONFLICT"
    assert clash.metadata["sequence"] == "6"
    assert (await get_run(house, run_id)).last_sequence == 6


async def test_events_without_a_time_get_one_and_may_be_repeated(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    bare = session_pb2.RunEvent(sequence=1)
    bare.payload.value = payload(1)
    request = session_pb2.AppendRunEventsRequest(run_id=run_id, events=[bare])
    for _ in range(2):
        assert (await house.stub.AppendRunEvents(request)).last_sequence == 1
    stream = house.stub.WatchRun(session_pb2.WatchRunRequest(run_id=run_id), timeout=5)
    (seen,) = (await stream.read()).events
    stream.cancel()
    assert abs(seen.event_time.ToSeconds() - time.time()) < 60


async def test_nothing_is_added_to_a_run_that_has_ended(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    await house.record(run_id, 1, 3, FAILED)
    # The same call again, as after a lost answer, does no harm.
    assert await house.record(run_id, 1, 3, FAILED) == 3
    assert await house.record(run_id, 2, 2) == 3
    for call in (
        house.record(run_id, 4, 4),
        house.record(run_id, 3, 4, FAILED),
        house.record(run_id, 3, 3, SUCCEEDED),
        house.record(run_id, 1, 0, SUCCEEDED),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "RUN_ENDED")
    assert (await get_run(house, run_id)).state == FAILED


async def test_twenty_writers_of_the_same_events_record_them_once(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)

    async def write(size: int) -> None:
        for first in range(1, 121, size):
            await house.record(run_id, first, min(first + size - 1, 120))

    await asyncio.gather(*(write(size) for size in (1, 3, 7, 12) for _ in range(5)))
    assert await house.record(run_id, 120, 120, SUCCEEDED) == 120
    assert await house.watched(run_id) == (list(range(1, 121)), SUCCEEDED)


async def test_runs_are_listed_newest_first(house: House) -> None:
    session_id = (await house.session()).session_id
    ids = [new_run_id() for _ in range(6)]
    for place, run_id in enumerate(ids):
        await house.run(run_id, session_id=session_id if place % 2 else "")

    async def listed(session: str) -> list[str]:
        found, token = [], ""
        while True:
            page = await house.stub.ListRuns(
                session_pb2.ListRunsRequest(session_id=session, page_size=2, page_token=token)
            )
            found += [run.run_id for run in page.runs]
            token = page.next_page_token
            if not token:
                return found

    assert await listed("") == ids[::-1]
    assert await listed(session_id) == [ids[5], ids[3], ids[1]]
    token = (await house.stub.ListRuns(session_pb2.ListRunsRequest(page_size=2))).next_page_token
    request = session_pb2.ListRunsRequest(session_id=session_id, page_size=2, page_token=token)
    assert (await refusal(house.stub.ListRuns(request))).reason == "INVALID_PAGE_TOKEN"
    error = await refusal(house.stub.ListRuns(session_pb2.ListRunsRequest(session_id="ses_none")))
    assert error.reason == "SESSION_NOT_FOUND"


async def test_runs_expire_after_their_last_event(house_on: Any, redis_server: RedisServer) -> None:
    async with house_on(permanent_session_lifetime=2) as house:
        written, idle = new_run_id(), new_run_id()
        await house.run(written)
        await house.run(idle)
        for sequence in range(1, 4):
            await asyncio.sleep(0.8)
            await house.record(written, sequence, sequence)
        assert (await get_run(house, written)).last_sequence == 3
        listed = await house.stub.ListRuns(session_pb2.ListRunsRequest())
        assert [run.run_id for run in listed.runs] == [written]
        error = await refusal(get_run(house, idle))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND")
        # A watcher of a run whose writer is gone hears when the record is.
        error = await refusal(house.watched(written))
        assert error.reason == "RUN_NOT_FOUND"
    with redis.Redis(port=redis_server.port) as client:
        assert client.keys("meld:{local}*") == []


async def test_a_conversation_outlives_its_runs(house_on: Any, redis_server: RedisServer) -> None:
    """MELD_CONVERSATION_LIFETIME: whatever is written to it gives it the same time again."""
    async with house_on(permanent_session_lifetime=1, meld_conversation_lifetime=10_000) as house:
        session = await house.session(request_id="once")
        assert session.expire_time.seconds - session.update_time.seconds == 10_000
        await house.append(session.session_id, "said", request_id="1")
        first = new_run_id()
        await house.run(first, session_id=session.session_id)
        listing = session_pb2.ListRunsRequest(session_id=session.session_id)
        while (await house.stub.ListRuns(listing)).runs:
            await asyncio.sleep(0.1)
        assert (await refusal(get_run(house, first))).reason == "RUN_NOT_FOUND"
        assert await house.texts(session.session_id) == ["said"]
        second = new_run_id()
        await house.run(second, session_id=session.session_id)
        now = await house.stub.GetSession(session_pb2.GetSessionRequest(session_id=session.session_id))
        assert now.session.expire_time.seconds - now.session.update_time.seconds == 10_000
        with redis.Redis(port=redis_server.port) as client:
            left = {key.decode().partition("}:")[2]: client.pttl(key) for key in client.keys("meld:{local}*")}
        # What nobody asks for again, and what a run leaves, does not wait for the conversation.
        once = next(time for name, time in left.items() if name.startswith("once:"))
        assert 0 < once <= 86_400_000
        assert 0 < left[f"run:{second}"] <= 1_000
        assert all(time > 9_000_000 for name, time in left.items() if name.startswith("session"))


async def test_a_watcher_gets_recorded_and_coming_events_once(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    await house.record(run_id, 1, 700)
    watchers = [asyncio.create_task(house.watched(run_id, after)) for after in (0, 0, 1, 350, 699, 700)]
    for first in range(701, 1001, 3):
        await house.record(run_id, first, first + 2)
        await asyncio.sleep(0.001)
    watchers.append(asyncio.create_task(house.watched(run_id, 999)))
    await house.record(run_id, 1001, 1001, SUCCEEDED)
    for after, watcher in zip((0, 0, 1, 350, 699, 700, 999), watchers, strict=True):
        assert await watcher == (list(range(after + 1, 1002)), SUCCEEDED)


async def test_an_event_reaches_a_watcher_at_once(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    stream = house.stub.WatchRun(session_pb2.WatchRunRequest(run_id=run_id), timeout=20)
    await asyncio.sleep(0.2)
    delays = []
    for sequence in range(1, 21):
        started = time.monotonic()
        await house.record(run_id, sequence, sequence)
        response = await stream.read()
        delays.append(time.monotonic() - started)
        assert [seen.sequence for seen in response.events] == [sequence]
        assert response.state == RUNNING
    stream.cancel()
    # Without a signal it would be a poll's two seconds.
    assert sorted(delays)[10] < 0.5


async def test_watching_a_run_that_has_ended(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    await house.record(run_id, 1, 2)
    await house.record(run_id, 1, 0, SUCCEEDED)
    assert await house.watched(run_id) == ([1, 2], SUCCEEDED)
    assert await house.watched(run_id, after=2) == ([], SUCCEEDED)
    error = await refusal(house.watched(run_id, after=3))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert error.metadata["field"] == "after_sequence"
    assert (await refusal(house.watched(run_id, after=-1))).reason == "INVALID_FIELD"


async def test_a_watcher_hears_of_an_end_without_events_and_of_a_deletion(house: House) -> None:
    session_id = (await house.session()).session_id
    ending, deleted = new_run_id(), new_run_id()
    await house.run(ending)
    await house.run(deleted, session_id=session_id)
    first, second = (
        asyncio.create_task(house.watched(ending)),
        asyncio.create_task(refusal(house.watched(deleted))),
    )
    await asyncio.sleep(0.2)
    started = time.monotonic()
    await house.record(ending, 1, 0, session_pb2.RUN_STATE_CANCELLED)
    await house.stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id))
    assert await first == ([], session_pb2.RUN_STATE_CANCELLED)
    assert (await second).reason == "RUN_NOT_FOUND"
    assert time.monotonic() - started < promised(1.5)


async def test_the_deadline_ends_a_watch_on_a_run_that_never_ends(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    started = time.monotonic()
    error = await refusal(house.watched(run_id, seconds=0.5))
    assert error.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started < promised(1.5)


async def test_three_hundred_watchers_need_few_connections(house: House, redis_server: RedisServer) -> None:
    runs = [new_run_id() for _ in range(3)]
    for run_id in runs:
        await house.run(run_id)
    watchers = [asyncio.create_task(house.watched(runs[n % 3])) for n in range(300)]
    await asyncio.sleep(1)
    with redis.Redis(port=redis_server.port) as client:
        before = client.info("stats")["total_commands_processed"]
        for sequence in range(1, 11):
            for run_id in runs:
                await house.record(run_id, sequence, sequence, SUCCEEDED if sequence == 10 else RUNNING)
        results = await asyncio.gather(*watchers)
        commands = client.info("stats")["total_commands_processed"] - before
        connections = client.info("clients")["connected_clients"]
    assert all(result == (list(range(1, 11)), SUCCEEDED) for result in results)
    assert connections <= 40
    # 30 events of 300 watchers: reads are shared, and so far fewer than 3,000.
    assert commands < 1_500


async def test_the_oldest_events_of_a_long_run_are_not_kept(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    for first in range(1, 10_501, 500):
        await house.record(run_id, first, first + 499)
    assert await house.record(run_id, 10_500, 10_500, SUCCEEDED) == 10_500
    error = await refusal(house.watched(run_id))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "EVENTS_EXPIRED")
    assert error.metadata == {"run_id": run_id, "first_sequence": "501"}
    assert await house.watched(run_id, after=500) == (list(range(501, 10_501)), SUCCEEDED)
    # Repeating events that are not kept does no harm either.
    assert await house.record(run_id, 1, 600) == 10_500


async def test_large_events_are_bounded_by_bytes(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    for sequence in range(1, 21):
        large = session_pb2.RunEvent(sequence=sequence)
        large.payload.value = b"x" * 999_000
        await house.stub.AppendRunEvents(session_pb2.AppendRunEventsRequest(run_id=run_id, events=[large]))
    await house.record(run_id, 21, 21, SUCCEEDED)
    error = await refusal(house.watched(run_id))
    assert error.reason == "EVENTS_EXPIRED"
    first = int(error.metadata["first_sequence"])
    assert 4 <= first <= 7
    seen = []
    request = session_pb2.WatchRunRequest(run_id=run_id, after_sequence=first - 1)
    async for response in house.stub.WatchRun(request, timeout=20):
        seen += [each.sequence for each in response.events]
    assert seen == list(range(first, 22))


async def test_another_tenants_run_answers_as_a_missing_one(house: House) -> None:
    run_id, missing = new_run_id(), new_run_id()
    await house.run(run_id)
    await house.record(run_id, 1, 2, SUCCEEDED)
    foreign = (("x-tenant", "other"),)

    def calls(wanted: str) -> list[Any]:
        return [
            house.stub.GetRun(session_pb2.GetRunRequest(run_id=wanted), metadata=foreign),
            house.stub.AppendRunEvents(
                session_pb2.AppendRunEventsRequest(run_id=wanted, events=[event(3)]), metadata=foreign
            ),
            house.watched(wanted, metadata=foreign),
        ]

    for there, absent in zip(calls(run_id), calls(missing), strict=True):
        one, other = await refusal(there), await refusal(absent)
        assert (one.code, one.reason, one.message) == (other.code, other.reason, other.message)
        assert (one.metadata, other.metadata) == ({"run_id": run_id}, {"run_id": missing})
    assert list((await house.stub.ListRuns(session_pb2.ListRunsRequest(), metadata=foreign)).runs) == []
    # The same id can be a run of the other tenant's own.
    await house.stub.CreateRun(
        session_pb2.CreateRunRequest(run=session_pb2.Run(run_id=run_id, agent_id="ceo")), metadata=foreign
    )
    assert (await get_run(house, run_id)).agent_id == "research"
