"""The keyword index of a collection: what it holds, and how it is made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np
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
    return [key for key, _ in lexicon.best(connection, 7, expression, 10)]


@pytest.fixture
def birds(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Keys 100 to 399: all hold "bird", every 2nd "heron", every 50th "bittern", the last "bird" most."""
    for key in range(100, 400):
        words = [
            "bird",
            *["heron"] * (key % 2 == 0),
            *["bittern"] * (key % 50 == 0),
            *["bird"] * (key == 399) * 5,
        ]
        text = " ".join(words)
        lexicon.add(connection, 7, key, title="", filename="", text=text, entries=[Entry(key, "", text)])
    return connection


def proposed(
    connection: sqlite3.Connection, expression: str, limit: int, allowed: list[int] | None = None
) -> set[int]:
    only = None if allowed is None else np.array(allowed, dtype=np.int64)
    found = lexicon.proposed(connection, 7, expression, limit, alike=2 * limit, passages=303, allowed=only)
    assert len(found.keys) == len(set(found.keys)) <= 2 * limit
    return set(found.keys)


def test_what_holds_the_rarer_words_is_proposed(birds: sqlite3.Connection) -> None:
    bitterns = set(range(100, 400, 50))
    assert proposed(birds, '"bittern" OR "heron" OR "bird"', 6) == bitterns
    assert bitterns < proposed(birds, '"bird" OR "heron" OR "bittern"', 7)
    assert proposed(birds, '"bittern" OR "heron"', 300) == set(range(100, 400, 2))
    assert proposed(birds, '"emu"', 5) == proposed(birds, "", 5) == set()


def test_of_many_that_hold_the_same_words_bm25_decides(birds: sqlite3.Connection) -> None:
    assert 399 in proposed(birds, '"bird"', 3)
    assert 399 in proposed(birds, '"bird" OR "emu"', 3, allowed=list(range(350, 400)))


def test_those_as_good_as_the_last_come_along_where_there_is_room(birds: sqlite3.Connection) -> None:
    found = lexicon.proposed(birds, 7, '"bittern" OR "heron"', 20, alike=150, passages=303)
    assert set(found.keys) == set(range(100, 400, 2))


def test_what_is_held_is_told_of_every_passage_that_matches(birds: sqlite3.Connection) -> None:
    found = lexicon.proposed(birds, 7, '"bittern" OR "heron"', 6, alike=6, passages=303)
    bittern, heron, neither, unknown = found.held_by(np.array([100, 102, 101, 7_000])).tolist()
    assert bittern > heron > 0 == neither == unknown
    nothing = lexicon.proposed(birds, 7, '"emu"', 6, alike=6, passages=303)
    assert nothing.held_by(np.array([100, 101])).tolist() == [0, 0]


def test_only_what_is_allowed_is_proposed(birds: sqlite3.Connection) -> None:
    assert proposed(birds, '"bittern" OR "heron"', 5, allowed=[100, 101, 102, 103]) == {100, 102}
    assert proposed(birds, '"bird"', 5, allowed=[]) == set()


@pytest.mark.parametrize(
    "expression", ['"bittern"', '"heron" OR "bittern"', '"bird" OR "heron" OR "bittern"', '"bird"']
)
@pytest.mark.parametrize("limit", [1, 4, 50])
def test_the_best_is_always_among_what_is_proposed(
    birds: sqlite3.Connection, expression: str, limit: int
) -> None:
    ((best, _),) = lexicon.best(birds, 7, expression, 1)
    assert best in proposed(birds, expression, limit)


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
