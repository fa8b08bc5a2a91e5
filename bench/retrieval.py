"""Retrieval quality through the HTTP door, with default settings: by words, by meaning, by both.

    python -m bench.retrieval [--data FOLDER ...] [--split test] [--most-regret 0.005] [--keep FOLDER]
                              [--model FOLDER] [--url URL]

A FOLDER has the BEIR layout (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv; .gz as well). Without SPLIT.tsv
the first of its splits by name is taken. The default is those of ../shared/data that are there. The house is
started for the purpose, unless --url names one that runs; --keep keeps its data, so that a second run need
not ingest again. --model is the folder of an embedding model (docs/operations.md) to be used instead of the
built-in one.

Each query asks for 100 passages. A document stands where its first passage stands. The measures are those of
services.vector.evaluation. A query without any hit counts 0.

Regret is how much the better of lexical and dense alone has before hybrid, in nDCG@10; below 0 hybrid is the
best of the three. Which side is better is known only afterwards, and per set. The interval (95 %) is a
bootstrap over its queries. With --most-regret the exit code is 1 when a set has more.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.vector.evaluation.metrics import ndcg, recall
from services.vector.evaluation.resampling import Interval, interval
from tests.support.fleet import running_fleet

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DEFAULT_DATA = (_SHARED / "scifact", _SHARED / "squad2-dev")
SIDES = ("lexical", "dense")
MODES = (*SIDES, "hybrid")
DEPTH = 100
READY_SECONDS = 3600
_EMBEDDED_EVERY = 5.0

Judgements = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Row:
    """What one mode reaches on a set: nDCG@10 of each query in their order, mean recalls, milliseconds."""

    ndcg: Sequence[float]
    recall_10: float
    recall_100: float
    p50_ms: float
    p99_ms: float

    @property
    def mean(self) -> float:
        """nDCG@10."""
        return statistics.mean(self.ndcg)


def read_lines(folder: Path, name: str) -> Iterator[str]:
    """The lines of a file that may be compressed."""
    plain, packed = folder / name, folder / f"{name}.gz"
    with (
        plain.open(encoding="utf-8") if plain.exists() else gzip.open(packed, "rt", encoding="utf-8") as file
    ):
        yield from file


def split_of(folder: Path, wanted: str) -> str:
    """The wanted split where the set has it, else the first by name."""
    there = sorted({file.name.split(".tsv")[0] for file in (folder / "qrels").glob("*.tsv*")})
    if not there:
        raise SystemExit(f"no judgements in {folder / 'qrels'}")
    return wanted if wanted in there else there[0]


def judgements(folder: Path, split: str) -> Judgements:
    """{query id: {document id: grade}}, only queries that have a relevant document."""
    found: Judgements = defaultdict(dict)
    lines = read_lines(folder, f"qrels/{split}.tsv")
    next(lines)
    for line in lines:
        query, document, grade = line.rstrip("\n").split("\t")
        found[query][document] = int(grade)
    return {query: graded for query, graded in found.items() if max(graded.values()) > 0}


class House:
    """The HTTP door, as this bench uses it."""

    def __init__(self, url: str, collection: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=60)
        self._collection = collection

    def load(self, folder: Path) -> float:
        """Imports the corpus when it is not there and waits for its vectors. Returns the seconds it took."""
        began = time.monotonic()
        known = self._http.get(f"/collections/{self._collection}")
        if known.status_code == 404:
            self._http.post("/collections", json={"name": self._collection}).raise_for_status()
            self._import(folder)
        elif known.is_error:
            known.raise_for_status()
        while time.monotonic() - began < READY_SECONDS:
            counts = self._http.get(f"/collections/{self._collection}").raise_for_status().json()
            note(f"{counts['documents']} documents, {counts['vectors']} of {counts['chunks']} vectors")
            if counts["vectors"] == counts["chunks"]:
                return time.monotonic() - began
            time.sleep(_EMBEDDED_EVERY)
        raise SystemExit("the vectors did not come")

    def _import(self, folder: Path) -> None:
        def lines() -> Iterator[bytes]:
            for line in read_lines(folder, "corpus.jsonl"):
                entry = json.loads(line)
                document = {"id": entry["_id"], "title": entry.get("title", ""), "text": entry["text"]}
                yield (json.dumps(document) + "\n").encode()

        with self._http.stream(
            "POST",
            f"/collections/{self._collection}/documents/import",
            content=lines(),
            headers={"Content-Type": "application/x-ndjson"},
            timeout=600,
        ) as answer:
            answer.raise_for_status()
            errors = [line for line in answer.iter_lines() if '"error": {' in line or '"error":{' in line]
        if errors:
            raise SystemExit(f"{len(errors)} documents were refused, for example {errors[0][:300]}")

    def search(self, query: str, mode: str) -> tuple[list[str], float]:
        """The ranking of external ids, and the seconds it took."""
        began = time.monotonic()
        answer = self._http.post(
            f"/collections/{self._collection}/search", json={"query": query, "top_k": DEPTH, "mode": mode}
        )
        seconds = time.monotonic() - began
        answer.raise_for_status()
        return list(dict.fromkeys(hit["external_id"] for hit in answer.json()["hits"])), seconds


def note(text: str) -> None:
    """Progress, on the terminal only."""
    print(f"\r{text:<70}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def environment_for(model: Path | None) -> dict[str, str]:
    """Of a house whose embedding model is the one in this folder, or the default."""
    if model is None:
        return {}
    place = model.resolve()
    return {"MELD_EMBEDDING_MODELS_DIR": str(place.parent), "MELD_EMBEDDING_MODEL": place.name}


def measure(house: House, folder: Path, split: str) -> dict[str, Row]:
    """A row per mode."""
    judged = judgements(folder, split)
    texts = {entry["_id"]: entry["text"] for entry in map(json.loads, read_lines(folder, "queries.jsonl"))}
    rows = {}
    for mode in MODES:
        rankings, seconds = {}, []
        for query in judged:
            rankings[query], taken = house.search(texts[query], mode)
            seconds.append(taken)
        rows[mode] = Row(
            ndcg=[ndcg(rankings[q], judged[q]) for q in judged],
            recall_10=statistics.mean(recall(rankings[q], judged[q], 10) for q in judged),
            recall_100=statistics.mean(recall(rankings[q], judged[q], 100) for q in judged),
            p50_ms=1000 * statistics.median(seconds),
            p99_ms=1000 * statistics.quantiles(seconds, n=100)[-1],
        )
    return rows


def regret(rows: Mapping[str, Row]) -> tuple[str, Interval]:
    """The better side, and what it has before hybrid in nDCG@10 (below 0: hybrid is better)."""
    better = max(SIDES, key=lambda mode: rows[mode].mean)
    lost = [one - both for one, both in zip(rows[better].ndcg, rows["hybrid"].ndcg, strict=True)]
    return better, interval(lost)


def tell(name: str, split: str, seconds: float, rows: Mapping[str, Row]) -> float:
    """Prints the table of a set. Returns its regret."""
    queries = len(rows["hybrid"].ndcg)
    print(f"\n{name}, {split} split, {queries} queries, default settings, loaded in {seconds:.0f} s")
    print(f"{'mode':<10}{'nDCG@10':>9}{'R@10':>8}{'R@100':>8}{'p50 ms':>9}{'p99 ms':>9}")
    for mode, row in rows.items():
        print(
            f"{mode:<10}{row.mean:>9.4f}{row.recall_10:>8.3f}{row.recall_100:>8.3f}"
            f"{row.p50_ms:>9.1f}{row.p99_ms:>9.1f}"
        )
    better, lost = regret(rows)
    print(f"regret against {better}: {lost.mean:+.4f} ({lost.low:+.4f} to {lost.high:+.4f})")
    return lost.mean


def main() -> None:
    """Prints a table per set and the regret of each."""
    parser = argparse.ArgumentParser(
        prog="bench.retrieval", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--data", type=Path, nargs="+", default=DEFAULT_DATA)
    parser.add_argument("--split", default="test")
    parser.add_argument("--most-regret", type=float)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--url")
    asked = parser.parse_args()
    sets = [folder for folder in asked.data if folder.exists()]
    if missing := [str(folder) for folder in asked.data if folder not in sets]:
        told = f"no data set at {', '.join(missing)}: name one with --data"
        if not sets or asked.data is not DEFAULT_DATA:
            sys.exit(told)
        note(told)
    regrets = {}
    with contextlib.ExitStack() as held:
        url = asked.url
        if url is None:
            folder = asked.keep or Path(held.enter_context(tempfile.TemporaryDirectory()))
            folder.mkdir(parents=True, exist_ok=True)
            url = held.enter_context(running_fleet(folder, environment_for(asked.model))).base_url
        for data in sets:
            house = House(url, data.name)
            seconds = house.load(data)
            split = split_of(data, asked.split)
            regrets[data.name] = tell(data.name, split, seconds, measure(house, data, split))
    most = math.inf if asked.most_regret is None else asked.most_regret
    if lost := [name for name, value in regrets.items() if value > most]:
        sys.exit(f"more regret than {most}: {', '.join(lost)}")


if __name__ == "__main__":
    main()
