"""Where sentences end, in time linear in the text and without a model.

A rule-based splitter in the manner of Punkt (Kiss and Strunk 2006) with fixed lists in place of learned ones:
terminators close a sentence unless what stands before is an abbreviation, an initial or a list number, or
what follows begins in lower case. Blank lines and list markers at a line start always close one. Chinese
and Japanese terminators need no space after them.
"""

import re
from collections.abc import Iterator
from typing import Final

# A blank line, or a line that begins with a list marker.
_BREAK: Final = re.compile(r"\n[^\S\n]*\n\s*|\n(?=[^\S\n]*(?:[-*+•‣◦▪]|\d{1,3}[.)])[^\S\n])")
# Possessive, and accepted or refused as a whole in Python: no input makes these look twice. Footnote marks
# belong to the sentence before them.
_END: Final = re.compile(
    r"(?P<unspaced>[。！？｡]++[」』”’）)\]】》]*+)"
    r"|[.!?…؟۔।॥።։]++[\"'”’»)\]]*+(?:\[\d{1,3}\])*+"
)
_SPACE: Final = re.compile(r"\s*+")
_WORD: Final = re.compile(r"[^\W\d_]+")
_DOTTED: Final = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]$")
_TOKEN_MAX: Final = 24
_TOKEN: Final = re.compile(r"[\w.\-']*$")

# Never the end of a sentence: something follows that belongs to them.
_OPEN: Final = frozenset(
    {
        # English
        "mr", "mrs", "ms", "dr", "prof", "rev", "hon", "st", "gen", "col", "lt", "sgt", "capt", "gov", "sen",
        "rep", "pres", "vs", "cf", "viz", "approx", "ca", "resp", "esp", "incl", "dept", "univ", "messrs",
        # German
        "bzw", "vgl", "sog", "ggf", "evtl", "inkl", "exkl", "hr", "fr", "hrsg", "geb", "gest", "z", "dipl",
        "ing", "str", "allg", "insb", "bspw", "zzgl", "abzgl",
        # French, Spanish, Italian, Portuguese
        "mme", "mlle", "mgr", "sr", "sra", "srta", "dña", "ud", "uds", "sig", "dott", "avv", "exmo", "exma",
    }
)  # fmt: skip
# Not the end when a number, a letter of its own or a bracket follows.
_NUMBERED: Final = frozenset(
    {
        "no", "nos", "nr", "num", "fig", "figs", "eq", "eqs", "sec", "sect", "ch", "chap", "p", "pp", "vol",
        "vols", "art", "arts", "abs", "tab", "ref", "refs", "app", "bd", "kap", "abb", "ziff", "rn", "núm",
        "pág", "págs", "cap", "ed", "anm", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept",
        "oct", "okt", "nov", "dec", "dez",
    }
)  # fmt: skip
# German dates: "3. Oktober".
_MONTHS: Final = frozenset(
    {
        "januar", "jänner", "februar", "märz", "april", "mai", "juni", "juli", "august", "september",
        "oktober", "november", "dezember",
    }
)  # fmt: skip
# After an initial or an acronym with dots, one of these says that a sentence has ended.
_STARTERS: Final = frozenset(
    {
        "the", "a", "an", "this", "that", "these", "those", "it", "its", "he", "she", "they", "we", "you",
        "in", "on", "at", "as", "for", "from", "with", "by", "to", "if", "when", "while", "where", "after",
        "before", "since", "however", "but", "and", "or", "so", "there", "here", "his", "her", "their", "our",
        "my", "your", "no", "not", "what", "who", "why", "how", "der", "die", "das", "ein", "eine", "er",
        "sie", "es", "wir", "ich", "im", "am", "aber", "und", "doch", "le", "la", "les", "un", "une", "il",
        "elle", "ils", "el", "los", "las", "una", "en", "pero", "y",
    }
)  # fmt: skip


def sentences(text: str) -> list[tuple[int, int]]:
    """Half-open character spans of the sentences, in order, without blanks around them.

    Together they hold every character of `text` that is not white space.
    """
    return [span for start, end in _paragraphs(text) for span in _in_paragraph(text, start, end)]


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for gap in _BREAK.finditer(text):
        yield start, gap.start()
        start = gap.end()
    yield start, len(text)


def _in_paragraph(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    start = _after_space(text, start, end)
    for terminator in _END.finditer(text, start, end):
        stop = terminator.end()
        if stop < end and not _ends(text, start, terminator, end):
            continue
        yield start, stop
        start = _after_space(text, stop, end)
    if start < end:
        # Only blanks can be left over at the end, and they are cut off.
        yield start, start + len(text[start:end].rstrip())


def _after_space(text: str, start: int, end: int) -> int:
    space = _SPACE.match(text, start, end)
    return space.end() if space else start


def _ends(text: str, start: int, terminator: re.Match[str], end: int) -> bool:
    """Whether the sentence that begins at `start` ends with `terminator`."""
    if terminator["unspaced"] is not None:
        return True
    stop = terminator.end()
    if not text[stop].isspace():
        return False
    following = _after_space(text, stop, end)
    if following == end:
        return True
    if text[following].islower():
        return False
    return terminator[0] != "." or not _is_abbreviation(text, start, terminator.start(), following)


def _is_abbreviation(text: str, start: int, dot: int, following: int) -> bool:
    """Whether the full stop at `dot` belongs to the word before it."""
    token_match = _TOKEN.search(text[max(start, dot - _TOKEN_MAX) : dot])
    token = token_match[0] if token_match else ""
    lower = token.lower().lstrip("-'")
    if not lower:
        return False
    next_word = _WORD.match(text, following, following + _TOKEN_MAX)
    begins = next_word[0].lower() if next_word else ""
    if lower.isdecimal():
        # A list number, or a day before its month.
        return (dot - len(token) == start and len(lower) <= 3) or (len(lower) <= 2 and begins in _MONTHS)
    if lower in _OPEN:
        return True
    if lower in _NUMBERED:
        return text[following].isdecimal() or text[following] in "([" or len(begins) == 1
    if (len(token) == 1 and token.isupper()) or _DOTTED.match(token):
        return begins not in _STARTERS
    return False
