"""Searches of an agent: counted, told, over the run's collections."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from meldrag.agents.v1 import agents_pb2
from services.agents.ledger import Ledger
from services.agents.model import Passage, Quote, Retrieval, Standing
from services.agents.ports import Embeddings
from services.agents.run import Run, RunKey
from services.agents.searching import Searches
from services.chassis.errors import NotFoundError, ResourceExhaustedError

PIER = Passage("d1", "Pier", "c1", "k", "The pier is old.", 0, 16, "x1")
QUAY = Passage("d2", "Quay", "c2", "k", "The quay is new.", 0, 16, "x2")


class Library:
    """A Retriever that finds the same for everything."""

    def __init__(self, found: Sequence[Passage] = (PIER, QUAY), degraded: str = "") -> None:
        self.found = tuple(found)
        self.degraded = degraded
        self.asked: list[tuple[str, tuple[str, ...], int | None]] = []

    async def search(
        self, query: str, collection_ids: Sequence[str], top_k: int | None
    ) -> tuple[tuple[Passage, ...], str]:
        self.asked.append((query, tuple(collection_ids), top_k))
        if not self.found:
            raise NotFoundError("no collection", reason="COLLECTION_NOT_FOUND")
        return self.found, self.degraded

    async def collections(self, most: int) -> tuple[str, ...]:
        raise AssertionError(most)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        raise AssertionError(texts)

    async def verify(self, quotes: Sequence[Quote]) -> list[Standing | None]:
        raise AssertionError(quotes)


class Bench:
    """The searches of a run whose own search found the pier."""

    def __init__(self, library: Library, *, may_lack: bool = False, **limits: float) -> None:
        self.events: list[agents_pb2.RunAgentResponse] = []
        self.ledger = Ledger.of(**limits)
        run = Run(RunKey("run_1", "local", ""), self.ledger, self.events.append)
        first = Retrieval("pier", (PIER,), collections=("k",))
        self.search = Searches(run, library, first, top_k=7, may_lack=may_lack)


async def test_a_search_is_told_with_what_is_new() -> None:
    library = Library()
    bench = Bench(library)
    assert await bench.search("harbour") == (PIER, QUAY)
    assert await bench.search("basin", 3) == (PIER, QUAY)
    told = [(event.passages.query, [p.title for p in event.passages.passages]) for event in bench.events]
    assert told == [("harbour", ["Quay"]), ("basin", [])]
    assert library.asked == [("harbour", ("k",), 7), ("basin", ("k",), 3)]
    assert bench.ledger.tool_calls == 2


async def test_beyond_the_runs_means_nothing_is_searched() -> None:
    library = Library()
    bench = Bench(library, tool_calls=1)
    await bench.search("harbour")
    with pytest.raises(ResourceExhaustedError):
        await bench.search("basin")
    assert len(library.asked) == 1


async def test_a_collection_that_may_lack_has_no_passages() -> None:
    assert await Bench(Library(()), may_lack=True).search("harbour") == ()
    with pytest.raises(NotFoundError):
        await Bench(Library(())).search("harbour")


async def test_a_degraded_search_is_told_once() -> None:
    bench = Bench(Library(degraded="The index is away."))
    await bench.search("harbour")
    await bench.search("basin")
    told = [event.degradation.reason for event in bench.events if event.HasField("degradation")]
    assert told == ["The index is away."]
