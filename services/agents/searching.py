"""Searches that an agent asks for besides the run's own: counted, told, and in the run's journal."""

from __future__ import annotations

from collections.abc import Sequence

from meldrag.agents.v1 import agents_pb2
from services.agents import wire
from services.agents.model import Degradation, Passage, Retrieval
from services.agents.ports import Retriever
from services.agents.run import Run
from services.chassis.errors import NotFoundError


class Searches:
    """Implements ports.Search for one run, over its collections. What its own search found is known.

    Each counts as a use of a tool; it is told with the passages that no search of the run had found before.
    top_k: of the run's own search. may_lack: a collection that is not there has no passages, and is no error.
    """

    def __init__(
        self,
        run: Run,
        retriever: Retriever,
        collections: Sequence[str],
        first: Retrieval,
        *,
        top_k: int | None,
        may_lack: bool,
    ) -> None:
        self._run = run
        self._retriever = retriever
        self._collections = tuple(collections)
        self._top_k = top_k
        self._may_lack = may_lack
        self._told = set(map(_place, first.passages))
        self._degraded = bool(first.degraded_reason)

    async def __call__(self, query: str, top_k: int | None = None) -> tuple[Passage, ...]:
        """See ports.Search."""
        self._run.ledger.charge_tool_call()
        try:
            passages, degraded = await self._retriever.search(query, self._collections, top_k or self._top_k)
        except NotFoundError:
            if not self._may_lack:
                raise
            passages, degraded = (), ""
        if degraded and not self._degraded:
            self._degraded = True
            self._run.degrade(Degradation("vector_index", degraded))
        new = [passage for passage in passages if _place(passage) not in self._told]
        self._told.update(map(_place, new))
        self._run.emit(passages=agents_pb2.PassagesRetrieved(query=query, passages=map(wire.passage, new)))
        return passages


def _place(passage: Passage) -> tuple[str, str, int, int]:
    return passage.document_id, passage.extraction_sha256, passage.byte_start, passage.byte_end
