"""Entries come back from the record as they were."""

from __future__ import annotations

import os

import pytest

from meldrag.agents.v1 import journal_pb2
from services.agents.journal.entry import (
    Entry,
    Outcome,
    canonical,
    from_wire,
    packed,
    read_json,
    unpacked,
)


def test_they_come_back_as_they_were() -> None:
    entry = Entry("tool", Outcome.VALUE, b"d" * 32, packed(b"asked"), packed(b"x" * 1000), 0.25)
    assert from_wire(journal_pb2.JournalEntry.FromString(entry.on_wire().SerializeToString())) == entry
    assert len(entry.value) < 100


@pytest.mark.parametrize("data", [b"", b"short", b"long " * 1000, os.urandom(1000)])
def test_bytes_are_packed_and_unpacked(data: bytes) -> None:
    assert unpacked(packed(data)) == data
    assert len(packed(data)) <= len(data) + 1


@pytest.mark.parametrize("data", [b"", b"\2what", packed(b"x" * 1000)[:-3], b"\1no zlib"])
def test_what_is_damaged_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked(data)


def test_json_is_exact_and_has_one_form() -> None:
    value = {"b": [0.1 + 0.2, 1e-300, "ü\ud800", None, True], "a": float("inf")}
    assert read_json(canonical(value)) == value
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})


def test_a_later_release_s_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="99"):
        from_wire(journal_pb2.JournalEntry(kind="x", outcome=99))  # type: ignore[arg-type]
