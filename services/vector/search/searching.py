"""Search in one or more collections: candidates of both sides, one order, and what was left out."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from opentelemetry import metrics

from services.chassis import telemetry
from services.chassis.errors import ServiceError, UnavailableError
from services.vector.documents import Collection
from services.vector.embedding.ports import EmbedderError, ModelName, Reader, name_of
from services.vector.embedding.roster import Roster
from services.vector.embedding.scale import BUILT_IN, Scale
from services.vector.faults import embedding_mismatch
from services.vector.late import QuestionWords
from services.vector.record.lexicon import Shelf
from services.vector.record.passages import Condition, FoundPassage, Passages, Place
from services.vector.record.postings import Postings, Ranking
from services.vector.record.vectors import Keys, Matrix
from services.vector.search import fusion, question
from services.vector.search.fusion import Words
from services.vector.search.question import Parsed

_log = logging.getLogger(__name__)

# Candidates, at least so many and so many for each hit that is asked for.
_BY_WORDS, _BY_WORDS_EACH = 200, 4
_BY_MEANING, _BY_MEANING_EACH = 100, 2
_MOST_DROPPED = 1_000
# So many of the best are read closely, word by word; with 60 no more is found.
_READ_CLOSELY = 30
# A word that all passages have still counts a little.
_LEAST_RARITY = 0.01


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
    NOT_INDEXED = 5


class DenseUnavailableError(Exception):
    """The vector side cannot answer now; `reason` is a word for programs, the message one for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Meant:
    """What a model makes of a question. vector: (dimension,), unit length. words: None by one that tells of
    none.
    """

    vector: Matrix
    words: QuestionWords | None = None


class Dense(Protocol):
    """The vector side."""

    async def embed(self, model: ModelName, text: str, *, exact: bool) -> Meant:
        """What a model makes of a question. Raises DenseUnavailableError.

        exact: no vector that comes near it and is there sooner; without words.
        """
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

    async def nearness(
        self, collection: Collection, words: QuestionWords, keys: Sequence[int]
    ) -> dict[int, float]:
        """How near the words of these passages come; those of whose words nothing is kept are left out."""
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
    """Of one passage. late: how near its words come, 0 where it was not read closely."""

    fused: float
    lexical: float
    vector: float
    late: float


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


@dataclass(frozen=True, slots=True)
class _Worded:
    """What the keyword side says of a collection: its candidates, and BM25 of all passages and documents.

    documents: None where each document is one passage, so that one index says what both do.
    """

    keys: set[int]
    passages: Ranking | None = None
    documents: Ranking | None = None


@dataclass(frozen=True, slots=True)
class _Near:
    """What the vector side says, per collection: what its model makes of the question, and the nearest
    passages.
    """

    queries: Sequence[Meant | None]
    scores: list[dict[int, float]]
    degraded: str = ""


@dataclass(slots=True)
class _Pool:
    """Candidates of all collections, with both scores; `below` and `filtered` may not answer.

    lexical: what `words` come to, on a scale that collections share. exact: the weight of the question's
    phrases and identifiers that a passage holds, where it is not 0, of 1.
    model: which model made its vector, by number; cosines of two models do not compare. scales: of these
    models. strange: those that do not read the question.
    home: the collection of each, by number. entries: passages of all collections; holding: how many of them
    hold each word of the question. late: how near the words of the best come.
    """

    words: dict[int, Words] = field(default_factory=dict)
    lexical: dict[int, float] = field(default_factory=dict)
    vector: dict[int, float] = field(default_factory=dict)
    below: dict[int, float] = field(default_factory=dict)
    filtered: set[int] = field(default_factory=set)
    unindexed: set[int] = field(default_factory=set)
    exact: dict[int, float] = field(default_factory=dict)
    model: dict[int, int] = field(default_factory=dict)
    scales: dict[int, Scale] = field(default_factory=dict)
    strange: set[int] = field(default_factory=set)
    home: dict[int, int] = field(default_factory=dict)
    entries: int = 0
    holding: Counter[str] = field(default_factory=Counter)
    late: dict[int, float] = field(default_factory=dict)

    def rarity(self, word: str) -> float:
        """Of a word of the question, in the logarithm of how many passages there are for one that has it."""
        held = min((self.holding[part] for part in question.parts(word)), default=self.entries)
        return max(_LEAST_RARITY, math.log(max(1, self.entries) / (1 + held)))


class Searching:
    """Answers questions from the record, with the vector side where it can help."""

    def __init__(
        self,
        passages: Passages,
        postings: Postings,
        dense: Dense,
        roster: Roster,
        meter: metrics.Meter | None = None,
    ) -> None:
        self._passages = passages
        self._postings = postings
        self._dense = dense
        self._roster = roster
        self._searches = (meter or telemetry.meter()).create_counter(
            "meldrag.searches", "", "Searches answered, by how; degraded: what they did without, or no"
        )

    async def search(self, collections: Sequence[Collection], asked: Question) -> Found:
        """The best passages, best first.

        Each collection is asked with the model that made its vectors. Raises FailedPreconditionError
        (EMBEDDING_MISMATCH) when mode DENSE is asked and one has a model that is not there; UnavailableError
        (EMBEDDER_UNAVAILABLE, INDEX_UNAVAILABLE) when mode DENSE cannot be served. HYBRID then answers as
        LEXICAL and says why.
        """
        if asked.mode is Mode.DENSE:
            for one in collections:
                require_model(one, self._roster)
        parsed = question.parse(asked.text)
        allowed: list[Keys | None] = [None] * len(collections)
        if asked.condition:
            allowed = list(
                await asyncio.gather(
                    *(self._passages.allowed(one.key, asked.condition) for one in collections)
                )
            )
        models = self._models(collections)
        lexical, near, strange = await self._sides(collections, models, asked, parsed, allowed)
        mode = Mode.LEXICAL if near.degraded else asked.mode
        pool = _Pool(strange=strange)
        if mode is Mode.HYBRID or (mode is Mode.DENSE and len(set(models)) > 1):
            # Others need none, and an endpoint may have to be asked for its.
            pool.scales = self._scales(collections, models)
        for home, (one, model, query, found, nearest) in enumerate(
            zip(collections, models, near.queries, lexical, near.scores, strict=True)
        ):
            await self._add(
                pool,
                one,
                asked,
                mode=mode,
                parsed=parsed,
                query=query,
                worded=found,
                nearest=nearest,
                model=model,
                home=home,
            )
        if mode is Mode.HYBRID and len(set(models)) == 1 and not strange:
            await self._read_closely(collections, near.queries, pool)
        if asked.explain and asked.condition:
            anywhere = [None] * len(collections)
            made = [query for query in near.queries if query is not None]
            by_words, by_meaning, _ = await self._sides(
                collections, models, asked, parsed, anywhere, known=made
            )
            for side in ([worded.keys for worded in by_words], by_meaning.scores):
                for some, keys in zip(side, allowed, strict=True):
                    pool.filtered |= set(some) - set(() if keys is None else keys.tolist())
        if asked.explain and asked.mode is Mode.DENSE and parsed.any:
            pool.unindexed = await self._unindexed(collections, near.queries, parsed, allowed)
        answer = await self._answer(collections, asked, mode, near.degraded, pool)
        self._searches.add(1, {"mode": mode.name.lower(), "degraded": near.degraded.lower() or "no"})
        return answer

    def _models(self, collections: Sequence[Collection]) -> list[int]:
        """The number of the model of each: the first of the collections that has the same.

        Two names are of one model where one of them does not know its revision.
        """
        makers = [self._roster.find(one.model) or one.model for one in collections]
        return [makers.index(maker) for maker in makers]

    def _scales(self, collections: Sequence[Collection], models: Sequence[int]) -> dict[int, Scale]:
        found = {number: self._roster.find(collections[number].model) for number in set(models)}
        return {number: BUILT_IN if one is None else one.scale() for number, one in found.items()}

    async def _sides(
        self,
        collections: Sequence[Collection],
        models: Sequence[int],
        asked: Question,
        parsed: Parsed,
        allowed: Sequence[Keys | None],
        *,
        known: Sequence[Meant] = (),
    ) -> tuple[list[_Worded], _Near, set[int]]:
        """About the best passages by keyword, and the nearest by vector, per collection.

        And the numbers of the models that do not read the question, where both sides decide. known: the
        question's vectors, from an earlier call.
        """
        by_words = max(_BY_WORDS, asked.top_k * _BY_WORDS_EACH)
        by_meaning = max(_BY_MEANING, asked.top_k * _BY_MEANING_EACH)
        if asked.mode is Mode.DENSE and not asked.explain and len(set(models)) == 1:
            # Nothing else decides which come first.
            by_meaning = asked.top_k
        # By meaning alone words decide nothing, and reading them takes nearly as long as all else.
        decide = asked.mode is not Mode.DENSE or asked.explain
        text = parsed.text or asked.text
        # The vector takes longest, so what makes it begins first.
        near, lexical, strange = await asyncio.gather(
            self._near(collections, asked, text, by_meaning, allowed, models=models, known=known),
            self._lexical(
                collections, parsed, 0 if asked.mode is Mode.DENSE else by_words, allowed, read=decide
            ),
            self._strange(collections, models, text, asked.mode),
        )
        return lexical, near, strange

    async def _strange(
        self, collections: Sequence[Collection], models: Sequence[int], text: str, mode: Mode
    ) -> set[int]:
        if mode is not Mode.HYBRID:
            return set()
        readers = {
            number: reader
            for number in dict.fromkeys(models)
            if (reader := self._roster.reader(collections[number].model)) is not None
        }
        # In a thread, because a model may have to load its words first.
        read = await asyncio.gather(*(asyncio.to_thread(_reads, reader, text) for reader in readers.values()))
        return {number for number, known in zip(readers, read, strict=True) if not known}

    async def _lexical(
        self,
        collections: Sequence[Collection],
        parsed: Parsed,
        limit: int,
        allowed: Sequence[Keys | None],
        *,
        read: bool = True,
    ) -> list[_Worded]:
        if not parsed.any or not read:
            return [_Worded(set()) for _ in collections]
        return [
            await self._worded(one, parsed, limit, keys)
            for one, keys in zip(collections, allowed, strict=True)
        ]

    async def _worded(
        self, collection: Collection, parsed: Parsed, limit: int, allowed: Keys | None
    ) -> _Worded:
        """The best passages by all words of the question, and those that hold each exact part of it."""
        ranked = [self._postings.rank(Shelf(collection.key), parsed.any)]
        if collection.chunks != collection.documents:
            ranked.append(self._postings.rank(Shelf(collection.key, of_documents=True), parsed.any))
        passages, *documents = await asyncio.gather(*ranked)
        keys = set(passages.best(limit, allowed))
        for part in parsed.exact:
            keys.update(passages.best(limit, allowed, holding=part))
        return _Worded(keys, passages, *documents)

    async def _unindexed(
        self,
        collections: Sequence[Collection],
        queries: Sequence[Meant | None],
        parsed: Parsed,
        allowed: Sequence[Keys | None],
    ) -> set[int]:
        """Passages that the words of the question find and that have no vector yet."""
        waiting: set[int] = set()
        found = await self._lexical(collections, parsed, _BY_WORDS, allowed)
        for one, query, worded in zip(collections, queries, found, strict=True):
            if query is not None and worded.keys and one.vectors < one.chunks:
                known = await self._dense.similarities(one, query.vector, list(worded.keys))
                waiting |= worded.keys - known.keys()
        return waiting

    async def _near(
        self,
        collections: Sequence[Collection],
        asked: Question,
        text: str,
        depth: int,
        allowed: Sequence[Keys | None],
        *,
        models: Sequence[int],
        known: Sequence[Meant],
    ) -> _Near:
        nothing: Sequence[Meant | None] = [None] * len(collections)
        if asked.mode is Mode.LEXICAL:
            return _Near(nothing, [{} for _ in collections])
        try:
            queries = known or await self._embedded(collections, models, asked.mode, text)
            return _Near(
                queries,
                [
                    dict(await self._dense.nearest(one, query.vector, depth, keys))
                    for one, query, keys in zip(collections, queries, allowed, strict=True)
                ],
            )
        except DenseUnavailableError as error:
            if asked.mode is Mode.DENSE:
                raise UnavailableError(str(error), reason=error.reason, retry_after=2.0) from error
            _log.warning("searching by keyword alone: %s", error)
            return _Near(nothing, [{} for _ in collections], error.reason)

    async def _embedded(
        self, collections: Sequence[Collection], models: Sequence[int], mode: Mode, text: str
    ) -> Sequence[Meant]:
        """What the question means to the model of each collection, asked once of each model."""
        numbers = list(dict.fromkeys(models))
        # Where words decide with it, a vector that comes near finds as much.
        exact = mode is Mode.DENSE
        named = [collections[number].model for number in numbers]
        if len(named) == 1:
            # Begins at once, and not in a task after what else there is to do.
            made = [await self._dense.embed(named[0], text, exact=exact)]
        else:
            made = await asyncio.gather(*(self._dense.embed(one, text, exact=exact) for one in named))
        by_model = dict(zip(numbers, made, strict=True))
        return [by_model[number] for number in models]

    async def _add(
        self,
        pool: _Pool,
        collection: Collection,
        asked: Question,
        *,
        mode: Mode,
        parsed: Parsed,
        query: Meant | None,
        worded: _Worded,
        nearest: Mapping[int, float],
        model: int,
        home: int,
    ) -> None:
        """Puts the candidates of a collection into the pool, with both scores."""
        lexical = worded.keys
        if parsed.without:
            without = await self._postings.rank(Shelf(collection.key), parsed.without)
            unwanted = without.matching(lexical | nearest.keys())
            pool.filtered |= unwanted
            lexical = lexical - unwanted
            nearest = {key: cosine for key, cosine in nearest.items() if key not in unwanted}
        vector = {
            key: cosine for key, cosine in nearest.items() if cosine >= asked.threshold or key in lexical
        }
        pool.below |= {key: cosine for key, cosine in nearest.items() if key not in vector}
        if query is not None and (missing := [key for key in lexical if key not in vector]):
            vector |= await self._dense.similarities(collection, query.vector, missing)
        pool.vector |= vector
        pool.model |= dict.fromkeys(vector, model)
        keys = sorted(lexical | vector.keys())
        pool.home |= dict.fromkeys(keys, home)
        if worded.passages is None:
            return
        pool.entries += len(worded.passages.keys)
        pool.holding.update({part: len(rows) for part, rows in worded.passages.holding.items()})
        if not keys:
            return
        if mode is not Mode.DENSE:
            for part, weight in parsed.exact.items():
                for key in worded.passages.matching(keys, holding=part):
                    pool.exact[key] = pool.exact.get(key, 0.0) + weight / len(parsed.exact)
        words = await self._words(worded.passages, worded.documents, keys)
        pool.words |= words
        pool.lexical |= fusion.by_words(words, collection.chunks)

    async def _read_closely(
        self, collections: Sequence[Collection], queries: Sequence[Meant | None], pool: _Pool
    ) -> None:
        """Adds to the pool how near the words of the best candidates come.

        Nothing where that is not known of each of them, because one has no vector yet or an older release
        made it: they would not compare.
        """
        words = next((one.words for one in queries if one is not None), None)
        best = _ranked(_fused(Mode.HYBRID, pool))[:_READ_CLOSELY]
        if words is None or not best:
            return
        weighed = words.weighed(pool.rarity)
        homes: dict[int, list[int]] = {}
        for key in pool.model.keys() & best:
            homes.setdefault(pool.home[key], []).append(key)
        near = await asyncio.gather(
            *(self._dense.nearness(collections[home], weighed, keys) for home, keys in homes.items())
        )
        late = {key: score for some in near for key, score in some.items()}
        if len(late) == len(best):
            pool.late = late

    async def _words(
        self, passages: Ranking, documents: Ranking | None, keys: Sequence[int]
    ) -> dict[int, Words]:
        own = passages.of(keys)
        if documents is None:
            return {key: Words(score, score) for key, score in zip(keys, own, strict=True)}
        owners = await self._passages.owners(keys)
        theirs = documents.of([owners.get(key, 0) for key in keys])
        return {
            key: Words(score, whole)
            for key, score, whole in zip(keys, own, theirs, strict=True)
            if key in owners
        }

    async def _answer(
        self,
        collections: Sequence[Collection],
        asked: Question,
        mode: Mode,
        degraded: str,
        pool: _Pool,
    ) -> Found:
        fused = _fused(mode, pool)
        ranked = _ranked(fused)
        kept, rest = ranked[: asked.top_k], ranked[asked.top_k :]
        passages = await self._passages.get(kept)

        def scores(key: int) -> Scores:
            words = pool.words.get(key)
            vector = pool.vector.get(key, pool.below.get(key, 0.0))
            lexical = words.passage if words else 0.0
            return Scores(fused.get(key, 0.0), lexical, vector, pool.late.get(key, 0.0))

        hits = [ScoredPassage(passages[key], scores(key)) for key in kept if key in passages]
        dropped: list[DroppedPassage] = []
        if asked.explain:
            causes = {key: Drop.NOT_IN_RECORD for key in kept if key not in passages}
            causes |= dict.fromkeys(rest, Drop.LIMIT) | dict.fromkeys(pool.below, Drop.THRESHOLD)
            causes |= dict.fromkeys(sorted(pool.unindexed), Drop.NOT_INDEXED)
            causes |= dict.fromkeys(sorted(pool.filtered), Drop.FILTER)
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


def require_model(collection: Collection, roster: Roster) -> None:
    """Raises FailedPreconditionError (EMBEDDING_MISMATCH) unless the collection's model can be asked here."""
    if roster.find(collection.model) is None:
        configured = name_of(roster.configured)
        raise embedding_mismatch(collection.collection_id, collection.model, configured)


def mismatch(collection: Collection, roster: Roster) -> str:
    """Why the collection's vectors cannot be asked here, and what to do; empty where they can."""
    try:
        require_model(collection, roster)
    except ServiceError as error:
        return error.message
    return ""


def _reads(reader: Reader, text: str) -> bool:
    try:
        return reader.reads(text)
    except EmbedderError as error:
        _log.warning("whether a model reads a question is not known: %s", error)
        return True


def _ranked(fused: Mapping[int, float]) -> list[int]:
    """Best first; of equal ones the one that came first."""
    return sorted(fused, key=lambda key: (-fused[key], key))


def _fused(mode: Mode, pool: _Pool) -> dict[int, float]:
    if mode is Mode.LEXICAL:
        return fusion.exact_first(pool.lexical, pool.exact, max(pool.lexical.values(), default=0.0))
    several = len(set(pool.model.values())) > 1
    if mode is Mode.DENSE and not several:
        return dict(pool.vector)
    meaning = fusion.comparable(pool.vector, pool.model, pool.scales)
    if several:
        meaning = fusion.side_by_side(meaning, pool.model)
    if mode is Mode.DENSE:
        return meaning
    if pool.strange:
        meaning = fusion.unread(meaning, pool.model, pool.strange)
    late = fusion.comparable(pool.late, pool.model, pool.scales)
    fused = fusion.fuse(pool.lexical, meaning, late)
    if not pool.exact:
        return fused
    return {key: score / 2 for key, score in fusion.exact_first(fused, pool.exact, 1.0).items()}
