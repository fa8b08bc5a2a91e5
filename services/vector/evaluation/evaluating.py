"""Asks a golden set with one or two settings, and says what came out."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from services.chassis.errors import ServiceError, UnavailableError
from services.vector.access import Caller
from services.vector.citations import Claim, Verdict
from services.vector.documents import Collection
from services.vector.evaluation import judging, resampling
from services.vector.evaluation.golden import BY, GoldenQuery, GoldenSet, Problem
from services.vector.evaluation.judging import CITATION_PRECISION, Judged
from services.vector.evaluation.resampling import Interval
from services.vector.faults import collection_not_found, evaluation_running, golden_set_invalid
from services.vector.record.evaluations import NamedDocument
from services.vector.record.passages import Condition
from services.vector.record.texts import Text
from services.vector.search.searching import Found, Mode, Question

# Evaluations at a time, of all collections.
_MOST_AT_ONCE = 2
# After a query the searches of others come first, for as long as the query took and at most so long.
_PAUSE_SECONDS = 0.05


class Named(Protocol):
    """Finds the documents of a collection by what they are called; `by` is a word of golden.BY."""

    async def __call__(
        self, collection_key: int, by: str, names: Sequence[str]
    ) -> dict[str, list[NamedDocument]]:
        """By name; several documents may have one title."""
        ...


class Reads(Protocol):
    """Reads a range of a document's text."""

    async def __call__(self, document_key: int, byte_start: int, byte_end: int) -> Text:
        """Empty where the document has gone."""
        ...


class Finds(Protocol):
    """Finds a collection as a caller may."""

    async def __call__(self, caller: Caller, collection_id: str) -> Collection:
        """Raises NotFoundError (COLLECTION_NOT_FOUND)."""
        ...


class Searches(Protocol):
    """Search, as everybody's questions go through it."""

    async def search(self, collections: Sequence[Collection], asked: Question) -> Found:
        """Raises ServiceError."""
        ...


class Verifies(Protocol):
    """The check of citations."""

    async def verify(self, caller: Caller, claims: Sequence[Claim]) -> list[Verdict]:
        """One verdict per claim."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """How to search; name: for people."""

    name: str
    mode: Mode
    top_k: int
    threshold: float
    condition: Condition

    def question(self, text: str) -> Question:
        """A question asked with this setting."""
        return Question(text, self.top_k, self.mode, self.threshold, self.condition, explain=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. cutoffs: the ranks at which ndcg and recall are cut."""

    golden: GoldenSet
    settings: tuple[Setting, ...]
    cutoffs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many queries were asked with all settings."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A query with one setting. seconds: of the search in the service."""

    judged: Judged
    hits: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in sum over the queries that have a value."""

    name: str
    interval: Interval
    queries: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One setting in sum; latencies in seconds."""

    setting: Setting
    metrics: tuple[Metric, ...]
    p50: float
    p95: float
    longest: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second setting against the first, by one metric."""

    metric: str
    difference: Interval
    wins: int
    losses: int
    ties: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All that came out. answers: per query, one per setting."""

    evaluation_id: str
    collection: Collection
    golden: GoldenSet
    cutoffs: tuple[int, ...]
    pending: int
    answers: tuple[tuple[Answered, ...], ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    end: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A query whose documents were found. documents: an id per judgement, empty where any will do."""

    query: GoldenQuery
    documents: tuple[str, ...]


class Evaluating:
    """One evaluation a collection at a time, two in sum; their queries go one behind the other."""

    def __init__(
        self,
        *,
        find: Finds,
        named: Named,
        read: Reads,
        searching: Searches,
        citations: Verifies,
        most: int = _MOST_AT_ONCE,
    ) -> None:
        self._find = find
        self._named = named
        self._read = read
        self._searching = searching
        self._citations = citations
        self._most = most
        self._busy: set[int] = set()

    @contextmanager
    def place(self, collection: Collection) -> Iterator[None]:
        """A place for an evaluation of this collection, for the block.

        Raises AbortedError (EVALUATION_RUNNING).
        """
        if collection.key in self._busy or len(self._busy) >= self._most:
            raise evaluation_running()
        self._busy.add(collection.key)
        try:
            yield
        finally:
            self._busy.discard(collection.key)

    async def run(
        self, caller: Caller, collection: Collection, plan: Plan
    ) -> AsyncGenerator[Progress | Measured, None]:
        """Progress after each query, then what was measured.

        Raises InvalidArgumentError (GOLDEN_SET_INVALID) before anything is asked, and what a search raises; a
        hybrid search that had to do without vectors raises UnavailableError, for it is not what was asked.
        """
        began = time.monotonic()
        resolved = await self._resolve(collection, plan.golden)
        yield Progress(0, len(resolved))
        answers: list[tuple[Answered, ...]] = []
        pending = 0
        for number, query in enumerate(resolved):
            # Whoever comes second finds warm caches, so they take turns.
            order = range(len(plan.settings)) if number % 2 == 0 else reversed(range(len(plan.settings)))
            outcomes: dict[int, Answered] = {}
            for position in order:
                setting = plan.settings[position]
                await self._require(caller, collection)
                start = time.monotonic()
                try:
                    found = await self._searching.search([collection], setting.question(query.query.text))
                except ServiceError:
                    # It may have gone under the search.
                    await self._require(caller, collection)
                    raise
                seconds = time.monotonic() - start
                if found.degraded:
                    raise UnavailableError(
                        "the vector side does not answer, so this would measure search by keyword",
                        reason=found.degraded,
                        retry_after=2.0,
                    )
                pending = max(pending, found.pending)
                judged = await self._judge(caller, query, found, plan.cutoffs)
                outcomes[position] = Answered(judged, len(found.hits), seconds)
                await asyncio.sleep(min(seconds, _PAUSE_SECONDS))
            answers.append(tuple(outcomes[position] for position in range(len(plan.settings))))
            yield Progress(number + 1, len(resolved))
        summaries, comparisons = await asyncio.to_thread(summed, plan, answers)
        yield Measured(
            evaluation_id=secrets.token_hex(16),
            collection=collection,
            golden=plan.golden,
            cutoffs=plan.cutoffs,
            pending=pending,
            answers=tuple(answers),
            summaries=summaries,
            comparisons=comparisons,
            end=datetime.now(UTC),
            seconds=time.monotonic() - began,
        )

    async def _require(self, caller: Caller, collection: Collection) -> None:
        """Raises NotFoundError when the collection went, also when another took its id, or may no longer be
        read.
        """
        if (await self._find(caller, collection.collection_id)).key != collection.key:
            raise collection_not_found(collection.collection_id)

    async def _judge(self, caller: Caller, query: _Resolved, found: Found, cutoffs: Sequence[int]) -> Judged:
        hits = [one.passage for one in found.hits]
        if not query.query.quoted:
            return judging.judged_documents(query.query, query.documents, hits, cutoffs)
        quoted = await asyncio.to_thread(judging.quoted, query.query, query.documents, hits)
        verdicts = await self._citations.verify(caller, [one.claim for one in quoted]) if quoted else []
        verified = [one for one, verdict in zip(quoted, verdicts, strict=True) if verdict.fault is None]
        return judging.judged_quotes(query.query, query.documents, hits, verified, cutoffs)

    async def _resolve(self, collection: Collection, golden: GoldenSet) -> list[_Resolved]:
        """Finds every document that is named. Raises InvalidArgumentError (GOLDEN_SET_INVALID)."""
        known: dict[tuple[str, str], list[NamedDocument]] = {}
        for by in BY:
            names = {one.name for query in golden.queries for one in query.judgements if one.by == by}
            if names:
                found = await self._named(collection.key, by, sorted(names))
                known |= {(by, name): documents for name, documents in found.items()}
        problems: list[Problem] = []
        resolved = []
        for query in golden.queries:
            documents: list[str] = []
            seen: set[str] = set()
            for judgement in query.judgements:
                named = known.get((judgement.by, judgement.name), []) if judgement.by else []
                wrong = ""
                if judgement.by and not named:
                    wrong = f"there is no document of {judgement} in this collection"
                elif len(named) > 1:
                    wrong = f"{judgement} is that of {len(named)} documents: name one by its id"
                elif not judgement.quote and named and named[0].document_id in seen:
                    wrong = f"{judgement} is a document that another judgement names too"
                if wrong:
                    problems.append(Problem(judgement.line or query.line, query.query_id, wrong))
                documents.append(named[0].document_id if named else "")
                seen.add(documents[-1])
            resolved.append(_Resolved(query, tuple(documents)))
        problems += [] if problems else await self._strangers(golden, known)
        if problems:
            raise golden_set_invalid(problems)
        return resolved

    async def _strangers(
        self, golden: GoldenSet, known: dict[tuple[str, str], list[NamedDocument]]
    ) -> list[Problem]:
        """Quotes that do not stand in the document that is named beside them. A text is read once."""
        wanted: dict[NamedDocument, list[tuple[GoldenQuery, int]]] = {}
        for query in golden.queries:
            for position, judgement in enumerate(query.judgements):
                if judgement.by and judgement.quote:
                    (document,) = known[judgement.by, judgement.name]
                    wanted.setdefault(document, []).append((query, position))
        found: list[tuple[int, Problem]] = []
        order = {query.query_id: number for number, query in enumerate(golden.queries)}
        for document, places in wanted.items():
            text = await self._read(document.key, 0, document.text_bytes)
            quotes = [query.judgements[position].quote for query, position in places]
            holds = await asyncio.to_thread(_held, text.data, quotes)
            for (query, position), there in zip(places, holds, strict=True):
                if not there:
                    judgement = query.judgements[position]
                    what = f"{judgement} does not hold the quote {judgement.quote[:100]!r}"
                    problem = Problem(judgement.line or query.line, query.query_id, what)
                    found.append((order[query.query_id], problem))
        return [problem for _, problem in sorted(found, key=lambda one: one[0])]


def _held(text: bytes, quotes: Sequence[str]) -> list[bool]:
    folded = " ".join(text.decode().split())
    return [judging.holds(quote, folded) for quote in quotes]


def summed(
    plan: Plan, answers: Sequence[Sequence[Answered]]
) -> tuple[tuple[Summary, ...], tuple[Comparison, ...]]:
    """All queries in sum, per setting and side by side. Seconds of work for 10,000 queries."""
    names = [f"{measure}@{k}" for k in plan.cutoffs for measure in ("ndcg", "recall")]
    names += ["mrr", *([CITATION_PRECISION] if any(one.quoted for one in plan.golden.queries) else [])]
    columns = [
        {name: [row[position].judged.metrics.get(name) for row in answers] for name in names}
        for position in range(len(plan.settings))
    ]
    summaries = []
    for position, setting in enumerate(plan.settings):
        seconds = [row[position].seconds for row in answers]
        summaries.append(
            Summary(
                setting,
                tuple(_metrics(columns[position])),
                resampling.quantile(seconds, 0.5),
                resampling.quantile(seconds, 0.95),
                max(seconds),
            )
        )
    comparisons = _comparisons(*columns) if len(columns) == 2 else ()
    return tuple(summaries), tuple(comparisons)


_Columns = dict[str, list[float | None]]


def _metrics(columns: _Columns) -> Iterator[Metric]:
    for name, column in columns.items():
        values = [value for value in column if value is not None]
        if values:
            yield Metric(name, resampling.interval(values), len(values))


def _comparisons(first: _Columns, second: _Columns) -> Iterator[Comparison]:
    for name in first:
        differences = [
            after - before
            for before, after in zip(first[name], second[name], strict=True)
            if before is not None and after is not None
        ]
        if differences:
            wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
            yield Comparison(
                name,
                resampling.interval(differences),
                wins,
                losses,
                len(differences) - wins - losses,
                resampling.p_value(differences),
            )
