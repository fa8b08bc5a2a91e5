"""Raised and lowered text and fractions, as characters of one line.

`10` and a raised `6` are no 106. Digits and signs have characters of their own, which the index reads as the
plain ones; other text is told by ``^`` and ``_``.
"""

import re
from typing import Final

_RAISED: Final = str.maketrans("0123456789+-−–()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁽⁾ⁿ")
_LOWERED: Final = str.maketrans("0123456789+-−–()n", "₀₁₂₃₄₅₆₇₈₉₊₋₋₋₍₎ₙ")
_SIGNS: Final = re.compile(r"[0-9+\-−–()n]+")
# Ends of ordinal numbers and of shortened words, which are raised for their looks.
_ENDINGS: Final = frozenset(
    {
        "st", "nd", "rd", "th", "e", "er", "ers", "ère", "re", "ème", "es", "de", "te", "o", "a", "º", "ª",
        "os", "as", "me", "mes", "lle", "lles", "gr", "tm", "sm", "r", "c",
    }
)  # fmt: skip
_NOTE: Final = re.compile(r"\[[^\[\]]*\]")
# Small print is raised as well, and is no exponent.
_WORDS: Final = re.compile(r"[^\W\d_]{2}\s+[^\W\d_]{2}")
_SINGLE: Final = re.compile(r"[\w.,]+|√\w+")


def raised(text: str) -> str:
    """The text as it stands above the line: `6` is `⁶`, `x` is `^x`, `x+1` is `^(x+1)`. Ends of ordinal
    numbers, marks of notes and words stay as they are.
    """
    return text if text.strip().lower() in _ENDINGS else _shifted(text, _RAISED, "^")


def lowered(text: str) -> str:
    """The text as it stands below the line: `2` is `₂`, `max` is `_max`."""
    return _shifted(text, _LOWERED, "_")


def fraction(above: str, below: str) -> str:
    """One over the other: `1/2`, `(a+b)/c`."""
    return f"{_grouped(above.strip())}/{_grouped(below.strip())}"


def _shifted(text: str, signs: dict[int, int], mark: str) -> str:
    """White space around it stays where it is."""
    inner = text.strip()
    if _SIGNS.fullmatch(inner):
        return text.translate(signs)
    if not any(map(str.isalnum, inner)) or _NOTE.fullmatch(inner) or _WORDS.search(inner):
        return text
    return text.replace(inner, mark + _grouped(inner), 1)


def _grouped(text: str) -> str:
    """What is more than one number or word in round brackets."""
    return text if not text or _SINGLE.fullmatch(text) else f"({text})"
