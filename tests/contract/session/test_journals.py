"""Journals of runs, and runs that get another owner."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import redis

from meldrag.session.v1 import session_pb2
from tests.contract.session.conftest import House, event, new_run_id, refusal
from tests.support.redis_server import RedisServer

SUCCEEDED = session_pb2.RUN_STATE_SUCCEEDED


def entry(position: int, value: bytes = b"") -> Any:
    """An entry of a journal."""
    made = session_pb2.RunEntry(position=position)
    made.payload.type_url = "type.googleapis.com/test.Entry"
    made.payload.value = value or b"entry %d" % position
    return made


async def note(house: House, run_id: str, first: int, last: int, **fields: Any) -> Any:
    """Appends the entries `first` to `last`."""
    entries = [entry(n) for n in range(first, last + 1)]
    return await house.stub.AppendRunEvents(
        session_pb2.AppendRunEventsRequest(run_id=run_id, entries=entries, **fields)
    )


async def journal(house: House, run_id: str, page_size: int = 0) -> list[Any]:
    """All entries, page by page."""
    entries: list[Any] = []
    token = ""
    while True:
        page = await house.stub.ListRunEntries(
            session_pb2.ListRunEntriesRequest(run_id=run_id, page_size=page_size, page_token=token)
        )
        entries += page.entries
        token = page.next_page_token
        if not token:
            return entries


async def test_entries_are_kept_beside_the_events_and_nobody_who_watches_sees_them(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    kept = await note(house, run_id, 1, 3, events=[event(1), event(2)])
    assert (kept.last_sequence, kept.last_position) == (2, 3)
    kept = await note(house, run_id, 4, 5)
    assert (kept.last_sequence, kept.last_position) == (2, 5)
    await house.record(run_id, 3, 3, SUCCEEDED)
    assert await house.watched(run_id) == ([1, 2, 3], SUCCEEDED)
    assert await journal(house, run_id) == [entry(n) for n in range(1, 6)]
    assert await journal(house, run_id, 2) == [entry(n) for n in range(1, 6)]
    run = (await house.stub.GetRun(session_pb2.GetRunRequest(run_id=run_id))).run
    assert (run.last_sequence, run.last_position) == (3, 5)


async def test_repeated_entries_are_skipped_and_gaps_refused(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    await note(house, run_id, 1, 4)
    assert (await note(house, run_id, 3, 6)).last_position == 6
    gap = await refusal(note(house, run_id, 8, 8))
    assert (gap.reason, gap.metadata["expected_sequence"]) == ("SEQUENCE_CONFLICT", "7")
    other = session_pb2.AppendRunEventsRequest(
        run_id=run_id, entries=[entry(6, b"another"), entry(7)], events=[event(1)]
    )
    assert (await refusal(house.stub.AppendRunEvents(other))).reason == "SEQUENCE_CONFLICT"
    run = (await house.stub.GetRun(session_pb2.GetRunRequest(run_id=run_id))).run
    assert (run.last_sequence, run.last_position) == (0, 6), "all or none"
    assert await journal(house, run_id) == [entry(n) for n in range(1, 7)]


async def test_large_entries_come_back_page_by_page(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    large = [entry(n, bytes([n]) * 1_000_000) for n in range(1, 8)]
    for one in large:
        await house.stub.AppendRunEvents(session_pb2.AppendRunEventsRequest(run_id=run_id, entries=[one]))
    assert await journal(house, run_id) == large


async def test_a_journal_has_an_end(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    for position in range(1, 16):
        one = entry(position, b"x" * 1_000_000)
        await house.stub.AppendRunEvents(session_pb2.AppendRunEventsRequest(run_id=run_id, entries=[one]))
    full = await refusal(
        house.stub.AppendRunEvents(
            session_pb2.AppendRunEventsRequest(
                run_id=run_id, entries=[entry(16, b"x" * 1_000_000)], events=[event(1)]
            )
        )
    )
    assert (full.code, full.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "JOURNAL_FULL")
    assert (await note(house, run_id, 16, 16, events=[event(1)])).last_sequence == 1
    too_large = session_pb2.AppendRunEventsRequest(run_id=run_id, entries=[entry(17, b"x" * 1_000_001)])
    assert (await refusal(house.stub.AppendRunEvents(too_large))).reason == "INVALID_FIELD"


async def test_nothing_is_noted_of_a_run_that_has_ended(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id)
    await note(house, run_id, 1, 2)
    await house.record(run_id, 1, 1, SUCCEEDED)
    assert (await note(house, run_id, 1, 2)).last_position == 2
    assert (await refusal(note(house, run_id, 3, 3))).reason == "RUN_ENDED"


async def test_one_of_many_takes_a_run_and_the_others_hear_who(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id, owner="dead")

    async def take(owner: str) -> str:
        request = session_pb2.TakeRunRequest(run_id=run_id, previous_owner="dead", owner=owner)
        try:
            return (await house.stub.TakeRun(request)).run.owner
        except grpc.RpcError:
            error = await refusal(house.stub.TakeRun(request))
            assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "RUN_TAKEN")
            return str(error.metadata["owner"])

    owners = await asyncio.gather(*[take(f"heir {number}") for number in range(10)])
    assert len(set(owners)) == 1
    run = (await house.stub.GetRun(session_pb2.GetRunRequest(run_id=run_id))).run
    assert (run.owner, run.takeovers) == (owners[0], 1)
    # The same call again, as after a lost answer.
    assert await take(owners[0]) == owners[0]


async def test_who_lost_a_run_writes_no_more_of_it(house: House) -> None:
    run_id = new_run_id()
    await house.run(run_id, owner="first")
    await note(house, run_id, 1, 1, owner="first")
    await house.stub.TakeRun(
        session_pb2.TakeRunRequest(run_id=run_id, previous_owner="first", owner="second")
    )
    for fields in ({"events": [event(1)]}, {"state": SUCCEEDED}):
        error = await refusal(note(house, run_id, 2, 2, owner="first", **fields))
        assert (error.reason, error.metadata["owner"]) == ("RUN_TAKEN", "second")
    assert (await note(house, run_id, 2, 2, owner="second")).last_position == 2
    await house.record(run_id, 1, 1, SUCCEEDED)
    ended = session_pb2.TakeRunRequest(run_id=run_id, previous_owner="second", owner="third")
    assert (await refusal(house.stub.TakeRun(ended))).reason == "RUN_ENDED"
    unknown = session_pb2.TakeRunRequest(run_id=new_run_id(), previous_owner="", owner="third")
    assert (await refusal(house.stub.TakeRun(unknown))).reason == "RUN_NOT_FOUND"


async def test_runs_are_listed_by_state_and_age(house: House) -> None:
    ids = [new_run_id() for _ in range(5)]
    created = [(await house.run(run_id)).create_time for run_id in ids]
    for run_id in ids[1::2]:
        await house.record(run_id, 1, 1, SUCCEEDED)

    async def listed(page_size: int = 0, **fields: Any) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await house.stub.ListRuns(
                session_pb2.ListRunsRequest(page_size=page_size, page_token=token, **fields)
            )
            found += [run.run_id for run in page.runs]
            token = page.next_page_token
            if not token:
                return [run_id for run_id in found if run_id in ids]

    running = session_pb2.RUN_STATE_RUNNING
    assert await listed(state=running, earliest_create_time=created[0]) == [ids[4], ids[2], ids[0]]
    assert await listed(state=running, earliest_create_time=created[2]) == [ids[4], ids[2]]
    assert await listed(1, state=running, earliest_create_time=created[0]) == [ids[4], ids[2], ids[0]]
    assert await listed(state=SUCCEEDED, earliest_create_time=created[0]) == [ids[3], ids[1]]
    # Those that did not fit are still in the list.
    assert await listed() == ids[::-1]


async def test_a_journal_goes_with_its_run(house: House, redis_server: RedisServer) -> None:
    session_id = (await house.session()).session_id
    run_id = new_run_id()
    await house.run(run_id, session_id=session_id)
    await note(house, run_id, 1, 3)
    await house.stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id))
    assert (await refusal(journal(house, run_id))).reason == "RUN_NOT_FOUND"
    with redis.Redis(port=redis_server.port) as client:
        assert not [key for key in client.scan_iter("*") if run_id.encode() in key]
