"""What the vector service asks of a model that turns texts into vectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


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


class Embedder(Protocol):
    """A model of one name and one dimension.

    `deadline` is always an instant of time.monotonic(), in seconds. Every
    method may be called from any thread, and raises nothing but

    - EmbedderDeadlineError: the deadline passed; no vectors, whatever was computed;
    - EmbedderUnavailableError: the model failed or is out of reach;
    - EmbedderRejectedError: a repeat cannot help.
    """

    @property
    def model(self) -> str:
        """The model's name. Vectors of different names are never compared."""
        ...

    @property
    def dimension(self) -> int:
        """Columns of every answer."""
        ...

    def embed_queries(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """Vectors of questions, ahead of any passages in work.

        Returns float32 of shape (len(texts), dimension), row i for text i, each row of length 1.
        """
        ...

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """Vectors of stored texts, in the background. Shape and length as for questions."""
        ...

    def ping(self, *, deadline: float) -> None:
        """Returns when the model can be expected to answer; raises like the others when not."""
        ...


def remaining(deadline: float) -> float:
    """Seconds until `deadline`, more than 0. Raises EmbedderDeadlineError when it has passed."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise EmbedderDeadlineError("the deadline passed before the vectors were there")
    return seconds
