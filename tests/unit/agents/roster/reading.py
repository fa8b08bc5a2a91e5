"""An agent at work over passages, with a session that it may keep notes in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from services.agents import results
from services.agents.answering.extractive import Evidence
from services.agents.model import Passage
from services.agents.notes import RunNotes
from services.agents.ports import JsonObject
from services.agents.roster.agent import Work
from services.agents.roster.registry import Registry
from services.agents.routing.route import Route
from services.chassis.errors import ServiceError
from tests.support.kept_files import KeptDocuments, KeptFiles
from tests.unit.agents.roster.coding import Toolbox
from tests.unit.agents.roster.test_results import Sources


def passage(text: str, title: str = "Handbook", document: str = "doc-1", start: int = 0) -> Passage:
    """A passage of a document of its own."""
    return Passage(document, title, "c", "k", text, start, start + len(text.encode()), "x" * 64)


class Answers:
    """A model that gives these messages, each when its kind is asked for; one that the agent's check refuses
    is followed by the next of its kind, once. Keeps what it was told is wrong.
    """

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.faults: list[str] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def __call__(
        self,
        kind: type[Any],
        task: str,
        *,
        data: dict[str, str] | None = None,
        check: Callable[[Any], None] | None = None,
        **_: object,
    ) -> Any:
        self.asked.append((task, dict(data or {})))
        for _try in range(2):
            found = next((message for message in self.messages if isinstance(message, kind)), None)
            if found is None:
                return None
            self.messages.remove(found)
            try:
                if check is not None:
                    check(found)
            except ValueError as error:
                self.faults.append(str(error))
            else:
                return found
        return None


class Sessions:
    """The notes of one session. error: what every call fails with."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self.error: ServiceError | None = None

    async def note(self, session_id: str, name: str) -> str:
        if self.error is not None:
            raise self.error
        return self.notes.get(name, "")

    async def keep_note(self, session_id: str, name: str, text: str) -> None:
        self.notes[name] = text

    def kept(self, name: str) -> JsonObject:
        """What is kept, read."""
        read: JsonObject = json.loads(self.notes[name])["value"]
        return read


class Desk:
    """An agent with passages before it. sessions: None for a run without a session."""

    def __init__(
        self,
        agent_id: str,
        passages: Sequence[Passage] = (),
        *,
        model: Answers | None = None,
        route: Callable[[str], str] = lambda text: "research",
        sources: Sources | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self.definition = Registry().get(agent_id).definition
        self.passages = passages
        self.model = model or Answers()
        self.sources = sources or Sources()
        self.sessions = sessions
        self.tools = Toolbox(self.definition.tools)
        self.kept: list[Message] = []
        self._route = route

    async def work(self, question: str, run_id: str = "run_1", **inputs: Any) -> Any:
        """The agent's result, which may leave."""

        async def route(text: str) -> Route:
            return Route(self._route(text), 0.9, (), ())

        evidence = Evidence(self.passages, None)
        made = await self.definition.compose(
            Work(
                question=question,
                inputs=self.definition.inputs(**inputs),
                findings=tuple(await self.sources.cite(await evidence.answer(question))),
                evidence=evidence,
                sources=self.sources,
                route=route,
                tools=self.tools,
                ask=self.model,
                keep=self.kept.append,
                files=KeptFiles(),
                knowledge=KeptDocuments(),
                notes=RunNotes(self.sessions, "s", run_id) if self.sessions else None,  # type: ignore[arg-type] # only the notes
            )
        )
        numbers = range(1, len(self.sources.quotes) + 1)
        results.check(made, numbers, agent_id=self.definition.agent_id)
        return made

    def told(self, result: Any) -> str:
        """The result in words."""
        assert self.definition.tell is not None
        return self.definition.tell(result)
