"""Answers in the words of the documents: picks the sentences that answer a question, or none.

A sentence is scored by two measures: the share of the question's stems that it holds, rare ones counting
more, and how near the words of the question come to its own, by what the vector service keeps of each word
(see Nearness). Where that is not known, the cosine similarity of its embedding to the question's takes the
place of it. Of those that fit about as well, one of a passage that was found earlier comes first. A row of a
table of which a cell is asked for is judged with the names of its columns; a row that only names them answers
nothing. Nor does a heading: where it fits best the first sentences below it are taken, and its words count
for all of them that hold another of the question's. Further sentences must add something: they are chosen by
maximal marginal relevance (Carbonell and Goldstein, 1998).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from services.agents.answering import sentences, terms
from services.agents.model import Passage, Quote
from services.agents.ports import Embeddings, Likeness, Nearness

# A row per text, or None when there are none to be had.
Embed = Callable[[Sequence[str]], Awaitable[Embeddings | None]]
# A row per quote for a question, or None when that is not known.
Compare = Callable[[str, Sequence[Quote]], Awaitable[Nearness | None]]

# Sentences that are looked at for one question, and embedded where they have to be: those with the best
# lexical score and passage rank. More did not find better ones on SciFact's train claims, and embedding one
# takes 2 to 6 ms.
_CANDIDATES = 24
_PER_EMBED_CALL = 256

# Chosen on SciFact's train claims: 95 of 100 that have evidence stay above the threshold, and nine of ten
# questions about other subjects stay below it. Of the cosine beside words, and what to reach.
_VECTOR_WEIGHT = 0.6
_THRESHOLD = 0.42
_LEXICAL_THRESHOLD = 0.5
# Of nearness in its place: chosen likewise. See docs/adr/0145.
_NEARNESS_WEIGHT = 0.8
_NEARNESS_THRESHOLD = 0.43
# A function word of the question counts so much of the rarest word.
_LEAST_RARITY = 0.1
# For each passage that was found before its own.
_LATER = 0.01
# Of more passages at once sentences are not compared.
_MOST_COMPARED = 100
# What comes this near to the threshold is worth a look when nothing reaches it.
_NEAR = 0.5
# A further sentence has at least this share of the best one's score.
_KEEP = 0.8
_DIVERSITY = 0.3
# Sentences that a heading stands for: what a section is about, and what it says of it.
_BELOW_HEADING = 3


@dataclass(frozen=True)
class Scored:
    """A sentence and how well it fits a question, 0 to 1. reading: the words by which that was judged."""

    quote: Quote
    score: float
    reading: str


@dataclass(frozen=True)
class _Judged:
    """Of a sentence beside a question: the words by which it is judged, and their share of the question's."""

    reading: str
    lexical: float


class Evidence:
    """The sentences of a run's passages, ready to be asked.

    Embeddings are made once per sentence and question. When `embed` is None, or answers None, words alone
    decide.
    """

    def __init__(
        self, passages: Sequence[Passage], embed: Embed | None, compare: Compare | None = None
    ) -> None:
        self.passages = tuple(passages)
        self._embed = embed
        self._compare = compare if len(self.passages) <= _MOST_COMPARED else None
        self._sentences = [sentence for passage in self.passages for sentence in sentences.read(passage)]
        self._stems = [set(terms.stems(sentence.quote.text)) for sentence in self._sentences]
        self._read_stems = [
            stems if sentence.reading == sentence.quote.text else set(terms.stems(sentence.reading))
            for sentence, stems in zip(self._sentences, self._stems, strict=True)
        ]
        self._weights = terms.inverse_frequencies(self._read_stems)
        ranks = {id(passage): rank for rank, passage in enumerate(self.passages)}
        self._ranks = [ranks[id(sentence.quote.passage)] for sentence in self._sentences]
        self._below = self._sections()
        # The heading next above a sentence, and the stems of all above it.
        self._under: dict[int, tuple[int, set[str]]] = {}
        # What is to be read with a sentence, by number: the headings above it, the names of a row's columns.
        self._over: list[list[int]] = []
        self._above = self._headings()
        self._vectors: dict[str, np.ndarray] = {}
        self._near: dict[str, np.ndarray] = {}
        # Of the embedding model, once it was asked.
        self.likeness = Likeness()

    def _sections(self) -> dict[int, list[Quote]]:
        """The first sentences below each heading, by the identity of its quote; of a title those of the first
        section below it."""
        below: dict[int, list[Quote]] = {}
        following: list[Quote] = []
        passage, under = None, 0
        for sentence in reversed(self._sentences):
            if sentence.quote.passage is not passage:
                passage, following, under = sentence.quote.passage, [], 0
            if sentence.level:
                below[id(sentence.quote)] = following if not under or under > sentence.level else []
                following, under = below[id(sentence.quote)], sentence.level
            elif not sentence.heads:
                following, under = [sentence.quote, *([] if under else following)][:_BELOW_HEADING], 0
        return below

    def _headings(self) -> list[set[str]]:
        """Of each sentence the stems of the headings above it."""
        found, open_headings, columns = [], list[int](), list[int]()
        passage, heading = None, 0
        for at, sentence in enumerate(self._sentences):
            if sentence.quote.passage is not passage:
                passage, open_headings, columns, heading = sentence.quote.passage, [], [], 0
            if sentence.level:
                open_headings = [one for one in open_headings if self._sentences[one].level < sentence.level]
            found.append({stem for above in open_headings for stem in self._stems[above]})
            self._over.append([*open_headings, *(columns if sentence.reading != sentence.quote.text else [])])
            if sentence.level:
                open_headings.append(at)
                heading = id(sentence.quote)
            elif heading:
                self._under[id(sentence.quote)] = heading, found[-1]
            if sentence.heads:
                columns = [at]
        return found

    def _said(self, quotes: Sequence[Quote], limit: int | None = None) -> list[Quote]:
        """The quotes, in place of headings the sentences below them, each once."""
        said = [item for quote in quotes for item in self._below.get(id(quote), [quote])]
        return list({id(quote): quote for quote in said}.values())[:limit]

    def __bool__(self) -> bool:
        return bool(self._sentences)

    def over(self, passages: Sequence[Passage]) -> Evidence:
        """The sentences of other passages, with the embeddings that were made."""
        other = Evidence(passages, self._embed, self._compare)
        other._vectors, other.likeness = self._vectors, self.likeness
        return other

    async def answer(self, question: str, limit: int = 5) -> list[Quote]:
        """The one to `limit` sentences that answer, best first; none when nothing fits."""
        scored = await self.ranked(question)
        if not scored or scored[0].score < self._threshold():
            return []
        chosen = self._diverse(scored, limit)
        return self._said([*self._with_section(chosen[0], question), *chosen[1:]], limit)

    def _with_section(self, best: Quote, question: str) -> list[Quote]:
        """The sentence; with the first ones of its section where it says no more of the question than the
        headings do, so that it is the section which answers."""
        heading, above = self._under.get(id(best), (0, set()))
        section = self._below.get(heading, [])
        if (
            any(quote is best for quote in section)
            and set(terms.stems(question)) & set(terms.stems(best.text)) <= above
        ):
            return [best, *section]
        return [best]

    async def nearest(self, question: str, limit: int = 3) -> list[Quote]:
        """What is nearest to a question that nothing answers: the best sentence of each of the best passages
        that come half as near as an answer does; none when none does.

        By embeddings: where no word of a sentence comes near, it may still mean as a whole what is asked.
        """
        near: dict[int, Quote] = {}
        ranked = await self._ranked_by_meaning(question)
        least = _NEAR * (_LEXICAL_THRESHOLD if self._embed is None else _THRESHOLD)
        for item in ranked:
            if item.score >= least:
                near.setdefault(id(item.quote.passage), item.quote)
        return [self._said([quote], 1)[0] for quote in list(near.values())[:limit]]

    async def related(self, topic: str, limit: int) -> list[Quote]:
        """Sentences about a topic that hold one of its words, best first."""
        wanted = set(terms.stems(topic))
        scored = [item for item in await self._fitting(topic) if wanted & set(terms.stems(item.reading))]
        return self._said(self._diverse(scored, limit), limit) if scored else []

    async def all_fitting(self, topic: str) -> list[Quote]:
        """Every candidate that fits a topic, best first, alike or not."""
        return self._said([item.quote for item in await self._fitting(topic)])

    def sentences_of(self, passage: Passage) -> list[Quote]:
        """The sentences of one of the passages, in order."""
        return [sentence.quote for sentence in self._sentences if sentence.quote.passage is passage]

    async def ranked(self, question: str) -> list[Scored]:
        """The candidates among the sentences, best first."""
        near = await self._nearness(question)
        if near is None:
            return await self._ranked_by_meaning(question)
        judged = self._judgements(question)
        return self._in_order([self._scored(i, near[i], _NEARNESS_WEIGHT, judged[i]) for i in judged])

    async def _ranked_by_meaning(self, question: str) -> list[Scored]:
        """The same by embeddings, or by words alone where there are none."""
        judged = self._judgements(question)
        order = sorted(judged, key=lambda i: (-(judged[i].lexical - 0.02 * self._ranks[i]), i))
        chosen = order[:_CANDIDATES]
        similar = await self._similarities(question, [judged[i].reading for i in chosen])
        meanings, weight = (np.zeros(len(chosen)), 0.0) if similar is None else (similar, _VECTOR_WEIGHT)
        return self._in_order(
            [self._scored(i, one, weight, judged[i]) for i, one in zip(chosen, meanings, strict=True)]
        )

    def _judgements(self, question: str) -> dict[int, _Judged]:
        """What words alone say of the sentences that can answer, by number."""
        wanted = set(terms.stems(question))
        found = {}
        for i, sentence in enumerate(self._sentences):
            if self._answers(sentence):
                reading, present = self._judged(i, wanted)
                found[i] = _Judged(reading, terms.coverage(wanted, present, self._weights))
        return found

    def _scored(self, i: int, meaning: float, weight: float, judged: _Judged) -> tuple[int, Scored]:
        """A sentence, with the rank of its passage. weight: of meaning, of 1."""
        quote = self._sentences[i].quote
        score = (1 - weight) * judged.lexical + weight * min(1.0, max(0.0, float(meaning)))
        return self._ranks[i], Scored(quote, score * sentences.wholeness(quote.text), judged.reading)

    @staticmethod
    def _in_order(scored: Sequence[tuple[int, Scored]]) -> list[Scored]:
        """Best first. What answers a question more likely stands in a passage that fits it better."""
        ordered = sorted(scored, key=lambda item: -(item[1].score - _LATER * item[0]))
        return [item for _, item in ordered[:_CANDIDATES]]

    async def _nearness(self, question: str) -> np.ndarray | None:
        """Of every sentence, 0 to 1; None where it is not known. One that holds a wanted stem is read with
        what stands over it, as in `_judged`."""
        if self._compare is None or not self._sentences:
            return None
        if question not in self._near:
            made = await self._compare(question, [sentence.quote for sentence in self._sentences])
            if made is None:
                self._compare = None
                return None
            self.likeness = made.likeness
            rows, wanted = made.of.copy(), set(terms.stems(question))
            for i, over in enumerate(self._over):
                if over and wanted & self._stems[i]:
                    rows[i] = made.of[[i, *over]].max(axis=0)
            rarest = max(self._weights.values(), default=1.0)
            weights = made.weights * np.array([self._rarity(word, rarest) for word in made.words], np.float32)
            total = float(weights.sum())
            mean = rows @ weights / total if total > 0 else np.zeros(len(rows), np.float32)
            self._near[question] = made.likeness.factor * mean + made.likeness.offset
        return self._near[question]

    def _rarity(self, word: str, rarest: float) -> float:
        stems = terms.stems(word)
        return min((self._weights.get(stem, rarest) for stem in stems), default=_LEAST_RARITY * rarest)

    def _answers(self, sentence: sentences.Sentence) -> bool:
        """Whether it can: names of columns, and a heading with nothing below it, cannot."""
        return not sentence.heads and bool(self._below.get(id(sentence.quote), True))

    def _judged(self, i: int, wanted: set[str]) -> tuple[str, set[str]]:
        """The words by which a sentence is judged, and their stems. The names of its columns say nothing for
        a row of which no cell is asked for: all rows of its table share them. So with the headings above."""
        if wanted & self._stems[i]:
            return self._sentences[i].reading, self._read_stems[i] | self._above[i]
        return self._sentences[i].quote.text, self._stems[i]

    async def _fitting(self, topic: str) -> list[Scored]:
        return [item for item in await self.ranked(topic) if item.score >= self._threshold()]

    def coverage(self, question: str) -> float:
        """The share of the question's stems that the passages hold, 0 to 1, rare ones counting more."""
        present = set().union(*self._stems) if self._stems else set()
        return terms.coverage(set(terms.stems(question)), present, self._weights)

    def missing(self, question: str) -> list[str]:
        """The question's content words that no passage holds, in order."""
        present = set().union(*self._stems) if self._stems else set()
        return list(
            dict.fromkeys(word for word in terms.content_words(question) if terms.stem(word) not in present)
        )

    def _threshold(self) -> float:
        if self._compare is not None:
            return _NEARNESS_THRESHOLD
        return _LEXICAL_THRESHOLD if self._embed is None else _THRESHOLD

    async def _similarities(self, question: str, texts: Sequence[str]) -> np.ndarray | None:
        if self._embed is None or not texts:
            return None
        new = [text for text in dict.fromkeys([question, *texts]) if text not in self._vectors]
        for start in range(0, len(new), _PER_EMBED_CALL):
            batch = new[start : start + _PER_EMBED_CALL]
            made = await self._embed(batch)
            if made is None:
                self._embed = None
                return None
            self.likeness = made.likeness
            self._vectors.update(zip(batch, made.vectors, strict=True))
        matrix = np.stack([self._vectors[text] for text in texts])
        return self.likeness.of(matrix, self._vectors[question])

    def _diverse(self, scored: Sequence[Scored], limit: int) -> list[Quote]:
        best = scored[0].score
        pool = [item for item in scored if item.score >= max(_KEEP * best, self._threshold())]
        chosen: list[Scored] = []
        while pool and len(chosen) < limit:
            taken = max(
                pool,
                key=lambda item: (
                    (1 - _DIVERSITY) * item.score
                    - _DIVERSITY * max((self._likeness(item, other) for other in chosen), default=0.0)
                ),
            )
            pool.remove(taken)
            if all(self._likeness(taken, other) < 0.95 for other in chosen):
                chosen.append(taken)
        return [item.quote for item in chosen]

    def _likeness(self, one: Scored, other: Scored) -> float:
        first, second = one.reading, other.reading
        if first in self._vectors and second in self._vectors:
            return float(self.likeness.of(self._vectors[first], self._vectors[second]))
        a, b = set(terms.stems(first)), set(terms.stems(second))
        return len(a & b) / len(a | b) if a | b else 0.0
