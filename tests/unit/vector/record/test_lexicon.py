"""The keyword index of a collection: what it holds, and how it is made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from services.vector.record import lexicon
from services.vector.record.lexicon import Entry

TEXTS = {1: "the otter swims in the harbour", 2: "a marten climbs the old tree", 3: "zebras run"}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE collections (key INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO collections VALUES (7)")
    lexicon.create(connection, 7)
    for key, text in TEXTS.items():
        lexicon.add(
            connection,
            7,
            key,
            title="Animals",
            filename="",
            text=text,
            entries=[Entry(key * 10, "Head", text)],
        )
    yield connection
    connection.close()


def words(connection: sqlite3.Connection, expression: str) -> list[int]:
    (found,) = lexicon.scores(connection, lexicon.Shelf(7), [(expression, -1)])
    return [key for _, key in sorted(zip(-found.scores, found.keys.tolist(), strict=True))]


def test_sizes_tell_what_is_missing_and_what_was_made_from_other_words(
    connection: sqlite3.Connection,
) -> None:
    sizes = lexicon.Sizes(connection, 7)

    def differing(key: int, text: str, entries: list[Entry]) -> tuple[int, int]:
        return sizes.compare(key, title="Animals", filename="", text=text, entries=entries)

    good = [Entry(10, "Head", TEXTS[1])]
    assert differing(1, TEXTS[1], good) == (0, 0)
    assert differing(1, "other words", good) == (0, 1)
    assert differing(1, TEXTS[1], [Entry(10, "", TEXTS[1]), Entry(11, "", "x")]) == (1, 1)
    assert differing(4, "x", [Entry(40, "", "x")]) == (2, 0)
    sizes.close()


def test_the_words_of_a_sound_index_add_up_also_after_deletes(connection: sqlite3.Connection) -> None:
    assert lexicon.miscounted(connection, 7) == []
    lexicon.remove(
        connection, 7, 1, title="Animals", filename="", text=TEXTS[1], entries=[Entry(10, "Head", TEXTS[1])]
    )
    assert lexicon.miscounted(connection, 7) == []
    connection.execute("UPDATE lexical_7_docsize SET sz = x'01010500' WHERE id = 20")
    assert len(lexicon.miscounted(connection, 7)) == 1


def test_what_the_index_does_not_hold_is_not_removed_from_it(connection: sqlite3.Connection) -> None:
    for _ in range(2):
        lexicon.remove(
            connection,
            7,
            1,
            title="Animals",
            filename="",
            text=TEXTS[1],
            entries=[Entry(10, "Head", TEXTS[1])],
        )
    assert lexicon.count(connection, 7, 10, 10) == 0
    assert lexicon.miscounted(connection, 7) == []
    assert words(connection, "marten") == [20]


def test_the_next_tables_take_the_place_of_others_and_hear_of_deletes(connection: sqlite3.Connection) -> None:
    lexicon.create_next(connection, 7)
    for key in (1, 2):
        lexicon.add(
            connection,
            7,
            key,
            title="Animals",
            filename="",
            text=TEXTS[key],
            entries=[Entry(key * 10, "", TEXTS[key])],
            into_next=True,
        )
    assert words(connection, "zebras") == [30]
    lexicon.remove(
        connection, 7, 1, title="Animals", filename="", text=TEXTS[1], entries=[Entry(10, "", TEXTS[1])]
    )
    assert lexicon.ownerless(connection) == ["lexical_7_next", "lexical_documents_7_next"]
    lexicon.put_next(connection, 7)
    assert lexicon.ownerless(connection) == []
    assert (words(connection, "otter"), words(connection, "marten"), words(connection, "zebras")) == (
        [],
        [20],
        [],
    )
    # It is written to under its new name.
    lexicon.add(
        connection, 7, 3, title="Animals", filename="", text=TEXTS[3], entries=[Entry(30, "", TEXTS[3])]
    )
    lexicon.remove(
        connection, 7, 2, title="Animals", filename="", text=TEXTS[2], entries=[Entry(20, "", TEXTS[2])]
    )
    assert (words(connection, "marten"), words(connection, "zebras")) == ([], [30])
    assert lexicon.miscounted(connection, 7) == []


def test_a_merge_of_all_ends_and_forgets_what_was_removed(connection: sqlite3.Connection) -> None:
    lexicon.remove(
        connection, 7, 3, title="Animals", filename="", text=TEXTS[3], entries=[Entry(30, "Head", TEXTS[3])]
    )

    def held() -> bool:
        (blocks,) = connection.execute("SELECT group_concat(hex(block)) FROM lexical_7_data").fetchone()
        return b"ebra".hex().upper() in blocks

    assert held()
    for step in range(100):
        if not lexicon.merge(connection, "lexical_7", 100, first=step == 0):
            break
    else:
        raise AssertionError("no end")
    assert not held()
    assert words(connection, "otter") == [10]


def test_tables_of_no_collection_are_told_and_can_be_dropped(connection: sqlite3.Connection) -> None:
    lexicon.create(connection, 8)
    assert lexicon.ownerless(connection) == ["lexical_8", "lexical_documents_8"]
    assert not lexicon.drop_ownerless(connection, "lexical_7")
    assert lexicon.drop_ownerless(connection, "lexical_8")
    assert lexicon.ownerless(connection) == ["lexical_documents_8"]
    lexicon.drop(connection, 7)
    assert not lexicon.exists(connection, 7)
    assert lexicon.count_all(connection, 7) == 0
