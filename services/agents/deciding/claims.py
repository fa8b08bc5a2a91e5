"""What a model claims, with the words that carry it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from meldrag.agents.v1 import results_pb2
from services.agents.model import Passage, Quote
from services.agents.roster.agent import Sources

_MAX_STATEMENT = 2_000
_MAX_CLAIMS = 20


async def verified(
    claims: Iterable[results_pb2.QuotedClaim], passages: Sequence[Passage], sources: Sources
) -> tuple[list[results_pb2.Finding], int]:
    """The claims as findings, and how many were dropped: one that quotes words which stand in no passage, or
    whose citation does not hold. A claim without a quote stays, without a citation.
    """
    kept: list[results_pb2.Finding] = []
    dropped = 0
    for claim in list(claims)[:_MAX_CLAIMS]:
        statement = claim.statement.strip()[:_MAX_STATEMENT]
        if not statement:
            continue
        if not claim.quote.strip():
            kept.append(results_pb2.Finding(statement=statement))
            continue
        quote = find(claim.quote, passages)
        found = await sources.cite([quote]) if quote else []
        if found:
            kept.append(results_pb2.Finding(statement=statement, citations=found[0].citations))
        else:
            dropped += 1
    return kept, dropped


def find(words: str, passages: Sequence[Passage]) -> Quote | None:
    """Where the words stand in the passages; any blanks may stand between them. None where they do not."""
    parts = words.strip(' \n\t"“”').split()
    if not parts:
        return None
    pattern = re.compile(r"\s+".join(map(re.escape, parts)))
    for passage in passages:
        if match := pattern.search(passage.text):
            return Quote.of(passage, match.start(), match.end())
    return None
