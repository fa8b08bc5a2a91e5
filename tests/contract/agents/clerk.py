"""An agent for tests of what all agents stand on: it takes the place of research."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from meldrag.agents.v1 import results_pb2
from services.agents.ports import JsonObject, ModelTool
from services.agents.roster.agent import Work
from services.agents.roster.registry import Registry

TOOLS = ("look", "measure")
Compose = Callable[[Work[Any]], Awaitable[results_pb2.ResearchResult]]


def registry(compose: Compose, tools: Iterable[str] = TOOLS) -> Registry:
    """The roster, with an agent that composes like this."""
    return Registry(
        dataclasses.replace(
            hosted,
            definition=dataclasses.replace(hosted.definition, compose=compose, tools=tuple(tools)),
        )
        if hosted.definition.agent_id == "research"
        else hosted
        for hosted in Registry()
    )


def gaps(*texts: str) -> str:
    """What a model answers that is asked for gaps."""
    return json.dumps({"gaps": texts})


class Clerk:
    """Asks a model for the gaps of a research result, with one tool, and keeps what was looked at."""

    def __init__(self, *, with_tool: bool = False, check: Callable[[Any], None] | None = None) -> None:
        self.looked: list[JsonObject] = []
        self._with_tool = with_tool
        self._check = check

    async def compose(self, work: Work[Any]) -> results_pb2.ResearchResult:
        """The answer's findings, and the model's gaps; a gap that says so where no model gave any."""
        result = results_pb2.ResearchResult(findings=work.cited_findings())
        work.keep(result)
        part = await work.ask(
            results_pb2.ResearchResult,
            "Which gaps are there?",
            data={passage.title: passage.text for passage in work.evidence.passages},
            fields=("gaps",),
            check=self._check,
            tools=(self.tool(),) if self._with_tool else (),
        )
        result.gaps.extend(["no model"] if part is None else part.gaps)
        return result

    def tool(self) -> ModelTool:
        """Looks at something, and says how often something was looked at."""

        async def action(arguments: JsonObject) -> JsonObject:
            self.looked.append(arguments)
            return {"looks": len(self.looked)}

        return ModelTool(
            "look",
            "Looks at something.",
            {
                "type": "object",
                "properties": {"at": {"type": "string", "maxLength": 200}},
                "required": ["at"],
                "additionalProperties": False,
            },
            action,
            lambda result: f"{result['looks']} looks",
        )
