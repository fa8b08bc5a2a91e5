"""Citations that were checked before anybody sees them."""

from __future__ import annotations

from collections.abc import Sequence

from services.agents.answering.citations import CitationBook
from services.agents.model import Citation, Finding, Quote
from services.agents.ports import Retriever

_PER_CALL = 500


class VerifiedSources:
    """Numbers quotes whose bytes the vector service has confirmed; no other gets a number."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._book = CitationBook()

    @classmethod
    async def adopt(
        cls, retriever: Retriever, drafted: CitationBook
    ) -> tuple[VerifiedSources, frozenset[int]]:
        """Checks what was cited while a text was written; also returns the numbers that did not hold."""
        sources = cls(retriever)
        citations = drafted.citations()
        held = await sources.check([citation.quote for citation in citations])
        broken = frozenset(c.number for c, holds in zip(citations, held, strict=True) if not holds)
        sources._book = drafted.without(broken)
        return sources, broken

    def citations(self) -> tuple[Citation, ...]:
        """All citations of the run, by number."""
        return self._book.citations()

    async def cite(self, quotes: Sequence[Quote]) -> list[Finding]:
        """The quotes that hold, as findings under their numbers. Raises UnavailableError."""
        held = await self.check(quotes)
        return [
            Finding(quote.text, (self._book.cite(quote),))
            for quote, holds in zip(quotes, held, strict=True)
            if holds
        ]

    async def check(self, quotes: Sequence[Quote]) -> list[bool]:
        """Whether each quote's bytes stand where it says. Raises UnavailableError."""
        held: list[bool] = []
        for start in range(0, len(quotes), _PER_CALL):
            held += await self._retriever.verify(quotes[start : start + _PER_CALL])
        return held
