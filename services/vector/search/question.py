"""What a person asked, as the keyword index can take it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.vector import tokens

_QUOTED = r'(?:"([^"]+)"|“([^”]+)”)'
_PHRASE = re.compile(_QUOTED)
# What must not be there: -"some words", NOT "some words", NOT word.
_WITHOUT = re.compile(rf'(?:^|(?<=\s))(?:-{_QUOTED}|NOT\s+{_QUOTED}|NOT\s+([^\s"“]+))')
_NOT = re.compile(r"\bNOT\b")
# A longer question is no better found by more words, and costs time for each.
_MAX_PARTS = 128
# Phrases and identifiers that are looked for one by one.
_MAX_EXACT = 8
# Of what may be an identifier or a word of the field. SciFact, training split, by words alone, nDCG@10: 0.708
# with 0, 0.711 with 0.3, 0.702 with 1.
_UNSURE_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Parsed:
    """A question taken apart; each part, a word or a phrase, is written as FTS5 takes it.

    text: without what must not be there. any: its words that tell something, and its phrases. exact: each of
    its quoted phrases and identifiers, which are in `any` too, with a weight, 0 to 1; what holds those of
    weight 1 is ranked first. without: what hits must not hold.
    """

    text: str
    any: Sequence[str]
    exact: Mapping[str, float]
    without: Sequence[str]


def parse(question: str) -> Parsed:
    """Takes a question apart. Where all else is in capitals, NOT is a word like all others."""
    unwanted: list[str] = []
    text = question
    letters = list(filter(str.isalpha, _NOT.sub("", question)))
    if not letters or not all(map(str.isupper, letters)) or _PHRASE.search(question):
        unwanted = [next(filter(None, match.groups())) for match in _WITHOUT.finditer(question)]
        text = _WITHOUT.sub(" ", question) if unwanted else question
    phrases = [one or other for one, other in _PHRASE.findall(text)]
    exact = {_phrase(phrase): 1.0 for phrase in phrases}
    for name, sure in tokens.identifiers(_PHRASE.sub(" ", text)).items():
        exact.setdefault(_part(name), 1.0 if sure else _UNSURE_WEIGHT)
    exact.pop("", None)
    return Parsed(
        text=text.strip(),
        any=parts(text),
        exact=dict(itertools.islice(exact.items(), _MAX_EXACT)),
        without=_distinct(map(_phrase, unwanted))[:_MAX_PARTS],
    )


def parts(question: str) -> Sequence[str]:
    """The words of a question that tell something, quoted phrases kept together; distinct.

    Where all words are function words they are what is searched; empty when there are no words at all. Every
    part is a quoted string of letters, digits, marks and blanks, so no character of the question acts as
    syntax.
    """
    phrases = [_phrase(one or other) for one, other in _PHRASE.findall(question)]
    rest = _PHRASE.sub(" ", question)
    single = tokens.words(rest)
    telling = [word for word in single if word not in tokens.EMPTY_WORDS]
    identifiers, within = tokens.identifiers(rest), tokens.camel_parts(rest)
    words = telling if telling or any(phrases) else single
    found = _distinct([*phrases, *map(_part, [*words, *identifiers, *within])])
    if len(found) > _MAX_PARTS:
        # What is looked for one by one must be among those that stay.
        found = _distinct([*_distinct([*phrases, *map(_part, identifiers)])[:_MAX_EXACT], *found])
    return found[:_MAX_PARTS]


def _distinct(parts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, parts)))


def _phrase(text: str) -> str:
    words = tokens.words(text)
    if len(words) == 1:
        return _part(words[0])
    return f'"{" ".join(words)}"' if words else ""


def _part(word: str) -> str:
    return f'"{word}" *' if tokens.begins_pairs(word) else f'"{word}"'
