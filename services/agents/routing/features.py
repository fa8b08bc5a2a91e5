"""What requests are compared by, besides their embeddings: words, concepts and signs."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from services.agents.answering import terms
from services.agents.routing.signs import Reading

SparseVector = dict[str, float]

# Chosen together with those of the classifier, see there: the squared length of the words' and of the signs'
# part of a vector, and what a concept that is met counts.
_WORDS_WEIGHT = 0.5
_SIGNS_WEIGHT = 0.3
_CONCEPT = 0.25
_CONCEPT_AGAIN = 0.125

CONCEPT, SIGN, _WORD = "concept", "sign", "word"


def load_concepts() -> dict[str, list[str]]:
    """Concepts of requests, each with words and phrases of several languages that speak of it.

    A phrase is compared by its stems; one that ends in * is the beginning of a word.
    """
    text = (resources.files("services.agents.routing") / "concepts.json").read_text("utf-8")
    loaded: dict[str, list[str]] = json.loads(text)
    return loaded


class WordSpace:
    """Unit vectors over stems and pairs of neighbouring stems, weighted by rarity."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = Counter(feature for text in texts for feature in self._features(text))
        self._rarity = {feature: math.log((1 + len(texts)) / (1 + n)) + 1 for feature, n in counts.items()}

    def vector(self, text: str) -> SparseVector:
        """The vector of a text; empty when it shares no word with those that the space was made from."""
        return _unit({f: self._rarity[f] for f in self._features(text) if f in self._rarity})

    @staticmethod
    def _features(text: str) -> set[str]:
        stems = [terms.stem(word) for word in terms.words(text)]
        return {*stems, *(f"{a} {b}" for a, b in itertools.pairwise(["^", *stems]))}


@dataclass(frozen=True)
class _Phrases:
    """Of one concept. stems: of single words. several: stems with blanks around. begun: with one in front."""

    stems: frozenset[str]
    several: tuple[str, ...]
    begun: tuple[str, ...]


class ConceptSpace:
    """Vectors over concepts: which of them a text speaks of."""

    def __init__(self, concepts: Mapping[str, Sequence[str]]) -> None:
        self._phrases = {concept: _phrases(phrases) for concept, phrases in concepts.items()}

    def vector(self, text: str) -> SparseVector:
        """The vector of a text; empty when it speaks of nothing known."""
        words = terms.words(text)
        stems = [terms.stem(word) for word in words]
        met, stemmed, plain = set(stems), _spaced(stems), _spaced(words)
        found: SparseVector = {}
        for concept, phrases in self._phrases.items():
            count = len(phrases.stems & met)
            count += sum(phrase in stemmed for phrase in phrases.several)
            count += sum(begin in plain for begin in phrases.begun)
            if count:
                found[concept] = _CONCEPT + (_CONCEPT_AGAIN if count > 1 else 0.0)
        return found


class FeatureSpace:
    """The vectors of requests: the three parts side by side."""

    def __init__(self, readings: Sequence[Reading], concepts: Mapping[str, Sequence[str]]) -> None:
        """readings: those that the words' rarity is counted in."""
        self._words = WordSpace([reading.prose for reading in readings])
        self._concepts = ConceptSpace(concepts)

    def vector(self, reading: Reading) -> dict[tuple[str, str], float]:
        """By the part's name and the name within it."""
        signs = _unit(dict.fromkeys(sorted(reading.signs), 1.0))
        return {
            **_part(_WORD, self._words.vector(reading.prose), math.sqrt(_WORDS_WEIGHT)),
            **_part(CONCEPT, self._concepts.vector(reading.prose), 1.0),
            **_part(SIGN, signs, math.sqrt(_SIGNS_WEIGHT)),
        }


def _part(name: str, vector: SparseVector, factor: float) -> dict[tuple[str, str], float]:
    return {(name, feature): factor * value for feature, value in vector.items()}


def _phrases(phrases: Sequence[str]) -> _Phrases:
    whole = [[terms.stem(word) for word in terms.words(phrase)] for phrase in phrases if phrase[-1] != "*"]
    return _Phrases(
        frozenset(stems[0] for stems in whole if len(stems) == 1),
        tuple({_spaced(stems) for stems in whole if len(stems) > 1}),
        tuple(f" {phrase[:-1]}" for phrase in phrases if phrase[-1] == "*"),
    )


def _spaced(words: Sequence[str]) -> str:
    """The words between single blanks, so that whole phrases can be searched for."""
    return f" {' '.join(words)} "


def _unit(vector: SparseVector) -> SparseVector:
    length = math.sqrt(sum(value * value for value in vector.values()))
    return {feature: value / length for feature, value in vector.items()}
