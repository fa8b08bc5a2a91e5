"""Citations of runs below, for the run that they are below."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2
from services.agents.answering import citations
from services.agents.model import Passage, Quote
from services.agents.ports import JsonObject
from services.agents.roster.agent import Sources


async def recited(text: str, cited: Sequence[JsonObject], sources: Sources) -> tuple[str, tuple[int, ...]]:
    """A text of a run below with numbers of this run in its marks, and these numbers. Marks whose quote does
    not hold, or is not known, are left out.

    cited: as in RunResult. Raises UnavailableError (RETRIEVAL_UNAVAILABLE).
    """
    known = [json_format.ParseDict(citation, agents_pb2.Citation()) for citation in cited]
    used = [citation for citation in known if f"[{citation.number}]" in text]
    held = await sources.number([quote(citation) for citation in used])
    numbers = {c.number: new for c, new in zip(used, held, strict=True) if new is not None}
    lost = frozenset(citation.number for citation in used) - numbers.keys()
    bare = citations.without_marks(text, lost)
    return citations.renumbered(bare, numbers), tuple(sorted(set(numbers.values())))


def uncited(text: str, cited: Sequence[JsonObject]) -> str:
    """A text of a run below without its marks."""
    return citations.without_marks(text, frozenset(int(citation["number"]) for citation in cited))


def quote(citation: agents_pb2.Citation) -> Quote:
    """A citation as a quote to be verified. Its passage is the quote itself."""
    passage = Passage(
        document_id=citation.document_id,
        title=citation.title,
        chunk_id="",
        collection_id=citation.collection_id,
        text=citation.quote,
        byte_start=citation.byte_start,
        byte_end=citation.byte_end,
        extraction_sha256=citation.extraction_sha256,
        page=citation.page,
        location=citation.location,
    )
    return Quote(passage, citation.byte_start, citation.byte_end, citation.quote)
