"""Citations that were checked before anybody sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.agents.answering.citations import CitationBook
from services.agents.model import Citation, Finding, Quote, Standing
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
        found = {c.number: quote for c, quote in zip(citations, held, strict=True) if quote is not None}
        broken = frozenset(c.number for c in citations if c.number not in found)
        sources._book = drafted.with_quotes(found)
        return sources, broken

    def citations(self) -> tuple[Citation, ...]:
        """All citations of the run, by number."""
        return self._book.citations()

    async def cite(self, quotes: Sequence[Quote]) -> list[Finding]:
        """The quotes that hold, as findings under their numbers. Raises UnavailableError."""
        numbers = await self.number(quotes)
        return [
            Finding(quote.text, (number,))
            for quote, number in zip(quotes, numbers, strict=True)
            if number is not None
        ]

    async def number(self, quotes: Sequence[Quote]) -> list[int | None]:
        """The number of each quote; None for one that does not hold. Raises UnavailableError."""
        held = await self.check(quotes)
        return [None if quote is None else self._book.cite(quote) for quote in held]

    async def check(self, quotes: Sequence[Quote]) -> list[Quote | None]:
        """The quotes with where they stand in the original; None for one whose bytes do not stand where it
        says. Raises UnavailableError.
        """
        held: list[Standing | None] = []
        for start in range(0, len(quotes), _PER_CALL):
            held += await self._retriever.verify(quotes[start : start + _PER_CALL])
        return [
            None if standing is None else replace(quote, page=standing.page, location=standing.location)
            for quote, standing in zip(quotes, held, strict=True)
        ]
