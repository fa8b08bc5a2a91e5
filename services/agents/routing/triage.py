"""Routes by labelled examples: kernel ridge regression on what requests mean and on the words they use.

The kernel of two requests is a weighted sum of three cosines: of their embeddings, of their word vectors
(stems and pairs of stems, weighted by rarity), and of the agents whose cue words they hold. One regression
per agent learns
from the labelled examples at start, in some milliseconds; the largest answer wins. While the vector service
does not answer, words and cues decide alone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from services.agents.answering import terms
from services.agents.ports import Vectors
from services.agents.routing.route import Alternative, Route
from services.chassis.errors import ServiceError

_log = logging.getLogger(__name__)

Embed = Callable[[Sequence[str]], Awaitable[Vectors]]
Matrix = NDArray[np.float64]

# Chosen by ten-fold cross-validation on the training examples alone: weights of the cosines beside that of
# the embeddings (1), the ridge, and the factor that makes scores into confidences that are right as often as
# they say.
_WORDS_WEIGHT = 0.5
_CUES_WEIGHT = 0.1
_CUES_WEIGHT_ALONE = 0.3
_RIDGE = 1.0
_SHARPNESS = 12.0
_SHARPNESS_ALONE = 8.0

# Small, so that a busy embedder answers in time and questions get in between.
_EMBED_BATCH = 16
_ALTERNATIVES = 3
_RETRY_SECONDS = 2.0


def load_examples() -> dict[str, list[str]]:
    """The labelled examples: requests by agent id."""
    return _load("examples.json")


def load_cues() -> dict[str, list[str]]:
    """Words and phrases that point to an agent, by agent id."""
    return _load("cues.json")


def _load(name: str) -> dict[str, list[str]]:
    text = (resources.files("services.agents.routing") / name).read_text("utf-8")
    loaded: dict[str, list[str]] = json.loads(text)
    return loaded


SparseVector = dict[str, float]


class WordSpace:
    """Unit vectors of requests over stems and pairs of neighbouring stems, weighted by rarity."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = Counter(feature for text in texts for feature in self._features(text))
        self._rarity = {feature: math.log((1 + len(texts)) / (1 + n)) + 1 for feature, n in counts.items()}

    def vector(self, text: str) -> SparseVector:
        """The vector of a text; empty when it shares no word with the examples."""
        return _unit({f: self._rarity[f] for f in self._features(text) if f in self._rarity})

    @staticmethod
    def _features(text: str) -> set[str]:
        stems = [terms.stem(word) for word in terms.words(text)]
        return {*stems, *(f"{a} {b}" for a, b in itertools.pairwise(stems))}


class CueSpace:
    """Unit vectors of requests over the agents: how many cues of each a request holds."""

    def __init__(self, cues: Mapping[str, Sequence[str]]) -> None:
        self._phrases = {label: [_stemmed(cue) for cue in phrases] for label, phrases in cues.items()}

    def vector(self, text: str) -> SparseVector:
        """The vector of a text; empty when it holds no cue."""
        stemmed = _stemmed(text)
        counts = {label: sum(cue in stemmed for cue in found) for label, found in self._phrases.items()}
        return _unit({f"cue of {label}": float(count) for label, count in counts.items() if count})


def _stemmed(text: str) -> str:
    """The stems between single blanks, so that whole phrases can be searched for."""
    return f" {' '.join(terms.stem(word) for word in terms.words(text))} "


def _unit(vector: SparseVector) -> SparseVector:
    length = math.sqrt(sum(value * value for value in vector.values()))
    return {feature: value / length for feature, value in vector.items()}


class Classifier:
    """A trained kernel ridge regression. `vectors` are the examples' embeddings; None learns from words."""

    def __init__(
        self,
        examples: Mapping[str, Sequence[str]],
        cues: Mapping[str, Sequence[str]],
        vectors: Vectors | None,
    ) -> None:
        self.labels = tuple(examples)
        self.texts = [text for label in self.labels for text in examples[label]]
        self.owners = [label for label in self.labels for _ in examples[label]]
        self._vectors = None if vectors is None else vectors.astype(np.float64)
        self._words = WordSpace(self.texts)
        self._cues = CueSpace(cues)
        rows = [self._features(text) for text in self.texts]
        self._postings = _postings(rows)
        kernel = np.stack([self._word_kernel(row) for row in rows])
        if self._vectors is not None:
            kernel = kernel + self._vectors @ self._vectors.T
        targets = np.array([[float(owner == label) for label in self.labels] for owner in self.owners])
        self._mean = targets.mean(axis=0)
        ridge = _RIDGE * np.eye(len(self.texts))
        self._weights: Matrix = np.linalg.solve(kernel + ridge, targets - self._mean)

    @property
    def uses_meaning(self) -> bool:
        """Whether embeddings take part."""
        return self._vectors is not None

    def fits(self, vector: Vectors) -> bool:
        """Whether a vector has the examples' dimension, and so may come from the same model."""
        return self._vectors is not None and vector.shape == self._vectors[0].shape

    def kernel(self, text: str, vector: Vectors | None) -> Matrix:
        """How alike the text is to each example."""
        alike = self._word_kernel(self._features(text))
        if self._vectors is not None and vector is not None:
            alike = alike + self._vectors @ vector.astype(np.float64)
        return alike

    def shares(self, alike: Matrix) -> Matrix:
        """A confidence per label; they add up to 1."""
        scores: Matrix = self._mean + alike @ self._weights
        odds = np.exp((_SHARPNESS if self.uses_meaning else _SHARPNESS_ALONE) * (scores - scores.max()))
        shares: Matrix = odds / odds.sum()
        return shares

    def _features(self, text: str) -> SparseVector:
        words = math.sqrt(_WORDS_WEIGHT)
        cues = math.sqrt(_CUES_WEIGHT if self.uses_meaning else _CUES_WEIGHT_ALONE)
        return {
            **{feature: words * value for feature, value in self._words.vector(text).items()},
            **{feature: cues * value for feature, value in self._cues.vector(text).items()},
        }

    def _word_kernel(self, row: SparseVector) -> Matrix:
        alike = np.zeros(len(self.texts))
        for feature, value in row.items():
            if feature in self._postings:
                indices, values = self._postings[feature]
                alike[indices] += value * values
        return alike


def _postings(rows: Sequence[SparseVector]) -> dict[str, tuple[NDArray[np.int64], Matrix]]:
    """For each feature the rows that hold it, and its values there."""
    found: dict[str, list[tuple[int, float]]] = {}
    for index, row in enumerate(rows):
        for feature, value in row.items():
            found.setdefault(feature, []).append((index, value))
    return {
        feature: (np.array([i for i, _ in entries]), np.array([value for _, value in entries]))
        for feature, entries in found.items()
    }


class Triage:
    """Routes requests. Start it with `learn`, which may fail and be repeated; until then words decide
    alone.
    """

    def __init__(
        self, examples: Mapping[str, Sequence[str]], cues: Mapping[str, Sequence[str]], embed: Embed
    ) -> None:
        """examples and cues: by agent id, the same ids in the same order."""
        self._examples = examples
        self._cues = cues
        self._embed = embed
        self._by_words = Classifier(examples, cues, None)
        self._by_meaning: Classifier | None = None
        self._learnt: list[Vectors] = []
        self._outdated = asyncio.Event()

    async def learn(self) -> None:
        """Embeds the examples and trains on them; goes on where an earlier try ended.

        Raises what the embedding raises.
        """
        texts = self._by_words.texts
        for start in range(len(self._learnt) * _EMBED_BATCH, len(texts), _EMBED_BATCH):
            self._learnt.append(await self._embed(texts[start : start + _EMBED_BATCH]))
        self._by_meaning = await asyncio.to_thread(
            Classifier, self._examples, self._cues, np.concatenate(self._learnt)
        )

    async def keep_learning(self) -> None:
        """Repeats `learn` until it succeeds, and again when the embedding model has changed."""
        while True:
            try:
                await self.learn()
            except ServiceError as error:
                _log.info("routing goes by words alone: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._outdated.clear()
                await self._outdated.wait()

    async def route(self, request: str) -> Route:
        """The agent that fits the request. Never fails."""
        classifier, vector = self._by_words, None
        if self._by_meaning is not None:
            try:
                vector = (await self._embed([request]))[0]
            except ServiceError as error:
                _log.info("routing goes by words alone: %s", error.message)
            else:
                if self._by_meaning.fits(vector):
                    classifier = self._by_meaning
                else:
                    self._forget()
        return _route(classifier, request, vector)

    def _forget(self) -> None:
        self._by_meaning = None
        self._learnt.clear()
        self._outdated.set()


def _route(classifier: Classifier, request: str, vector: Vectors | None) -> Route:
    alike = classifier.kernel(request, vector)
    shares = classifier.shares(alike)
    order = sorted(range(len(shares)), key=lambda index: (-shares[index], index))
    best = classifier.labels[order[0]]
    return Route(
        best,
        round(float(shares[order[0]]), 3),
        tuple(_reasons(classifier, request, alike, best)),
        tuple(
            Alternative(classifier.labels[index], round(float(shares[index]), 3))
            for index in order[1 : 1 + _ALTERNATIVES]
        ),
    )


def _reasons(classifier: Classifier, request: str, alike: Matrix, best: str) -> list[str]:
    nearest = max(
        (index for index, owner in enumerate(classifier.owners) if owner == best),
        key=lambda index: alike[index],
    )
    example = classifier.texts[nearest]
    reasons = [f"It resembles “{example}”, which is for {best}."]
    shared = [
        word
        for word in dict.fromkeys(terms.content_words(request))
        if terms.stem(word) in terms.stems(example)
    ]
    if shared:
        reasons.append(f"They share the words {', '.join(shared)}.")
    if not classifier.uses_meaning:
        reasons.append("Words alone decided: the embedding model does not answer.")
    return reasons
