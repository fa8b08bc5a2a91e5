"""What a number format of a workbook says that its number does not: the words and signs beside it, and zeros
before it (ECMA-376 part 1, 18.8.31).

The digits stay those of the value: a format that rounds it is no reason to lose them.
"""

import re
from dataclasses import dataclass
from typing import Final

# What is not shown: room for a character, one that is repeated, colours, languages.
_PIECE: Final = re.compile(
    r'"(?P<quoted>[^"]*)"'
    r"|\\(?P<single>.)"
    r"|\[\$(?P<currency>[^\]-]*)[^\]]*\]"
    r"|(?P<condition>\[[<>=][^\]]*\])"
    r"|(?P<room>[_*].|\[[^\]]*\])"
    r"|(?P<digits>[0#?]+|General|@)"
    r"|(?P<end>;)"
    r"|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
# Signs and brackets of a negative number, which has its sign anyway.
_SIGNS: Final = frozenset("-+()\u2212")
# Within a number: what parts its thousands.
_PARTING: Final = frozenset(" '\u00a0\u202f\u2019")
_CODE_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class _Section:
    """before, after: the text beside the number; zeros: how many digits it has at least; digits: whether the
    number is shown at all.
    """

    before: str
    after: str
    zeros: int
    digits: bool

    def shown(self, digits: str, *, negative: bool) -> str:
        if not self.digits:
            # A dash for a zero says less than the zero.
            words = self.before if any(map(str.isalnum, self.before)) else ""
            return words or ("-" if negative else "") + digits
        if self.zeros > 1 and digits.isdecimal():
            digits = digits.zfill(self.zeros)
        if not negative:
            return f"{self.before}{digits}{self.after}"
        beside = self.before[-1:].isspace() or self.before[-1:].isalpha()
        return f"{self.before}-{digits}{self.after}" if beside else f"-{self.before}{digits}{self.after}"


class NumberFormat:
    """A format code; one that is not understood adds nothing."""

    def __init__(self, code: str) -> None:
        self._sections: list[_Section] = []
        if len(code) > _CODE_MAX:
            return
        pieces: list[re.Match[str]] = []
        for piece in _PIECE.finditer(code):
            if piece["condition"]:
                self._sections = []
                return
            if piece["end"]:
                self._sections.append(_section(pieces))
                pieces = []
            else:
                pieces.append(piece)
        self._sections.append(_section(pieces))

    @property
    def adds(self) -> bool:
        """Whether there is anything beside the number."""
        return any(part.before or part.after or part.zeros > 1 for part in self._sections)

    def shown(self, number: float, digits: str) -> str:
        """The number as it is shown; `digits` are those of its amount."""
        at = 1 if number < 0 else 2 if number == 0 else 0
        section = self._sections[at] if at < min(3, len(self._sections)) else self._sections[0]
        return section.shown(digits, negative=number < 0)


def _section(pieces: list[re.Match[str]]) -> _Section:
    places = [at for at, piece in enumerate(pieces) if piece["digits"]]
    if not places:
        return _Section(_literal(pieces).strip(), "", 0, digits=False)
    inside = pieces[places[0] : places[-1] + 1]
    after = pieces[places[-1] + 1 :]
    scaled = bool(after) and after[0]["other"] == ","
    if scaled or not set(_literal(inside)) <= _PARTING:
        return _Section("", "", 0, digits=True)
    zeros = len(inside[0][0]) if len(inside) == 1 and set(inside[0][0]) == {"0"} else 0
    return _Section(
        _literal(pieces[: places[0]]).lstrip(), _literal(after).rstrip(), min(zeros, _CODE_MAX), digits=True
    )


def _literal(pieces: list[re.Match[str]]) -> str:
    """What they show as it is."""
    found: list[str] = []
    for piece in pieces:
        text = piece["quoted"] or piece["single"] or piece["currency"] or ""
        other = piece["other"] or ""
        if other in {" ", "$"} or other > "\x7f":
            text = other
        found.append("" if text in _SIGNS else text)
    return "".join(found)
