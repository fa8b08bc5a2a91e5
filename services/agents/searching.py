"""Searches that an agent asks for besides the run's own: counted, told, and in the run's journal."""

from __future__ import annotations

from meldrag.agents.v1 import agents_pb2
from services.agents import wire
from services.agents.model import Degradation, Passage, Retrieval
from services.agents.ports import Retriever
from services.agents.run import Run
from services.chassis.errors import NotFoundError


class Searches:
    """Implements ports.Search for one run, over its collections. What its own search found is known.

    Each counts as a use of a tool; it is told with the passages that no search of the run had found before.
    first: the run's own search, whose collections are searched. top_k: of that search. may_lack: nobody named
    them, so one that is not there any more has no passages, and is no error.
    """

    def __init__(
        self,
        run: Run,
        retriever: Retriever,
        first: Retrieval,
        *,
        top_k: int | None,
        may_lack: bool,
    ) -> None:
        self._run = run
        self._retriever = retriever
        self._collections = first.collections
        self._top_k = top_k
        self._may_lack = may_lack
        self._told = set(map(_place, first.passages))
        self._degraded = bool(first.degraded_reason)

    async def __call__(self, query: str, top_k: int | None = None) -> tuple[Passage, ...]:
        """See ports.Search."""
        self._run.ledger.charge_tool_call()
        passages, degraded = await self._found(query, top_k or self._top_k)
        if degraded and not self._degraded:
            self._degraded = True
            self._run.degrade(Degradation("vector_index", degraded))
        new = [passage for passage in passages if _place(passage) not in self._told]
        self._told.update(map(_place, new))
        self._run.emit(passages=agents_pb2.PassagesRetrieved(query=query, passages=map(wire.passage, new)))
        return passages

    async def _found(self, query: str, top_k: int | None) -> tuple[tuple[Passage, ...], str]:
        if not self._collections:
            return (), ""
        try:
            return await self._retriever.search(query, self._collections, top_k)
        except NotFoundError:
            if not self._may_lack:
                raise
            return (), ""


def _place(passage: Passage) -> tuple[str, str, int, int]:
    return passage.document_id, passage.extraction_sha256, passage.byte_start, passage.byte_end
