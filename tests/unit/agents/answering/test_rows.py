"""Rows of tables are found where they stand, and read with the names of their columns."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.answering.rows import is_row, rows
from services.agents.answering.sentences import spans

STONES = "Stone | Density | Foreman\nBasalt | 2.91 | Odalric Venn\nGneiss | 2.65 | Perpetua Strand"


def readings(text: str, *, begins: bool = True) -> list[str]:
    """What the rows say that do more than name columns."""
    return [row.reading for row in rows(text, begins=begins) if not row.heads]


def test_a_row_is_read_with_the_names_of_its_columns() -> None:
    read = rows(f"Prose before.\n\n{STONES}\n\nProse behind.")
    assert [row.reading for row in read] == [
        "Stone | Density | Foreman",
        "Stone: Basalt; Density: 2.91; Foreman: Odalric Venn",
        "Stone: Gneiss; Density: 2.65; Foreman: Perpetua Strand",
    ]
    assert [row.heads for row in read] == [True, False, False]


def test_empty_cells_say_nothing() -> None:
    assert readings("Stone | Density | Foreman\nSlate |  | Hugo Voss\nChalk | 2.5 |") == [
        "Stone: Slate; Foreman: Hugo Voss",
        "Stone: Chalk; Density: 2.5",
    ]


@pytest.mark.parametrize(
    "table",
    ["| Tea | Steep |\n|---|:-:|\n| Lapsang | long |", "Tea | Steep\n--- | ---\nLapsang | long"],
)
def test_a_rule_below_the_first_row_says_that_it_heads(table: str) -> None:
    read = rows(table)
    assert [row.heads for row in read] == [True, False]
    assert read[1].reading == "Tea: Lapsang; Steep: long"


def test_rows_that_name_their_cells_are_read_as_they_are() -> None:
    table = "Orchard | Kilos\nOrchard: Hill; Kilos: 12\nOrchard: Dale; Kilos: 13; 2026-03-14"
    read = rows(table)
    assert [row.heads for row in read] == [True, False, False]
    assert [row.reading for row in read] == table.split("\n")


def test_the_first_row_of_a_list_of_names_and_values_says_something() -> None:
    assert not any(row.heads for row in rows("Name | Perpetua Strand\nAge | 45\nWage | 300"))


def test_a_row_from_the_middle_of_a_table_names_no_columns() -> None:
    middle = "Slate | none | Hugo Voss\nGneiss | hard | Perpetua Strand"
    assert readings(middle, begins=False) == middle.split("\n")


def test_first_rows_of_values_name_no_columns() -> None:
    figures = "1902 | 6543\n1919 | 7001"
    assert readings(figures) == figures.split("\n")
    repeated = "Cox | Hill | yes\nCox | Dale | 12"
    assert readings(repeated) == repeated.split("\n")


def test_a_line_alone_makes_no_table() -> None:
    assert rows("P(A | B) is what is asked for.\nIt is small.") == []


def test_a_row_is_not_cut_where_a_sentence_ends() -> None:
    table = "Stone | Remark\nGneiss | It is hard. It splits. | 2.65"
    assert [table[start:end] for start, end in spans(table)] == table.split("\n")


def test_each_row_of_named_cells_stands_alone() -> None:
    table = "bird: wren; count: 1\nbird: Owl; count: 2\nbird: rook; count: 3"
    assert [table[start:end] for start, end in spans(table)] == table.split("\n")


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("Gneiss | 2.65", True),
        ("Stone: Gneiss; Density: 2.65", True),
        ("Stone: Gneiss", False),
        ("The gate opens at ten; it closes at six.", False),
        ("if (a || b) return;", False),
    ],
)
def test_what_a_row_looks_like(text: str, row: bool) -> None:
    assert is_row(text) is row


@given(st.text(alphabet="ab1|:;-\\ \n", max_size=200), st.booleans())
def test_every_row_is_a_line_of_the_text(text: str, begins: bool) -> None:
    last = 0
    for row in rows(text, begins=begins):
        assert last <= row.start < row.end
        assert text[row.start : row.end] == text[row.start : row.end].strip()
        assert "\n" not in text[row.start : row.end]
        last = row.end


@pytest.mark.parametrize("text", ["a | " * 20_000, "a: b; " * 20_000, "a b" * 20_000, "a | b\n" * 20_000])
def test_rows_without_end_take_no_time_without_end(text: str) -> None:
    began = time.monotonic()
    rows(f"{text}\n{text}")
    assert time.monotonic() - began < 10
