"""Routes by labelled examples: what requests mean, and the words, concepts and signs in them.

A regression (see classifier.py) learns from the examples at start, in about a second of a thread of its own.
While the vector service does not answer, words, concepts and signs decide alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib import resources

import numpy as np

from services.agents.answering import terms
from services.agents.ports import Vectors
from services.agents.routing import embedded
from services.agents.routing.classifier import Classifier, Examples, Features, Matrix
from services.agents.routing.documents import RESEARCH
from services.agents.routing.features import load_concepts
from services.agents.routing.route import Alternative, Route
from services.agents.routing.signs import Reading, read
from services.chassis import context
from services.chassis.errors import ServiceError

_log = logging.getLogger(__name__)

Embed = Callable[[Sequence[str]], Awaitable[Vectors]]

# Small, so that a busy embedder answers in time and questions get in between.
_EMBED_BATCH = 16
_ALTERNATIVES = 3
_TOLD = 3
_RETRY_SECONDS = 2.0


def load_examples() -> dict[str, list[str]]:
    """The labelled examples: requests by agent id."""
    text = (resources.files("services.agents.routing") / "examples.json").read_text("utf-8")
    loaded: dict[str, list[str]] = json.loads(text)
    return loaded


def load_questions() -> list[str]:
    """Questions to documents of any subject: examples for research where there are documents to ask."""
    text = (resources.files("services.agents.routing") / "questions.json").read_text("utf-8")
    loaded: list[str] = json.loads(text)
    return loaded


@cache
def packaged() -> Examples:
    """The examples of the release, with its concepts: read once by a process, in a second or two."""
    return Examples(load_examples(), load_concepts())


@cache
def packaged_with_questions() -> Examples:
    """The examples of the release, the questions to documents among those of research."""
    examples = load_examples()
    return Examples({**examples, RESEARCH: [*examples[RESEARCH], *load_questions()]}, load_concepts())


class Triage:
    """Routes requests. Start it with `learn`, which may fail and be repeated; until then words decide
    alone.
    """

    def __init__(self, examples: Examples, embed: Embed, asking: Examples | None = None) -> None:
        """examples: labelled with agent ids. asking: the same with questions to documents (ADR 135); None:
        no route says whether documents are asked.
        """
        self._examples = examples
        self._embed = embed
        self._by_words = examples.by_words
        self._asking = asking
        self._asking_by_meaning: Classifier | None = None
        self._by_meaning: Classifier | None = None
        self._learnt: list[Vectors] = []
        self._outdated = asyncio.Event()

    async def learn(self) -> None:
        """Embeds the examples and trains on them; goes on where an earlier try ended. By the embedding model
        of the release only the first are embedded, to know it again.

        Raises what the embedding raises.
        """
        texts = [reading.prose for reading in self._examples.readings]
        known = embedded.load(texts)
        for start in range(sum(map(len, self._learnt)), len(texts), _EMBED_BATCH):
            self._learnt.append(await self._embed(texts[start : start + _EMBED_BATCH]))
            if (
                start == 0
                and known is not None
                and embedded.same_model(known[:_EMBED_BATCH], self._learnt[0])
            ):
                self._learnt.append(known[_EMBED_BATCH:])
                break
        learnt = np.concatenate(self._learnt)
        if self._asking is not None:
            self._asking_by_meaning = await self._learn_to_tell_questions(self._asking, texts, learnt)
        self._by_meaning = await asyncio.to_thread(Classifier, self._examples, learnt)

    async def _learn_to_tell_questions(
        self, asking: Examples, texts: Sequence[str], learnt: Vectors
    ) -> Classifier:
        rows = dict(zip(texts, learnt, strict=True))
        new = [text for reading in asking.readings if (text := reading.prose) not in rows]
        known = embedded.load(new, embedded.QUESTIONS)
        of_release = embedded.load(texts)
        if known is None or of_release is None or not embedded.same_model(of_release, learnt):
            batches = range(0, len(new), _EMBED_BATCH)
            known = np.concatenate([await self._embed(new[at : at + _EMBED_BATCH]) for at in batches])
        rows.update(zip(new, known, strict=True))
        vectors = np.stack([rows[reading.prose] for reading in asking.readings])
        return await asyncio.to_thread(Classifier, asking, vectors)

    async def keep_learning(self) -> None:
        """Repeats `learn` until it succeeds, and again when the embedding model has changed."""
        while True:
            try:
                with context.entered(context.of_the_house()):
                    await self.learn()
            except ServiceError as error:
                _log.info("routing goes by words alone: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._outdated.clear()
                await self._outdated.wait()

    async def route(self, request: str) -> Route:
        """The agent that fits the request. Never fails."""
        classifier, vector, reading = self._by_words, None, read(request)
        if self._by_meaning is not None:
            try:
                vector = (await self._embed([reading.prose or request]))[0]
            except ServiceError as error:
                _log.info("routing goes by words alone: %s", error.message)
            else:
                if self._by_meaning.fits(vector):
                    classifier = self._by_meaning
                else:
                    self._forget()
        return dataclasses.replace(_route(classifier, reading, vector), asks=self._asks(reading, vector))

    def _asks(self, reading: Reading, vector: Vectors | None) -> float:
        if self._asking is None:
            return 0.0
        by_meaning = self._asking_by_meaning
        if by_meaning is None or vector is None or not by_meaning.fits(vector):
            by_meaning, vector = self._asking.by_words, None
        shares = by_meaning.shares(by_meaning.alike(self._asking.features(reading), vector))
        return round(float(shares[by_meaning.labels.index(RESEARCH)]), 3)

    def _forget(self) -> None:
        self._by_meaning = self._asking_by_meaning = None
        self._learnt.clear()
        self._outdated.set()


def _route(classifier: Classifier, reading: Reading, vector: Vectors | None) -> Route:
    features = classifier.examples.features(reading)
    alike = classifier.alike(features, vector)
    shares = classifier.shares(alike)
    order = sorted(range(len(shares)), key=lambda index: (-shares[index], index))
    best = classifier.labels[order[0]]
    return Route(
        best,
        round(float(shares[order[0]]), 3),
        tuple(_reasons(classifier, reading, features, alike, best)),
        tuple(
            Alternative(classifier.labels[index], round(float(shares[index]), 3))
            for index in order[1 : 1 + _ALTERNATIVES]
        ),
    )


def _reasons(
    classifier: Classifier, reading: Reading, features: Features, alike: Matrix, best: str
) -> list[str]:
    nearest = max(
        (index for index, owner in enumerate(classifier.examples.owners) if owner == best),
        key=lambda index: alike[index],
    )
    example = classifier.examples.texts[nearest]
    reasons = [f"It resembles “{example}”, which is for {best}."]
    if telling := classifier.telling(features, best)[:_TOLD]:
        reasons.append(f"Signs of {best}: {', '.join(telling)}.")
    stems = set(terms.stems(example))
    words = dict.fromkeys(terms.content_words(reading.prose))
    shared = [word for word in words if terms.stem(word) in stems]
    if shared:
        reasons.append(f"They share the words {', '.join(shared)}.")
    if not classifier.uses_meaning:
        reasons.append("Words alone decided: the embedding model does not answer.")
    return reasons
