"""Words and identifiers, as the keyword index takes them."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.vector import tokens
from services.vector.record import lexicon


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Light, since 1871.", ["the", "light", "since", "1871"]),
        ("東京は首都", ["東京", "京は", "は首", "首都"]),
        ("東京tower猫", ["東京", "tower", "猫"]),
        ("ｱｲｽ", ["アイ", "イス"]),
        ("สวัสดี", ["สว", "วั", "ัส", "สด", "ดี"]),
        ("كِتَاب", ["كتاب"]),
        ("الكتاب", ["كتاب"]),
        ("राजधानी", ["राजधान"]),
        ("столица", ["столиц"]),
        ("café", ["café"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert tokens.words(text) == words


@pytest.mark.parametrize(
    ("text", "names", "identifiers"),
    [
        ("err_conn_42 failed", "errconn42", ["errconn42"]),
        ("CVE-2023-44487", "cve202344487", ["cve202344487"]),
        ("config.yaml", "configyaml", ["configyaml"]),
        ("getHTTPStatus", "get http status", ["gethttpstatus"]),
        ("code E1234", "", ["e1234"]),
        ("a well-known and/or state-of-the-art 3.5", "", []),
        ("首都だ", "だ", []),
    ],
)
def test_identifiers_are_kept_whole_and_split(text: str, names: str, identifiers: list[str]) -> None:
    assert tokens.names(text) == names
    assert list(tokens.identifiers(text)) == identifiers


@pytest.mark.parametrize(
    "text", ["x" * 2_000_000, "aB" * 1_000_000, "a." * 1_000_000, "猫" * 500_000, "1a" * 10**6]
)
def test_a_text_without_a_space_takes_no_long(text: str) -> None:
    # A quadratic pattern would take minutes.
    assert tokens.identifiers(text) == {}
    tokens.spaced(text)
    tokens.names(text)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=80))
@example("\u13a0\u13b9 \u1c90\u1c91 \u1ebe")
def test_what_is_asked_is_what_the_index_has(text: str) -> None:
    with sqlite3.connect(":memory:") as connection:
        lexicon.create(connection, 1)
        entry = lexicon.Entry(1, "", text)
        lexicon.add(connection, 1, 1, title="", filename="", text=text, entries=[entry])
        for word in tokens.words(text):
            (found,) = lexicon.scores(connection, lexicon.Shelf(1), [(f'"{word}"', -1)])
            assert found.keys.tolist() == [1], word
        lexicon.remove(connection, 1, 1, title="", filename="", text=text, entries=[entry])
        (left,) = connection.execute("SELECT count(*) FROM lexical_1_docsize").fetchone()
        assert left == 0
    connection.close()
