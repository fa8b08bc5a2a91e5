"""How good the answers are that are made of sentences, without a language model, and how long they take.

    python -m bench.answering [--data FOLDER] [--others FOLDER] [--questions 200] [--keep FOLDER]

FOLDER has the BEIR layout of bench.retrieval, and its queries.jsonl has `metadata.answers`: texts of which
one answers, none where nothing in the documents does. Each question is asked of the agent research through
HTTP, with default settings. An answer is right where its first sentence holds one of the texts, by their
words in order. The queries of --others are asked as well: nothing answers those, and who says so is right.
Questions that have no answer here but are about what is here, as SQuAD 2 has them, are told apart.

A search for the same question right before tells what of the time is not choosing among sentences.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.retrieval import DEFAULT_DATA, House, note, read_lines
from tests.support.fleet import running_fleet

SEED = 1


@dataclass(frozen=True)
class Asked:
    """What came of a question. sentences: that the answer quotes, best first."""

    sentences: Sequence[str]
    answers: Sequence[str]
    seconds: float
    search_seconds: float

    @property
    def right(self) -> bool:
        """Whether the first sentence answers."""
        return bool(self.sentences) and holds(self.sentences[0], self.answers)

    @property
    def among(self) -> bool:
        """Whether one of the sentences answers."""
        return any(holds(sentence, self.answers) for sentence in self.sentences)


def holds(sentence: str, answers: Sequence[str]) -> bool:
    """Whether the words of one of the answers stand in the sentence, one behind the other."""
    said = f" {_plain(sentence)} "
    return any(f" {_plain(answer)} " in said for answer in answers)


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def ask(http: httpx.Client, collection: str, question: str, answers: Sequence[str]) -> Asked:
    """Searches and asks."""
    began = time.monotonic()
    http.post(f"/collections/{collection}/search", json={"query": question}).raise_for_status()
    found = time.monotonic()
    body = {"agent": "research", "message": question, "collections": [collection]}
    said = http.post("/runs", json=body)
    ended = time.monotonic()
    run = said.raise_for_status().json()
    quotes = [one["quote"] for one in run["citations"]] if run["answer_mode"] == "EXTRACTIVE" else []
    return Asked(quotes, answers, ended - found, found - began)


def questions(folder: Path) -> tuple[list[tuple[str, list[str]]], list[tuple[str, list[str]]]]:
    """Those that the documents answer, and those that they do not."""
    entries = [json.loads(line) for line in read_lines(folder, "queries.jsonl")]
    told = [(entry["text"], entry.get("metadata", {}).get("answers", [])) for entry in entries]
    return [one for one in told if one[1]], [one for one in told if not one[1]]


def tell(name: str, asked: Sequence[Asked]) -> None:
    """A line of the table."""
    if not asked:
        return
    count = len(asked)
    answered = [one for one in asked if one.sentences]
    right = f"{sum(one.right for one in asked) / count:9.3f}{sum(one.among for one in asked) / count:9.3f}"
    length = statistics.mean(len(one.sentences) for one in answered) if answered else 0.0
    times = [statistics.median(seconds) * 1000 for seconds in _times(asked)]
    print(
        f"{name:<34}{count:>6}{len(answered) / count:>10.3f}"
        f"{right if any(one.answers for one in asked) else ' ' * 18}{length:>11.2f}"
        f"{times[0]:>9.0f}{times[1]:>11.0f}"
    )


def _times(asked: Sequence[Asked]) -> tuple[list[float], list[float]]:
    return [one.seconds for one in asked], [one.search_seconds for one in asked]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="bench.answering", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA[1])
    parser.add_argument("--others", type=Path, default=DEFAULT_DATA[0])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if not options.data.exists():
        sys.exit(f"no data set at {options.data}: name one with --data")
    drawn = random.Random(SEED)
    answered, unanswered = questions(options.data)
    others: list[tuple[str, list[str]]] = []
    if options.others.exists():
        others = [(text, []) for side in questions(options.others) for text, _ in side]
    sets = {
        "questions that have an answer": answered,
        "about it, and without one": unanswered,
        "about other subjects": others,
    }
    with contextlib.ExitStack() as held:
        folder = options.keep or Path(held.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        fleet = held.enter_context(running_fleet(folder, {"MELD_RATE_LIMIT_PER_MINUTE": "1000000"}))
        name = options.data.name
        House(fleet.base_url, name).load(options.data)
        http = held.enter_context(httpx.Client(base_url=f"{fleet.base_url}/api/v1", timeout=120))
        print(f"\n{name}, default settings, no language model, milliseconds in the median")
        print(
            f"{'':<34}{'asked':>6}{'answered':>10}{'first':>9}{'among':>9}{'sentences':>11}"
            f"{'answer':>9}{'a search':>11}"
        )
        for title, some in sets.items():
            chosen = drawn.sample(some, min(options.questions, len(some)))
            asked = []
            for number, (text, answers) in enumerate(chosen):
                asked.append(ask(http, name, text, answers))
                note(f"{title}: {number + 1} of {len(chosen)}")
            tell(title, asked)


if __name__ == "__main__":
    main()
