"""Whether quotes carry a statement that cites them."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from services.agents.answering import terms
from services.agents.melding import quantities, wordings
from services.agents.melding.claims import claims
from services.agents.melding.contradiction import clash
from services.agents.melding.quantities import Quantity

# The share of a statement's stems that its quotes hold, at least.
_SHARE = 0.5
_DIGITS = re.compile(r"\d+(?:[.,'’\u00a0\u202f]\d+)*")
# The number of an item of a list, which says nothing.
_ITEM = re.compile(r"^\s*\d{1,3}[.)]\s")
# So many of something a reader may have counted himself.
_COUNTED = 10


class Ground:
    """All that a model was shown; what it writes has to stand on it.

    Other words for the same, in another language as well, are its business. Numbers are not, nor what the
    very sentence that it cites denies.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._text = "\n".join(texts)

    def carries(self, statement: str, quote: str) -> bool:
        """False when it has a number that neither what was shown has nor the quote in another unit, or
        contradicts the quote.
        """
        plain = _ITEM.sub("", statement, count=1)
        return not self._invents(plain, quote) and clash(claims(plain), claims(quote)) is None

    def _invents(self, statement: str, quote: str) -> bool:
        said, _ = quantities.of(statement)
        strange = [
            number
            for number in said
            if not (number.dimension == quantities.COUNT and number.high <= _COUNTED)
            and (digits := _digits(number.text))
            and not digits <= self._numbers
        ]
        known, _ = quantities.of(quote)
        return any(not any(_same(number, other) for other in known) for number in strange)

    @functools.cached_property
    def _numbers(self) -> frozenset[str]:
        return _digits(self._text)


def carried(statement: str, quotes: Sequence[str]) -> bool:
    """Whether quotes hold half of a statement's words and all of its numbers, and none contradicts it.

    What is denied must be denied in a quote.

    That a statement follows from its quotes nobody proves here; one that does not pass certainly has more in
    it than they say.
    """
    together = " ".join(quotes)
    wanted, held = _stems(statement), _stems(together)
    if not quotes or not wanted or len(wanted & held) < _SHARE * len(wanted):
        return False
    said, _ = quantities.of(statement)
    known, _ = quantities.of(together)
    if any(
        not any(_same(number, other) for other in known) and number.text.lower() not in together.lower()
        for number in said
    ):
        return False
    stated, quoted = claims(statement), [claims(quote) for quote in quotes]
    if any(claim.denials for claim in stated) and not any(claim.denials for item in quoted for claim in item):
        return False
    return not any(clash(stated, item) for item in quoted)


def _same(one: Quantity, other: Quantity) -> bool:
    return one.dimension == other.dimension and one.agrees(other)


def _digits(text: str) -> frozenset[str]:
    """Its numbers as written, without what parts thousands and decimals."""
    return frozenset(re.sub(r"\D", "", match[0]) for match in _DIGITS.finditer(text))


def _stems(text: str) -> set[str]:
    known = wordings.load()
    words = terms.content_words(text)
    return {known.of(word) for word in words if terms.stem(word) not in known.light and not word.isdigit()}
