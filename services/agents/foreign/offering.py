"""What an agent of a run is offered of other people's tools, as the run's journal has it."""

from __future__ import annotations

import dataclasses
from typing import Any

from services.agents.journal.journal import Journal
from services.agents.ports import ForeignOffer, ForeignTool, ForeignTools, JsonObject, ModelTool


class NoForeignTools:
    """Is ForeignTools where the setting names no server."""

    async def offered(self, agent_id: str) -> ForeignOffer:
        """See ForeignTools."""
        del agent_id
        return ForeignOffer()

    async def call(self, name: str, arguments: JsonObject) -> JsonObject:
        """See ForeignTools."""
        del arguments
        raise LookupError(f"no server has the tool {name}")


class JournaledForeignTools:
    """Is ForeignTools, behind the journal of a run: what was offered is offered again, whoever is gone.

    Calls are journaled as uses of tools, not here.
    """

    def __init__(self, inner: ForeignTools, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    async def offered(self, agent_id: str) -> ForeignOffer:
        """See ForeignTools."""

        async def ask() -> dict[str, Any]:
            return dataclasses.asdict(await self._inner.offered(agent_id))

        plain = await self._journal.ask("foreign tools", {"agent_id": agent_id}, ask)
        return ForeignOffer(tuple(ForeignTool(**tool) for tool in plain["tools"]), tuple(plain["missing"]))

    async def call(self, name: str, arguments: JsonObject) -> JsonObject:
        """See ForeignTools."""
        return await self._inner.call(name, arguments)


def model_tools(offer: ForeignOffer, tools: ForeignTools) -> tuple[ModelTool, ...]:
    """The tools in the form in which a model is offered them."""
    return tuple(_model_tool(tool, tools) for tool in offer.tools)


def _model_tool(tool: ForeignTool, tools: ForeignTools) -> ModelTool:
    async def action(arguments: JsonObject) -> JsonObject:
        return await tools.call(tool.name, arguments)

    return ModelTool(tool.name, tool.description, tool.parameters, action, _summary)


def _summary(result: JsonObject) -> str:
    words = " ".join(str(result["text"]).split())[:200]
    return f"It failed: {words}" if result["is_error"] else words or "It said nothing."
