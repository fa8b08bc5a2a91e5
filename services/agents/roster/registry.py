"""Finds the agents: every module of the roster that defines AGENT."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

from google.protobuf.message import Message

from meldrag.agents.v1 import results_pb2
from services.agents import json_schema, roster
from services.agents.roster.agent import AgentDefinition
from services.chassis.errors import NotFoundError


@dataclass(frozen=True)
class Hosted:
    """An agent with what was read and derived for it."""

    definition: AgentDefinition[Any, Any]
    prompt: str
    input_schema: dict[str, Any]
    result_schema: dict[str, Any]


class Registry:
    """The hosted agents, in the order in which the contract lists their results.

    agents: instead of those of the roster.
    """

    def __init__(self, agents: Iterable[Hosted] | None = None) -> None:
        found = {hosted.definition.agent_id: hosted for hosted in agents or _discover()}
        results = results_pb2.AgentResult.DESCRIPTOR.oneofs_by_name["result"].fields
        self._agents = {field.name: found[field.name] for field in results}

    def __iter__(self) -> Iterator[Hosted]:
        return iter(self._agents.values())

    def ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(self._agents)

    def get(self, agent_id: str) -> Hosted:
        """The agent. Raises NotFoundError (AGENT_NOT_FOUND)."""
        if agent_id not in self._agents:
            raise NotFoundError(
                f"there is no agent {agent_id[:100]!r}; there are {', '.join(self._agents)}",
                reason="AGENT_NOT_FOUND",
                metadata={"agent_id": agent_id[:100]},
            )
        return self._agents[agent_id]

    def parse_inputs(self, hosted: Hosted, inputs: dict[str, Any]) -> Message:
        """The inputs as the agent's message. Raises InvalidArgumentError (INPUTS_INVALID)."""
        definition = hosted.definition
        message: Message = json_schema.parse(
            inputs, hosted.input_schema, definition.inputs, agent_id=definition.agent_id
        )
        return message


def _discover() -> Iterator[Hosted]:
    folder = resources.files(roster)
    for module_info in pkgutil.iter_modules(roster.__path__, f"{roster.__name__}."):
        definition = getattr(importlib.import_module(module_info.name), "AGENT", None)
        if isinstance(definition, AgentDefinition):
            yield Hosted(
                definition,
                (folder / f"{definition.agent_id}.md").read_text("utf-8"),
                json_schema.of(definition.inputs.DESCRIPTOR),
                json_schema.of(definition.result.DESCRIPTOR),
            )
