"""Strict reading of JSON and of queries: every doubtful input has one answer."""

from __future__ import annotations

import json

import pytest

from services.gateway.body import Fields, parse_object
from services.gateway.problem import ProblemError

BAD = {
    "truncated": b'{"a": 1',
    "not JSON": b"hello",
    "empty": b"",
    "array": b"[1]",
    "number": b"1",
    "null": b"null",
    "string": b'"a"',
    "duplicate name": b'{"a": 1, "a": 1}',
    "duplicate name deep inside": b'{"a": {"b": [{"c": 1, "c": 2}]}}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "1e999": b'{"a": 1e999}',
    "-1e999": b'{"a": -1e999}',
    "a whole number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "100,000 nested brackets": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "33 levels": b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}",
    "10,001 members": json.dumps({"a": list(range(10_001))}).encode(),
    "invalid UTF-8": b'{"a": "\xff"}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "lone surrogate as a name": b'{"\\udfff": 1}',
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "something behind it": b'{"a": 1} {}',
    "raw line break in a string": b'{"a": "x\ny"}',
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_not_a_plain_json_object_is_400(data: bytes) -> None:
    with pytest.raises(ProblemError) as refused:
        parse_object(data)
    assert refused.value.status == 400
    assert refused.value.reason == "INVALID_JSON"


def test_a_surrogate_pair_and_32_levels_are_fine() -> None:
    assert parse_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "😀"}
    assert parse_object(b'{"a": ' + b"[" * 31 + b"]" * 31 + b"}")


WRONG_INTEGERS = [0, -1, 2**31, 10**20, "5", 2.5, 2.0, True, [], {}]


@pytest.mark.parametrize("value", WRONG_INTEGERS, ids=repr)
def test_a_whole_number_is_nothing_else(value: object) -> None:
    with pytest.raises(ProblemError) as refused:
        Fields({"top_k": value}).integer("top_k", minimum=1)
    assert (refused.value.status, refused.value.reason) == (400, "INVALID_FIELD")
    assert refused.value.metadata == {"field": "top_k"}


@pytest.mark.parametrize("value", ["1", True, [], 10**400, 1e301], ids=lambda value: repr(value)[:20])
def test_a_number_is_nothing_else(value: object) -> None:
    with pytest.raises(ProblemError):
        Fields({"temperature": value}).number("temperature")


def test_a_field_that_nobody_asked_for_is_named() -> None:
    fields = Fields({"query": "a", "tenant_id": "other"})
    fields.text("query")
    with pytest.raises(ProblemError) as refused:
        fields.finish()
    assert refused.value.reason == "UNKNOWN_FIELD"
    assert refused.value.metadata == {"field": "tenant_id"}


@pytest.mark.parametrize(
    "value",
    [{"$or": [1]}, {"tenant": {"$ne": "me"}}, {"a": None}, {"a": [1]}, {"a": 2**60}, [], "x"],
    ids=repr,
)
def test_a_flat_object_holds_no_structure(value: object) -> None:
    with pytest.raises(ProblemError) as refused:
        Fields({"metadata": value}).flat_struct("metadata")
    assert refused.value.status == 400


def test_a_field_inside_a_list_is_named_with_its_path() -> None:
    with pytest.raises(ProblemError) as refused:
        Fields({"citations": [{"quote": "a"}, {"quote": 5}]}).objects("citations")[1].text("quote")
    assert refused.value.metadata == {"field": "citations[1].quote"}
