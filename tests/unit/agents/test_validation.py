"""What a caller may send."""

from __future__ import annotations

from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2
from services.agents import validation
from services.chassis.errors import InvalidArgumentError


def request(**fields: Any) -> agents_pb2.RunAgentRequest:
    """A good request, but for the fields."""
    return agents_pb2.RunAgentRequest(**{"agent_id": "research", "message": "Why?", **fields})


def said(text: str) -> agents_pb2.PriorTurn:
    return agents_pb2.PriorTurn(from_caller=True, text=text)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"message": ""}, "message"),
        ({"message": " \n\t"}, "message"),
        ({"message": "\u200b\ufeff\u2060"}, "message"),
        ({"message": "a\0b"}, "message"),
        ({"message": "x" * 32_001}, "message"),
        ({"agent_id": ""}, "agent_id"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 101}, "top_k"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 3.0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 1_000_001}, "max_output_tokens"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"request_id": "a\nb"}, "request_id"),
        ({"session_id": "a*{}:"}, "session_id"),
        ({"session_id": "x" * 10_000}, "session_id"),
        ({"collection_ids": [".."]}, "collection_ids"),
        ({"collection_ids": ["a"]}, "collection_ids"),
        ({"collection_ids": ["abc"] * 17}, "collection_ids"),
        ({"inputs": {"text": "x" * 2_000_001}}, "inputs"),
        ({"history": [said("a")], "session_id": "session_01"}, "history"),
        ({"history": [said("a")] * 41}, "history"),
        ({"history": [said("ü" * 16_001)] * 2}, "history"),
        ({"history": [said("")]}, "history"),
        ({"history": [said("a\0b")]}, "history"),
        ({"instructions": "x" * 16_001}, "instructions"),
        ({"instructions": "a\0b"}, "instructions"),
    ],
)
def test_a_bad_field_is_named_and_its_value_shortened(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        validation.check_run(request(**fields))
    assert (caught.value.reason, caught.value.metadata["field"]) == ("INVALID_FIELD", field)
    assert len(caught.value.metadata["value"]) <= 100


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"message": "x" * 32_000},
        {"message": "🦊"},
        {"top_k": 1},
        {"top_k": 100},
        {"temperature": 0.0},
        {"temperature": 2.0},
        {"request_id": "~!" * 64},
        {"session_id": "session_01"},
        {"collection_ids": ["abc"] * 16},
        {"agent_id": "auto"},
        {"history": [said("ü" * 16_000)] * 2},
        {"history": [said("a")] * 40},
        {"instructions": "x" * 16_000, "session_id": "session_01"},
    ],
)
def test_what_is_allowed_passes(fields: dict[str, Any]) -> None:
    validation.check_run(request(**fields))


def test_pages_follow_each_other() -> None:
    ids = ("a", "b", "c")
    assert validation.page(0, "", ids) == (ids, "")
    assert validation.page(2, "", ids) == (("a", "b"), "b")
    assert validation.page(2, "b", ids) == (("c",), "")
    for size, token in ((-1, ""), (1001, ""), (1, "forged")):
        with pytest.raises(InvalidArgumentError):
            validation.page(size, token, ids)
