"""Reading measurements."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.measuring.series import MAX_ROWS, Table, pairs, read_csv, read_json
from services.chassis.errors import InvalidArgumentError


def cause(text: str, **columns: str) -> str:
    with pytest.raises(InvalidArgumentError) as caught:
        read_csv(text, **columns)
    assert caught.value.reason == "INPUTS_INVALID"
    assert caught.value.metadata["path"] == "$.csv"
    return caught.value.metadata["cause"]


def values(table: Table) -> dict[str, list[float]]:
    return {series.name: series.values.tolist() for series in table.series}


def test_times_order_the_values_and_groups_go_along() -> None:
    table = read_csv("time,latency_ms,version\n2026-01-02,3,new\n2026-01-01,1.5,old\n2026-01-03,,new\n")
    (series,) = table.series
    assert (series.name, series.unit, series.missing) == ("latency_ms", "ms", 1)
    assert series.values.tolist() == [1.5, 3]
    assert series.groups == ("old", "new")
    assert series.rows == (2, 1)
    assert table.dated
    assert (table.time_column, table.group_column) == ("time", "version")


@pytest.mark.parametrize(
    "text",
    ["a;b\n1,5;2\n", "a\tb\n1.5\t2\n", "a|b\n1.5|2", "\ufeffa,b\r\n1.5,2\r\n\r\n", ' a , "b" \n 1.5, 2'],
)
def test_csv_as_programs_write_it(text: str) -> None:
    assert values(read_csv(text)) == {"a": [1.5], "b": [2.0]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("a,b\n", "no rows"),
        ("1,2\n3,4\n", "must name the columns"),
        ("a,b\n1\n", "row 1 has 1 cells, the header has 2"),
        ("a,a\n1,2\n", "name of its own"),
        ("a,\n1,2\n", "name of its own"),
        ("a\n1\nsoon\n", "row 2 of column 'a' is no number: 'soon'"),
        ("a\nx\ny\n", "no column holds numbers"),
        ("a,b\n,1\n", "column 'a' holds no number"),
        ("a" * 200 + "\n1\n", "120 are allowed"),
        (f"a,group\n1,{'x' * 200}\n2,y\n", "more than 120"),
        ("a\n1e999\n2\n", "row 1 of column 'a' is no number"),
        ("a\n" + "1\n" * (MAX_ROWS + 1), "at most"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, told: str) -> None:
    assert told in cause(text)


def test_columns_that_are_asked_for_must_be_there_and_fit() -> None:
    text = "when,ms,arm\nnow,1,a\n2,2,b\n"
    assert "no column 'nope'" in cause(text, group_column="nope")
    assert "row 1 of column 'when' is neither" in cause(text, time_column="when")
    many = "ms,arm\n" + "".join(f"1,g{i}\n" for i in range(7))
    assert "has 7 groups" in cause(many, group_column="arm")


def test_epochs_are_moments_and_counters_are_not() -> None:
    assert read_csv("time,v\n1767225600,1\n1767225660,2\n").dated
    table = read_csv("time,v\n1767225600000,1\n1767225660000,2\n")
    assert table.dated
    assert table.series[0].positions().tolist() == [1767225600, 1767225660]
    assert not read_csv("time,v\n1,1\n2,2\n").dated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2.5, null]", {"value": [1, 2.5]}),
        ('[{"ms": 1, "n": 3}, {"ms": 2}]', {"ms": [1, 2], "n": [3]}),
        ('{"ms": [1, 2], "n": [3, 4]}', {"ms": [1, 2], "n": [3, 4]}),
    ],
)
def test_json_in_three_forms(text: str, expected: dict[str, list[float]]) -> None:
    assert values(read_json(text)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("3", "neither"),
        ('{"a": [1], "b": [1, 2]}', "different lengths"),
        ("[true, false]", "no column holds numbers"),
        ("[[1], [2]]", "number"),
        ("[]", "no rows"),
    ],
)
def test_json_that_cannot_be_read_is_named(text: str, told: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read_json(text)
    assert told in caught.value.metadata["cause"]


@given(st.text(max_size=200))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    for read in (read_csv, read_json):
        with contextlib.suppress(InvalidArgumentError):
            assert all(len(series.values) for series in read(text).series)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=30))
def test_numbers_come_through_as_they_are(numbers: list[float]) -> None:
    assert values(read_json(json.dumps(numbers)))["value"] == numbers
    assert values(read_csv("v\n" + "\n".join(map(repr, numbers))))["v"] == numbers


def test_each_two_groups_are_compared_once() -> None:
    assert list(pairs(["b", "a", "b", "c"])) == [("b", "a"), ("b", "c"), ("a", "c")]
