"""The work of one run: read the session, choose the agent, retrieve, answer, make the typed result."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf import json_format
from google.protobuf.message import Message

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.agents import results, wire
from services.agents.answering import calling, citations, generative, prompt
from services.agents.answering.extractive import Embed, Evidence
from services.agents.answering.followup import search_query
from services.agents.answering.sources import VerifiedSources
from services.agents.asking import Asker
from services.agents.files import RunFiles
from services.agents.foreign.offering import NoForeignTools, model_tools
from services.agents.melding.melding import Melder
from services.agents.melding.support import Ground
from services.agents.model import Conversation, Degradation, Finding, Quote, Retrieval, Turn
from services.agents.notes import RunNotes
from services.agents.painting import RunPainting
from services.agents.ports import (
    Attachments,
    AudioModel,
    ChatModel,
    Conversations,
    Embeddings,
    ForeignTools,
    Knowledge,
    ModelError,
    ModelTool,
    Nearness,
    Painter,
    Prompt,
    Retriever,
    Routes,
    Sandboxed,
)
from services.agents.recorder import Recorder
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.roster.registry import Hosted, Registry
from services.agents.routing import documents
from services.agents.routing.route import Route
from services.agents.run import Run
from services.agents.searching import Searches
from services.agents.tools import Toolbox
from services.agents.validation import MAX_COLLECTIONS
from services.agents.voicing import RunVoice
from services.agents.workflow.catalog import NoWorkflows
from services.agents.workflow.conductor import Conductor
from services.agents.workflow.ports import Catalog
from services.agents.workflow.stage import RunStage
from services.chassis import telemetry
from services.chassis.errors import (
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    ServiceError,
    UnavailableError,
)

_log = logging.getLogger(__name__)

AUTO = "auto"

_NO_DOCUMENTS = "There are no documents yet. Add some, then ask again."
_BEYOND = (
    "Some of the collections were not searched: they are too many. Name those that the question is about."
)
# How often the collections are listed, when one goes before it is searched.
_LISTS = 3
_NOTHING_FOUND = "Nothing was found in the documents that answers this."
_NEAREST = "No sentence answers this surely. Nearest passages:"
_UNHEARD = "No model is configured, so the instructions are not followed: the answer consists of quotes."


@dataclass(frozen=True)
class Limits:
    """Tokens that a model is shown, and what a run waits at most for its record to be opened."""

    history_tokens: int
    passage_tokens: int
    record_seconds: float


@dataclass(frozen=True)
class _Case:
    """One request, with all that is known before it is answered. named: the collections that it or its
    session names.
    """

    request: agents_pb2.RunAgentRequest
    hosted: Hosted
    inputs: Message
    conversation: Conversation
    named: tuple[str, ...]
    retrieval: Retrieval
    top_k: int | None

    @property
    def reads(self) -> bool:
        """Whether documents are asked at all."""
        return self.hosted.definition.reads(self.inputs)


@dataclass(frozen=True)
class _Answer:
    """An answer whose citations hold. cut: the model met its limit of tokens in it.
    searched_in_vain: no sentence answers, by the measure that chooses sentences. calls: what it asks of
    the caller's tools instead, or besides.
    """

    mode: agents_pb2.AnswerMode
    findings: tuple[Finding, ...]
    evidence: Evidence
    sources: VerifiedSources
    cut: bool = False
    searched_in_vain: bool = False
    calls: tuple[agents_pb2.ToolCall, ...] = ()


@dataclass(frozen=True)
class _Equipped:
    """What a run works with. fence: the name of all its fences, which nobody could know before."""

    fence: str
    tools: Toolbox
    ask: Asker
    foreign: tuple[ModelTool, ...]


class Pipeline:
    """Does the work of runs. Emits their events, all but the last."""

    def __init__(
        self,
        *,
        retriever: Retriever,
        conversations: Conversations,
        model: ChatModel | None,
        registry: Registry,
        triage: Routes,
        default_collection: str = "",
        limits: Limits,
        attachments: Attachments,
        knowledge: Knowledge,
        sound: AudioModel | None = None,
        sandbox: Sandboxed | None = None,
        catalog: Catalog = NoWorkflows(),  # noqa: B008 - it has no state
        painter: Painter | None = None,
        foreign: ForeignTools = NoForeignTools(),  # noqa: B008 - it has no state
        draw_fence: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._retriever = retriever
        self._conversations = conversations
        self._model = model
        self._registry = registry
        self._triage = triage
        self._default = (default_collection,) if default_collection else ()
        self._limits = limits
        self._attachments = attachments
        self._knowledge = knowledge
        self._sound = sound
        self._sandbox = sandbox
        self._catalog = catalog
        self._painter = painter
        self._foreign = foreign
        self._draw_fence = draw_fence
        self._rules = prompt.load_rules()

    async def work(
        self, run: Run, request: agents_pb2.RunAgentRequest, recorder: Recorder
    ) -> agents_pb2.RunResult:
        """The result of the run. Raises ServiceError; before the first event that is the call's own error."""
        wait = self._limits.record_seconds
        opening = asyncio.ensure_future(run.journal.ask("record", None, lambda: _opened(recorder, wait)))
        try:
            case, route = await self._prepare(request)
            recorded = await opening
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        run.agent_id = case.hosted.definition.agent_id
        run.emit(
            started=agents_pb2.RunStarted(
                agent_id=request.agent_id,
                session_id=request.session_id,
                collection_ids=case.retrieval.collections or case.named,
                recorded=recorded,
            )
        )
        if route is not None:
            run.emit(routing=wire.route(route))
        if not recorded:
            run.degrade(
                Degradation("session", "The session service does not answer; the run is not recorded.")
            )
        if case.reads:
            self._tell_retrieval(run, case.retrieval)
        equipped = await self._equip(run, case)
        answer = await self._answer(run, case, equipped) if case.reads else self._unread()
        result, mode = results_pb2.AgentResult(), answer.mode
        if not calling.has_tools(request):
            result = await self._typed_result(run, case, answer, equipped)
            mode = _told(run, case.hosted.definition, result, mode)
            if mode == agents_pb2.ANSWER_MODE_NO_ANSWER and answer.searched_in_vain:
                await self._show_nearest(run, case, answer)
        run.emit(result=result)
        run.tell_usage()
        return agents_pb2.RunResult(
            run_id=run.key.run_id,
            agent_id=run.agent_id,
            answer_mode=mode,
            text=run.text,
            citations=map(wire.citation, answer.sources.citations()),
            result=result,
            usage=wire.usage(run.ledger),
            degradations=map(wire.degradation, run.degradations),
            # Runs below others append nothing.
            session_id="" if run.key.parent_run_id else request.session_id,
            cut=answer.cut,
            tool_calls=answer.calls,
        )

    @staticmethod
    def _tell_retrieval(run: Run, retrieval: Retrieval) -> None:
        if retrieval.degraded_reason:
            run.degrade(Degradation("vector_index", retrieval.degraded_reason))
        if retrieval.beyond:
            run.degrade(Degradation("collections", _BEYOND))
        run.emit(
            passages=agents_pb2.PassagesRetrieved(
                query=retrieval.query, passages=map(wire.passage, retrieval.passages)
            )
        )

    async def _prepare(self, request: agents_pb2.RunAgentRequest) -> tuple[_Case, Route | None]:
        conversation = Conversation("", turns=_given_turns(request))
        if request.session_id:
            conversation = await self._conversations.read(request.session_id)
        named = tuple(request.collection_ids) or conversation.collection_ids
        top_k = request.top_k if request.HasField("top_k") else None
        if request.agent_id != AUTO:
            hosted, inputs = self._chosen(request, request.agent_id)
            if not hosted.definition.reads(inputs):
                return _Case(request, hosted, inputs, conversation, named, Retrieval(""), top_k), None
        query = search_query(request.message, conversation.turns)
        retrieval, route = await asyncio.gather(self._retrieve(query, named, top_k), self._choose(request))
        # Inputs are some agent's, and say by themselves that no document is asked.
        if route is not None and retrieval.passages and not request.inputs.fields:
            chosen = self._registry.get(route.agent_id).definition
            route = documents.settled(route, request.message, chosen.material)
        hosted, inputs = self._chosen(request, route.agent_id if route else request.agent_id)
        return _Case(request, hosted, inputs, conversation, named, retrieval, top_k), route

    def _chosen(self, request: agents_pb2.RunAgentRequest, agent_id: str) -> tuple[Hosted, Message]:
        """The agent with its inputs. Raises NotFoundError and InvalidArgumentError."""
        hosted = self._registry.get(agent_id)
        if calling.has_tools(request):
            self._check_passes_tools(hosted.definition)
        return hosted, self._registry.parse_inputs(hosted, json_format.MessageToDict(request.inputs))

    def _check_passes_tools(self, definition: AgentDefinition[Any, Any]) -> None:
        """Raises InvalidArgumentError (CALLER_TOOLS_UNSUPPORTED)."""
        if not definition.passes_tools:
            reason = f"the agent {definition.agent_id} passes no tools of its caller to a model"
        elif self._model is None:
            reason = "no model is configured that could ask for tools"
        else:
            return
        raise InvalidArgumentError(reason, reason="CALLER_TOOLS_UNSUPPORTED", metadata={"field": "tools"})

    async def _choose(self, request: agents_pb2.RunAgentRequest) -> Route | None:
        return await self._triage.route(request.message) if request.agent_id == AUTO else None

    async def _retrieve(self, query: str, named: tuple[str, ...], top_k: int | None) -> Retrieval:
        """From the collections that are named, else the default one, else all that the caller may read."""
        with telemetry.tracer().start_as_current_span("retrieve") as span:
            found = await self._searched(query, named or self._default, top_k, sure=bool(named))
            tries = _LISTS
            while found is None and (there := await self._retriever.collections(MAX_COLLECTIONS + 1)):
                tries -= 1
                # None where one was deleted between the two.
                found = await self._searched(query, there[:MAX_COLLECTIONS], top_k, sure=not tries)
                found = found and dataclasses.replace(found, beyond=len(there) > MAX_COLLECTIONS)
            found = found or Retrieval(query, no_documents=True)
            span.set_attribute("meldrag.passages", len(found.passages))
            return found

    async def _searched(
        self, query: str, collections: tuple[str, ...], top_k: int | None, *, sure: bool = False
    ) -> Retrieval | None:
        """None where there are none, or one of them is not there. sure: then that is an error."""
        if not collections:
            return None
        try:
            passages, degraded = await self._retriever.search(query, collections, top_k)
        except NotFoundError:
            if sure:
                raise
            return None
        return Retrieval(query, passages, degraded, collections)

    async def _equip(self, run: Run, case: _Case) -> _Equipped:
        definition, fence = case.hosted.definition, self._draw_fence()
        foreign = await self._consulted(run, definition)
        names = tuple(tool.name for tool in foreign)
        # Nobody here knows what a tool of others changes, so that none is used twice in doubt.
        effects = definition.effects | frozenset(names)
        tools = Toolbox(run, definition.agent_id, (*definition.tools, *names), effects)
        ask = Asker(
            run,
            self._model,
            tools,
            agent_prompt=case.hosted.prompt,
            allowed=(*definition.tools, *names),
            data_tokens=self._limits.passage_tokens,
            fence=fence,
        )
        return _Equipped(fence, tools, ask, foreign)

    async def _consulted(self, run: Run, definition: AgentDefinition[Any, Any]) -> tuple[ModelTool, ...]:
        """The tools of others that a model may use in this run. What lacks is told."""
        if self._model is None or not definition.consults:
            return ()
        offer = await self._foreign.offered(definition.agent_id)
        for reason in offer.missing:
            run.degrade(Degradation("mcp", reason))
        return model_tools(offer, self._foreign)

    async def _answer(self, run: Run, case: _Case, equipped: _Equipped) -> _Answer:
        retrieval = case.retrieval
        if calling.has_tools(case.request) and self._model is not None:
            return await self._generate_with_tools(run, case, self._model, equipped.fence)
        has_material = bool(retrieval.passages or case.conversation.turns or len(case.request.inputs.fields))
        if not has_material:
            return self._no_answer(run, case, Evidence((), None))
        if self._model is None:
            if case.request.instructions:
                run.degrade(Degradation("model", _UNHEARD))
            return await self._extract(run, case)
        try:
            return await self._generate(run, case, self._model, equipped.fence)
        except ModelError as error:
            _log.warning("answering without the model: %s", error)
            run.settle_text()
            equipped.ask.give_up()
            return await self._without_model(run, case, error)
        except ResourceExhaustedError as error:
            if error.reason != "BUDGET_EXHAUSTED":
                raise
            equipped.ask.give_up()
            return await self._without_budget(run, case, error)
        finally:
            run.tell_usage()

    async def _generate_with_tools(self, run: Run, case: _Case, model: ChatModel, fence: str) -> _Answer:
        """The model's answer, or what it asks for. Quotes would not be what the caller waits for, so there is
        nothing to fall back to. Raises UnavailableError (MODEL_FAILED).
        """
        try:
            return await self._generate(run, case, model, fence)
        except ModelError as error:
            raise UnavailableError(
                f"{error.model or 'the model'}: {error}",
                reason="MODEL_FAILED",
                metadata={"model": error.model},
                retry_after=error.retry_after,
            ) from error
        finally:
            run.tell_usage()

    async def _generate(self, run: Run, case: _Case, model: ChatModel, fence: str) -> _Answer:
        request, passages = case.request, case.retrieval.passages
        shown = prompt.shown_passages(passages, self._limits.passage_tokens)
        inputs = json_format.MessageToDict(request.inputs)
        asked = Prompt(
            prompt.messages(
                agent_prompt=case.hosted.prompt,
                rules=f"{self._rules}\n{calling.RULES}" if calling.has_tools(request) else self._rules,
                question=request.message,
                passages=shown,
                turns=case.conversation.turns,
                inputs=prompt.shown_inputs(inputs, self._limits.passage_tokens),
                history_tokens=self._limits.history_tokens,
                fence=fence,
                instructions=request.instructions,
                further=calling.told(request.tool_exchanges, fence),
            ),
            request.temperature if request.HasField("temperature") else None,
            request.max_output_tokens if request.HasField("max_output_tokens") else None,
            run.ledger.tokens_left(),
            tools=calling.offered(request),
            calls=_wanted_calls(request),
        )
        draft = await generative.draft(
            model,
            asked,
            shown,
            carries=Ground([message.text for message in asked.messages]).carries,
            seconds=run.ledger.seconds_left(),
            meter=run.ledger,
            say=run.say,
        )
        run.ledger.charge_tokens(draft.done)
        calls = calling.calls(draft.requests, request, draft.done.model)
        # The text is out; what comes after it is not worth an embedding.
        evidence = Evidence(passages, None)
        if draft.declined and not calls:
            return self._no_answer(run, case, evidence)
        sources, broken = await VerifiedSources.adopt(self._retriever, draft.book)
        text = citations.without_marks(draft.text, broken)
        if text != draft.text:
            run.restart(text)
        if draft.unfounded:
            run.degrade(Degradation("citations", _unfounded(len(draft.unfounded))))
        if draft.done.cut:
            run.degrade(
                Degradation("model", f"{draft.done.model} reached the limit of tokens; the answer is cut.")
            )
        known = {citation.number for citation in sources.citations()}
        return _Answer(
            agents_pb2.ANSWER_MODE_GENERATIVE,
            citations.findings(text, known),
            evidence,
            sources,
            cut=draft.done.cut,
            calls=calls,
        )

    async def _without_model(self, run: Run, case: _Case, error: ModelError) -> _Answer:
        name = error.model or "the model"
        if error.truncated:
            findings, evidence, sources = await self._select(run, case)
            if not findings:
                raise UnavailableError(
                    f"{name} was cut off in its answer: {error}",
                    reason="MODEL_TRUNCATED",
                    metadata={"model": error.model},
                    retry_after=error.retry_after,
                ) from error
            run.restart("")
            run.degrade(_model_down(name, error))
            return self._extracted(run, findings, evidence, sources)
        run.degrade(_model_down(name, error))
        return await self._extract(run, case)

    async def _without_budget(self, run: Run, case: _Case, error: ResourceExhaustedError) -> _Answer:
        findings, evidence, sources = await self._select(run, case)
        if not findings:
            raise error
        run.degrade(
            Degradation(
                "budget", f"{error.message}. The answer consists of sentences of the documents instead."
            )
        )
        return self._extracted(run, findings, evidence, sources)

    async def _extract(self, run: Run, case: _Case) -> _Answer:
        findings, evidence, sources = await self._select(run, case)
        if not findings:
            return dataclasses.replace(self._no_answer(run, case, evidence), searched_in_vain=True)
        return self._extracted(run, findings, evidence, sources)

    async def _show_nearest(self, run: Run, case: _Case, answer: _Answer) -> None:
        """Shows what is nearest for what it is: not an answer."""
        near = await answer.sources.cite(await answer.evidence.nearest(case.retrieval.query))
        if near:
            quotes = (f"{finding.statement} [{finding.citations[0]}]" for finding in near)
            run.restart("\n\n".join([_NEAREST, *quotes]))

    async def _select(self, run: Run, case: _Case) -> tuple[tuple[Finding, ...], Evidence, VerifiedSources]:
        """The sentences that answer, verified."""
        sources = VerifiedSources(self._retriever)
        embed = self._embedder(run, "Sentences are chosen by words alone")
        evidence = Evidence(case.retrieval.passages, embed, self._compared)
        with telemetry.tracer().start_as_current_span("select sentences"):
            chosen = await evidence.answer(case.retrieval.query)
            return tuple(await sources.cite(chosen)), evidence, sources

    def _embedder(self, run: Run, without: str) -> Embed:
        """Embeds texts; gives None where that is not possible, which is told. without: what is done then."""

        async def embed(texts: Sequence[str]) -> Embeddings | None:
            try:
                return await self._retriever.embed(texts)
            except ServiceError as error:
                run.degrade(Degradation("vector_index", f"{without}: {error.message}"))
                return None

        return embed

    async def _compared(self, question: str, quotes: Sequence[Quote]) -> Nearness | None:
        """None also where it cannot be had now: then sentences are embedded, which tells what fails."""
        try:
            return await self._retriever.compare(question, quotes)
        except ServiceError as error:
            _log.warning("sentences are not compared word by word: %s", error.message)
            return None

    @staticmethod
    def _extracted(
        run: Run, findings: tuple[Finding, ...], evidence: Evidence, sources: VerifiedSources
    ) -> _Answer:
        run.say("\n\n".join(f"{finding.statement} [{finding.citations[0]}]" for finding in findings))
        return _Answer(agents_pb2.ANSWER_MODE_EXTRACTIVE, findings, evidence, sources)

    def _unread(self) -> _Answer:
        """No answer from documents, because nobody asks for one."""
        return _Answer(
            agents_pb2.ANSWER_MODE_NO_ANSWER, (), Evidence((), None), VerifiedSources(self._retriever)
        )

    def _no_answer(self, run: Run, case: _Case, evidence: Evidence) -> _Answer:
        run.say(_NO_DOCUMENTS if case.retrieval.no_documents else _NOTHING_FOUND)
        return _Answer(agents_pb2.ANSWER_MODE_NO_ANSWER, (), evidence, VerifiedSources(self._retriever))

    async def _typed_result(
        self, run: Run, case: _Case, answer: _Answer, equipped: _Equipped
    ) -> results_pb2.AgentResult:
        definition = case.hosted.definition
        kept: list[Message] = []
        work: Work[Any] = Work(
            question=case.request.message,
            inputs=case.inputs,
            findings=answer.findings,
            evidence=answer.evidence,
            sources=answer.sources,
            route=self._triage.route,
            tools=equipped.tools,
            ask=equipped.ask,
            keep=kept.append,
            files=RunFiles(self._attachments, run.key.run_id, case.request.session_id),
            knowledge=self._knowledge,
            voice=RunVoice(run, equipped.tools, self._sound) if self._sound is not None else None,
            sandbox=self._sandbox,
            search=Searches(
                run,
                self._retriever,
                case.retrieval,
                top_k=case.top_k,
                may_lack=not case.named,
            ),
            query=case.retrieval.query,
            notes=self._notes(run, case.request.session_id),
            conductor=Conductor(
                self._registry,
                self._catalog,
                RunStage(
                    run,
                    session_id=case.request.session_id,
                    history=case.request.history,
                    instructions=case.request.instructions,
                    collection_ids=case.named,
                    melds=Melder(self._embedder(run, "Answers are compared by words alone"), equipped.ask),
                    sources=answer.sources,
                ),
            ),
            painting=RunPainting(run, equipped.tools, self._painter),
            foreign=equipped.foreign,
        )
        try:
            made = await definition.compose(work)
        except ResourceExhaustedError as error:
            if error.reason != "BUDGET_EXHAUSTED" or not (kept or answer.findings):
                raise
            run.degrade(Degradation("budget", f"{error.message}; this is what there is."))
            if not kept:
                return results_pb2.AgentResult()
            made = kept[-1]
        numbers = [citation.number for citation in answer.sources.citations()]
        results.check(made, numbers, agent_id=definition.agent_id)
        return results_pb2.AgentResult(**{definition.agent_id: made})

    def _notes(self, run: Run, session_id: str) -> RunNotes | None:
        return RunNotes(self._conversations, session_id, run.key.run_id) if session_id else None


def _wanted_calls(request: agents_pb2.RunAgentRequest) -> Literal["", "may", "must"]:
    if not calling.has_tools(request):
        return ""
    return "must" if request.tool_required else "may"


def _given_turns(request: agents_pb2.RunAgentRequest) -> tuple[Turn, ...]:
    """What the request itself says was said before."""
    return tuple(Turn(turn.from_caller, turn.text) for turn in request.history)


def _told(
    run: Run,
    definition: AgentDefinition[Any, Any],
    result: results_pb2.AgentResult,
    mode: agents_pb2.AnswerMode,
) -> agents_pb2.AnswerMode:
    """Adds what the agent's tools found to the text; they are the answer where no passage gives one."""
    chosen = result.WhichOneof("result")
    text = definition.tell(getattr(result, chosen)) if definition.tell is not None and chosen else ""
    if not text:
        return mode
    if mode == agents_pb2.ANSWER_MODE_NO_ANSWER:
        if run.text:
            run.restart(text)
        else:
            run.say(text)
            run.settle_text()
        return agents_pb2.ANSWER_MODE_TOOLS
    run.say(f"\n\n{text}")
    run.settle_text()
    return mode


async def _opened(recorder: Recorder, seconds: float) -> bool:
    """Whether the record is open; False when the session service does not answer within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await recorder.opened()
    except (TimeoutError, UnavailableError):
        return False
    return True


def _unfounded(count: int) -> str:
    what = "A statement is" if count == 1 else f"{count} statements are"
    return f"{what} shown without a citation: what was cited denies it, or nothing read has its numbers."


def _model_down(name: str, error: ModelError) -> Degradation:
    wait = "" if error.retry_after is None else f" It asks to be left alone for {error.retry_after:.0f} s."
    return Degradation(
        "model", f"{name}: {error}.{wait} The answer consists of sentences of the documents instead."
    )
