"""Raised and lowered text, fractions and roots in plain text: 10⁶ is not 106, and 1/2 is not 12.

Digits have raised and lowered forms, which the keyword index takes for digits (NFKC): CO2 finds CO₂. All
else is marked, as in x^(a+b) and V_max. Endings of ordinals and of abbreviations stay as they are, since
they belong to their word.
"""

import re
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Final

_RAISED: Final = str.maketrans("0123456789+-\u2212\u2013()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁽⁾ⁿ")
_LOWERED: Final = str.maketrans("0123456789+-\u2212\u2013()n", "₀₁₂₃₄₅₆₇₈₉₊₋₋₋₍₎ₙ")
# With commas between, as several notes are cited.
_DIGITS: Final = re.compile("[0-9+\\-\u2212\u2013()n]+(?:, ?[0-9+\\-\u2212\u2013()n]+)*")
_TOKEN: Final = re.compile(r"\w+(?:[.,^]\w+)*|\([^()]*\)")
_WORD: Final = re.compile(r"\w")
# 1st, 2nd; 1er, 2e, 2ème; 1o, 1a, 20 oC; Mme, Mlle, Dr, Sra, nos.
_ENDINGS: Final = frozenset(
    {
        "st", "nd", "rd", "th", "er", "re", "e", "ème", "eme", "ère", "es", "d", "de", "nde", "ste",
        "o", "a", "os", "as", "º", "ª", "me", "mes", "lle", "lles", "r", "gr", "ie",
    }
)  # fmt: skip
_NOTE: Final = re.compile(r"\[[^\[\]]*\]")
# Longer is no exponent: somebody set a remark in small letters.
_SCRIPT_MAX: Final = 16


def raised(text: str) -> str:
    """The text as an exponent of what stands before it."""
    return _script(text, _RAISED, "^")


def lowered(text: str) -> str:
    """The text as an index of what stands before it."""
    return _script(text, _LOWERED, "_")


def fraction(numerator: str, denominator: str) -> str:
    return f"{_bracketed(numerator)}/{_bracketed(denominator)}"


def root(radicand: str, degree: str = "") -> str:
    return f"{raised(degree)}√({radicand.strip()})"


def joined(pieces: Iterable[tuple[str, int]]) -> str:
    """Prose from pieces that are raised (1), lowered (-1) or neither (0)."""
    parts: list[str] = []
    for position, group in groupby((piece for piece in pieces if piece[0]), key=itemgetter(1)):
        text = "".join(piece for piece, _ in group)
        attached = bool(parts) and not parts[-1][-1].isspace()
        parts.append(placed(text, position, attached) if position else text)
    return "".join(parts)


def noted(pieces: list[tuple[str, int]], mark: str) -> tuple[str, int]:
    """The mark of a note that follows the pieces: no power of the word before it."""
    word = bool(pieces) and pieces[-1][0][-1:].strip() != ""
    return (f"[{mark.strip()}]" if word and mark.strip() else mark), 0


def placed(text: str, position: int, attached: bool) -> str:
    """Prose that is raised (1) or lowered (-1). attached: to what stands before it."""
    core = text.strip()
    if _NOTE.fullmatch(core):
        return text
    if not _DIGITS.fullmatch(core):
        ending = position > 0 and core.removesuffix(".").lower() in _ENDINGS
        if not attached or ending or len(core) > _SCRIPT_MAX or core != text or len(core.split()) > 1:
            return text
    before, _, after = text.partition(core)
    return before + (raised(core) if position > 0 else lowered(core)) + after


def _script(text: str, letters: dict[int, int], mark: str) -> str:
    text = text.strip()
    if _DIGITS.fullmatch(text):
        return text.translate(letters)
    # Primes, degrees and stars are raised by themselves.
    if not _WORD.search(text):
        return text
    return mark + _bracketed(text)


def _bracketed(text: str) -> str:
    text = text.strip()
    return text if _TOKEN.fullmatch(text) or not text else f"({text})"
