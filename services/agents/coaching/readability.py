"""Formulas of readability.

Flesch's reading ease (Flesch, 1948), the Flesch-Kincaid grade (Kincaid et al., 1975), SMOG (McLaughlin, 1969)
and LIX (Björnsson, 1968). The first three are made for English: they count syllables, which are told by rules
of English spelling here, right for most words and not for all. LIX counts letters.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
# What SMOG was made for; with fewer sentences its author gives no grade.
SMOG_SENTENCES = 30
_LONG_LETTERS = 6
_POLYSYLLABLE = 3


def words(text: str) -> list[str]:
    """The words of a text in order. One with a hyphen or an apostrophe in it is one word."""
    return _WORD.findall(text)


@dataclass(frozen=True)
class Counts:
    """What the formulas are made of. syllables, polysyllables: of English; the latter have three or more."""

    sentences: int
    words: int
    long_words: int
    syllables: int
    polysyllables: int

    @classmethod
    def of(cls, sentences: Sequence[str]) -> Counts:
        """The counts of sentences; one without a word is none."""
        found = [listed for sentence in sentences if (listed := words(sentence))]
        every = [word for listed in found for word in listed]
        counted = [syllables(word) for word in every]
        return cls(
            len(found),
            len(every),
            sum(sum(map(str.isalpha, word)) > _LONG_LETTERS for word in every),
            sum(counted),
            sum(count >= _POLYSYLLABLE for count in counted),
        )

    def reading_ease(self) -> float:
        """Flesch: about 0 (very hard) to 100 (very easy)."""
        return 206.835 - 1.015 * self.words / self.sentences - 84.6 * self.syllables / self.words

    def kincaid_grade(self) -> float:
        """The school year, in the USA, that can read it."""
        return 0.39 * self.words / self.sentences + 11.8 * self.syllables / self.words - 15.59

    def smog(self) -> float:
        """The school year that understands all of it; for at least 30 sentences."""
        return 1.0430 * math.sqrt(self.polysyllables * 30 / self.sentences) + 3.1291

    def lix(self) -> float:
        """Below 30 very easy, above 60 very hard; for any language that puts blanks between words."""
        return self.words / self.sentences + 100 * self.long_words / self.words


_VOWELS = re.compile(r"[aeiouy]+")
# A vowel before which "y" is a consonant: "beyond", "player".
_CONSONANT_Y = re.compile(r"y(?=[aeiou])")
# An "e" that is not spoken: at the end, in "-es" and "-ed", before an ending that begins with a consonant,
# and where two words were joined.
_SILENT = (
    re.compile(r"[aeiouy][^aeiouy]+(?<![^aeiouyl]l)e$"),
    re.compile(r"[aeiouy][^aeiouy]+(?<![sxzcg])(?<!ch)(?<!sh)(?<![^aeiouyl]l)es$"),
    re.compile(r"[aeiouy][^aeiouy]+(?<![td])(?<![^aeiouyl]l)ed$"),
    re.compile(r"[aeiouy][^aeiouyl]+e(?=(?:ment|less|ful|ly|ness)s?$)"),
    re.compile(
        r"^(?:some|there|where|here|home|life|time|more|fore|base|side|wide|like|care|safe|whole|name|house|space"
        r"|case|code|note|use|price|state|place)(?=[^aeiouyrsd'])(?!(?:ment|less|ful|ly|ness)s?$)"
    ),
    re.compile(r"^(?:every|business)|^(?:some|any)one$|^(?:there|where|here)of$"),
)
# Two vowels beside each other that are two syllables.
_SPLIT = (
    re.compile(r"(?<![ctsgln])ia|[ln]ia(?!n)"),
    re.compile(r"(?<![ctsglnx])io"),
    re.compile(r"[dlbrvh]ie(?=t|nt|nc)|scie|[^c]quie|^quie|socie"),
    re.compile(r"eo(?!us|n$|ns$|ple|pard)"),
    re.compile(r"(?<![qg])ua"),
    re.compile(r"(?<=[lrf])ue(?=[nl])|uity"),
    re.compile(r"crea(?=t(?!ur))|(?:ar|id)ea|reali|^rea(?=c)|poe[tm]|chao"),
    re.compile(r"[^aeiouy]thm$|sm$|[ds]n't$"),
    re.compile(r"[aeiou]ing|seum|fluid|ruin"),
)


@functools.lru_cache(maxsize=65_536)
def syllables(word: str) -> int:
    """How many syllables an English word has, by rules; at least one. A number counts as one."""
    lowered = word.lower().replace("’", "'")
    return sum(_syllables(part) for part in lowered.split("-") if part) or 1


def _syllables(part: str) -> int:
    spoken = _CONSONANT_Y.sub("j", part.removesuffix("'s"))
    count = len(_VOWELS.findall(spoken))
    count += sum(len(pattern.findall(spoken)) for pattern in _SPLIT)
    count -= sum(pattern.search(spoken) is not None for pattern in _SILENT)
    return max(1, count)
