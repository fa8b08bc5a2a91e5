"""Which label a request has: multinomial logistic regression on labelled examples.

The regression is solved in the space of the examples, by their kernel: the inner products of their
embeddings, which have length 1, and of their other features (see features.py). What a label is worth for a
request is then a sum over the examples, and its probability is a confidence that needs no calibration of its
own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.agents.ports import Vectors
from services.agents.routing.features import CONCEPT, SIGN, FeatureSpace
from services.agents.routing.signs import SIZES, Reading, read

Matrix = NDArray[np.float64]
Feature = tuple[str, str]
Features = Mapping[Feature, float]

# Chosen with the weights in features.py by ten-fold cross-validation on the examples alone (ADR 79).
_PENALTY = 0.05
# After these no probability of an example is further than 0.01 from where it ends.
_STEPS = 40
# Features that are named as reasons push the label at least this much above the others.
_TELLING = 0.2


class Examples:
    """Labelled requests, read once, whatever is learnt from them."""

    def __init__(self, requests: Mapping[str, Sequence[str]], concepts: Mapping[str, Sequence[str]]) -> None:
        """requests: by label."""
        self.labels = tuple(requests)
        self.texts = [text for label in self.labels for text in requests[label]]
        self.owners = [label for label in self.labels for _ in requests[label]]
        self.readings = [read(text) for text in self.texts]
        self._space = FeatureSpace(self.readings, concepts)
        rows = [self._space.vector(reading) for reading in self.readings]
        self._postings = _postings(rows)
        self.kernel = np.stack([self.alike(row) for row in rows])

    @cached_property
    def by_words(self) -> Classifier:
        """What is learnt from them without embeddings: the same for all who ask."""
        return Classifier(self, None)

    def features(self, reading: Reading) -> Features:
        """What a request is compared by, but for what it means."""
        return self._space.vector(reading)

    def worth(self, features: Features, weights: Matrix) -> dict[Feature, Matrix]:
        """What each concept and sign of the request is worth for each label. weights: what examples are."""
        found = {}
        for feature, value in features.items():
            if feature[0] in (CONCEPT, SIGN) and feature in self._postings:
                indices, values = self._postings[feature]
                found[feature] = value * (values @ weights[indices])
        return found

    def alike(self, features: Features) -> Matrix:
        """How alike a request of these features is to each example."""
        alike = np.zeros(len(self.texts))
        for feature, value in features.items():
            if feature in self._postings:
                indices, values = self._postings[feature]
                alike[indices] += value * values
        return alike


class Classifier:
    """A trained regression."""

    def __init__(self, examples: Examples, vectors: Vectors | None) -> None:
        """vectors: embeddings of the examples' prose, in their order; None learns without."""
        self.examples = examples
        self.labels = examples.labels
        self._vectors = None if vectors is None else vectors.astype(np.float64)
        kernel = examples.kernel
        if self._vectors is not None:
            kernel = kernel + self._vectors @ self._vectors.T
        targets = np.array([[float(owner == label) for label in self.labels] for owner in examples.owners])
        self._weights, self._offsets = _fitted(kernel, targets)

    @property
    def uses_meaning(self) -> bool:
        """Whether embeddings take part."""
        return self._vectors is not None

    def fits(self, vector: Vectors) -> bool:
        """Whether a vector has the examples' dimension, and so may come from the same model."""
        return self._vectors is not None and vector.shape == self._vectors[0].shape

    def alike(self, features: Features, vector: Vectors | None) -> Matrix:
        """How alike the request is to each example. vector: of its prose; None for a classifier without."""
        alike = self.examples.alike(features)
        if self._vectors is not None and vector is not None:
            alike = alike + self._vectors @ vector.astype(np.float64)
        return alike

    def shares(self, alike: Matrix) -> Matrix:
        """A probability per label; they add up to 1."""
        shares: Matrix = _softmax((alike @ self._weights + self._offsets)[np.newaxis])[0]
        return shares

    def telling(self, features: Features, label: str) -> list[str]:
        """The concepts and signs that speak most for the label, strongest first."""
        column = self.labels.index(label)
        pushes = [
            (float(worth[column] - worth.mean()), name)
            for (_, name), worth in self.examples.worth(features, self._weights).items()
            if name not in SIZES
        ]
        return [name for push, name in sorted(pushes, reverse=True) if push >= _TELLING]


def _postings(rows: Sequence[Features]) -> dict[Feature, tuple[NDArray[np.int64], Matrix]]:
    """For each feature the rows that hold it, and its values there."""
    found: dict[Feature, list[tuple[int, float]]] = {}
    for index, row in enumerate(rows):
        for feature, value in row.items():
            found.setdefault(feature, []).append((index, value))
    return {
        feature: (np.array([i for i, _ in entries]), np.array([value for _, value in entries]))
        for feature, entries in found.items()
    }


def _fitted(kernel: Matrix, targets: Matrix) -> tuple[Matrix, Matrix]:
    """What each example is worth for each label, and each label's offset.

    Accelerated gradient descent (Nesterov 1983) in the space whose inner product the kernel is, each step
    divided by the bound of the curvature by Böhning (1992). Written in what examples are worth, that divides
    by half the kernel and the penalty.
    """
    steps = np.linalg.inv(0.5 * kernel + _PENALTY * np.eye(len(kernel)))
    offsets = np.zeros(targets.shape[1])
    weights = ahead = np.zeros(targets.shape)
    pace = 1.0
    for _ in range(_STEPS):
        missed = _softmax(kernel @ ahead + offsets) - targets
        reached = ahead - steps @ (missed + _PENALTY * ahead)
        offsets = offsets - missed.mean(axis=0)
        faster = (1.0 + np.sqrt(1.0 + 4.0 * pace * pace)) / 2.0
        ahead = reached + (pace - 1.0) / faster * (reached - weights)
        weights, pace = reached, faster
    return weights, offsets


def _softmax(scores: Matrix) -> Matrix:
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Matrix = odds / odds.sum(axis=1, keepdims=True)
    return shares
