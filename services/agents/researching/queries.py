"""What to search for besides the question itself."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.agents.answering import terms
from services.agents.model import Passage
from services.agents.routing.parts import split

# The defaults were chosen on SciFact's training claims (bench/researching.py).
MAX_QUERIES = 4
_FEEDBACK_PASSAGES = 5
_FEEDBACK_TERMS = 6
_MAX_QUERY = 1000

_QUOTED = re.compile(r"[\"“„]([^\"“”„]{3,80})[\"”“]")
_NAME = re.compile(r"\b[A-Z][\w’'-]*(?:\s+(?:of|de|van|von|the)\s+[A-Z][\w’'-]*|\s+[A-Z][\w’'-]*)+")
# "World Health Organization (WHO)", as the documents introduce a short form.
_SHORT_FORM = re.compile(r"((?:[A-Za-z][\w-]*\s+){1,7}?)\(([A-Z][A-Za-z0-9-]{1,9})\)")


@dataclass(frozen=True)
class Query:
    """Something to search for, and where it comes from: see ResearchQuery.origin."""

    text: str
    origin: str


def formulated(question: str, found: Sequence[Passage], limit: int = MAX_QUERIES) -> list[Query]:
    """At most `limit` further queries for a question; none that repeats it.

    found: the passages of the question itself, best first. The terms that they share make a query of their
    own (pseudo-relevance feedback after Rocchio, 1971), and the short and long forms of names that they
    introduce take each other's place.
    """
    made = [
        *([Query(part, "part") for part in split(question)] if len(split(question)) > 1 else []),
        *(Query(phrase, "phrase") for phrase in _phrases(question)),
        *(Query(other, "passages") for other in _other_forms(question, found)),
        *(Query(text, "passages") for text in _feedback(question, found)),
    ]
    asked = _key(question)
    unique = {_key(query.text): query for query in reversed(made) if _key(query.text) not in {asked, ()}}
    in_order = [query for query in made if unique.get(_key(query.text)) is query]
    return _in_turn(in_order, limit)


def _key(text: str) -> tuple[str, ...]:
    """What makes two queries the same: their stems."""
    return tuple(sorted(set(terms.stems(text))))


def _in_turn(queries: Sequence[Query], limit: int) -> list[Query]:
    """One of each origin, then the second of each, so that none crowds out the others."""
    by_origin: dict[str, list[Query]] = {}
    for query in queries:
        by_origin.setdefault(query.origin, []).append(query)
    rounds = itertools.zip_longest(*by_origin.values())
    return [query for turn in rounds for query in turn if query is not None][:limit]


def _phrases(question: str) -> list[str]:
    """Quoted phrases and names of several words; else the question's content words alone."""
    names = [_without_first_words(name) for name in _NAME.findall(question)]
    named = [phrase.strip() for phrase in (*_QUOTED.findall(question), *names) if phrase.strip()]
    whole = " ".join(terms.content_words(question))
    return [*dict.fromkeys(named), whole][:3]


def _without_first_words(name: str) -> str:
    """A name without the function words at the beginning of its sentence."""
    words = name.split()
    while words and not terms.content_words(words[0]):
        words.pop(0)
    return " ".join(words)


def _other_forms(question: str, found: Sequence[Passage]) -> list[str]:
    """The question with a name's short form for its long one, or the other way round, as passages have it."""
    made = []
    for long, short in _forms(found):
        if re.search(rf"\b{re.escape(short)}\b", question):
            if long.lower() not in question.lower():
                made.append(re.sub(rf"\b{re.escape(short)}\b", long, question)[:_MAX_QUERY])
        elif long.lower() in question.lower():
            made.append(re.sub(re.escape(long), short, question, flags=re.IGNORECASE)[:_MAX_QUERY])
    return made[:2]


def _forms(found: Sequence[Passage]) -> list[tuple[str, str]]:
    """Long and short forms: the words before the bracket whose first letters the short form has."""
    pairs = []
    for passage in found[:_FEEDBACK_PASSAGES]:
        for before, short in _SHORT_FORM.findall(passage.text):
            letters = [c.lower() for c in short if c.isalpha()]
            words = before.split()[-len(letters) :]
            if len(words) == len(letters) and all(
                w[0].lower() == c for w, c in zip(words, letters, strict=True)
            ):
                pairs.append((" ".join(words), short))
    return list(dict.fromkeys(pairs))


def _feedback(question: str, found: Sequence[Passage]) -> list[str]:
    """The question's words with the terms that its best passages share and it lacks."""
    passages = found[:_FEEDBACK_PASSAGES]
    if not passages:
        return []
    known = set(terms.stems(question))
    in_passages = [Counter(terms.content_words(passage.text)) for passage in passages]
    spread: Counter[str] = Counter()
    weight: dict[str, float] = defaultdict(float)
    shown: dict[str, str] = {}
    for rank, words in enumerate(in_passages):
        length = sum(words.values()) or 1
        for word, count in words.items():
            stem = terms.stem(word)
            if stem in known or word.isdigit() or len(word) < 3:
                continue
            shown.setdefault(stem, word)
            spread[stem] += 1
            weight[stem] += count / length / (rank + 1)
    shared = [stem for stem in weight if spread[stem] > 1] if len(passages) > 2 else list(weight)
    best = sorted(shared, key=lambda stem: (-weight[stem] * spread[stem], stem))[:_FEEDBACK_TERMS]
    if not best:
        return []
    return [" ".join([*terms.content_words(question), *(shown[stem] for stem in best)])[:_MAX_QUERY]]
