"""The keeper of the index against a store that misbehaves in foretold ways."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from services.chassis.context import LOCAL_OWNER
from services.chassis.errors import UnavailableError
from services.vector.access import Caller
from services.vector.embedding.ports import ModelName
from services.vector.index.folder import BrokenIndexError, EmbeddedStore
from services.vector.index.keeper import IndexKeeper, IndexState, IndexUnavailableError
from services.vector.index.lane import Lane, LaneTimeoutError
from services.vector.record.index_queue import IndexedCollection
from services.vector.record.record import Record, opened
from services.vector.record.vectors import Made, Matrix


class Memory:
    """An index in memory."""

    def __init__(self) -> None:
        self.entries: dict[int, set[int]] = {}
        self.fails = False

    def add(self, collection_key: int, keys: Sequence[int], vectors: Matrix) -> None:
        if self.fails:
            raise RuntimeError("broken")
        self.entries.setdefault(collection_key, set()).update(keys)

    def remove(self, collection_key: int, keys: Sequence[int]) -> None:
        self.entries.get(collection_key, set()).difference_update(keys)

    def drop(self, collection_key: int) -> None:
        self.entries.pop(collection_key, None)

    def nearest(self, collection_key: int, query: Matrix, limit: int) -> list[int]:
        if self.fails:
            raise RuntimeError("broken")
        return sorted(self.entries.get(collection_key, ()))[:limit]

    def count(self, collection_key: int) -> int:
        return len(self.entries.get(collection_key, ()))

    def keys(self, collection_key: int) -> list[int]:
        return sorted(self.entries.get(collection_key, ()))

    def some_keys(self, collection_key: int, start: int, limit: int) -> list[int]:
        return self.keys(collection_key)[start : start + limit]

    def present(self, collection_key: int, keys: Sequence[int]) -> list[int]:
        return sorted(self.entries.get(collection_key, set()) & set(keys))

    def held(self, collection_key: int, keys: Sequence[int], dimension: int) -> tuple[list[int], Matrix]:
        found = self.present(collection_key, keys)
        return found, np.zeros((len(found), dimension), dtype=np.float32)

    def collection_keys(self) -> list[int]:
        return sorted(self.entries)

    def close(self) -> None:
        return None


class Store:
    """Generations of memory; probing a generation in `bad` fails."""

    replaceable = True

    def __init__(self) -> None:
        self.generations: dict[int, Memory] = {}
        self.bad: set[int] = set()
        self.aside: list[int] = []

    async def probe(self, prefix: str, generation: int, expected: Sequence[IndexedCollection]) -> None:
        if generation in self.bad:
            raise BrokenIndexError("torn")

    def open(self, prefix: str, generation: int) -> Memory:
        return self.generations.setdefault(generation, Memory())

    def set_aside(self, generation: int) -> None:
        self.aside.append(generation)

    def forget_aside(self) -> int:
        gone, self.aside = len(self.aside), []
        return gone

    def strays(self, generation: int) -> list[Path]:
        return []

    def free_bytes(self) -> int:
        return 1 << 40


@asynccontextmanager
async def kept(record: Record, store: Store) -> AsyncIterator[IndexKeeper]:
    keeper = IndexKeeper(record.index_queue, store)
    task = asyncio.create_task(keeper.run())
    yield keeper
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await keeper.close()


async def ready(keeper: IndexKeeper, record: Record) -> None:
    async with asyncio.timeout(15):
        while keeper.state is not IndexState.READY or await record.index_queue.pending():
            await asyncio.sleep(0.01)


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Record]:
    """A collection whose chunks 1 to 5 have vectors."""
    with opened(tmp_path / "r.sqlite3") as record:
        collection = await record.collections.create(
            Caller.of(LOCAL_OWNER), "abc", description="", model=ModelName("m", 2), request=None
        )

        def fill(connection: object) -> None:
            connection.execute(  # type: ignore[attr-defined]
                "INSERT INTO documents (key, document_id, collection_key, external_id, title, filename,"
                " state,"
                " create_time) VALUES (1, 'd', ?, '', '', '', 3, 0)",
                (collection.key,),
            )
            for key in range(1, 6):
                connection.execute(  # type: ignore[attr-defined]
                    "INSERT INTO chunks VALUES (?, 1, ?, 0, 1, 0, '[]', x'00')", (key, key)
                )
                connection.execute(  # type: ignore[attr-defined]
                    "INSERT INTO embedding_queue (chunk_key, generation_key) VALUES (?, ?)",
                    (key, collection.key),
                )

        await record._database.write(fill)
        await record.vectors.store([Made(1, key, np.array([1, 0], dtype=np.float32)) for key in range(1, 6)])
        yield record


async def test_what_the_record_queued_arrives(record: Record) -> None:
    store = Store()
    async with kept(record, store) as keeper:
        await ready(keeper, record)
        assert store.generations[1].entries == {1: {1, 2, 3, 4, 5}}
        assert await keeper.nearest(1, np.array([1, 0], dtype=np.float32), 3) == [1, 2, 3]


async def test_missing_and_orphan_entries_are_found_at_opening(record: Record) -> None:
    store = Store()
    async with kept(record, store) as keeper:
        await ready(keeper, record)
    # As a crash between the two stores would leave it; and a collection that the record no longer has.
    store.generations[1].entries = {1: {1, 2, 77, 78}, 99: {5}}
    async with kept(record, store) as keeper:
        await ready(keeper, record)
    assert store.generations[1].entries == {1: {1, 2, 3, 4, 5}}
    assert store.aside == []


async def test_a_comparison_that_the_record_breaks_off_is_made_again(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    async with kept(record, store) as keeper:
        await ready(keeper, record)
    store.generations[1].entries = {1: {1, 2, 77, 78}, 99: {5}}
    real, faults = record.index_queue.reconcile, [UnavailableError("busy", reason="RECORD_BUSY")]

    async def reconcile(collection_key: int, present: Sequence[int]) -> tuple[int, int]:
        if faults:
            raise faults.pop()
        return await real(collection_key, present)

    monkeypatch.setattr(record.index_queue, "reconcile", reconcile)
    async with kept(record, store) as keeper:
        await ready(keeper, record)
    assert not faults
    assert store.generations[1].entries == {1: {1, 2, 3, 4, 5}}


async def test_an_index_that_cannot_be_opened_is_replaced_from_the_record(record: Record) -> None:
    store = Store()
    store.bad = {1, 2}
    async with kept(record, store) as keeper:
        await ready(keeper, record)
    assert store.aside == [1, 2]
    assert store.generations[3].entries == {1: {1, 2, 3, 4, 5}}


async def test_what_stands_in_the_way_of_a_new_index_is_waited_for(record: Record, tmp_path: Path) -> None:
    class Obstructed(Store):
        def free_bytes(self) -> int:
            if obstacle.exists():
                raise FileExistsError(str(obstacle))
            return super().free_bytes()

    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    store = Obstructed()
    store.bad = {1}
    async with kept(record, store) as keeper:
        async with asyncio.timeout(15):
            while keeper.state is not IndexState.BROKEN:
                await asyncio.sleep(0.01)
        obstacle.unlink()
        await ready(keeper, record)
    assert store.generations[2].entries == {1: {1, 2, 3, 4, 5}}


def test_a_file_in_place_of_the_folder_has_no_strays(tmp_path: Path) -> None:
    (tmp_path / "chroma").write_text("x")
    assert EmbeddedStore(tmp_path / "chroma", 1000).strays(1) == []


async def test_a_query_that_fails_replaces_the_index(record: Record) -> None:
    store = Store()
    async with kept(record, store) as keeper:
        await ready(keeper, record)
        store.generations[1].fails = True
        with pytest.raises(IndexUnavailableError):
            await keeper.nearest(1, np.array([1, 0], dtype=np.float32), 3)
        with pytest.raises(IndexUnavailableError):
            await keeper.ping()
        await ready(keeper, record)
        assert await keeper.nearest(1, np.array([1, 0], dtype=np.float32), 3) == [1, 2, 3]
    assert store.aside == [1]


async def test_a_hanging_call_holds_up_neither_its_caller_nor_the_next_lane() -> None:
    hang = threading.Event()
    lane = Lane("test", 1)
    with pytest.raises(LaneTimeoutError):
        await lane.call(lambda: hang.wait(30), 0.05)
    assert await Lane("other", 1).call(lambda: 7, 5) == 7
    hang.set()
    assert await lane.call(lambda: 8, 5) == 8
    lane.close()


async def test_a_lane_hands_errors_to_its_caller() -> None:
    lane = Lane("test", 1)
    with pytest.raises(ZeroDivisionError):
        await lane.call(lambda: 1 // 0, 5)
    assert await lane.call(lambda: 1, 5) == 1
    lane.close()


async def test_a_renewal_leaves_the_index_for_an_empty_one_and_fills_it(record: Record) -> None:
    store = Store()
    async with kept(record, store) as keeper:
        await ready(keeper, record)
        store.aside = [0]
        assert await keeper.renew() == 1
        await ready(keeper, record)
        assert store.generations[2].entries == {1: {1, 2, 3, 4, 5}}
        assert await keeper.nearest(1, np.array([1, 0], dtype=np.float32), 3) == [1, 2, 3]
        assert await record.index_queue.identity() == ((await record.index_queue.identity())[0], 2)
    assert store.aside == []


async def test_without_an_index_there_is_nothing_to_renew(record: Record) -> None:
    keeper = IndexKeeper(record.index_queue, Store())
    with pytest.raises(IndexUnavailableError):
        await keeper.renew()
    await keeper.close()


async def test_a_renewal_that_fails_says_so_and_the_index_comes_back(record: Record) -> None:
    store = Store()
    async with kept(record, store) as keeper:
        await ready(keeper, record)
        store.bad.add(2)
        with pytest.raises(IndexUnavailableError):
            await keeper.renew()
        await ready(keeper, record)
        assert store.generations[3].entries == {1: {1, 2, 3, 4, 5}}


async def test_a_look_at_the_index_answers_from_the_index_itself(record: Record) -> None:
    store = Store()
    async with kept(record, store) as keeper:
        await ready(keeper, record)
        store.generations[1].entries[1].discard(2)
        assert await keeper.count(1) == 4
        assert await keeper.present(1, [1, 2, 77]) == [1]
        assert await keeper.some_keys(1, 1, 2) == [3, 4]
        assert (await keeper.held(1, [3], 2))[0] == [3]
        assert await keeper.collection_keys() == [1]
