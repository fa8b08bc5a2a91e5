"""Whether a quote stands where a citation says: byte for byte, in that very extraction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from services.vector.access import Caller
from services.vector.documents import Document
from services.vector.identifiers import is_document_id
from services.vector.record.documents import Documents
from services.vector.record.places import Where


class Fault(IntEnum):
    """Why a citation does not hold; the numbers are those of the contract."""

    DOCUMENT_NOT_FOUND = 1
    EXTRACTION_CHANGED = 2
    SPAN_INVALID = 3
    QUOTE_DIFFERS = 4


@dataclass(frozen=True, slots=True)
class Claim:
    """A quote and where it is said to stand."""

    document_id: str
    extraction_sha256: str
    byte_start: int
    byte_end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a claim holds, and if so where its quote stands in the original."""

    fault: Fault | None
    where: Where = Where()  # noqa: RUF009 # frozen


class Citations:
    """Checks claims against the record."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def verify(self, caller: Caller, claims: Sequence[Claim]) -> list[Verdict]:
        """One per claim, in order."""
        ids = {claim.document_id for claim in claims if is_document_id(claim.document_id)}
        documents = await self._documents.get_any(caller, ids)
        verdicts: list[Verdict] = []
        for claim in claims:
            document = documents.get(claim.document_id)
            verdict = await self._judge(document, claim)
            if document is not None and verdict.fault is Fault.DOCUMENT_NOT_FOUND:
                # It may have been read again in this very moment.
                verdict = await self._judge(await self._documents.renewed(document), claim)
            verdicts.append(verdict)
            await asyncio.sleep(0)
        return verdicts

    async def _judge(self, document: Document | None, claim: Claim) -> Verdict:
        fault = await self._fault(document, claim)
        if fault is not None or document is None:
            return Verdict(fault)
        return Verdict(None, await self._documents.locate(document.key, claim.byte_start, claim.byte_end))

    async def _fault(self, document: Document | None, claim: Claim) -> Fault | None:
        if document is None:
            return Fault.DOCUMENT_NOT_FOUND
        if claim.extraction_sha256 != document.extraction_sha256:
            return Fault.EXTRACTION_CHANGED
        if not 0 <= claim.byte_start < claim.byte_end <= document.text_bytes:
            return Fault.SPAN_INVALID
        quote = claim.quote.encode()
        if len(quote) != claim.byte_end - claim.byte_start:
            # The reader need not load a range that cannot match, but a cut character is the worse fault.
            edges = await self._documents.text(document.key, claim.byte_start, claim.byte_start + 1)
            tail = await self._documents.text(document.key, claim.byte_end - 1, claim.byte_end)
            whole = (
                edges.byte_start == claim.byte_start and tail.byte_start + len(tail.data) == claim.byte_end
            )
            return Fault.QUOTE_DIFFERS if whole else Fault.SPAN_INVALID
        text = await self._documents.text(document.key, claim.byte_start, claim.byte_end)
        if not text.data:
            return Fault.DOCUMENT_NOT_FOUND
        if text.byte_start != claim.byte_start or len(text.data) != len(quote):
            return Fault.SPAN_INVALID
        return None if text.data == quote else Fault.QUOTE_DIFFERS
