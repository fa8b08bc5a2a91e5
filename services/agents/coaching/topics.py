"""What there is to learn in some passages: their headings, else their key phrases.

Key phrases are found by RAKE (Rose et al., 2010, Automatic keyword extraction from individual documents):
runs of content words, scored by degree and frequency of their words.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.agents.answering import sentences, terms
from services.agents.model import Passage, Quote

MAX_TOPICS = 8
_MAX_NAME = 100
_MAX_PHRASE_WORDS = 3
_MIN_LETTERS = 4
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+(\S.*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_PIECE = re.compile(r"[^.,;:!?()\[\]{}\"“”|\n]+")


@dataclass(frozen=True)
class Topic:
    """Something to learn. quote: a sentence that speaks of it."""

    name: str
    quote: Quote


def topics(passages: Sequence[Passage], limit: int = MAX_TOPICS) -> list[Topic]:
    """Topics in the order in which the documents have them, documents in the order of the passages."""
    documents = list(dict.fromkeys(passage.document_id for passage in passages))
    ordered = sorted(passages, key=lambda p: (documents.index(p.document_id), p.byte_start))
    found = _distinct(_headed(ordered)) or _distinct(_phrased(ordered, limit))
    return found[:limit]


def _distinct(found: Iterator[Topic]) -> list[Topic]:
    return list({topic.name.casefold(): topic for topic in reversed(list(found))}.values())[::-1]


def _headed(passages: Sequence[Passage]) -> Iterator[Topic]:
    for passage in passages:
        quotes = sentences.sentences(passage)
        headings = list(_HEADING.finditer(passage.text))
        for heading, following in itertools.zip_longest(headings, headings[1:]):
            first = _byte(passage, heading.end())
            last = _byte(passage, following.start()) if following else passage.byte_end
            below = [quote for quote in quotes if first <= quote.byte_start < last and _whole(quote)]
            if below:
                yield Topic(heading[1][:_MAX_NAME], below[0])


def _byte(passage: Passage, place: int) -> int:
    return passage.byte_start + len(passage.text[:place].encode())


def _whole(quote: Quote) -> bool:
    return sentences.wholeness(quote.text) == 1.0


def _phrased(passages: Sequence[Passage], limit: int) -> Iterator[Topic]:
    quotes = [quote for passage in passages for quote in sentences.sentences(passage) if _whole(quote)]
    said = [list(_phrases(quote.text)) for quote in quotes]
    counts, degrees, uses = Counter[str](), Counter[str](), Counter[tuple[str, ...]]()
    for phrase in (phrase for phrases in said for phrase in phrases):
        uses[phrase] += 1
        for word in phrase:
            counts[word] += 1
            degrees[word] += len(phrase)
    scores = {
        phrase: count * sum(degrees[word] / counts[word] for word in phrase) for phrase, count in uses.items()
    }
    best: list[tuple[str, ...]] = []
    for phrase in sorted(scores, key=lambda phrase: (-scores[phrase], phrase)):
        if len(best) < limit and not any(set(phrase) <= set(better) for better in best):
            best.append(phrase)
    places = {phrase: index for index, phrases in reversed(list(enumerate(said))) for phrase in phrases}
    for phrase in sorted(best, key=lambda phrase: places[phrase]):
        yield Topic(" ".join(phrase)[:_MAX_NAME], quotes[places[phrase]])


def _phrases(text: str) -> Iterator[tuple[str, ...]]:
    for piece in _PIECE.findall(text):
        content = set(terms.content_words(piece))
        run: list[str] = []
        for word in [*terms.words(piece), ""]:
            if word in content and not word.isdigit():
                run.append(word)
                continue
            if 1 <= len(run) <= _MAX_PHRASE_WORDS and sum(map(len, run)) >= _MIN_LETTERS:
                yield tuple(run)
            run = []
