"""Whether quotes carry a statement that cites them."""

from __future__ import annotations

from collections.abc import Sequence

from services.agents.answering import terms
from services.agents.melding import quantities, wordings
from services.agents.melding.claims import claims
from services.agents.melding.contradiction import clash

# The share of a statement's stems that its quotes hold, at least.
_SHARE = 0.5


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
        not any(number.dimension == other.dimension and number.agrees(other) for other in known)
        and number.text.lower() not in together.lower()
        for number in said
    ):
        return False
    stated, quoted = claims(statement), [claims(quote) for quote in quotes]
    if any(claim.denials for claim in stated) and not any(claim.denials for item in quoted for claim in item):
        return False
    return not any(clash(stated, item) for item in quoted)


def _stems(text: str) -> set[str]:
    known = wordings.load()
    words = terms.content_words(text)
    return {known.of(word) for word in words if terms.stem(word) not in known.light and not word.isdigit()}
