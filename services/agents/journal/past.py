"""What a record holds of a run: enough to go on with it, or to repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meldrag.agents.v1 import agents_pb2, journal_pb2
from services.agents.journal.entry import Entry, Outcome, from_wire, read_json, unpacked
from services.agents.journal.journal import BEGIN
from services.agents.ports import RecordedRun, RunRecords
from services.chassis.errors import FailedPreconditionError, OutOfRangeError


@dataclass(frozen=True)
class Past:
    """The events of a run, and its journal."""

    events: Sequence[agents_pb2.RunAgentResponse]
    entries: Sequence[Entry]


async def read_past(records: RunRecords, record: RecordedRun) -> Past:
    """What is recorded of a run.

    Raises FailedPreconditionError (NOT_REPLAYABLE) when its work cannot be repeated from that, and what the
    records raise.
    """
    events: list[agents_pb2.RunAgentResponse] = []
    try:
        if record.last_sequence:
            events = await records.events(record.run_id, record.last_sequence, agents_pb2.RunAgentResponse)
        entries = [
            from_wire(entry) for entry in await records.entries(record.run_id, journal_pb2.JournalEntry)
        ]
    except OutOfRangeError as error:
        raise not_replayable(record.run_id, "its first events are no longer kept") from error
    except ValueError as error:
        raise not_replayable(record.run_id, f"a later release wrote its journal ({error})") from error
    if len(events) < record.last_sequence:
        raise not_replayable(record.run_id, "events are missing")
    if cause := _lack(entries, begun=bool(events)):
        raise not_replayable(record.run_id, cause)
    return Past(events, entries)


def _lack(entries: Sequence[Entry], *, begun: bool) -> str:
    """What keeps a journal from being repeated; "" for nothing."""
    if not entries:
        return "the record has no journal: an earlier release made it" if begun else ""
    if entries[0].kind != BEGIN:
        return "the journal has no beginning"
    if entries[-1].outcome is Outcome.BROKEN:
        return str(read_json(unpacked(entries[-1].value)))
    return ""


def not_replayable(run_id: str, cause: str) -> FailedPreconditionError:
    """Why a run cannot be repeated."""
    return FailedPreconditionError(
        f"the run cannot be repeated: {cause}",
        reason="NOT_REPLAYABLE",
        metadata={"run_id": run_id, "cause": cause},
    )
