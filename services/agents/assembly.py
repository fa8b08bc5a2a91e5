"""Puts the agents service together from its settings and its channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio

from services.agents.adapters.attachment_client import AttachmentClient
from services.agents.adapters.document_feed import DocumentEvents
from services.agents.adapters.item_client import WorkflowShelf
from services.agents.adapters.listener_client import ListenerClient
from services.agents.adapters.open_runs import OpenRunItems
from services.agents.adapters.quota_client import QuotaClient
from services.agents.adapters.replica_client import ReplicaClient, replica_name
from services.agents.adapters.session_client import SessionClient
from services.agents.adapters.vector_client import VectorClient
from services.agents.chat.capabilities import Capability
from services.agents.chat.prices import parse_prices
from services.agents.chat.providers import configured
from services.agents.foreign.consulting import check_consulting
from services.agents.foreign.offering import NoForeignTools
from services.agents.journal.terms import Equipment
from services.agents.journal.work import JournaledWork, Outside
from services.agents.ledger import Allowance
from services.agents.pipeline import Limits, Pipeline
from services.agents.ports import AudioModel, ChatModel, ForeignTools, Painter, Sandboxed
from services.agents.replay import Replays
from services.agents.roster.registry import Registry
from services.agents.routing import triage
from services.agents.routing.classifier import Examples
from services.agents.runs import RunLimits, Runs
from services.agents.servicer import SERVICE, AgentServicer, ReplicaServicer, hosted
from services.agents.settings import AgentsSettings
from services.agents.telling.telling import Telling
from services.agents.workflow.library import Library
from services.chassis import passes
from services.chassis.access import rules
from services.chassis.health import Dependency
from services.chassis.server import Hosted

# Detached runs get this long when the process ends, behind the calls' own time.
_DETACHED_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class House:
    """What the server hosts, and what it depends on."""

    services: Sequence[Hosted]
    dependencies: Sequence[Dependency]


@asynccontextmanager
async def assemble(
    settings: AgentsSettings,
    vector_channel: grpc.aio.Channel,
    session_channel: grpc.aio.Channel,
    model: ChatModel | None,
    *,
    registry: Registry | None = None,
    examples: Examples | None = None,
    asking: Examples | None = None,
    sound: AudioModel | None = None,
    sandbox: Sandboxed | None = None,
    painter: Painter | None = None,
    foreign: ForeignTools | None = None,
) -> AsyncIterator[House]:
    """The service, learning its routes in the background; runs still at work are ended at exit.

    registry: the roster's when None. examples: for routing, those of the release when None, as then are
    those of asking (see Triage). sound: None where no model listens or speaks. sandbox: None where code
    cannot be executed safely. painter: None where no model makes pictures. foreign: tools of others, None
    where MELD_MCP_SERVERS names none.

    Raises SettingsError where an agent is named there that has no use for them.
    """
    replica = replica_name(settings.bind)
    vector, session = VectorClient(vector_channel), SessionClient(session_channel, replica)
    registry = registry or Registry()
    check_consulting(settings, registry)
    if examples is None:
        # Aside: the channels connect meanwhile.
        examples = await asyncio.to_thread(triage.packaged)
        asking = await asyncio.to_thread(triage.packaged_with_questions)
    routes = triage.Triage(examples, vector.vectors, asking)
    limits = Limits(
        settings.meld_history_tokens, settings.meld_passage_tokens, settings.meld_session_wait_seconds
    )

    def pipeline(outside: Outside, draw_fence: Callable[[], str]) -> Pipeline:
        return Pipeline(
            retriever=outside.retriever,
            conversations=outside.conversations,
            model=outside.model,
            registry=registry,
            triage=outside.routes,
            default_collection=settings.collection_name,
            limits=limits,
            attachments=outside.attachments,
            knowledge=outside.knowledge,
            sound=outside.sound,
            sandbox=outside.sandbox,
            catalog=outside.catalog,
            painter=outside.painter,
            foreign=outside.foreign,
            draw_fence=draw_fence,
        )

    longest = max(
        rule.maximum_timeout for rule in rules([SERVICE]).values() if rule.path.endswith("/RunAgent")
    )
    library = Library(registry, WorkflowShelf(session_channel))
    outside = Outside(
        retriever=vector,
        conversations=session,
        routes=routes,
        model=model,
        attachments=AttachmentClient(session_channel),
        knowledge=vector,
        sound=sound,
        sandbox=sandbox,
        catalog=library,
        painter=painter,
        foreign=foreign or NoForeignTools(),
    )
    worker = JournaledWork(outside, pipeline)
    runs = Runs(
        worker=worker,
        records=session,
        conversations=session,
        replicas=ReplicaClient(replica, passes.identity(settings), settings.certificates),
        limits=RunLimits(
            settings.meld_max_runs, _allowance(settings), longest, settings.meld_session_wait_seconds
        ),
        prices=parse_prices(settings.meld_model_prices),
        equipment=Equipment(
            model=model is not None,
            sandbox=sandbox is not None,
            transcribes=sound is not None and sound.transcribes,
            speaks=sound is not None and sound.speaks,
            foreign=foreign is not None,
        ),
        open_runs=OpenRunItems(session_channel) if settings.login_required else None,
        quota=QuotaClient(session_channel) if settings.login_required else None,
    )
    dependencies = [
        Dependency("vector", vector.ping),
        Dependency("session", session.ping, required=False),
        *([Dependency("model", model.ping, required=False)] if model else []),
    ]
    telling = Telling(
        DocumentEvents(vector_channel), ListenerClient(session_channel), login=settings.login_required
    )
    tasks = [
        asyncio.create_task(routes.keep_learning(), name="learn routes"),
        asyncio.create_task(runs.keep_inheriting(), name="runs of ended processes"),
        asyncio.create_task(telling.keep_telling(), name="tell of documents"),
    ]
    try:
        yield House(
            hosted(
                AgentServicer(
                    registry=registry,
                    triage=routes,
                    runs=runs,
                    replays=Replays(worker, session),
                    library=library,
                    calls_tools=model is not None and _calls_tools(settings),
                ),
                ReplicaServicer(runs),
            ),
            dependencies,
        )
    finally:
        for task in tasks:
            task.cancel()
        await runs.close(_DETACHED_GRACE_SECONDS)


def _calls_tools(settings: AgentsSettings) -> bool:
    """Whether one of the models may ask for tools."""
    return any(Capability.TOOLS in provider.capabilities for provider in configured(settings))


def _allowance(settings: AgentsSettings) -> Allowance:
    """What one run may use."""
    return Allowance(
        model_calls=settings.meld_max_model_calls,
        tool_calls=settings.meld_max_tool_calls,
        tokens=settings.meld_max_run_tokens,
        seconds=settings.meld_max_run_seconds,
        hops=settings.meld_max_hops,
    )
