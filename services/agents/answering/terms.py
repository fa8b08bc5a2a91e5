"""Words that carry meaning, as stems."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from importlib import resources

import snowballstemmer

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[^\W_]+")

REFERRING_WORDS = frozenset(
    (
        *("it", "its", "they", "them", "their", "he", "him", "his", "she", "her"),
        *("this", "that", "these", "those", "there", "one", "ones", "former", "latter", "same"),
    )
)


def words(text: str) -> list[str]:
    """The words of a text in lower case, in order."""
    return [match.group().replace("’", "'") for match in _WORD.finditer(text.lower())]


def content_words(text: str) -> list[str]:
    """The words that are not function words."""
    return [word for word in words(text) if word not in _function_words()]


def stems(text: str) -> list[str]:
    """Stems of the content words, in order (Porter's second English stemmer)."""
    return [stem(word) for word in content_words(text)]


@functools.lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of a word in lower case."""
    return str(_stemmer().stemWord(word.removesuffix("'s")))


@functools.cache
def _function_words() -> frozenset[str]:
    text = (resources.files("services.agents.answering") / "function_words.txt").read_text("utf-8")
    return frozenset(text.split())


@functools.cache
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("english")


def inverse_frequencies(documents: Sequence[Iterable[str]]) -> dict[str, float]:
    """How rare each stem is among some texts: ln(1 + (N - n + 0.5) / (n + 0.5)), as in BM25."""
    counts = Counter(term for document in documents for term in set(document))
    size = len(documents)
    return {term: math.log(1 + (size - n + 0.5) / (n + 0.5)) for term, n in counts.items()}


def coverage(wanted: Collection[str], present: Collection[str], weight: dict[str, float]) -> float:
    """The share of the wanted stems' weight that is present, 0 to 1. A stem without a weight counts as the
    rarest one."""
    rarest = max(weight.values(), default=1.0)
    total = sum(weight.get(term, rarest) for term in wanted)
    found = sum(weight.get(term, rarest) for term in wanted if term in present)
    return found / total if total else 0.0
