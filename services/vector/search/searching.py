"""Search in one or more collections: candidates of both sides, one order, and what was left out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from services.chassis.errors import FailedPreconditionError, UnavailableError
from services.vector.documents import Collection
from services.vector.record.passages import Condition, FoundPassage, Passages, Place
from services.vector.record.vectors import Keys, Matrix
from services.vector.search import fusion, question

_log = logging.getLogger(__name__)

# Candidates of each side; more are taken when more hits are asked for.
_DEPTH = 200
_MOST_DROPPED = 1_000


class Mode(IntEnum):
    """Which scores decide; the numbers are those of the contract."""

    HYBRID = 1
    DENSE = 2
    LEXICAL = 3


class Drop(IntEnum):
    """Why a candidate was not returned; the numbers are those of the contract."""

    LIMIT = 1
    THRESHOLD = 2
    FILTER = 3
    NOT_IN_RECORD = 4


class DenseUnavailableError(Exception):
    """The vector side cannot answer now; `reason` is a word for programs, the message one for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Dense(Protocol):
    """The vector side."""

    async def embed(self, text: str) -> Matrix:
        """The vector of a question, (dimension,). Raises DenseUnavailableError."""
        ...

    async def nearest(
        self, collection: Collection, query: Matrix, limit: int, allowed: Keys | None
    ) -> list[tuple[int, float]]:
        """The passages most similar to query, as (key, cosine). Raises DenseUnavailableError."""
        ...

    async def similarities(
        self, collection: Collection, query: Matrix, keys: Sequence[int]
    ) -> dict[int, float]:
        """Cosines of these passages; those without a vector are left out."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. threshold: least cosine with which the vector side may bring a passage in."""

    text: str
    top_k: int
    mode: Mode
    threshold: float
    condition: Condition
    explain: bool


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one passage."""

    fused: float
    lexical: float
    vector: float


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A hit."""

    passage: FoundPassage
    scores: Scores


@dataclass(frozen=True, slots=True)
class DroppedPassage:
    """A candidate that is no hit; `place` is None where the record does not know it."""

    chunk_key: int
    place: Place | None
    cause: Drop
    scores: Scores


@dataclass(frozen=True, slots=True)
class Found:
    """The answer."""

    hits: list[ScoredPassage]
    dropped: list[DroppedPassage]
    mode: Mode
    degraded: str
    pending: int


@dataclass(slots=True)
class _Candidates:
    """Of one collection: scores by key, and what a side brought in but may not."""

    lexical: dict[int, float] = field(default_factory=dict)
    vector: dict[int, float] = field(default_factory=dict)
    below: dict[int, float] = field(default_factory=dict)
    filtered: dict[int, Scores] = field(default_factory=dict)


class Searching:
    """Answers questions from the record, with the vector side where it can help."""

    def __init__(self, passages: Passages, dense: Dense) -> None:
        self._passages = passages
        self._dense = dense

    async def search(
        self, collections: Sequence[Collection], asked: Question, model: tuple[str, int]
    ) -> Found:
        """The best passages, best first.

        model: name and dimension of the configured embedding model. Raises FailedPreconditionError
        (EMBEDDING_MISMATCH) when the vector side is asked and a collection has another one; UnavailableError
        (EMBEDDER_UNAVAILABLE) when mode DENSE cannot be served. HYBRID then answers as LEXICAL and says why.
        """
        expression = question.expression(asked.text)
        depth = max(_DEPTH, asked.top_k)
        mode, degraded = asked.mode, ""
        query: Matrix | None = None
        allowed: list[Keys | None] = [None] * len(collections)
        if asked.condition:
            allowed = list(
                await asyncio.gather(
                    *(self._passages.allowed(one.key, asked.condition) for one in collections)
                )
            )
        words: Awaitable[list[dict[int, float]]] = asyncio.gather(
            *(
                self._lexical(one, expression if mode is not Mode.DENSE else "", depth, keys)
                for one, keys in zip(collections, allowed, strict=True)
            )
        )
        near: list[dict[int, float]] = [{} for _ in collections]
        if mode is not Mode.LEXICAL:
            for one in collections:
                require_model(one, model)
            try:
                query = await self._dense.embed(asked.text)
                near = [
                    dict(await self._dense.nearest(one, query, depth, keys))
                    for one, keys in zip(collections, allowed, strict=True)
                ]
            except DenseUnavailableError as error:
                if mode is Mode.DENSE:
                    raise UnavailableError(
                        str(error),
                        reason="EMBEDDER_UNAVAILABLE",
                        metadata={"model": model[0]},
                        retry_after=2.0,
                    ) from error
                _log.warning("searching by keyword alone: %s", error)
                mode, degraded, query = Mode.LEXICAL, error.reason, None
                near = [{} for _ in collections]
        found = await words
        candidates = [
            await self._candidates(one, asked, mode, expression, query, lexical, vector)
            for one, lexical, vector in zip(collections, found, near, strict=True)
        ]
        return await self._answer(collections, asked, mode, degraded, candidates)

    async def _lexical(
        self, collection: Collection, expression: str, depth: int, allowed: Keys | None
    ) -> dict[int, float]:
        if not expression:
            return {}
        return dict(await self._passages.lexical(collection.key, expression, depth, allowed))

    async def _candidates(
        self,
        collection: Collection,
        asked: Question,
        mode: Mode,
        expression: str,
        query: Matrix | None,
        lexical: dict[int, float],
        near: dict[int, float],
    ) -> _Candidates:
        """Both scores of whatever either side brought in."""
        both = _Candidates(lexical=lexical)
        for key, similarity in near.items():
            if similarity >= asked.threshold or key in lexical:
                both.vector[key] = similarity
            else:
                both.below[key] = similarity
        if query is not None and (missing := [key for key in lexical if key not in both.vector]):
            both.vector |= await self._dense.similarities(collection, query, missing)
        if expression and mode is not Mode.LEXICAL:
            unknown = [key for key in both.vector if key not in lexical]
            if unknown:
                both.lexical |= await self._passages.lexical_scores(collection.key, expression, unknown)
        return both

    async def _answer(
        self,
        collections: Sequence[Collection],
        asked: Question,
        mode: Mode,
        degraded: str,
        candidates: Sequence[_Candidates],
    ) -> Found:
        lexical = _merged(one.lexical for one in candidates)
        vector = _merged(one.vector for one in candidates)
        below = _merged(one.below for one in candidates)
        fused = _fused(mode, lexical, vector)
        ranked = sorted(fused, key=lambda key: (-fused[key], key))
        kept, rest = ranked[: asked.top_k], ranked[asked.top_k :]
        passages = await self._passages.get(kept)

        def scores(key: int) -> Scores:
            return Scores(fused.get(key, 0.0), lexical.get(key, 0.0), vector.get(key, below.get(key, 0.0)))

        hits = [ScoredPassage(passages[key], scores(key)) for key in kept if key in passages]
        dropped: list[DroppedPassage] = []
        if asked.explain:
            causes = {key: Drop.NOT_IN_RECORD for key in kept if key not in passages}
            causes |= dict.fromkeys(rest, Drop.LIMIT) | dict.fromkeys(below, Drop.THRESHOLD)
            shown = list(causes)[:_MOST_DROPPED]
            places = await self._passages.places(shown)
            dropped = [
                DroppedPassage(
                    key, places.get(key), causes[key] if key in places else Drop.NOT_IN_RECORD, scores(key)
                )
                for key in shown
            ]
        pending = sum(one.chunks - one.vectors for one in collections)
        return Found(hits, dropped, mode, degraded, pending)


def require_model(collection: Collection, model: tuple[str, int]) -> None:
    """Raises FailedPreconditionError (EMBEDDING_MISMATCH) unless the collection was made with this model."""
    name, dimension = model
    if (collection.embedding_model, collection.dimension) == model:
        return
    remedy = (
        f"set MELD_EMBEDDING_MODEL={collection.embedding_model} and VECTOR_DIMENSION={collection.dimension},"
        " or make a new collection and ingest again; keyword search works as it is"
    )
    raise FailedPreconditionError(
        f"collection {collection.collection_id} holds vectors of {collection.embedding_model}"
        f" ({collection.dimension} dimensions), the service is set to {name} ({dimension}): {remedy}",
        reason="EMBEDDING_MISMATCH",
        metadata={
            "collection_model": collection.embedding_model,
            "collection_dimension": str(collection.dimension),
            "configured_model": name,
            "configured_dimension": str(dimension),
            "remedy": remedy,
        },
    )


def _fused(mode: Mode, lexical: Mapping[int, float], vector: Mapping[int, float]) -> dict[int, float]:
    if mode is Mode.LEXICAL:
        return dict(lexical)
    if mode is Mode.DENSE:
        return dict(vector)
    return fusion.fuse(lexical, vector)


def _merged(parts: Iterable[dict[int, float]]) -> dict[int, float]:
    merged: dict[int, float] = {}
    for part in parts:
        merged |= part
    return merged
