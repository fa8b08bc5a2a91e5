from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from services.gateway.body import Fields
from services.gateway.openai import embedding
from services.gateway.problem import ProblemError


def read(**members: Any) -> embedding.Wanted:
    return embedding.read(Fields({"model": "meld-embedding", "input": "text", **members}))


def test_a_string_and_a_list_are_texts() -> None:
    assert read().texts == ("text",)
    assert read(input=["a", "b"], user="me").texts == ("a", "b")


def test_many_texts_are_asked_for_in_parts() -> None:
    calls = list(read(input=["x"] * 600).calls())
    assert [len(part) for part in calls] == [256, 256, 88]


@pytest.mark.parametrize("value", [None, "", [], [""], [7, 8], [[7, 8]], ["a", 7], {"a": 1}, ["x"] * 2049])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ProblemError) as caught:
        read(input=value)
    assert caught.value.status == 400
    assert caught.value.metadata["field"].startswith("input")


def test_tokens_are_refused_with_what_to_do() -> None:
    with pytest.raises(ProblemError, match="check_embedding_ctx_length=False"):
        read(input=[[1, 2], [3]])


def test_a_form_that_is_unknown_is_refused() -> None:
    with pytest.raises(ProblemError) as caught:
        read(encoding_format="int8")
    assert caught.value.metadata["field"] == "encoding_format"


def test_the_model_and_its_dimensions_must_be_those_at_work() -> None:
    read().check("minilm", 3)
    read(model="minilm", dimensions=3).check("minilm", 3)
    for members, reason in (
        ({"model": "text-embedding-3-small"}, "MODEL_NOT_FOUND"),
        ({"dimensions": 2}, "INVALID_FIELD"),
    ):
        with pytest.raises(ProblemError) as caught:
            read(**members).check("minilm", 3)
        assert caught.value.reason == reason


def test_vectors_are_numbers_or_floats_of_four_bytes() -> None:
    rows = [[0.5, -1.0], [0.25, 2.0]]
    plain = embedding.told(read(), "minilm", rows)
    assert [item["embedding"] for item in plain["data"]] == rows
    assert [item["index"] for item in plain["data"]] == [0, 1]
    assert (plain["model"], plain["usage"]) == ("minilm", {"prompt_tokens": 0, "total_tokens": 0})
    packed = embedding.told(read(encoding_format="base64"), "minilm", rows)["data"][1]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(packed)) == (0.25, 2.0)
