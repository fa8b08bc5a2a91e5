"""How near the words of a question come to those of single sentences, by what is kept of passages anyway.

Whoever chooses among the sentences of passages that were found need not embed them one by one: each word was
made in the light of its whole passage, so a sentence that says "it" is still about what the passage is about.
See docs/adr/0145.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from services.vector import late
from services.vector.access import Caller
from services.vector.documents import chunk_ordinal
from services.vector.embedding.ports import EmbedderError, ModelName, Span, WordsEmbedder
from services.vector.embedding.roster import Roster
from services.vector.embedding.scale import Scale
from services.vector.faults import embedder_unavailable
from services.vector.late import QuestionWords
from services.vector.record.passages import Passages, PassageWords
from services.vector.search.searching import Dense, DenseUnavailableError


@dataclass(frozen=True, slots=True)
class Compared:
    """A passage and its spans, bytes [start, end) of the extraction."""

    document_id: str
    chunk_id: str
    extraction_sha256: str
    spans: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """words: of the question, those that tell something, with their weights. nearness: of each span in order
    one number a word, about the cosine of the nearest word of the span; None where that is not known.
    scale: of these cosines, None where nothing is known.
    """

    words: Sequence[str]
    weights: Sequence[float]
    nearness: Sequence[Sequence[float] | None]
    scale: Scale | None = None


class Comparing:
    """Compares questions with spans of passages."""

    def __init__(self, passages: Passages, dense: Dense, roster: Roster, executor: Executor) -> None:
        self._passages = passages
        self._dense = dense
        self._roster = roster
        self._executor = executor

    async def compare(self, caller: Caller, question: str, asked: Sequence[Compared]) -> Comparison:
        """Raises UnavailableError (EMBEDDER_UNAVAILABLE)."""
        ordinals = [chunk_ordinal(one.document_id, one.chunk_id) for one in asked]
        wanted = [(one.document_id, at) for one, at in zip(asked, ordinals, strict=True) if at is not None]
        kept = await self._passages.words(caller, wanted)
        readable = [
            None if at is None else kept.get((one.document_id, at))
            for one, at in zip(asked, ordinals, strict=True)
        ]
        telling = self._telling(readable)
        nothing = Comparison([], [], [None for one in asked for _ in one.spans])
        if telling is None:
            return nothing
        model, embedder = telling
        try:
            meant = await self._dense.embed(model, question, exact=False)
        except DenseUnavailableError as error:
            raise embedder_unavailable(model.name, str(error)) from error
        words = meant.words
        if words is None:
            return nothing
        of_model = [None if one is None or one.model != model else one for one in readable]

        def work() -> list[Sequence[float] | None]:
            texts = [one.embedded_text for one in of_model if one is not None]
            placed = iter(embedder.passage_spans(texts))
            return [
                near
                for one, wish in zip(of_model, asked, strict=True)
                for near in _nearness(words, one, next(placed) if one is not None else [], wish)
            ]

        loop = asyncio.get_running_loop()
        try:
            near = await loop.run_in_executor(self._executor, work)
        except EmbedderError as error:
            raise embedder_unavailable(model.name, str(error)) from error
        return Comparison(words.texts, words.weights.tolist(), near, embedder.scale())

    def _telling(self, passages: Sequence[PassageWords | None]) -> tuple[ModelName, WordsEmbedder] | None:
        """The model of the first of the passages whose model tells of words."""
        for one in passages:
            embedder = None if one is None else self._roster.find(one.model)
            if one is not None and isinstance(embedder, WordsEmbedder):
                return one.model, embedder
        return None


def _nearness(
    words: QuestionWords, passage: PassageWords | None, spans: Sequence[Span], asked: Compared
) -> list[Sequence[float] | None]:
    """One for each span that is asked for. spans: of all words of the passage, as its model reads it."""
    nothing: list[Sequence[float] | None] = [None] * len(asked.spans)
    if passage is None or passage.extraction_sha256 != asked.extraction_sha256:
        return nothing
    text = passage.embedded_text
    placed = late.kept_spans(text, spans)
    if not late.whole(passage.codes, words.vectors.shape[1], len(placed)):
        # Damaged, or of another release that took other words for words.
        return nothing
    cosines = late.cosines(words, passage.codes)
    starts, ends = [start for start, _ in placed], [end for _, end in placed]
    body, above = passage.body.encode(), len(text) - len(passage.body)
    found: list[Sequence[float] | None] = []
    for first, last in asked.spans:
        begin, stop = first - passage.byte_start, last - passage.byte_start
        if not 0 <= begin < stop <= len(body):
            found.append(None)
            continue
        start = above + len(body[:begin].decode(errors="ignore"))
        end = above + len(body[:stop].decode(errors="ignore"))
        inside = cosines[:, bisect_left(starts, start) : bisect_right(ends, end)]
        found.append(inside.max(axis=1).tolist() if inside.shape[1] else [0.0] * len(words.texts))
    return found
