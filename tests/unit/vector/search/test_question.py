"""Questions as keyword expressions."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.search.question import expression


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Foxes running", '"foxes" OR "running"'),
        ("the fox and the hen", '"fox" OR "hen"'),
        ("to be or not to be", '"to" OR "be" OR "or" OR "not"'),
        ('say "to be" twice', '"to be" OR "say" OR "twice"'),
        ("“warm stove” cat", '"warm stove" OR "cat"'),
        ("error E1234-77 in foo_bar", '"error" OR "e1234" OR "77" OR "foo" OR "bar"'),
        ("fox fox FOX", '"fox"'),
        ("", ""),
        ('"" !? *', ""),
    ],
)
def test_words_and_phrases(question: str, expected: str) -> None:
    assert expression(question) == expected


def test_a_very_long_question_is_bounded() -> None:
    assert expression(" ".join(f"w{n}" for n in range(5000))).count(" OR ") == 127


@given(st.text(max_size=60))
def test_any_text_is_a_valid_expression(text: str) -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5 (x)")
        if found := expression(text):
            connection.execute("SELECT * FROM t WHERE t MATCH ?", (found,)).fetchall()
    connection.close()
