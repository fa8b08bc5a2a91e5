"""Texts and vectors of any number, made from a seed: words by Zipf's law, topics, and a model of directions.

The most frequent words are the English function words, so that a question costs what a question costs; all
others are made of syllables. A word of a topic points near the topic's direction; the vector of a text is the
sum of those of its words, the rarer the heavier.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

DIMENSION = 384
WORDS = 20_000
TOPICS = 200
WORDS_OF_A_TEXT = 120
_WORDS_OF_A_TOPIC = 150
_OF_THE_TOPIC = 0.4
_FREQUENT = """
the of and to a in is that for it was on are as with at be this from have or by not but what all were when we
there can an your which their if has will each about how up out them then she many some so these would other
into more her two like him see time could no make than first been its who now people my made over did down
only way find use may water long little very after words called just where most
"""

Matrix = NDArray[np.float32]


class Corpus:
    """Everything follows from the seed."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.words = list(itertools.islice(_vocabulary(), WORDS))
        self._number = {word: number for number, word in enumerate(self.words)}
        self._seed = seed
        ranks = np.arange(1, WORDS + 1)
        self._zipf = np.cumsum(1 / ranks**1.05)
        self._zipf /= self._zipf[-1]
        of_topic = 1 / np.arange(1, _WORDS_OF_A_TOPIC + 1) ** 0.8
        self._within = np.cumsum(of_topic) / of_topic.sum()
        # Words of topics are neither the most frequent nor the rarest.
        self._topics = draw.integers(len(_FREQUENT.split()), WORDS, (TOPICS, _WORDS_OF_A_TOPIC))
        directions = draw.standard_normal((WORDS, DIMENSION), dtype=np.float32)
        centres = draw.standard_normal((TOPICS, DIMENSION), dtype=np.float32)
        for topic, members in enumerate(self._topics):
            directions[members] += centres[topic]
        self._directions = directions * np.log1p(ranks)[:, None].astype(np.float32)

    def texts(self, count: int) -> Iterator[str]:
        """About WORDS_OF_A_TEXT words each, in sentences; the same ones in the same order each time."""
        draw = np.random.default_rng(self._seed + 1)
        for _ in range(count):
            words = self._some(draw, WORDS_OF_A_TEXT + int(draw.integers(-20, 21)))
            sentences = [words[at : at + 15] for at in range(0, len(words), 15)]
            yield " ".join(f"{' '.join(one).capitalize()}." for one in sentences)

    def questions(self, count: int) -> list[str]:
        """Six to nine words, of a topic and of the language."""
        draw = np.random.default_rng(self._seed + 2)
        return [" ".join(self._some(draw, int(draw.integers(6, 10)))) for _ in range(count)]

    def vectors(self, texts: Sequence[str]) -> Matrix:
        """(n, DIMENSION), of unit length."""
        rows = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            words = text.lower().replace(".", " ").split()
            numbers = [number for word in words if (number := self._number.get(word)) is not None]
            # A text of other words, such as that of a health check, has a direction as well.
            rows[row] = self._directions[numbers or [0]].sum(axis=0)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _some(self, draw: np.random.Generator, count: int) -> list[str]:
        topic = self._topics[draw.integers(TOPICS)]
        common = np.searchsorted(self._zipf, draw.random(count))
        special = topic[np.searchsorted(self._within, draw.random(count))]
        chosen = np.where(draw.random(count) < _OF_THE_TOPIC, special, common)
        return [self.words[min(int(number), WORDS - 1)] for number in chosen]


def _vocabulary() -> Iterator[str]:
    frequent = _FREQUENT.split()
    yield from frequent
    parts = [start + vowel for start in "bdfgklmnprstvz" for vowel in "aeiou"]
    for length in (2, 3):
        for syllables in itertools.product(parts, repeat=length):
            if (word := "".join(syllables)) not in frequent:
                yield word
