"""Late interaction: how near the words of a question come to the words of a passage, each in its own text.

One vector for a passage says what it is about as a whole; here each word of the question looks for the word
of the passage that means most nearly the same, and a word that few passages have counts more. After Khattab
and Zaharia, "ColBERT", SIGIR 2020, with the words of a model that makes one vector of a text and was not
trained for it. Of a passage's words one bit of each component is kept, its sign, and of function words
nothing, which changes nothing that could be measured (ADR 140).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from services.vector import tokens
from services.vector.embedding.ports import Span, Vector, Vectors, WordVectors

# A passage has some hundred; what is longer is cut.
_MOST_WORDS = 1_024
# Between a unit vector's product with signs and its cosine with what they are signs of, for components that
# are spread as the normal distribution.
_OF_SIGNS = math.sqrt(math.pi / 2)
_LEAST_LENGTH = 1e-9
# Some models take blanks and punctuation for part of a word.
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


@dataclass(frozen=True, slots=True)
class QuestionWords:
    """The words of a question that tell something. vectors: (n, dimension), unit length. weights: (n,)."""

    texts: Sequence[str]
    vectors: Vectors
    weights: Vector

    def weighed(self, rarity: Callable[[str], float]) -> QuestionWords:
        """Each word counts by how rare it is, too; all alike where none is."""
        rarities = np.array([rarity(text) for text in self.texts], np.float32)
        weights = self.weights * rarities
        return QuestionWords(self.texts, self.vectors, weights if weights.any() else self.weights)


def question_words(text: str, words: WordVectors) -> QuestionWords:
    """Of a question; all of its words where none tells anything."""
    named = [text[start:end] for start, end in words.spans]
    rows = [at for at, name in enumerate(named) if tells(name)] or list(range(len(named)))
    vectors = words.vectors[rows]
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), _LEAST_LENGTH)
    return QuestionWords([named[at] for at in rows], vectors / lengths[:, None], lengths)


def tells(word: str) -> bool:
    """Whether a word is more than punctuation or a function word of English."""
    core = _EDGES.sub("", word).lower()
    return core != "" and core not in tokens.EMPTY_WORDS


def codes(text: str, words: WordVectors) -> bytes:
    """What is kept of the words of a passage: the signs of each, ceil(dimension / 8) bytes a word."""
    return np.packbits(words.vectors[_kept(text, words.spans)] > 0, axis=1).tobytes()


def kept_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Where the words stand of which `codes` keeps something, in its order. spans: of all of the text."""
    return [spans[at] for at in _kept(text, spans)]


def _kept(text: str, spans: Sequence[Span]) -> list[int]:
    return [at for at, (start, end) in enumerate(spans) if tells(text[start:end])][:_MOST_WORDS]


def whole(kept: bytes, dimension: int, words: int | None = None) -> bool:
    """Whether this can be what `codes` made of vectors of so many components. words: of so many of them."""
    length = len(kept)
    return length % _width(dimension) == 0 if words is None else length == words * _width(dimension)


def nearness(question: QuestionWords, passages: Sequence[bytes]) -> Vector:
    """How near each passage comes, (len(passages),), about -1 to 1: the weighted mean over the question's
    words of the cosine of the nearest word; 0 for a passage without words.

    passages: of `codes`, by the same model; each `whole`.
    """
    dimension = question.vectors.shape[1]
    width = _width(dimension)
    found = np.zeros(len(passages), np.float32)
    with_words = [at for at, some in enumerate(passages) if some]
    total = float(question.weights.sum())
    if not with_words or total <= 0:
        return found
    products = cosines(question, b"".join(passages[at] for at in with_words))
    starts = np.cumsum([0, *(len(passages[at]) // width for at in with_words[:-1])])
    nearest = np.maximum.reduceat(products, starts, axis=1)
    found[with_words] = question.weights @ nearest / total
    return found


def cosines(question: QuestionWords, passage: bytes) -> Vectors:
    """About the cosine of each word of the question with each of a passage: (n of those, m of these).

    passage: of `codes`, by the same model; `whole`.
    """
    dimension = question.vectors.shape[1]
    rows = np.frombuffer(passage, np.uint8).reshape(-1, _width(dimension))
    signs = np.unpackbits(rows, axis=1, count=dimension).astype(np.float32)
    # A bit is 0 or 1 and its sign -1 or 1.
    products = 2 * (question.vectors @ signs.T) - question.vectors.sum(axis=1, keepdims=True)
    found: Vectors = products * np.float32(_OF_SIGNS / math.sqrt(dimension))
    return found


def _width(dimension: int) -> int:
    """Bytes of a word."""
    return -(-dimension // 8)
