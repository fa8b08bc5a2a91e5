"""Whether a text has what somebody looks for, and the part of it that shows that. Pure.

Text and question are folded alike: letters that are written in several ways become one (NFKC and case),
accents and vowel signs go. Each character is folded for itself, so a place in the folded text leads back to
the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from services.session.model import Piece

# Scripts that set no blanks between words: Thai, Lao, Myanmar, Khmer, Kana, Han.
_UNSPACED = (
    "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
# Where a word may begin and end: beside what is no letter or digit, or beside a character of those scripts.
_BEGINS = f"(?:(?<![^\\W_])|(?<=[{_UNSPACED}]))"
_ENDS = f"(?:(?![^\\W_])|(?=[{_UNSPACED}]))"

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»", '"'))
_BLANKS = re.compile(r"\s+")

# Combining classes: vowel signs of Hebrew and Arabic, and from where on a mark stands above or below a
# letter. Others belong to the word (Thai tones) or make another letter, as the voicing of Kana does.
_VOICING = 8
_VOWEL_SIGNS = range(10, 37)
_ACCENTS = 200
# What has no decomposition, or only stretches a word.
_ALIKE = {"ٱ": "ا", "ـ": ""}

# Of characters that were folded once; more than any language has.
_KNOWN = 65_536
# Different letters of a text that are replaced one by one, which is faster than to look at each character.
_FEW = 64

# Characters of an excerpt, of them before what was found, and with a long phrase at most.
_EXCERPT = 200
_BEFORE = 40
_LONGEST = 700
# How far an edge of it is moved so that no word is cut.
_WORD = 24
# Places of each term, and of all of them, that are looked at for the best excerpt.
_PLACES = 20
_ALL_PLACES = 200
_STRIDE = 4096


class _Folds(dict[int, str]):
    """What each character beyond ASCII becomes, as str.translate asks for it."""

    def __missing__(self, code: int) -> str:
        decomposed = unicodedata.normalize("NFKD", chr(code)).casefold()
        folded = "".join(
            _ALIKE.get(character, character)
            for character in unicodedata.normalize("NFKD", decomposed)
            if not _silent(character)
        )
        if len(self) < _KNOWN:
            self[code] = folded
        return folded


def _silent(character: str) -> bool:
    """Whether two words are the same without it: accents, vowel signs, soft hyphens and joiners."""
    combining = unicodedata.combining(character)
    return combining >= _ACCENTS or combining in _VOWEL_SIGNS or unicodedata.category(character) == "Cf"


_folds = _Folds()


def fold(text: str) -> str:
    """The text as it is compared; that of two texts in a row is that of each in a row."""
    if not text.isascii():
        # The capital sigma is the one letter whose lower case depends on what stands beside it.
        changed = [
            one for one in set(text) if one > "\x7f" and (_folds[ord(one)] != one.lower() or one == "Σ")
        ]
        if len(changed) > _FEW:
            return text.translate(_folds).lower()
        for one in changed:
            text = text.replace(one, _folds[ord(one)])
    return text.lower()


@dataclass(frozen=True, slots=True)
class _Term:
    """A word or phrase. first: what must stand somewhere, which is quickly seen. pattern: where it stands.

    inside: it begins and ends with letters as words do, so a mark beside it would be part of the word.
    """

    first: str
    pattern: re.Pattern[str]
    begins: bool
    ends: bool

    def places(self, folded: str) -> Iterator[tuple[int, int]]:
        """From where to where it stands in a folded text."""
        if self.first not in folded:
            return
        for match in self.pattern.finditer(folded):
            start, end = match.span()
            # A mark is no letter, but within a word.
            if self.begins and start > 0 and _is_mark(folded[start - 1]):
                continue
            if end < len(folded) and (
                _is_mark(folded[end]) if self.ends else unicodedata.combining(folded[end]) == _VOICING
            ):
                continue
            yield start, end


class Wanted:
    """What somebody looks for: words and phrases.

    A word is found where it begins a word, so that whoever types finds something. A phrase, between quotes,
    is found as it stands, however it is broken into lines; one that is not closed yet may go on.
    """

    def __init__(self, question: str) -> None:
        terms: dict[tuple[str, bool], _Term] = {}
        parts = question.translate(_QUOTES).split('"')
        for number, part in enumerate(parts):
            folded = fold(part)
            if number % 2:
                closed = number < len(parts) - 1
                if pieces := folded.split():
                    terms[" ".join(pieces), closed] = _term(pieces, closed=closed)
            else:
                for word in _words(folded):
                    terms[word, False] = _term([word], closed=False)
        # Longer ones are rarer: most texts are passed over at the first.
        self._terms = sorted(terms.values(), key=lambda term: -len(term.first))

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._terms)

    def found_in(self, text: str) -> bool:
        """Whether the text has all of it."""
        folded = fold(text)
        return all(any(True for _ in term.places(folded)) for term in self._terms)

    def excerpt(self, text: str) -> tuple[Piece, ...]:
        """The part of a text that shows most of it, in pieces; a short text whole. Blanks are one each."""
        start, end = self._best(text)
        shown = text[start:end]
        pieces = [
            Piece(_BLANKS.sub(" ", part), matched)
            for part, matched in _cut(shown, self._marks(shown))
            if part
        ]
        edges = [Piece("…", False)]
        return tuple((edges if start else []) + pieces + (edges if end < len(text) else []))

    def _best(self, text: str) -> tuple[int, int]:
        """From where to where the excerpt goes."""
        if len(text) <= _EXCERPT:
            return 0, len(text)
        places = self._places(fold(text))
        best, most = (0, 0), 0
        for number, (start, end, _) in enumerate(places):
            near = {term for begins, _, term in places[number:] if begins < start + _EXCERPT - 2 * _BEFORE}
            if len(near) > most:
                best, most = (start, end), len(near)
        first, last = _back(text, best[0]), _back(text, best[1])
        start = max(0, min(first - _BEFORE, len(text) - _EXCERPT))
        end = min(len(text), max(start + _EXCERPT, min(last, start + _LONGEST)))
        if start and (blank := _BLANKS.search(text, start, min(first, start + _WORD))):
            start = blank.end()
        if end < len(text) and (blanks := list(_BLANKS.finditer(text, max(last, end - _WORD), end))):
            end = blanks[-1].start()
        return start, end

    def _places(self, folded: str) -> list[tuple[int, int, int]]:
        """Where terms stand, each with the number of the term, in order."""
        found = [
            (start, end, number)
            for number, term in enumerate(self._terms)
            for start, end in islice(term.places(folded), _PLACES)
        ]
        return sorted(found)[:_ALL_PLACES]

    def _marks(self, text: str) -> list[tuple[int, int]]:
        """Where terms stand in a short text, in order, without overlaps."""
        origin = [place for place, character in enumerate(text) for _ in fold(character)]
        marks: list[tuple[int, int]] = []
        for start, end, _ in self._places(fold(text)):
            first, last = origin[start], origin[end - 1] + 1
            # Accents of their own are the letter's before them.
            while last < len(text) and not fold(text[last]):
                last += 1
            if marks and first <= marks[-1][1]:
                marks[-1] = (marks[-1][0], max(marks[-1][1], last))
            else:
                marks.append((first, last))
        return marks


def _term(pieces: Sequence[str], *, closed: bool) -> _Term:
    begins, ends = _is_spaced(pieces[0][0]), closed and _is_spaced(pieces[-1][-1])
    body = r"\s+".join(map(re.escape, pieces))
    pattern = re.compile(f"{_BEGINS if begins else ''}{body}{_ENDS if ends else ''}")
    return _Term(max(pieces, key=len), pattern, begins, ends)


def _words(folded: str) -> list[str]:
    """Runs of letters, digits and marks."""
    kept = (character if character.isalnum() or _is_mark(character) else " " for character in folded)
    return "".join(kept).split()


def _is_spaced(character: str) -> bool:
    """Whether it is part of a word that has blanks around it."""
    return character.isalnum() and not _IS_UNSPACED.match(character)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _cut(text: str, marks: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """The text in parts, each with whether it is marked."""
    place = 0
    for start, end in marks:
        yield text[place:start], False
        yield text[start:end], True
        place = end
    yield text[place:], False


def _back(text: str, place: int) -> int:
    """The place in a text that a place in the folded text comes from."""
    passed = 0
    for start in range(0, len(text), _STRIDE):
        part = text[start : start + _STRIDE]
        size = len(fold(part))
        if passed + size > place:
            for number, character in enumerate(part):
                passed += len(fold(character))
                if passed > place:
                    return start + number
        passed += size
    return len(text)
