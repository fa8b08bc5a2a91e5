"""Researches a question: several searches, the passages that differ, what they say, where they disagree."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from meldrag.agents.v1 import results_pb2
from services.agents.answering import terms
from services.agents.answering.extractive import Evidence
from services.agents.melding.answers import Source, Statement
from services.agents.melding.melding import Comparison
from services.agents.model import Passage, Quote
from services.agents.ports import Search
from services.agents.researching import diversity
from services.agents.researching.diversity import Listed
from services.agents.researching.queries import Query
from services.chassis.errors import ResourceExhaustedError, ServiceError

# Chosen on SciFact's training claims (bench/researching.py).
_LEANING_WEIGHT = 0.3
# Sentences near the question that are compared with each other.
_MAX_COMPARED = 48
_FINDINGS = 6
_PER_PART = 2
_MAX_GAPS = 8
# A contradiction makes what was found less sure.
_CONTRADICTED = 0.75


@dataclass(frozen=True)
class Searched:
    """A query and what it found; failure: why it was not searched."""

    query: Query
    passages: tuple[Passage, ...] = ()
    failure: str = ""


async def search_all(search: Search | None, queries: Sequence[Query]) -> list[Searched]:
    """What each query finds, side by side. A query that fails says why, and so does each one beyond the run's
    means."""

    async def one(query: Query) -> Searched:
        if search is None:
            return Searched(query, failure="there is nothing to search")
        try:
            return Searched(query, await search(query.text))
        except ResourceExhaustedError as error:
            if error.reason != "BUDGET_EXHAUSTED":
                raise
            return Searched(query, failure=error.message)
        except ServiceError as error:
            return Searched(query, failure=error.message)

    return list(await asyncio.gather(*map(one, queries)))


def weight(origin: str) -> float:
    """How much what a query found counts: a part of the question as much as the question."""
    return _LEANING_WEIGHT if origin in {"phrase", "passages"} else 1.0


class Gathered:
    """What several searches found together."""

    def __init__(self, searches: Sequence[Searched], choice: diversity.Choice | None = None) -> None:
        self.searches = tuple(searches)
        lists = [Listed(searched.passages, weight(searched.query.origin)) for searched in searches]
        self.passages = diversity.chosen(lists, choice)

    def queries(self) -> list[results_pb2.ResearchQuery]:
        """The queries, with what each gave."""
        told, known = [], set[tuple[str, str, int, int]]()
        chosen = {diversity.key(passage) for passage in self.passages}
        for searched in self.searches:
            found = {diversity.key(passage) for passage in searched.passages}
            new = found - known
            known |= found
            told.append(
                results_pb2.ResearchQuery(
                    query=searched.query.text,
                    origin=searched.query.origin,
                    found_count=len(found),
                    new_count=len(new),
                    chosen_count=len(new & chosen),
                    failure=searched.failure,
                )
            )
        return told


async def quotes_for(evidence: Evidence, question: str, parts: Sequence[str]) -> list[Quote]:
    """The sentences that answer a question, and those that answer its parts; each once."""
    quotes = await evidence.answer(question, _FINDINGS)
    for part in parts:
        quotes += await evidence.answer(part, _PER_PART)
    return list({(q.passage.document_id, q.byte_start, q.byte_end): q for q in quotes}.values())


async def disagreeing(evidence: Evidence, topics: Sequence[str]) -> list[Quote]:
    """The sentences nearest to the topics that contradict one of another document."""
    near: dict[tuple[str, int, int], Quote] = {}
    for topic in topics:
        wanted = set(terms.stems(topic))
        for scored in await evidence.ranked(topic):
            quote = scored.quote
            if wanted & set(terms.stems(scored.reading)):
                near.setdefault((quote.passage.document_id, quote.byte_start, quote.byte_end), quote)
    quotes = list(near.values())[:_MAX_COMPARED]
    conflicts = await contradictions([(quote, number) for number, quote in enumerate(quotes)])
    numbers = {number for conflict in conflicts for side in conflict.sides for number in side.citations}
    return [quotes[number] for number in sorted(numbers)]


async def contradictions(numbered: Sequence[tuple[Quote, int]]) -> list[results_pb2.Conflict]:
    """Where quotes of different documents contradict each other, under their numbers."""
    comparison = Comparison.of(
        [
            Statement(q.text, (Source(number, q.passage.document_id, q.passage.title, q.text),))
            for q, number in numbered
        ]
    )
    await comparison.look(None)
    return comparison.conflicts()


async def gaps(evidence: Evidence, question: str, parts: Sequence[str]) -> list[str]:
    """The parts and words of a question that no passage covers."""
    found = [f"Nothing was found on: {part}" for part in parts if not await evidence.answer(part, limit=1)]
    if len(found) < len(parts):
        found += [f"No passage that was found mentions “{word}”." for word in evidence.missing(question)]
    return found[:_MAX_GAPS]


def sources(
    passages: Sequence[Passage], citing: Sequence[str], limit: int = 20
) -> list[results_pb2.ResearchSource]:
    """The documents of the passages, the one that gave most first. citing: the documents of the findings'
    citations."""
    counts, findings = Counter(p.document_id for p in passages), Counter(citing)
    titles = {passage.document_id: passage.title for passage in passages}
    order = sorted(counts, key=lambda document: (-findings[document], -counts[document], document))
    return [
        results_pb2.ResearchSource(
            document_id=document,
            title=titles[document],
            passage_count=counts[document],
            finding_count=findings[document],
        )
        for document in order[:limit]
    ]


def confidence(evidence: Evidence, question: str, documents: int, contradictions: int) -> tuple[float, str]:
    """How sure the findings are, 0 to 1, and what that is made of.

    Half the share of the question's words that the passages hold, half the best passage's similarity; a
    quarter less where documents contradict each other. documents: that the findings cite; 0 without findings.
    """
    if not documents:
        return 0.0, "Nothing was found that answers the question."
    nearest = max((passage.vector_score for passage in evidence.passages), default=0.0)
    # By the model that is set: where a collection still has another's vectors this is an estimate more.
    similarity = min(1.0, evidence.likeness.of_cosine(nearest)) if nearest else 0.0
    share = evidence.coverage(question)
    value = 0.5 * share + 0.5 * max(0.0, similarity)
    basis = (
        f"The passages hold {share:.0%} of the question's words, rare ones counting more, and the nearest one"
        f" has a similarity of {similarity:.2f} to it: the mean of both. The findings rest on"
        f" {documents} document{'' if documents == 1 else 's'}."
    )
    if contradictions:
        value *= _CONTRADICTED
        basis += " It is lowered by a quarter, because documents contradict each other."
    return round(min(1.0, max(0.0, value)), 3), f"{_level(value)}. {basis} An estimate, no probability."


def _level(value: float) -> str:
    return "High" if value >= 0.75 else "Middling" if value >= 0.5 else "Low"
