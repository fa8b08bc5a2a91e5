"""What makes an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from meldrag.agents.v1 import results_pb2
from services.agents.answering.extractive import Evidence
from services.agents.model import Citation, Finding, Quote
from services.agents.ports import (
    Ask,
    Files,
    Knowledge,
    ModelTool,
    Notes,
    Painting,
    Sandboxed,
    Search,
    Tools,
    Voice,
)
from services.agents.routing.route import Route

if TYPE_CHECKING:
    # It knows the agents.
    from services.agents.workflow.conductor import Conductor

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

# Why an agent whose tools are not in this release did not execute anything.
NO_TOOLS = (
    "Nothing was executed: this release has no tool for it. The findings come from the documents alone."
)


class Sources(Protocol):
    """Where quotes become citations of the run."""

    async def cite(self, quotes: Sequence[Quote]) -> list[Finding]:
        """The quotes that were verified, as findings under their numbers; the others are left out.

        Raises UnavailableError (RETRIEVAL_UNAVAILABLE).
        """
        ...

    async def numbers(self, quotes: Sequence[Quote]) -> list[int | None]:
        """The number of each quote as a citation; None for one that was not verified. Raises as `cite`."""
        ...

    def citations(self) -> tuple[Citation, ...]:
        """All citations of the run so far, by number."""
        ...


@dataclass(frozen=True)
class Work(Generic[In]):
    """What an agent makes its result from.

    findings: the statements of the answer's text, with their verified citations; empty without an answer.
    route: which agent fits a text. tools: what the agent does besides reading. ask: asks a model. keep: takes
    the best result so far, which is what the run ends with should `compose` meet a limit of the run. files,
    knowledge: attachments, and where text becomes a document; both are used inside of an action of `tools`
    alone, since no journal has what they answer. voice: listens and speaks; None without a model that does.
    sandbox: None where code cannot be executed safely. search: the one way to further passages, several at
    once if need be; None where there is nothing to search. query: what was searched for: the question, behind
    the turn before where it leans on that one. notes: what agents keep in the run's session, used like files;
    None for a run without a session. painting: has pictures made by a model. conductor: runs workflows.
    foreign: tools of others that a model may use; none without a model.
    """

    question: str
    inputs: In
    findings: tuple[Finding, ...]
    evidence: Evidence
    sources: Sources
    route: Callable[[str], Awaitable[Route]]
    tools: Tools
    ask: Ask
    keep: Callable[[Message], None]
    files: Files
    knowledge: Knowledge
    voice: Voice | None = None
    sandbox: Sandboxed | None = None
    search: Search | None = None
    query: str = ""
    notes: Notes | None = None
    painting: Painting | None = None
    conductor: Conductor | None = None
    foreign: tuple[ModelTool, ...] = ()

    async def about(self, topic: str, limit: int = 3) -> list[results_pb2.Finding]:
        """What the passages say of a topic, quoted and cited, best first."""
        quotes = await self.evidence.related(topic, limit)
        return on_wire(await self.sources.cite(quotes))

    def cited_findings(self) -> list[results_pb2.Finding]:
        """The statements of the answer that a citation carries."""
        return on_wire([finding for finding in self.findings if finding.citations])


@dataclass(frozen=True)
class AgentDefinition(Generic[In, Out]):
    """An agent: what it is for, what it takes, what it makes, and how.

    examples: requests that it is good for. compose: makes the typed result from the evidence. tools: the only
    ones that Work.tools lets it use, and that a model is offered or obeyed in. effects: those of the tools
    that change something outside of this system: a run that is resumed does not do again what may have been
    done. Others, like a program in the sandbox, are used again. tell: the result in words, for the answer's
    text; empty when there is nothing to tell. reads: whether documents are searched, and an answer is written
    from them, before `compose`. consults: whether it uses tools of others (Work.foreign), which the setting
    MELD_MCP_SERVERS may then add to `tools`. passes_tools: whether tools of a caller are offered to the model
    that writes its answer; such a run makes no typed result. material: signs (routing/signs.py) that a
    request brings what the agent works on, so that "auto" does not take it for a question to the documents.
    """

    agent_id: str
    display_name: str
    purpose: str
    inputs: type[In]
    result: type[Out]
    examples: tuple[str, ...]
    compose: Callable[[Work[In]], Awaitable[Out]]
    tools: tuple[str, ...] = ()
    effects: frozenset[str] = frozenset()
    tell: Callable[[Out], str] | None = None
    reads: Callable[[In], bool] = lambda _: True
    consults: bool = False
    passes_tools: bool = False
    material: frozenset[str] = frozenset()


def on_wire(findings: Sequence[Finding]) -> list[results_pb2.Finding]:
    """Findings as the contract has them."""
    return [results_pb2.Finding(statement=f.statement, citations=f.citations) for f in findings]
