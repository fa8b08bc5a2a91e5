"""Recording beside the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

import pytest
from google.protobuf.message import Message

from meldrag.agents.v1 import agents_pb2
from services.agents import recorder as module
from services.agents.journal.entry import Entry, Outcome
from services.agents.ports import RecordedRun, RunEntry, RunEvent, RunState
from services.agents.recorder import Recorder
from services.chassis.errors import AbortedError, FailedPreconditionError, ServiceError, UnavailableError

M = TypeVar("M", bound=Message)

ENTRY = Entry("search", Outcome.VALUE, b"d" * 32, b"asked", b"found")


class Records:
    """Keeps what is appended; fails with what it is given first."""

    def __init__(self, *failures: ServiceError) -> None:
        self.failures = list(failures)
        self.batches: list[list[int]] = []
        self.positions: list[int] = []
        self.state: RunState | None = None
        self.created = 0

    async def create(
        self, run_id: str, session_id: str, agent_id: str, request: Message, parent_run_id: str = ""
    ) -> RecordedRun:
        self.created += 1
        return RecordedRun(run_id, RunState.RUNNING, 0, 0.0)

    async def append(
        self,
        run_id: str,
        events: Sequence[RunEvent],
        entries: Sequence[RunEntry],
        state: RunState | None,
        agent_id: str,
    ) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([event.sequence for event in events])
        self.positions += [entry.position for entry in entries]
        self.state = state or self.state

    async def get(self, run_id: str) -> RecordedRun:
        return RecordedRun(run_id, self.state or RunState.RUNNING, 0, 0.0)

    async def replay(self, run_id: str, kind: type[M]) -> AsyncGenerator[M]:
        yield kind()


def event(sequence: int, size: int = 0) -> agents_pb2.RunAgentResponse:
    """An event."""
    return agents_pb2.RunAgentResponse(sequence=sequence, text=agents_pb2.TextDelta(text="x" * size))


def recorder(records: Records) -> Recorder:
    """A recorder that has begun to write."""
    made = Recorder(records, "run_1", "", "research", agents_pb2.RunAgentRequest())
    made.start()
    return made


def down() -> UnavailableError:
    """No answer."""
    return UnavailableError("down", reason="SESSION_UNAVAILABLE")


async def test_events_come_in_order_and_together() -> None:
    records = Records()
    made = recorder(records)
    for sequence in range(1, 101):
        made.add(event(sequence))
    assert await made.finish(RunState.SUCCEEDED, "research", 5)
    assert [sequence for batch in records.batches for sequence in batch] == list(range(1, 101))
    assert len(records.batches) <= 3
    assert (records.state, records.created) == (RunState.SUCCEEDED, 1)


async def test_batches_stay_below_the_size_of_a_message() -> None:
    records = Records()
    made = recorder(records)
    for sequence in range(1, 6):
        made.add(event(sequence, 600_000))
    assert await made.finish(RunState.SUCCEEDED, "research", 5)
    assert [len(batch) for batch in records.batches] == [1] * 5


async def test_what_failed_is_tried_again_without_a_gap() -> None:
    records = Records(down(), down())
    made = recorder(records)
    made.add(event(1))
    await asyncio.sleep(0.05)
    made.add(event(2))
    assert not await made.finish(RunState.FAILED, "", 0.01)
    assert await made.finish(RunState.FAILED, "", 5)
    assert [sequence for batch in records.batches for sequence in batch] == [1, 2]
    assert records.state is RunState.FAILED


async def test_a_record_that_belongs_to_somebody_else_is_left_alone() -> None:
    records = Records(AbortedError("other events", reason="SEQUENCE_CONFLICT"))
    made = recorder(records)
    made.add(event(1))
    assert not await made.finish(RunState.SUCCEEDED, "research", 5)
    assert records.batches == []


async def test_entries_of_the_journal_are_written_with_the_events_that_follow_from_them() -> None:
    records = Records()
    made = recorder(records)
    made.add_entry(ENTRY)
    made.add(event(1))
    made.add_entry(ENTRY)
    await made.settled()
    assert (records.batches, records.positions) == ([[1]], [1, 2])
    made.add_entry(ENTRY)
    await made.settled()
    assert records.positions == [1, 2, 3]


async def test_entries_alone_begin_no_write_of_their_own() -> None:
    records = Records()
    made = recorder(records)
    made.add_entry(ENTRY)
    await asyncio.sleep(0.1)
    assert records.positions == []
    made.add(event(1))
    await made.settled()
    assert (records.batches, records.positions) == ([[1]], [1])


async def test_a_resumed_record_goes_on_behind_its_last_entry() -> None:
    records = Records()
    known = RecordedRun("run_1", RunState.RUNNING, 7, 0.0, last_position=4)
    made = Recorder(records, "run_1", "", "research", agents_pb2.RunAgentRequest(), resumed=known)
    made.start()
    made.add_entry(ENTRY)
    made.add(event(8))
    assert await made.finish(RunState.SUCCEEDED, "research", 5)
    assert (records.batches, records.positions, records.created) == ([[8]], [5], 0)


async def test_who_waits_for_the_record_hears_when_it_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SETTLED_SECONDS", 0.2)
    made = recorder(Records(*[down()] * 100))
    made.add_entry(ENTRY)
    with pytest.raises(UnavailableError) as refused:
        await made.settled()
    assert refused.value.reason == "SESSION_UNAVAILABLE"


async def test_who_lost_the_run_is_told_and_writes_no_more() -> None:
    lost = asyncio.Event()
    records = Records(FailedPreconditionError("taken", reason="RUN_TAKEN"))
    made = Recorder(records, "run_1", "", "research", agents_pb2.RunAgentRequest())
    made.start(lost.set)
    made.add(event(1))
    async with asyncio.timeout(5):
        await lost.wait()
    assert not await made.finish(RunState.SUCCEEDED, "research", 1)
    with pytest.raises(UnavailableError):
        await made.settled()
    assert records.batches == []


async def test_what_is_left_to_another_process_is_completed_and_nothing_is_added() -> None:
    records = Records()
    made = recorder(records)
    made.add(event(1))
    made.freeze()
    made.add(event(2))
    made.add_entry(ENTRY)
    await made.complete(5)
    assert (records.batches, records.positions, records.state) == ([[1]], [], None)
