"""What was found against what was judged: the ranking, and which quotes stand in which passage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.vector.citations import Claim
from services.vector.evaluation import metrics
from services.vector.evaluation.golden import GoldenQuery

CITATION_PRECISION = "citation_precision"


class Passage(Protocol):
    """A passage that was found."""

    @property
    def document_id(self) -> str:
        """Its document."""
        ...

    @property
    def text(self) -> str:
        """Its text."""
        ...

    @property
    def byte_start(self) -> int:
        """Where it begins in the extracted text, in UTF-8 bytes."""
        ...

    @property
    def extraction_sha256(self) -> str:
        """Names the extracted text."""
        ...


@dataclass(frozen=True, slots=True)
class Quoted:
    """The best passage that holds the quote of a judgement: its position, and the claim that it does."""

    judgement: int
    hit: int
    claim: Claim


@dataclass(frozen=True, slots=True)
class Judged:
    """What was measured of one query. missed: relevant judgements that nothing found answers, from 0."""

    metrics: Mapping[str, float]
    first_rank: int
    missed: tuple[int, ...]


def span(quote: str, text: str) -> tuple[int, int] | None:
    """Where the quote stands in the text, in characters; any run of blanks counts as one blank."""
    start = text.find(quote)
    if start >= 0:
        return start, start + len(quote)
    if not holds(quote, " ".join(text.split())):
        return None
    found = re.search(r"\s+".join(map(re.escape, quote.split())), text)
    return found.span() if found else None


def holds(quote: str, folded: str) -> bool:
    """Whether the quote stands in a text whose runs of blanks are one blank each."""
    return " ".join(quote.split()) in folded


def quoted(query: GoldenQuery, documents: Sequence[str], hits: Sequence[Passage]) -> list[Quoted]:
    """Of each quote the best passage that holds it.

    documents: of each judgement the document's id, empty where the quote may stand in any.
    """
    found = []
    for position, (judgement, document) in enumerate(zip(query.judgements, documents, strict=True)):
        for hit, passage in enumerate(hits):
            if document and passage.document_id != document:
                continue
            place = span(judgement.quote, passage.text)
            if place is not None:
                found.append(Quoted(position, hit, _claim(passage, *place)))
                break
    return found


def _claim(passage: Passage, start: int, end: int) -> Claim:
    text = passage.text[start:end]
    first = passage.byte_start + len(passage.text[:start].encode())
    return Claim(passage.document_id, passage.extraction_sha256, first, first + len(text.encode()), text)


def judged_documents(
    query: GoldenQuery, documents: Sequence[str], hits: Sequence[Passage], cutoffs: Sequence[int]
) -> Judged:
    """A document stands where its first passage stands."""
    ranking = list(dict.fromkeys(passage.document_id for passage in hits))
    return _judged(query, documents, ranking, cutoffs)


def judged_quotes(
    query: GoldenQuery,
    documents: Sequence[str],
    hits: Sequence[Passage],
    verified: Sequence[Quoted],
    cutoffs: Sequence[int],
) -> Judged:
    """Each passage takes one place, and one for each further quote that it is the first to hold.

    verified: those of `quoted` whose claim holds byte for byte.
    """
    ranking = []
    for hit in range(len(hits)):
        here = sorted(
            (one.judgement for one in verified if one.hit == hit),
            key=lambda position: (-query.judgements[position].grade, position),
        )
        ranking += [_name(position) for position in here] or [f"passage {hit}"]
    names = [_name(position) for position in range(len(query.judgements))]
    judged = _judged(query, names, ranking, cutoffs)
    precision = _citation_precision(query, documents, hits, verified)
    if precision is None:
        return judged
    return Judged({**judged.metrics, CITATION_PRECISION: precision}, judged.first_rank, judged.missed)


def _judged(
    query: GoldenQuery, names: Sequence[str], ranking: Sequence[str], cutoffs: Sequence[int]
) -> Judged:
    graded = {name: one.grade for name, one in zip(names, query.judgements, strict=True)}
    measured = {f"ndcg@{k}": metrics.ndcg(ranking, graded, k) for k in cutoffs}
    measured |= {f"recall@{k}": metrics.recall(ranking, graded, k) for k in cutoffs}
    measured["mrr"] = metrics.reciprocal_rank(ranking, graded)
    found = set(ranking)
    missed = tuple(
        position
        for position, name in enumerate(names)
        if query.judgements[position].grade > 0 and name not in found
    )
    return Judged(measured, metrics.first_rank(ranking, graded), missed)


def _citation_precision(
    query: GoldenQuery, documents: Sequence[str], hits: Sequence[Passage], verified: Sequence[Quoted]
) -> float | None:
    """Of the passages that an answer would cite the share that hold a quote they would be cited for.

    Cited is the best passage of each document that a relevant judgement names, and the best of all for quotes
    that name none. None when nothing is cited.
    """
    cited: dict[str, int] = {}
    for judgement, document in zip(query.judgements, documents, strict=True):
        if judgement.grade > 0 and document not in cited:
            best = next(
                (hit for hit, one in enumerate(hits) if not document or one.document_id == document), None
            )
            if best is not None:
                cited[document] = best
    if not cited:
        return None
    right = {
        documents[one.judgement]
        for one in verified
        if query.judgements[one.judgement].grade > 0 and cited.get(documents[one.judgement]) == one.hit
    }
    return len(right) / len(cited)


def _name(position: int) -> str:
    return f"quote {position}"
