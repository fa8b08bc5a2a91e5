"""Questions as keyword expressions."""

from __future__ import annotations

import itertools
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.search.question import parse, parts


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Foxes running", '"foxes" OR "running"'),
        ("the fox and the hen", '"fox" OR "hen"'),
        ("to be or not to be", '"to" OR "be" OR "or" OR "not"'),
        ('say "to be" twice', '"to be" OR "say" OR "twice"'),
        ("“warm stove” cat", '"warm stove" OR "cat"'),
        (
            "error E1234-77 in foo_bar",
            '"error" OR "e1234" OR "77" OR "foo" OR "bar" OR "e123477" OR "foobar"',
        ),
        ("getUserName", '"getusername" OR "get" OR "user" OR "name"'),
        ("東京 tower 猫", '"東京" OR "tower" OR "猫" *'),
        ("fox fox FOX", '"fox"'),
        ("", ""),
        ('"" !? *', ""),
    ],
)
def test_words_and_phrases(question: str, expected: str) -> None:
    assert " OR ".join(parts(question)) == expected


def test_a_very_long_question_is_bounded() -> None:
    assert len(parts(" ".join(f"w{n}" for n in range(5000)))) == 128
    many = " ".join("".join(letters) for letters in itertools.product("abcdef", repeat=4))
    parsed = parse(f'{many} ERR_CONN_42 "warm stove"')
    assert {'"errconn42"', '"warm stove"'} <= {*parsed.exact} & {*parsed.any}


@given(st.text(max_size=60))
def test_any_text_is_a_valid_expression(text: str) -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5 (x)")
        parsed = parse(text)
        assert {*parsed.exact} <= {*parsed.any}
        for found in (*parsed.any, *parsed.without):
            connection.execute("SELECT * FROM t WHERE t MATCH ?", (found,)).fetchall()
    connection.close()


@pytest.mark.parametrize(
    ("question", "exact", "without", "text"),
    [
        ("how deep is the harbour?", (), "", "how deep is the harbour?"),
        ('the "warm stove" cat', ('"warm stove"',), "", 'the "warm stove" cat'),
        ("what does ERR_CONN_42 mean", ('"errconn42"',), "", "what does ERR_CONN_42 mean"),
        ("setUp of report-2023.pdf", ('"setup"', '"report2023pdf"'), "", "setUp of report-2023.pdf"),
        ("harbour NOT light", (), '"light"', "harbour"),
        ('harbour -"old light" depth', (), '"old light"', "harbour   depth"),
        ("a well-known tar -xzf flag", (), "", "a well-known tar -xzf flag"),
        ("WHY NOT USE IT", (), "", "WHY NOT USE IT"),
        ("水库 NOT 管理员", (), '"管理 理员"', "水库"),
        ("CPU NOT منارة", (), '"منار"', "CPU"),
        ("1984 NOT 1985", (), '"1985"', "1984"),
    ],
)
def test_exact_parts_and_what_must_not_be_there(
    question: str, exact: tuple[str, ...], without: str, text: str
) -> None:
    parsed = parse(question)
    assert (tuple(parsed.exact), "".join(parsed.without), parsed.text) == (exact, without, text)


def test_what_may_be_a_word_of_the_field_counts_less() -> None:
    assert parse('"warm stove" p53 ERR_42').exact == {'"warm stove"': 1.0, '"p53"': 0.3, '"err42"': 1.0}
