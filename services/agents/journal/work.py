"""Does the work of runs over their journals."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from meldrag.agents.v1 import agents_pb2
from services.agents.foreign.offering import JournaledForeignTools, NoForeignTools
from services.agents.journal.ports import (
    JournaledConversations,
    JournaledModel,
    JournaledRetriever,
    JournaledRoutes,
)
from services.agents.journal.terms import Equipment, Terms
from services.agents.ports import (
    Attachments,
    AudioModel,
    ChatModel,
    Conversations,
    ForeignTools,
    Knowledge,
    Painter,
    Retriever,
    Routes,
    Sandboxed,
)
from services.agents.recorder import Recorder
from services.agents.run import Run
from services.agents.voicing import UnconfiguredAudio
from services.agents.workflow.catalog import JournaledCatalog, NoWorkflows
from services.agents.workflow.ports import Catalog
from services.chassis.errors import FailedPreconditionError
from services.sandbox.model import Job, Outcome


@dataclass(frozen=True)
class Outside:
    """All that a run asks outside of itself.

    attachments, knowledge, sound, sandbox and painter have no journal of their own: a run reaches them inside
    of actions, whose results are journaled.
    """

    retriever: Retriever
    conversations: Conversations
    routes: Routes
    model: ChatModel | None
    attachments: Attachments
    knowledge: Knowledge
    sound: AudioModel | None = None
    sandbox: Sandboxed | None = None
    catalog: Catalog = field(default_factory=NoWorkflows)
    painter: Painter | None = None
    foreign: ForeignTools = field(default_factory=NoForeignTools)


class Worker(Protocol):
    """Does the work of one run; see Pipeline.work."""

    async def work(
        self, run: Run, request: agents_pb2.RunAgentRequest, recorder: Recorder
    ) -> agents_pb2.RunResult:
        """The result. Raises ServiceError."""
        ...


class JournaledWork:
    """Is a Worker: one of its own for each run, which has only the outside that its journal lets through.

    make: the worker over an outside, with what draws the name of its fences.
    """

    def __init__(self, outside: Outside, make: Callable[[Outside, Callable[[], str]], Worker]) -> None:
        self._outside = outside
        self._make = make

    async def work(
        self, run: Run, request: agents_pb2.RunAgentRequest, recorder: Recorder
    ) -> agents_pb2.RunResult:
        """See Worker."""
        journal, outside = run.journal, self._outside
        # What there is counts as it did when the run began.
        had = Terms.of(journal).equipment
        model = JournaledModel(outside.model, journal) if had.model else None
        sandbox = (outside.sandbox or _NoSandbox()) if had.sandbox else None
        behind = dataclasses.replace(
            outside,
            retriever=JournaledRetriever(outside.retriever, journal),
            conversations=JournaledConversations(outside.conversations, journal),
            routes=JournaledRoutes(outside.routes, journal),
            model=model,
            sound=_sound(outside.sound, had),
            sandbox=sandbox,
            catalog=JournaledCatalog(outside.catalog, journal),
            foreign=JournaledForeignTools(outside.foreign, journal) if had.foreign else NoForeignTools(),
        )
        worker = self._make(behind, lambda: str(journal.note("fence", lambda: secrets.token_hex(8))))
        return await worker.work(run, request, recorder)


def _sound(inner: AudioModel | None, had: Equipment) -> AudioModel | None:
    """The models of sound, if a run had them when it began."""
    if not had.transcribes and not had.speaks:
        return None
    if inner is None or (inner.transcribes, inner.speaks) != (had.transcribes, had.speaks):
        return UnconfiguredAudio(transcribes=had.transcribes, speaks=had.speaks)
    return inner


class _NoSandbox:
    """Stands for the one that a run had when it began. What ran in it then is in the journal."""

    async def run(self, job: Job) -> Outcome:
        """Raises FailedPreconditionError (TOOL_UNAVAILABLE)."""
        raise FailedPreconditionError(
            f"{job.argv[0]} cannot be run: there is no sandbox here", reason="TOOL_UNAVAILABLE"
        )
