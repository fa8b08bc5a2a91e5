"""What a person asked, as the keyword index can take it."""

from __future__ import annotations

import re

_PHRASE = re.compile(r'"([^"]+)"|“([^”]+)”')
# Runs of what the index takes for a word: letters and digits, with the marks that belong to them.
_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f][^\W_]*)*")
# A longer question is no better found by more words, and costs time for each.
_MAX_PARTS = 128


def words(text: str) -> list[str]:
    """The words of a text in order, lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def expression(question: str) -> str:
    """An FTS5 expression: any of the words, quoted phrases kept together; "" when nothing can be searched.

    Every part is a quoted string of letters, digits and blanks, so no character of the question acts as syntax.
    """
    parts = [" ".join(words(one or other)) for one, other in _PHRASE.findall(question)]
    parts += words(_PHRASE.sub(" ", question))
    distinct = [part for part in dict.fromkeys(parts) if part]
    return " OR ".join(f'"{part}"' for part in distinct[:_MAX_PARTS])
