"""Words as the keyword index takes them: one way for what is kept and for what is asked.

The index splits text at everything that is no letter, digit or mark. That finds no word where a script sets
no blanks between words, so runs of those scripts are written as overlapping pairs of characters, after
Lucene's CJKAnalyzer. Letters that people write in several ways become one (NFKC; for Arabic as Lucene's
ArabicNormalizer), and words of some scripts are stemmed by Snowball; English is stemmed by the index itself.

Identifiers are kept split and whole: `err_conn_42` is found by its parts and as `errconn42`, `getUserName` as
it is and by its parts.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator

import snowballstemmer

# Scripts without blanks between words, and Hangul, whose words carry their particles: Thai, Lao, Myanmar,
# Khmer, Kana, Han, Hangul.
_RUN = re.compile(
    "[\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
    "\u3005\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3\U00020000-\U0003fffd]+"
)

# Vowel signs and the stroke that only stretches a word.
_ARABIC_MARKS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]")
_ARABIC_LETTERS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا"})

# Words of a script, and the stemmer of the language that writes it most.
_STEMMED = re.compile(
    "(?P<arabic>[\u0620-\u064a\u066e-\u06d3]{3,})|(?P<hindi>[\u0900-\u0963\u0970-\u097f]{2,})"
    "|(?P<russian>[\u0400-\u0481\u048a-\u052f]{3,})|(?P<greek>[\u0370-\u03ff\u1f00-\u1fff]{3,})"
    "|(?P<tamil>[\u0b82-\u0bcd]{3,})"
)

# What may be an identifier. Longer ones are none, and are not looked into: all else here is linear.
_CANDIDATE = re.compile(r"[\w./:\\-]+")
_MOST_CHARACTERS = 100
# Letters and digits joined by what programs, versions, paths and catalogues join them with.
_JOINED = re.compile(r"[^\W_]+(?:[_./:\\-]{1,2}[^\W_]+)+")
_CAMEL = re.compile(r"[^\W\d_]*[a-z][A-Z][^\W_]*|[A-Z]{2,}[a-z][^\W_]*")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# An underscore or a point within, or two words of CamelCase.
_SURE = re.compile(r"[^\W_][_.:\\][^\W_]|[a-z]{2}[A-Z][a-z]")
_DECADE = re.compile(r"(?:mid|early|late)?-?\d+s?", re.IGNORECASE)
# Fewer are common in names of genes, models and roads.
_SURE_DIGITS = 4
_MIXED = re.compile(r"(?=[^\W_]*\d)(?=[^\W_]*[^\W\d_])[^\W_]{2,}")

# English function words: in nearly every passage, so they tell nothing and cost most. Without them a question
# takes a third of the time and finds no less (SciFact, training split: nDCG@10 0.695 against 0.693).
# fmt: off
EMPTY_WORDS = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "has", "have", "in",
    "into", "is", "it", "its", "no", "not", "of", "on", "or", "such", "that", "the", "their", "then",
    "there", "these", "they", "this", "to", "was", "were", "which", "will", "with"
))
# fmt: on

# Cherokee, Georgian and others got their lower case after FTS5's table was made.
_FOLDED = re.compile("[^\u1000-\U0010ffff]+")


def spaced(text: str) -> str:
    """The text as the index gets it, of no use but for its words."""
    if text.isascii():
        return text
    plain = _ARABIC_MARKS.sub("", unicodedata.normalize("NFKC", text)).translate(_ARABIC_LETTERS)
    # Without what separates words: the index knows an older Unicode, and takes newer letters as it likes.
    return _STEMMED.sub(_stem, _RUN.sub(_pairs, _separators().sub(" ", plain)))


def words(text: str) -> list[str]:
    """The words of a text in order, in lower case as far as the index knows it, which folds them itself."""
    lower = _FOLDED.sub(lambda match: match[0].lower(), spaced(text))
    return _separators().sub(" ", lower).split()


def names(text: str) -> str:
    """What the index keeps besides words: joined identifiers whole, the parts of CamelCase, and the
    characters that end runs, since no pair begins with them.
    """
    kept: list[str] = []
    for candidate in _candidates(text):
        kept += (*_wholes(candidate), *_parts(candidate))
    if not text.isascii():
        kept += [run[-1] for run in _RUN.findall(unicodedata.normalize("NFKC", text)) if len(run) > 1]
    return " ".join(dict.fromkeys(kept))


def begins_pairs(word: str) -> bool:
    """Whether a word is one character of a run: the index has the pairs that it begins."""
    return len(word) == 1 and _RUN.fullmatch(word) is not None


def runs_on(text: str) -> bool:
    """Whether there is something of a script that sets no blanks between words."""
    return _RUN.search(text) is not None


def identifiers(text: str) -> dict[str, bool]:
    """Identifiers of a question as single words in lower case: joined ones whole, CamelCase, E1234.

    Each with whether it is surely one: prose has words like p53 and 1970s, too.
    """
    found: dict[str, bool] = {}
    for candidate in _candidates(text):
        sure = _surely(candidate)
        found |= dict.fromkeys(_wholes(candidate), sure)
        rest = _JOINED.sub(" ", candidate)
        for pattern in (_CAMEL, _MIXED):
            found |= {match[0].lower(): sure for match in pattern.finditer(rest)}
    return found


def camel_parts(text: str) -> list[str]:
    """The parts of all CamelCase words of a text in lower case: getHTTPStatus2 → get, http, status, 2."""
    return [part for candidate in _candidates(text) for part in _parts(candidate)]


def _candidates(text: str) -> Iterator[str]:
    """What may be or hold an identifier; not words of letters with no capital but the first, as most are."""
    for match in _CANDIDATE.finditer(text):
        word = match[0]
        if len(word) <= _MOST_CHARACTERS and not (word.isalpha() and word[1:].islower()):
            yield word


def _surely(candidate: str) -> bool:
    digits = sum(map(str.isdigit, candidate))
    return _SURE.search(candidate) is not None or (
        digits >= _SURE_DIGITS and not _DECADE.fullmatch(candidate)
    )


def _parts(candidate: str) -> Iterator[str]:
    for match in _CAMEL.finditer(candidate):
        yield from (part.lower() for part in _HUMP.findall(match[0]))


def _wholes(candidate: str) -> Iterator[str]:
    """Joined identifiers without what joins them. Prose joins words by hyphens too, and numbers by points."""
    for match in _JOINED.finditer(candidate):
        letters, digits = (any(map(kind, match[0])) for kind in (str.isalpha, str.isdigit))
        if letters and (digits or not set("_.:\\").isdisjoint(match[0])):
            yield re.sub(r"[\W_]+", "", match[0]).lower()


def _pairs(match: re.Match[str]) -> str:
    """A run as overlapping pairs, so that a phrase stays one."""
    run = match[0]
    return f" {' '.join(run[at : at + 2] for at in range(len(run) - 1)) or run} "


def _stem(match: re.Match[str]) -> str:
    return _stemmed(match.lastgroup or "", match[0].lower())


@functools.lru_cache(maxsize=65_536)
def _stemmed(language: str, word: str) -> str:
    return str(_stemmer(language).stemWord(word))


@functools.cache
def _stemmer(language: str) -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer(language)


@functools.cache
def _separators() -> re.Pattern[str]:
    """Runs of characters that are in no word, as the index judges it (see its tokenizer)."""
    ranges: list[list[int]] = []
    # The planes between are empty; those after are for private use.
    for code in (*range(0x40000), *range(0xE0000, 0xE1000)):
        category = unicodedata.category(chr(code))
        if category[0] in "LN" or category in ("Mn", "Mc", "Co"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    inside = "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ranges)
    return re.compile(f"[^{inside}\U000f0000-\U000ffffd\U00100000-\U0010fffd]+")
