"""Words in memory say what FTS5's bm25() says, whatever was added and removed between questions."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from services.vector.record import lexicon
from services.vector.record import postings as postings_module
from services.vector.record.lexicon import Entry, Shelf
from services.vector.record.postings import Postings, Ranking

T = TypeVar("T")

WORDS = ["otter", "harbour", "marten", "tree", "zebra", "lamp", "pier", "rope"]
PARTS = [f'"{word}"' for word in WORDS] + ['"lamp pier"', '"ro" *', '"emu"']
PASSAGES, DOCUMENTS = Shelf(7), Shelf(7, of_documents=True)


class File:
    """A keyword index, with documents of one passage and of two under keys that ascend."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # Nobody needs the file afterwards.
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute("PRAGMA journal_mode = MEMORY")
        self.connection.execute("CREATE TABLE collections (key INTEGER PRIMARY KEY)")
        self.connection.execute("INSERT INTO collections VALUES (7)")
        lexicon.create(self.connection, 7)
        self.texts: dict[int, str] = {}

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return work(self.connection)

    def add(self, key: int, text: str, *, title: str = "", into_next: bool = False) -> None:
        self.texts[key] = f"{title}|{text}"
        lexicon.add(
            self.connection,
            7,
            key,
            title=title,
            filename="",
            text=text,
            entries=self._entries(key, text),
            into_next=into_next,
        )

    def remove(self, key: int) -> None:
        title, text = self.texts.pop(key).split("|")
        lexicon.remove(
            self.connection, 7, key, title=title, filename="", text=text, entries=self._entries(key, text)
        )

    @staticmethod
    def _entries(key: int, text: str) -> list[Entry]:
        half = len(text) // 2 if key % 3 == 0 else len(text)
        return [
            Entry(key * 10 + n, "Head", part) for n, part in enumerate((text[:half], text[half:])) if part
        ]

    def bm25(self, shelf: Shelf, parts: Sequence[str]) -> dict[int, float]:
        weights = "3.0, 1.0, 1.0" if shelf.of_documents else "3.0, 1.0, 1.0, 1.0"
        name = shelf.table
        rows = self.connection.execute(
            f"SELECT rowid, -bm25({name}, {weights}) FROM {name} WHERE {name} MATCH ?", (" OR ".join(parts),)
        )
        return dict(rows.fetchall())


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    file = File(tmp_path / "words.sqlite3")
    yield file
    file.connection.close()


async def holds(file: File, postings: Postings, parts: Sequence[str], shelf: Shelf = PASSAGES) -> None:
    """Every score is that of FTS5."""
    ranking = await postings.rank(shelf, parts)
    wanted = file.bm25(shelf, parts)
    found = {
        int(key): float(score) for key, score in zip(ranking.keys, ranking.scores, strict=True) if score > 0
    }
    assert found == pytest.approx(wanted, rel=1e-9)
    best = sorted(wanted, key=lambda key: (-ranking.of([key])[0], key))
    assert set(ranking.best(5)) == set(best[:5])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limit", [1 << 20, 2_000])
async def test_scores_are_those_of_the_index_after_any_change(file: File, seed: int, limit: int) -> None:
    chance = random.Random(seed)
    postings = Postings(file, limit)
    newest = 0
    for _ in range(60):
        step = chance.random()
        if step < 0.5 or not file.texts:
            for _ in range(chance.choice([1, 1, 5, 40])):
                newest += 1
                file.add(
                    newest,
                    " ".join(chance.choices(WORDS, range(1, 9), k=chance.randint(1, 30))),
                    title=chance.choice(["", "otter", "lamp pier"]),
                )
        elif step < 0.75:
            for key in chance.sample(sorted(file.texts), min(len(file.texts), chance.choice([1, 3]))):
                file.remove(key)
        elif step < 0.8:
            file.connection.execute("VACUUM")
        elif step < 0.85:
            # Made anew: the same keys with other words.
            lexicon.create_next(file.connection, 7)
            for key, held in sorted(file.texts.items()):
                title, text = held.split("|")
                file.add(key, " ".join([*text.split(), "rope"]), title=title, into_next=True)
            lexicon.put_next(file.connection, 7)
        elif step < 0.9:
            file.connection.execute(f"CREATE TABLE another_{chance.randrange(1 << 60)} (x)")
        shelf = chance.choice([PASSAGES, DOCUMENTS])
        await holds(file, postings, chance.sample(PARTS, chance.randint(1, 5)), shelf)
        await holds(file, postings, chance.sample(PARTS, 2), shelf)
    assert postings.bytes <= max(limit, 64 * newest + 2_000)


async def test_what_was_read_is_not_read_again(file: File) -> None:
    for key in range(1, 50):
        file.add(key, "otter pier" if key % 2 else "pier lamp lamp")
    postings = Postings(file, 1 << 20)
    first = await postings.rank(PASSAGES, ['"otter"', '"lamp"'])
    statements: list[str] = []
    file.connection.set_trace_callback(statements.append)
    again = await postings.rank(PASSAGES, ['"otter"', '"lamp"'])
    file.connection.set_trace_callback(None)
    assert not any("MATCH" in one or "term" in one or "sz" in one for one in statements)
    assert np.array_equal(first.scores, again.scores)


async def test_nothing_is_nothing(file: File) -> None:
    postings = Postings(file, 1 << 20)
    for _ in range(2):
        ranking = await postings.rank(PASSAGES, ['"otter"'])
        assert (ranking.best(5), ranking.of([1, 2]), ranking.matching([1])) == ([], [0, 0], set())
    file.add(1, "otter")
    assert (await postings.rank(PASSAGES, ['"otter"'])).best(5) == [10]
    file.remove(1)
    assert (await postings.rank(PASSAGES, ['"otter"'])).best(5) == []


async def test_who_found_all_words_in_memory_is_counted_apart(file: File) -> None:
    postings = Postings(file, 1 << 20)
    file.add(1, "otter pier")
    for part, counted in (("otter", (0, 1)), ("otter", (1, 1)), ("pier", (1, 2)), ("pier", (2, 2))):
        await postings.rank(PASSAGES, [f'"{part}"'])
        assert (postings.hits, postings.misses) == counted
    file.add(2, "otter")
    await postings.rank(PASSAGES, ['"otter"'])
    assert (postings.hits, postings.misses) == (2, 3)


async def test_only_what_is_allowed_and_of_equal_ones_the_first(file: File) -> None:
    for key in range(1, 90):
        file.add(key, "otter pier" if key % 2 else "pier lamp")
    ranking = await Postings(file, 1 << 20).rank(PASSAGES, ['"otter"', '"pier"'])
    # The word alone is a passage of every third document.
    assert sorted(ranking.best(3)) == [30, 90, 150]
    assert sorted(ranking.best(3, np.array([20, 40, 70, 110, 130, 170, 5_000]))) == [70, 110, 130]
    assert sorted(ranking.best(2, np.array([20, 40, 70]), holding='"otter"')) == [70]
    assert ranking.best(3, np.array([], dtype=np.int64)) == []
    assert ranking.matching({20, 70, 71}) == {20, 70}
    assert ranking.matching([20, 70, 71], holding='"otter"') == {70}
    assert ranking.of([71, 70, 20])[0] == 0
    assert ranking.of([70])[0] > ranking.of([20])[0] > 0


async def test_the_words_of_another_collection_make_room(file: File) -> None:
    lexicon.create(file.connection, 8)
    text = "otter pier"
    for key in range(1, 200):
        file.add(key, text)
        lexicon.add(
            file.connection, 8, key, title="", filename="", text=text, entries=[Entry(key * 10, "", text)]
        )
    postings = Postings(file, 12_000)
    for _ in range(3):
        for shelf in (PASSAGES, Shelf(8)):
            ranking = await postings.rank(shelf, ['"otter"'])
            assert len(ranking.best(1_000)) >= 199
            assert 0 < postings.bytes <= 12_000


async def test_questions_at_once_see_the_same(file: File) -> None:
    for key in range(1, 100):
        file.add(key, "otter pier" if key % 2 else "pier lamp lamp")
    postings = Postings(file, 1 << 20)
    rankings = await asyncio.gather(*(postings.rank(PASSAGES, [part]) for part in PARTS * 3))
    for part, ranking in zip(PARTS * 3, rankings, strict=True):
        assert dict.fromkeys(ranking.keys[ranking.scores > 0].tolist()) == dict.fromkeys(
            sorted(file.bm25(PASSAGES, [part]))
        )


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("_MANY", 50), ("_COMMON", 10), ("_AT_ONCE", 20)):
        monkeypatch.setattr(postings_module, name, number)


async def settled(postings: Postings) -> None:
    await asyncio.gather(*postings._tasks)


@pytest.mark.usefixtures("ahead")
async def test_common_words_are_read_before_anybody_asks(file: File) -> None:
    for key in range(1, 100):
        file.add(key, " ".join(["pier", "pier", *["otter"] * (key % 3 == 1), *["zebra"] * (key == 7)]))
    postings = Postings(file, 1 << 20)
    await postings.rank(PASSAGES, ['"lamp"'])
    await settled(postings)
    # What more than half of the entries hold tells little, and what few hold is read quickly.
    state = postings._indexes[PASSAGES].state
    assert state is not None
    assert state.words.keys() == {"lamp", "otter"}
    assert state.words.bytes == sum(word.rows.nbytes + word.counts.nbytes for word in state.words.values())
    for part in ('"otter"', '"otters"', '"pier"', '"zebra"'):
        await holds(file, postings, [part])
    # What comes later is there as well.
    file.add(200, "otter otter")
    await holds(file, postings, ['"otter"', '"pier"'])


@pytest.mark.usefixtures("ahead")
async def test_reading_ahead_has_a_bound_and_begins_again_with_another_index(file: File) -> None:
    for key in range(1, 100):
        file.add(key, "otter marten" if key % 2 else "lamp rope" if key % 4 else "pier")
    postings = Postings(file, 8_000)
    await postings.rank(PASSAGES, ['"zebra"'])
    await settled(postings)
    assert 0 < postings.bytes <= 8_000
    lexicon.create_next(file.connection, 7)
    for key, held in sorted(file.texts.items()):
        file.add(key, held.split("|")[1].replace("pier", "zebra"), into_next=True)
    lexicon.put_next(file.connection, 7)
    for part in PARTS:
        await holds(file, postings, [part])
    await settled(postings)
    for part in PARTS:
        await holds(file, postings, [part])


@pytest.mark.usefixtures("ahead")
async def test_an_index_that_is_dropped_meanwhile_is_let_go(file: File) -> None:
    for key in range(1, 100):
        file.add(key, "otter" if key % 2 else "lamp")
    postings = Postings(file, 1 << 20)
    await postings.rank(PASSAGES, ['"zebra"'])
    lexicon.drop(file.connection, 7)
    with pytest.raises(sqlite3.OperationalError):
        await settled(postings)


@pytest.mark.usefixtures("ahead")
async def test_many_indexes_read_ahead_at_once_keep_to_the_bound(file: File) -> None:
    shelves = [Shelf(number) for number in range(20, 26)]
    for shelf in shelves:
        lexicon.create(file.connection, shelf.collection_key)
        for key in range(1, 100):
            text = "otter marten" if key % 2 else "lamp rope"
            entry = Entry(key, "", text)
            lexicon.add(
                file.connection, shelf.collection_key, key, title="", filename="", text=text, entries=[entry]
            )
    postings = Postings(file, 8_000)
    for shelf in shelves:
        await postings.rank(shelf, ['"zebra"'])
    await settled(postings)
    assert 0 < postings.bytes <= 8_000


@pytest.mark.parametrize("matching", [0.001, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("steps", [3, 1_000_000])
def test_the_best_are_those_of_a_sort_whatever_is_equal(matching: float, steps: int) -> None:
    """Scores that differ by less than single precision tells, and many that do not differ at all."""
    draw = np.random.default_rng(int(matching * 1_000) + steps)
    scores = np.where(
        draw.random(5_000) < matching, 9 + draw.integers(1, steps + 1, 5_000) / (steps * 1e6), 0.0
    )
    keys = np.arange(5_000, dtype=np.int64) * 2 + 10
    holding = np.flatnonzero((scores > 0) & (draw.random(5_000) < 0.5)).astype(np.int32)
    ranking = Ranking(keys, scores, {'"otter"': holding})
    allowed = np.sort(draw.choice(keys, 3_000, replace=False))
    for limit in (1, 7, 200, 5_000):
        for some in (None, allowed):
            for part, rows in (("", np.arange(5_000)), ('"otter"', holding)):
                wanted = [
                    int(keys[row])
                    for row in sorted(rows.tolist(), key=lambda row: (-scores[row], row))
                    if scores[row] > 0 and (some is None or keys[row] in some)
                ]
                assert sorted(ranking.best(limit, some, holding=part)) == sorted(wanted[:limit])
