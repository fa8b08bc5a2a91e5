"""Does searching more than once find more? One query beside several, with default settings.

    python -m bench.researching [--data FOLDER] [--split train] [--queries 300] [--pairs] [--sweep]
        [--keep FOLDER]

FOLDER has the BEIR layout, as for bench.retrieval. For each query the further queries of the research agent
are made (no model) and searched; its passages are then chosen as it chooses them. Recall is the share of the
relevant documents among the documents of the passages, always of as many passages: the first N of one query
against N chosen of several. With --pairs a question is two of the queries, one behind the other. --sweep
shows other choices, for the training split only. Times are of the searches, the further ones side by side,
and of choosing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.retrieval import DEFAULT_DATA, House, judgements, read_lines
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.agents.adapters import vector_client
from services.agents.model import Passage
from services.agents.researching.diversity import PASSAGES, Choice, Listed, chosen
from services.agents.researching.queries import MAX_QUERIES, formulated
from services.agents.researching.research import weight
from services.chassis.channel import open_aio_channel
from tests.support.fleet import running_fleet

SEED = 1
TOP_K = 10
MOST_QUERIES = 8


@dataclass(frozen=True)
class Case:
    """What a query and its further ones found, and the seconds of the first and of all others.

    deeper: more passages of the query alone.
    """

    lists: tuple[tuple[Passage, ...], ...]
    origins: tuple[str, ...]
    deeper: tuple[Passage, ...]
    first_seconds: float
    further_seconds: float


class Vector:
    """The vector service; a passage's document_id is the document's id in the data set."""

    def __init__(self, stub: vector_pb2_grpc.VectorServiceStub, collection: str) -> None:
        self._stub = stub
        self._collection = collection

    async def search(self, query: str, top_k: int) -> tuple[Passage, ...]:
        """Passages, best first."""
        request = vector_pb2.SearchRequest(
            collection_ids=[self._collection], query=query, top_k=top_k, mode=vector_pb2.SEARCH_MODE_HYBRID
        )
        found = await self._stub.Search(request, timeout=60)
        return tuple(
            Passage(
                hit.external_id,
                hit.title,
                hit.chunk_id,
                hit.collection_id,
                hit.text,
                hit.span.byte_start,
                hit.span.byte_end,
                hit.extraction_sha256,
                score=hit.score,
                vector_score=hit.vector_score,
            )
            for hit in found.hits
        )


async def gathered(vector: Vector, text: str, limit: int) -> Case:
    """All searches of one query."""
    began = time.monotonic()
    first = await vector.search(text, TOP_K)
    found = time.monotonic()
    further = formulated(text, first, limit)
    lists = await asyncio.gather(*(vector.search(query.text, TOP_K) for query in further))
    ended = time.monotonic()
    deeper = await vector.search(text, TOP_K + PASSAGES)
    return Case(
        (first, *lists),
        ("question", *(query.origin for query in further)),
        deeper,
        found - began,
        ended - found,
    )


def recall(passages: Sequence[Passage], relevant: set[str]) -> float:
    """The share of the relevant documents among those of the passages."""
    return len(relevant & {passage.document_id for passage in passages}) / len(relevant)


def documents(passages: Sequence[Passage]) -> int:
    """How many documents passages are of."""
    return len({passage.document_id for passage in passages})


def row(
    title: str, picked: Sequence[Sequence[Passage]], relevant: Sequence[set[str]], ms: float | None
) -> str:
    """A line of the table."""
    recalls = [recall(passages, wanted) for passages, wanted in zip(picked, relevant, strict=True)]
    told = "" if ms is None else f"{ms:>9.1f}"
    size, spread = statistics.mean(map(len, picked)), statistics.mean(map(documents, picked))
    return f"{title:<44}{size:>9.1f}{spread:>11.2f}{statistics.mean(recalls):>9.4f}{told}"


def listed(case: Case, limit: int, leaning: float | None = None) -> list[Listed]:
    """What the question and its first further queries found. leaning: another weight of phrases and terms."""
    lists = zip(case.lists[: limit + 1], case.origins[: limit + 1], strict=True)
    return [
        Listed(found, leaning if leaning is not None and weight(origin) < 1 else weight(origin))
        for found, origin in lists
    ]


def report(cases: Sequence[Case], relevant: Sequence[set[str]], limit: int) -> None:
    """Prints one query beside several."""
    print(f"{'':<44}{'passages':>9}{'documents':>11}{'recall':>9}{'p50 ms':>9}")
    first = 1000 * statistics.median(case.first_seconds for case in cases)
    print(row(f"one query, the first {TOP_K}", [case.lists[0] for case in cases], relevant, first))
    print(row(f"one query, the first {PASSAGES}", [c.deeper[:PASSAGES] for c in cases], relevant, None))
    several = [listed(case, limit) for case in cases]
    began = time.monotonic()
    picked = [chosen(lists) for lists in several]
    choosing = 1000 * (time.monotonic() - began) / len(cases)
    total = first + choosing + 1000 * statistics.median(case.further_seconds for case in cases)
    queries = statistics.mean(map(len, several))
    print(row(f"{queries:.1f} queries, {PASSAGES} chosen", picked, relevant, total))
    fair = [chosen(lists, Choice(passages=TOP_K)) for lists in several]
    print(row(f"{queries:.1f} queries, {TOP_K} chosen", fair, relevant, None))
    pool = [[passage for found in lists for passage in found.passages] for lists in several]
    print(row("all that the queries found", pool, relevant, None))


def sweep(cases: Sequence[Case], relevant: Sequence[set[str]]) -> None:
    """Prints other choices."""
    for limit in (2, 4, MOST_QUERIES):
        for leaning in (0.1, 0.3, 1.0):
            for diversity in (0.0, 0.1, 0.3):
                choice = Choice(diversity=diversity)
                picked = [chosen(listed(case, limit, leaning), choice) for case in cases]
                title = f"{limit} further, weight {leaning}, diversity {diversity}"
                print(row(title, picked, relevant, None))


async def measure(address: str, asked: argparse.Namespace) -> None:
    """Searches and prints."""
    judged = judgements(asked.data, asked.split)
    texts = {
        entry["_id"]: entry["text"] for entry in map(json.loads, read_lines(asked.data, "queries.jsonl"))
    }
    names = random.Random(SEED).sample(sorted(judged), min(asked.queries, len(judged)))
    wanted = {name: {doc for doc, grade in judged[name].items() if grade > 0} for name in names}
    size = 2 if asked.pairs else 1
    groups = [names[i : i + size] for i in range(0, len(names) - size + 1, size)]
    relevant = [set().union(*(wanted[name] for name in group)) for group in groups]
    async with open_aio_channel(address, vector_client.SERVICE) as channel:
        vector = Vector(vector_pb2_grpc.VectorServiceStub(channel), asked.data.name)
        limit = MOST_QUERIES if asked.sweep else MAX_QUERIES
        questions = [" ".join(texts[name] for name in group) for group in groups]
        cases = [await gathered(vector, question, limit) for question in questions]
    kind = "pairs of queries" if asked.pairs else "queries"
    print(f"\n{asked.data.name}, {asked.split} split, {len(cases)} {kind}, default settings")
    report(cases, relevant, MAX_QUERIES)
    if asked.sweep:
        sweep(cases, relevant)


def main() -> None:
    """Starts a house, loads the corpus and prints a table."""
    parser = argparse.ArgumentParser(prog="bench.researching", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--split", default="train")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--sweep", action="store_true")
    asked = parser.parse_args()
    if not asked.data.exists():
        sys.exit(f"no data set at {asked.data}: name one with --data")
    with contextlib.ExitStack() as held:
        folder = asked.keep or Path(held.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        fleet = held.enter_context(running_fleet(folder))
        House(fleet.base_url, asked.data.name).load(asked.data)
        asyncio.run(measure(f"127.0.0.1:{fleet.ports['vector']}", asked))


if __name__ == "__main__":
    main()
