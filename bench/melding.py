"""Precision and recall of what melding says of two statements, on labelled pairs.

    python -m bench.melding [--split train|test] [--each] [--claims FOLDER]

The pairs stand in tests/unit/agents/melding/pairs_SPLIT.json; "test" is for measuring alone. They are
compared by words alone, and with embeddings of the default model. With --claims also on SciFact's claims,
which others wrote (FOLDER has claims_train.jsonl and claims_dev.jsonl): two claims of which one abstract
supports one and refutes the other are taken for a contradiction, and others on one abstract for none.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.agents.melding.claims import claims
from services.agents.melding.contradiction import clash, same
from services.vector.embedding.minilm import MiniLmEmbedder

PAIRS = Path(__file__).parent.parent / "tests/unit/agents/melding"
SAME, NEITHER = "same", "neither"
EMBED_SECONDS = 600


@dataclass(frozen=True)
class Pair:
    """Two statements and what they are to each other: a kind of contradiction, "same" or "neither"."""

    label: str
    one: str
    other: str


def labelled(split: str) -> list[Pair]:
    """The pairs of a split."""
    return [Pair(**row) for row in json.loads((PAIRS / f"pairs_{split}.json").read_text("utf-8"))]


def of_claims(folder: Path, split: str) -> list[Pair]:
    """Pairs of SciFact's claims that have evidence in one abstract."""
    by_document: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in (folder / f"claims_{split}.jsonl").read_text("utf-8").splitlines():
        claim = json.loads(line)
        for document, evidence in claim["evidence"].items():
            by_document[document].append((claim["claim"], evidence[0]["label"]))
    return [
        Pair("contradiction" if first[1] != second[1] else NEITHER, first[0], second[0])
        for stated in by_document.values()
        for first, second in itertools.combinations(stated, 2)
    ]


def said(pair: Pair, similarity: float | None) -> str:
    """What melding says of a pair."""
    one, other = claims(pair.one), claims(pair.other)
    if found := clash(one, other):
        return found.kind.value
    return SAME if same(one, other, similarity) else NEITHER


def similarities(pairs: Sequence[Pair]) -> list[float]:
    """Cosines of the embeddings of each pair."""
    with tempfile.TemporaryDirectory() as folder:
        embedder = MiniLmEmbedder(Path(folder))
        embedder.load()
        deadline = time.monotonic() + EMBED_SECONDS
        one = embedder.embed_passages([pair.one for pair in pairs], deadline=deadline)
        other = embedder.embed_passages([pair.other for pair in pairs], deadline=deadline)
        embedder.close()
    return [float(value) for value in np.sum(np.array(one) * np.array(other), axis=1)]


def scores(pairs: Sequence[Pair], answers: Sequence[str]) -> Iterator[str]:
    """A line for contradictions and one for agreements."""
    for name, counted in (
        ("contradictions", lambda label: label not in {SAME, NEITHER}),
        (SAME, SAME.__eq__),
    ):
        told = [pair for pair, answer in zip(pairs, answers, strict=True) if counted(answer)]
        there = [pair for pair in pairs if counted(pair.label)]
        right = [pair for pair in told if counted(pair.label)]
        precision = len(right) / len(told) if told else float("nan")
        recall = len(right) / len(there) if there else float("nan")
        yield (
            f"{name:<16} in the set {len(there):>4}, said {len(told):>4}, right {len(right):>4}:"
            f" precision {precision:.3f}, recall {recall:.3f}"
        )


def report(title: str, pairs: Sequence[Pair], *, each: bool) -> None:
    """Prints the scores of a set."""
    known = similarities(pairs)
    print(f"\n{title}: {len(pairs)} pairs")
    for name, near in (("by words alone", [None] * len(pairs)), ("with embeddings", known)):
        began = time.perf_counter()
        answers = [said(pair, similarity) for pair, similarity in zip(pairs, near, strict=True)]
        taken = time.perf_counter() - began
        print(f"  {name} ({1e6 * taken / len(pairs):.0f} µs a pair)")
        for line in scores(pairs, answers):
            print(f"    {line}")
    for pair, answer, similarity in zip(pairs, answers, known, strict=True):
        if each and answer != pair.label:
            print(f"  {pair.label} -> {answer} ({similarity:.2f}): {pair.one} | {pair.other}")


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(prog="bench.melding", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--split", default="test", choices=("train", "test"))
    parser.add_argument("--each", action="store_true", help="shows what was said wrongly")
    parser.add_argument("--claims", type=Path)
    asked = parser.parse_args()
    report(f"labelled, {asked.split}", labelled(asked.split), each=asked.each)
    if asked.claims is not None:
        split = "train" if asked.split == "train" else "dev"
        report(f"SciFact claims, {split}", of_claims(asked.claims, split), each=asked.each)


if __name__ == "__main__":
    main()
