"""What the vector service asks of a model that turns texts into vectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from services.vector.embedding.scale import Scale

# So many texts or fewer are somebody's question; more are work that questions may pass.
FEW_TEXTS = 16

Vectors = NDArray[np.float32]
Vector = NDArray[np.float32]
# Characters [start, end).
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ModelName:
    """What tells one model's vectors from another's. revision: names its files; empty where not known.

    Vectors are compared only where their names agree, see `agrees`.
    """

    name: str
    dimension: int
    revision: str = ""

    def __str__(self) -> str:
        revision = f", revision {self.revision}" if self.revision else ""
        return f"{self.name} ({self.dimension} dimensions{revision})"

    def agrees(self, other: ModelName) -> bool:
        """Whether both make the same vectors, as far as is known."""
        if (self.name, self.dimension) != (other.name, other.dimension):
            return False
        return not self.revision or not other.revision or self.revision == other.revision


class EmbedderError(Exception):
    """No vectors; the message says why and holds no text that was to be embedded and no secret."""


class EmbedderUnavailableError(EmbedderError):
    """The model cannot answer now; the same texts may succeed later.

    retry_after: seconds after which the model asked to be called again; None when it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EmbedderDeadlineError(EmbedderUnavailableError):
    """The deadline came before the vectors."""


class EmbedderRejectedError(EmbedderError):
    """The model will never answer this: texts, key or settings must change first."""


class EmbedderTextError(EmbedderRejectedError):
    """It is one of the texts that the model does not take; others it may."""


class Embedder(Protocol):
    """A model of one name and one dimension.

    `deadline` is always an instant of time.monotonic(), in seconds. Every
    method may be called from any thread, and raises nothing but

    - EmbedderDeadlineError: the deadline passed; no vectors, whatever was computed;
    - EmbedderUnavailableError: the model failed or is out of reach;
    - EmbedderRejectedError: a repeat cannot help; EmbedderTextError where the texts are to blame.
    """

    @property
    def model(self) -> str:
        """The model's name. Vectors of different names are never compared."""
        ...

    @property
    def dimension(self) -> int:
        """Columns of every answer."""
        ...

    @property
    def revision(self) -> str:
        """Names the files that the model is made of; empty where they are somebody else's."""
        ...

    def embed_question(self, text: str, *, deadline: float) -> Vector:
        """The vector to search with beside words, ahead of all else.

        Returns float32 of shape (dimension,), of length 1. It may differ a little from what embed_queries
        answers, where that is faster.
        """
        ...

    def embed_queries(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """Vectors of questions, which somebody waits for, ahead of any passages in work.

        Returns float32 of shape (len(texts), dimension), row i for text i, each row of length 1.
        """
        ...

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """Vectors of stored texts, in the background. Otherwise as embed_queries."""
        ...

    def embed_texts(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """Vectors of texts as they are: as questions or as passages only where a model makes no difference.

        FEW_TEXTS are embedded ahead of passages in work, more in the background. Otherwise as embed_queries.
        """
        ...

    def scale(self) -> Scale:
        """What its cosines are worth. At once: while that is not known, what the built-in model's are."""
        ...

    def ping(self, *, deadline: float) -> None:
        """Returns when the model can be expected to answer; raises like the others when not."""
        ...


@dataclass(frozen=True, slots=True)
class WordVectors:
    """What a model makes of each word of a text, in the light of all others.

    spans: where each word stands, as characters [start, end). vectors: (n, dimension), row i for spans[i];
    its length says how much of the text's own vector it makes.
    """

    spans: Sequence[Span]
    vectors: Vectors


@runtime_checkable
class WordsEmbedder(Embedder, Protocol):
    """An embedder that can tell of single words, with the same work; an endpoint cannot."""

    def embed_question_words(self, text: str, *, deadline: float) -> tuple[Vector, WordVectors]:
        """As embed_question, and its words."""
        ...

    def embed_passage_words(
        self, texts: Sequence[str], *, deadline: float
    ) -> tuple[Vectors, list[WordVectors]]:
        """As embed_passages, and the words of each."""
        ...

    def passage_spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """Where the words stand that embed_passage_words tells of, at once and without their vectors.

        Raises EmbedderTextError, EmbedderUnavailableError.
        """
        ...


@runtime_checkable
class Reader(Protocol):
    """An embedder that can tell which texts are in a language that it has learnt; not all can."""

    def reads(self, text: str) -> bool:
        """Whether its vector of this text says what the text means. Raises EmbedderTextError as above."""
        ...


def name_of(embedder: Embedder) -> ModelName:
    """What its vectors are stored under."""
    return ModelName(embedder.model, embedder.dimension, embedder.revision)


def remaining(deadline: float) -> float:
    """Seconds until `deadline`, more than 0. Raises EmbedderDeadlineError when it has passed."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise EmbedderDeadlineError("the deadline passed before the vectors were there")
    return seconds
