"""Passages of several searches, fused into one list and chosen so that they differ.

Lists are fused by reciprocal ranks (Cormack, Clarke and Büttcher, 2009), each with its weight.
Passages are then chosen by maximal marginal relevance (Carbonell and Goldstein, 1998), with a cap for each
document.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.agents.answering import terms
from services.agents.model import Passage

# Chosen on SciFact's training claims (bench/researching.py).
_RANK_OFFSET = 10
_DIVERSITY = 0.3
PASSAGES = 12
PER_DOCUMENT = 3


@dataclass(frozen=True)
class Choice:
    """How passages are chosen.

    passages: how many at most. per_document: at most from one document. diversity: 0 for none, towards 1 for
    nothing else.
    """

    passages: int = PASSAGES
    per_document: int = PER_DOCUMENT
    diversity: float = _DIVERSITY


@dataclass(frozen=True)
class Listed:
    """What one query found, best first, and how much that counts beside the others."""

    passages: Sequence[Passage]
    weight: float = 1.0


def key(passage: Passage) -> tuple[str, str, int, int]:
    """What makes two passages the same."""
    return passage.document_id, passage.extraction_sha256, passage.byte_start, passage.byte_end


def fused(lists: Sequence[Listed]) -> list[tuple[Passage, float]]:
    """The passages of all lists with scores up to 1, best first."""
    scores: dict[tuple[str, str, int, int], float] = {}
    passages: dict[tuple[str, str, int, int], Passage] = {}
    for found in lists:
        for rank, passage in enumerate(found.passages):
            passages.setdefault(key(passage), passage)
            scores[key(passage)] = scores.get(key(passage), 0.0) + found.weight / (_RANK_OFFSET + rank)
    best = max(scores.values(), default=1.0)
    order = sorted(passages, key=lambda name: (-scores[name], name))
    return [(passages[name], scores[name] / best) for name in order]


def chosen(lists: Sequence[Listed], choice: Choice | None = None) -> list[Passage]:
    """The passages to read, in the order in which they were chosen."""
    choice = choice or Choice()
    pool = fused(lists)
    vectors = {key(passage): _weights(passage) for passage, _ in pool}
    taken: list[Passage] = []
    counts: Counter[str] = Counter()
    nearest = dict.fromkeys(vectors, 0.0)
    while pool and len(taken) < choice.passages:
        best = max(
            pool,
            key=lambda item: (1 - choice.diversity) * item[1] - choice.diversity * nearest[key(item[0])],
        )
        pool.remove(best)
        passage = best[0]
        if counts[passage.document_id] >= choice.per_document:
            continue
        taken.append(passage)
        counts[passage.document_id] += 1
        for other, _ in pool:
            likeness = _cosine(vectors[key(passage)], vectors[key(other)])
            nearest[key(other)] = max(nearest[key(other)], likeness)
    return taken


def _weights(passage: Passage) -> dict[str, float]:
    """Stems with the logarithms of their counts, of length 1."""
    counts = Counter(terms.stems(passage.text))
    weights = {stem: 1 + math.log(count) for stem, count in counts.items()}
    norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
    return {stem: weight / norm for stem, weight in weights.items()}


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other.get(stem, 0.0) for stem, weight in one.items())
