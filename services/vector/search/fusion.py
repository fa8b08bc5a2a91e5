"""One order out of several scores.

Both sides are added as they are, each on a scale of its own, and not stretched to the same range within each
question: words that hardly match, or a model that finds all texts alike, then say little, and what stands out
on one side is not outvoted by the best of bad candidates of the other. Fusion of scores after Bruch, Gai,
Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023; the scales are our own
(ADR 125).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass

from services.vector.embedding.scale import BUILT_IN, Scale

# One word that a single passage has is worth so much of the built-in model's cosine. Chosen on six
# development sets, where 0.15 to 0.2 make no difference; docs/adr/0125 has nDCG@10 of twelve sets.
_WORDS_WEIGHT = 0.2
# How near the words of question and passage come counts so much, where the vector of the whole counts 1.
# nDCG@10 on SciFact's training split and SQuAD: 0.761 and 0.932, without 0.751 and 0.912 (docs/adr/0140).
_LATE_WEIGHT = 1.0
# What the cosine counts when the model does not read the question's language. Japanese and Russian, nDCG@10:
# 0.783, with all of it 0.774, by words alone 0.778.
_UNREAD_SHARE = 1 / 3
# How much of the keyword side is the whole document's BM25: it tells which document, the passage's own tells
# where in it. SciFact, training split, nDCG@10 fused: 0.745 with none of it, 0.749 with half, 0.752 with
# three quarters, 0.753 with all.
_DOCUMENT_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Words:
    """BM25 of a passage, and of the document that it stands in; 0 where no word of the question occurs."""

    passage: float
    document: float


def by_words(scores: Mapping[int, Words], passages: int) -> dict[int, float]:
    """The keyword side's score of each passage, in words that one passage alone has.

    passages: how many the collection has. BM25 grows with the logarithm of it; without that, collections of
    any size compare.
    """
    # BM25's weight, about, of a word that one of so many passages has.
    rarest = max(1.0, math.log(max(1, passages)))
    return {
        key: (_DOCUMENT_SHARE * words.document + (1 - _DOCUMENT_SHARE) * words.passage) / rarest
        for key, words in scores.items()
    }


def scaled(scores: Mapping[int, float]) -> dict[int, float]:
    """Scores on a scale where the least is 0 and the greatest 1; all 1 when they do not differ."""
    if not scores:
        return {}
    least, greatest = min(scores.values()), max(scores.values())
    spread = greatest - least
    return {key: (score - least) / spread if spread > 0 else 1.0 for key, score in scores.items()}


def side_by_side(cosines: Mapping[int, float], models: Mapping[int, int]) -> dict[int, float]:
    """One order for the cosines of several models, each of which uses a range of its own.

    The mean of the cosine and of its place between the least and the greatest of its model: a model that
    finds all texts near does not push the others out, and the best of bad candidates is not as good as a good
    one.
    """
    apart: dict[int, float] = {}
    for model in set(models.values()):
        own = {key: cosine for key, cosine in cosines.items() if models[key] == model}
        apart |= {key: (place + own[key]) / 2 for key, place in scaled(own).items()}
    return apart


def comparable(
    cosines: Mapping[int, float], models: Mapping[int, int], scales: Mapping[int, Scale]
) -> dict[int, float]:
    """What the built-in model would say for the cosines of others, see embedding/scale.py."""
    if all(scale == BUILT_IN for scale in scales.values()):
        return dict(cosines)
    return {key: scales[models[key]].comparable(cosine) for key, cosine in cosines.items()}


def fuse(
    words: Mapping[int, float], meaning: Mapping[int, float], late: Mapping[int, float]
) -> dict[int, float]:
    """Fused scores, 0 to 1, of every candidate of either side.

    words: of by_words. meaning: of comparable. late: the same of how near the words come, for the best of
    what the others find. A passage that has no vector yet counts as the farthest of those that have one, and
    one that was not read closely as the farthest of those that were.
    """
    farthest = min(meaning.values(), default=0.0)
    least = min(late.values(), default=0.0)
    added = {
        key: _WORDS_WEIGHT * words.get(key, 0.0)
        + meaning.get(key, farthest)
        + _LATE_WEIGHT * late.get(key, least)
        for key in words.keys() | meaning.keys()
    }
    return scaled(added)


def unread(cosines: Mapping[int, float], models: Mapping[int, int], strange: Set[int]) -> dict[int, float]:
    """Cosines, less of those by models to which the question's language is strange."""
    return {
        key: cosine * _UNREAD_SHARE if models[key] in strange else cosine for key, cosine in cosines.items()
    }


def exact_first(scores: Mapping[int, float], exact: Mapping[int, float], greatest: float) -> dict[int, float]:
    """Scores with what holds all phrases and identifiers of the question above what holds none.

    exact: the share by weight that a passage holds, 0 to 1. greatest: what no score exceeds.
    """
    return {key: score + greatest * exact.get(key, 0.0) for key, score in scores.items()}
