"""What agents keep in a session."""

from __future__ import annotations

import json

from services.agents.notes import RunNotes
from services.agents.ports import JsonObject
from tests.unit.agents.roster.reading import Sessions


def counted(kept: JsonObject) -> JsonObject:
    """One more."""
    return {"count": kept.get("count", 0) + 1}


def notes(sessions: Sessions, run_id: str) -> RunNotes:
    return RunNotes(sessions, "s", run_id)  # type: ignore[arg-type] # only the notes


async def test_a_change_counts_once_for_each_run_whatever_is_repeated() -> None:
    sessions = Sessions()
    for run_id, count in (("a", 1), ("a", 1), ("b", 2), ("a", 2), ("c", 3)):
        assert await notes(sessions, run_id).change("n", counted) == {"count": count}
    assert sessions.kept("n") == {"count": 3}


async def test_notes_of_other_names_stay_and_what_is_not_changed_is_not_written() -> None:
    sessions = Sessions()
    await notes(sessions, "a").change("n", counted)
    assert await notes(sessions, "b").change("m", dict) == {}
    assert list(sessions.notes) == ["n"]


async def test_it_remembers_the_last_runs_alone() -> None:
    sessions = Sessions()
    for number in range(20):
        await notes(sessions, f"run {number}").change("n", counted)
    assert len(json.loads(sessions.notes["n"])["runs"]) == 8
