"""What is measured of the record, the files and the vectors in memory."""

from __future__ import annotations

from pathlib import Path

from services.chassis.errors import UnavailableError
from services.vector.measures import Places, StorageSampler, measured, watch_cache
from services.vector.record.figures import Figures
from services.vector.search.matrix import VectorCache
from tests.support.measured import Measured
from tests.unit.vector.search.test_matrix import Rows

FIGURES = Figures(collections=1, documents=2, passages=10, vectors=7, additions=3, removals=2, drops=1)


def places(folder: Path) -> Places:
    (folder / "index" / "deep").mkdir(parents=True)
    (folder / "index" / "a").write_bytes(b"x" * 100)
    (folder / "index" / "deep" / "b").write_bytes(b"x" * 23)
    (folder / "record").write_bytes(b"x" * 7)
    return Places({"record": [folder / "record", folder / "wal"], "index": [folder / "index"]}, folder)


def test_files_are_added_up_and_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    space = measured(places(tmp_path))
    assert space.parts == {"record": 7, "index": 123}
    assert 0 < space.free <= space.capacity


async def test_what_was_seen_last_is_exported_and_nothing_where_nothing_was_seen(tmp_path: Path) -> None:
    answers: list[Figures | Exception] = [FIGURES, UnavailableError("busy", reason="RECORD_BUSY")]

    async def count() -> Figures:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    seen = Measured()
    sampler = StorageSampler(count, places(tmp_path))
    sampler.watch(seen.meter)
    assert seen.values("meldrag.documents") == {}
    await sampler.look()
    names = ("collections", "documents", "passages", "vectors", "passages.waiting")
    assert [seen.values(f"meldrag.{name}")[""] for name in names] == [1, 2, 10, 7, 3]
    assert seen.values("meldrag.index.queue") == {"add": 3, "remove": 2, "drop": 1}
    assert seen.values("meldrag.storage.size") == {"record": 7, "index": 123}
    assert seen.values("meldrag.storage.free")[""] <= seen.values("meldrag.storage.capacity")[""]
    await sampler.look()
    assert seen.values("meldrag.documents") == {}
    assert seen.values("meldrag.storage.size") == {"record": 7, "index": 123}


async def test_the_cache_tells_its_hits_its_misses_and_its_size() -> None:
    rows, seen = Rows(), Measured()
    rows.keys = [1, 2, 3]
    cache = VectorCache(rows, 1 << 20)
    watch_cache("vector", "Searches", cache, 1 << 20, seen.meter)
    assert seen.values("meldrag.vector_cache.lookups") == {"hit": 0, "miss": 0}
    for _ in range(3):
        await cache.get(1, 2, 3, 1)
    assert seen.values("meldrag.vector_cache.lookups") == {"hit": 2, "miss": 1}
    assert seen.values("meldrag.vector_cache.size")[""] == cache.bytes > 0
    assert seen.values("meldrag.vector_cache.limit")[""] == 1 << 20
    # A service that took back a backup has another.
    watch_cache("vector", "Searches", VectorCache(rows, 1 << 21), 1 << 21, seen.meter)
    assert seen.values("meldrag.vector_cache.lookups") == {"hit": 0, "miss": 0}
    assert seen.values("meldrag.vector_cache.limit")[""] == 1 << 21
