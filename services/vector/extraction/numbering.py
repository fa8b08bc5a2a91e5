"""The numbers that list items and headings show, counted as the programs that show them do.

Contracts and manuals are cited by these numbers, and no text of the file holds them. A number that is not
known is left out: a wrong one would be cited.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_ROMAN: Final = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_LETTERS: Final = {
    "lowerLetter": "abcdefghijklmnopqrstuvwxyz",
    "russianLower": "абвгдежзиклмнопрстуфхцчшщыэюя",
}
_HAN: Final = "〇一二三四五六七八九"
_COUNTED_IN_HAN: Final = frozenset(
    {"chineseCounting", "chineseCountingThousand", "japaneseCounting", "taiwaneseCountingThousand"}
)
# As many as Word has letters for: z is followed by aa, bb and so on.
_REPEATED_MAX: Final = 30
_NUMBER_MAX: Final = 32_767
_CIRCLED_MAX: Final = 20
_PLACE: Final = re.compile("%([1-9])")


@dataclass(frozen=True, slots=True)
class Level:
    """A level of a list. kind: as WordprocessingML names number formats; text: what is shown, with %1 to %9
    for the numbers of the levels; legal: whether all of these are decimal; restart: levels above this one
    begin it anew, all when None.
    """

    kind: str = "bullet"
    text: str = ""
    start: int = 1
    legal: bool = False
    restart: int | None = None


class Counters:
    """Where a list has got to, by level from 0."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def begin(self, level: int, number: int) -> None:
        """The next item of that level has that number."""
        self._numbers[level] = number - 1

    def count(self, levels: Mapping[int, Level], level: int) -> str:
        """Counts an item; what it shows before its text, "" for a bullet."""
        own = levels.get(level)
        if own is None:
            return ""
        self._numbers[level] = self._numbers.get(level, own.start - 1) + 1
        for deeper in [number for number in self._numbers if number > level]:
            restart = levels[deeper].restart if deeper in levels else None
            if level < (deeper if restart is None else restart):
                del self._numbers[deeper]
        return self._label(levels, own)

    def _label(self, levels: Mapping[int, Level], own: Level) -> str:
        label = own.text
        for place in dict.fromkeys(_PLACE.findall(own.text)):
            other = levels.get(int(place) - 1)
            if other is None:
                return ""
            number = self._numbers.get(int(place) - 1, other.start)
            shown = numeral(number, "decimal" if own.legal and other.kind != "none" else other.kind)
            if shown is None:
                return ""
            label = label.replace(f"%{place}", shown)
        return "" if own.kind == "bullet" else label.strip()


def numeral(number: int, kind: str) -> str | None:
    """The number in a format of WordprocessingML; None where it cannot be told."""
    if kind == "none":
        return ""
    if not 0 <= number <= _NUMBER_MAX:
        return None
    if kind in ("decimal", "decimalZero"):
        return f"{number:02}" if kind == "decimalZero" else str(number)
    if kind.startswith("upper") or kind == "russianUpper":
        lower = numeral(number, kind.replace("upper", "lower").replace("Upper", "Lower"))
        return lower.upper() if lower is not None else None
    if number == 0:
        return None
    if kind == "lowerRoman":
        return _roman(number)
    if kind in _LETTERS:
        letters = _LETTERS[kind]
        repeated, place = divmod(number - 1, len(letters))
        return letters[place] * (repeated + 1) if repeated < _REPEATED_MAX else None
    if kind in _COUNTED_IN_HAN:
        return _han(number)
    if kind == "decimalEnclosedCircle":
        return chr(0x245F + number) if number <= _CIRCLED_MAX else None
    return None


def _roman(number: int) -> str:
    shown = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        shown += letters * count
    return shown


def _han(number: int) -> str | None:
    tens, ones = divmod(number, 10)
    if tens > 9:
        return None
    return (_HAN[tens] if tens > 1 else "") + ("十" if tens else "") + (_HAN[ones] if ones else "")
