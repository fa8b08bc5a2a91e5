"""What the agents that execute code work with in tests: every tool use is kept, nothing is shut in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from services.agents.answering.extractive import Evidence
from services.agents.ports import JsonObject
from services.agents.roster.agent import Work
from services.agents.roster.registry import Registry
from services.agents.routing.route import Route
from tests.support.kept_files import KeptDocuments, KeptFiles
from tests.support.plain_sandbox import PlainSandbox


class Toolbox:
    """Runs what it is told to, if the agent names the tool, and keeps names and summaries."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed
        self.used: list[tuple[str, str]] = []

    async def use(
        self,
        tool: str,
        arguments: JsonObject,
        action: Callable[[], Awaitable[JsonObject]],
        summary: Callable[[JsonObject], str],
    ) -> JsonObject:
        assert tool in self.allowed
        result = await action()
        self.used.append((tool, summary(result)))
        return result


class Model:
    """Answers with a message, or not at all; keeps what it was shown."""

    def __init__(self, answer: Message | None = None) -> None:
        self.answer = answer
        self.data: Mapping[str, str] = {}
        self.task = ""

    async def __call__(self, kind: type[Any], task: str, **asked: Any) -> Any:
        self.task, self.data = task, asked.get("data") or {}
        return self.answer


class NoSources:
    """There are no documents."""

    async def cite(self, quotes: Any) -> list[Any]:
        return []

    async def number(self, quotes: Any) -> list[Any]:
        return [None for _ in quotes]

    def citations(self) -> tuple[Any, ...]:
        return ()


async def nowhere(text: str) -> Route:
    return Route("research", 1.0, (), ())


class Bench:
    """An agent at work. `sandbox` None: code cannot be executed."""

    def __init__(
        self,
        agent_id: str,
        *,
        model: Message | None = None,
        sandbox: Any = PlainSandbox(),  # noqa: B008
    ) -> None:
        self.definition = Registry().get(agent_id).definition
        self.tools = Toolbox(self.definition.tools)
        self.model = Model(model)
        self.kept: list[Message] = []
        self.sandbox = sandbox

    async def work(self, inputs: Message, question: str = "What is the matter?") -> Any:
        """The agent's result."""
        return await self.definition.compose(
            Work(
                question=question,
                inputs=inputs,
                findings=(),
                evidence=Evidence((), None),
                sources=NoSources(),
                route=nowhere,
                tools=self.tools,
                ask=self.model,
                keep=self.kept.append,
                files=KeptFiles(),
                knowledge=KeptDocuments(),
                sandbox=self.sandbox,
            )
        )
