"""Records hold every message and event, and show damage."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.session import records
from services.session.model import NewMessage, Payload, Role, RunEvent, RunUsage

texts = st.text(st.characters(codec="utf-8"), max_size=50)


@given(
    st.builds(NewMessage, texts, st.sampled_from(Role), texts, texts, texts, st.binary(max_size=50)),
    st.integers(0, 2**53),
)
def test_a_message_comes_back(content: NewMessage, time: int) -> None:
    stored = struct.pack(">d", time) + records.message_fields(content)
    message = records.message(stored, 7)
    assert (message.content, message.sequence, message.create_time) == (content, 7, time)


@given(st.builds(Payload, texts, st.binary(max_size=50)), st.integers(-(2**63), 2**63 - 1))
def test_an_event_comes_back(payload: Payload, time: int) -> None:
    event = RunEvent(3, payload, time)
    assert records.event(records.event_record(event), 3) == event


def test_a_damaged_record_is_an_error() -> None:
    record = records.event_record(RunEvent(1, Payload("type", b"value"), 5))
    for damaged in (record[:-1], record[:10], b"", record[:8] + b"\x02" + record[9:]):
        with pytest.raises((ValueError, struct.error)):
            records.event(damaged, 1)


def test_fields_of_a_later_release_are_ignored() -> None:
    record = records.event_record(RunEvent(1, Payload("type", b"value"), 5))
    later = record + struct.pack(">I", 3) + b"new"
    assert records.event(later, 1) == records.event(record, 1)


@pytest.mark.parametrize("cost", [None, 0.0042])
def test_what_a_run_used_comes_back_as_it_was(cost: float | None) -> None:
    used = RunUsage(120, 12, "größer:latest", cost)
    assert records.usage(records.usage_record(used)) == used
