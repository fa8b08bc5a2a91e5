"""Keeps the vector index in step with the record, and makes it again when it breaks.

The record queues every change of the index together with the change itself. One task takes from those queues
and writes; it alone opens, judges and replaces the index. A write that fails is not tried again on the same
index: the index is set aside and made new from the record's vectors, while searches do without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from services.chassis.crash import crash_point
from services.chassis.errors import ServiceError
from services.vector.index.lane import Lane, LaneTimeoutError
from services.vector.record.index_queue import IndexedCollection, IndexQueue
from services.vector.record.vectors import Matrix

T = TypeVar("T")

_log = logging.getLogger(__name__)

_BATCH = 1_000
_WRITE_SECONDS = 60.0
_OPEN_SECONDS = 120.0
_QUERY_SECONDS = 5.0
# A look at a thousand entries takes some ten milliseconds.
_LOOK_SECONDS = 20.0
_IDLE_SECONDS = 30.0
_BACKOFF_SECONDS = (0.0, 2.0, 10.0, 30.0, 60.0)
_TIMEOUTS_IN_A_ROW = 3
# A new index on a full disk would only break again.
_FREE_BYTES = 32 << 20


class IndexUnavailableError(Exception):
    """The index cannot answer now; the message says why."""


class IndexState(Enum):
    """READY answers; the others do not."""

    OPENING = "it is being opened"
    REBUILDING = "it is being made from the record"
    READY = "ready"
    BROKEN = "it is broken and will be made again"


class VectorIndex(Protocol):
    """An open index of vectors by chunk key, in collections: one for each generation of a collection of the
    record, under the generation's key. Its methods block, and may raise anything."""

    def add(self, collection_key: int, keys: Sequence[int], vectors: Matrix) -> None:
        """Adds or overwrites entries; vectors (n, d)."""
        ...

    def remove(self, collection_key: int, keys: Sequence[int]) -> None:
        """Removes entries; those that are not there are no fault."""
        ...

    def drop(self, collection_key: int) -> None:
        """Removes a collection; one that is not there is no fault."""
        ...

    def nearest(self, collection_key: int, query: Matrix, limit: int) -> list[int]:
        """About the nearest keys to query (d,), best first."""
        ...

    def count(self, collection_key: int) -> int:
        """Entries of a collection."""
        ...

    def keys(self, collection_key: int) -> list[int]:
        """All keys of a collection."""
        ...

    def some_keys(self, collection_key: int, start: int, limit: int) -> list[int]:
        """Keys of a collection from number `start` on, in the index's own order."""
        ...

    def present(self, collection_key: int, keys: Sequence[int]) -> list[int]:
        """Those of the entries that are there."""
        ...

    def held(self, collection_key: int, keys: Sequence[int], dimension: int) -> tuple[list[int], Matrix]:
        """Those of the entries that are there, with their vectors (n, dimension)."""
        ...

    def collection_keys(self) -> list[int]:
        """The collections that are there."""
        ...

    def close(self) -> None:
        """Lets go of files and connections."""
        ...


class IndexStore(Protocol):
    """Where the index lies."""

    replaceable: bool
    """Whether a broken index is replaced by an empty one; else it is opened again."""

    async def probe(self, prefix: str, generation: int, expected: Sequence[IndexedCollection]) -> None:
        """Raises when opening it here would fail, hang or crash."""
        ...

    def open(self, prefix: str, generation: int) -> VectorIndex:
        """Opens it; blocks. Raises when it cannot be opened."""
        ...

    def set_aside(self, generation: int) -> None:
        """Takes it out of the way; blocks. It may still be open."""
        ...

    def forget_aside(self) -> int:
        """Removes what was set aside; how many things that were; blocks."""
        ...

    def strays(self, generation: int) -> list[Path]:
        """Files and folders of its place that belong to no part of it; blocks."""
        ...

    def free_bytes(self) -> int:
        """Space left for it."""
        ...


class IndexKeeper:
    """`run` is its life; the other methods may be called at any time from the same event loop."""

    def __init__(self, queue: IndexQueue, store: IndexStore) -> None:
        self._queue = queue
        self._store = store
        self._followers: list[Callable[[], None]] = []
        self._index: VectorIndex | None = None
        # Whether it was brought in line with the record since it was opened.
        self._compared = False
        self._writes = Lane("index-write", 1)
        self._queries = Lane("index-query", 2)
        self._work = asyncio.Event()
        self._turn = asyncio.Event()
        self._fault: Exception | None = None
        self._timeouts = 0
        self._renewals: list[asyncio.Future[int]] = []
        self.state = IndexState.OPENING

    async def run(self) -> None:
        """Opens, mends and feeds the index until cancelled."""
        failures, broken = 0, False
        while True:
            try:
                if broken:
                    await self._replace()
                    broken = False
                if self._renewals and self._index is not None:
                    await self._leave()
                if self._index is None:
                    await self._open()
                if not self._compared:
                    await self._compare_all()
                await self._feed()
            except ServiceError as error:
                # The record did not take or give something; the index is as good as it was.
                _log.warning("the index waits for the record: %s", error)
                await asyncio.sleep(1.0)
            except Exception as error:
                _log.warning("the vector index is broken and will be made again: %s", error)
                await asyncio.sleep(_BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)])
                failures, broken = failures + 1, True
            else:
                failures = 0
                await self._rest()

    async def nearest(self, collection_key: int, query: Matrix, limit: int) -> list[int]:
        """About the `limit` nearest chunk keys to query (d,), best first. Raises IndexUnavailableError."""
        return await self._ask(lambda index: index.nearest(collection_key, query, limit), _QUERY_SECONDS)

    async def count(self, collection_key: int) -> int:
        """Entries that the index has of a collection. Raises IndexUnavailableError."""
        return await self._ask(lambda index: index.count(collection_key), _LOOK_SECONDS)

    async def some_keys(self, collection_key: int, start: int, limit: int) -> list[int]:
        """Keys that the index has of a collection, from number `start` on. Raises IndexUnavailableError."""
        return await self._ask(lambda index: index.some_keys(collection_key, start, limit), _LOOK_SECONDS)

    async def present(self, collection_key: int, keys: Sequence[int]) -> list[int]:
        """Those of these entries that the index has. Raises IndexUnavailableError."""
        return await self._ask(lambda index: index.present(collection_key, keys), _LOOK_SECONDS)

    async def held(
        self, collection_key: int, keys: Sequence[int], dimension: int
    ) -> tuple[list[int], Matrix]:
        """Those of these entries that the index has, with their vectors. Raises IndexUnavailableError."""
        return await self._ask(lambda index: index.held(collection_key, keys, dimension), _LOOK_SECONDS)

    async def collection_keys(self) -> list[int]:
        """The collections that the index has. Raises IndexUnavailableError."""
        return await self._ask(lambda index: index.collection_keys(), _LOOK_SECONDS)

    async def strays(self) -> list[Path]:
        """Files and folders in the place of the index that belong to no part of it."""
        _, generation = await self._queue.identity()
        return await asyncio.to_thread(self._store.strays, generation)

    async def renew(self) -> int:
        """Leaves the index for a new, empty one of the next generation, which is then made from the record.

        Returns, when nothing of the old one is left, how many folders were removed that had been set aside.
        Raises IndexUnavailableError when there is no index to be left.
        """
        if self._index is None:
            raise IndexUnavailableError(self.state.value)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._renewals.append(done)
        self._work.set()
        return await done

    async def _ask(self, work: Callable[[VectorIndex], T], seconds: float) -> T:
        """The answer of the index. Raises IndexUnavailableError; one that fails is taken for broken."""
        index = self._index
        if index is None or self.state is not IndexState.READY:
            raise IndexUnavailableError(self.state.value)
        try:
            answer = await self._queries.call(lambda: work(index), seconds)
        except LaneTimeoutError as error:
            self._timeouts += 1
            if self._timeouts >= _TIMEOUTS_IN_A_ROW:
                self._failed(index, error)
            raise IndexUnavailableError("it does not answer") from error
        except Exception as error:
            self._failed(index, error)
            raise IndexUnavailableError("it failed") from error
        self._timeouts = 0
        return answer

    async def ping(self) -> None:
        """Raises IndexUnavailableError unless the index answers queries."""
        if self.state is not IndexState.READY:
            raise IndexUnavailableError(self.state.value)

    @property
    def in_files(self) -> bool:
        """Whether the index is in files of this service."""
        return self._store.replaceable

    def follow(self, changed: Callable[[], None]) -> None:
        """`changed` is called at each change of the state."""
        self._followers.append(changed)

    def wake(self) -> None:
        """There is something new in the queues."""
        self._work.set()

    async def turned(self, seconds: float) -> None:
        """Returns when the keeper has done another piece of work, at the latest after `seconds`."""
        turn = self._turn
        try:
            async with asyncio.timeout(seconds):
                await turn.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Lets go of the index; `run` must have ended."""
        await self._let_go()
        self._writes.close()
        self._queries.close()

    async def _open(self) -> None:
        """Opens it, not yet compared with the record."""
        installation, generation = await self._queue.identity()
        self._set(IndexState.OPENING)
        expected = await self._queue.expected()
        await self._store.probe(installation, generation, expected)
        self._compared = False
        self._index = await self._writes.call(
            lambda: self._store.open(installation, generation), _OPEN_SECONDS
        )
        await self._writes.call(self._index.collection_keys, _OPEN_SECONDS)
        self._set(IndexState.REBUILDING)

    async def _compare_all(self) -> None:
        """Brings it in line with the record. Whatever ends this in between, it begins anew."""
        index = self._index
        if index is None:
            return
        await self._empty_queues(index)
        expected = await self._queue.expected()
        present = await self._writes.call(index.collection_keys, _OPEN_SECONDS)
        for collection in expected:
            await self._compare(index, collection.collection_key)
        known = {collection.collection_key for collection in expected}
        for key in present:
            if key not in known:
                await self._writes.call(partial(index.drop, key), _WRITE_SECONDS)
        self._compared = True

    async def _leave(self) -> None:
        """Begins an empty index of the next generation; opening it removes the files of this one."""
        self._set(IndexState.REBUILDING)
        waiting, self._renewals = self._renewals, []
        try:
            removed = await asyncio.to_thread(self._store.forget_aside)
            crash_point("vector.before_index_renewal")
            await self._let_go()
            await self._queue.restart()
            crash_point("vector.after_index_renewal")
            await self._open()
            # It is empty, and all that the record has is queued.
            self._compared = True
        except BaseException as error:
            for one in waiting:
                if not one.done():
                    one.set_exception(IndexUnavailableError(f"it could not be left for a new one: {error}"))
            raise
        for one in waiting:
            if not one.done():
                one.set_result(removed)

    async def _compare(self, index: VectorIndex, collection_key: int) -> None:
        """Queues differences between the record and what the index holds of a collection."""
        held = await self._writes.call(lambda: index.count(collection_key), _OPEN_SECONDS)
        if held == await self._queue.entries(collection_key):
            return
        present = await self._writes.call(lambda: index.keys(collection_key), _OPEN_SECONDS)
        missing, orphans = await self._queue.reconcile(collection_key, present)
        _log.warning(
            "the vector index differed from the record",
            extra={"fields": {"collection": collection_key, "missing": missing, "orphans": orphans}},
        )

    async def _feed(self) -> None:
        index = self._index
        if index is None:
            return
        await self._empty_queues(index)
        self._set(IndexState.READY)

    async def _empty_queues(self, index: VectorIndex) -> None:
        while self._fault is None:
            if not (await self._drop(index) or await self._remove(index) or await self._add(index)):
                return
            turn, self._turn = self._turn, asyncio.Event()
            turn.set()
        raise self._fault

    async def _drop(self, index: VectorIndex) -> bool:
        keys = await self._queue.drops()
        for key in keys:
            crash_point("vector.before_index_remove")
            await self._write(partial(index.drop, key))
            crash_point("vector.after_index_remove")
            await self._queue.dropped(key)
        return bool(keys)

    async def _remove(self, index: VectorIndex) -> bool:
        batch = await self._queue.removals(_BATCH)
        if batch is None:
            return False
        collection_key, keys = batch
        crash_point("vector.before_index_remove")
        await self._write(lambda: index.remove(collection_key, keys))
        crash_point("vector.after_index_remove")
        await self._queue.removed(collection_key, keys)
        return True

    async def _add(self, index: VectorIndex) -> bool:
        batch = await self._queue.additions(_BATCH)
        if batch is None:
            return False
        collection_key, rows = batch
        keys = rows.keys.tolist()
        crash_point("vector.before_index_add")
        await self._write(lambda: index.add(collection_key, keys, rows.vectors))
        crash_point("vector.after_index_add")
        await self._queue.added(collection_key, keys)
        return True

    async def _write(self, work: Callable[[], T]) -> T:
        return await self._writes.call(work, _WRITE_SECONDS)

    async def _rest(self) -> None:
        """Until there is work, or a while, or a fault."""
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._work.wait()
        except TimeoutError:
            pass
        self._work.clear()

    async def _replace(self) -> None:
        """Sets the index aside and begins an empty one of the next generation."""
        self._set(IndexState.BROKEN)
        while self._store.free_bytes() < _FREE_BYTES:  # noqa: ASYNC110 # nobody tells when a disk has space
            await asyncio.sleep(_BACKOFF_SECONDS[1])
        self._fault, self._timeouts = None, 0
        # A call may hang in the old lanes for ever.
        for lane in (self._writes, self._queries):
            lane.close()
        self._writes, self._queries = Lane("index-write", 1), Lane("index-query", 2)
        await self._let_go()
        if self._store.replaceable:
            _, generation = await self._queue.identity()
            await asyncio.to_thread(self._store.set_aside, generation)
            await self._queue.restart()

    async def _let_go(self) -> None:
        index, self._index = self._index, None
        if index is not None:
            try:
                await self._writes.call(index.close, _QUERY_SECONDS)
            except Exception as error:
                _log.warning("the vector index could not be closed: %s", error)

    def _failed(self, index: VectorIndex, error: Exception) -> None:
        if index is not self._index:
            # It was left for a new one while it was asked.
            return
        self._fault = error
        self._set(IndexState.BROKEN)
        self._work.set()

    def _set(self, state: IndexState) -> None:
        if state is not self.state:
            self.state = state
            for changed in self._followers:
                changed()
