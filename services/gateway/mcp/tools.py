"""What other models may do here: search, ask, each agent, and the check of citations."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
from flask import request

from meldrag.agents.v1 import agents_pb2, results_pb2, workflow_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import ServiceError
from services.gateway import rendering
from services.gateway.body import Fields, to_struct
from services.gateway.calls import Client, EndOfStreamError, Upstream, client_gone, stream, unary
from services.gateway.door import door
from services.gateway.identity import standing
from services.gateway.mcp import schemas
from services.gateway.mcp.documents import uri_of
from services.gateway.problem import ProblemError, from_service_error
from services.gateway.routes.runs import raise_failure
from services.gateway.routes.search import claim
from services.gateway.streaming import draining

Json = Any

_LOOK_SECONDS = 0.2
_MAX_COLLECTIONS = 16
_MAX_HITS = 100
_QUOTED = 80

_SEARCH, _ASK, _VERIFY = "search", "ask", "verify_citations"
_AUTO = "auto"

_COLLECTIONS = {
    "type": "array",
    "items": {"type": "string"},
    "maxItems": _MAX_COLLECTIONS,
    "description": "The collections to search; the resource meld://collections lists them. Where this is"
    f" left out, all of them are searched, {_MAX_COLLECTIONS} at most.",
}
_SESSION = {"type": "string", "description": "The conversation to go on with."}
# Of every agent's tool, besides the agent's own inputs.
_MESSAGE, _OWN = "message", ("message", "collections", "session_id")
_READS = types.ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
_WORKS = types.ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)

# Tells how far a call is: a number that grows, and a line for people.
Tell = Callable[[float, str], Awaitable[None]]


@dataclass(frozen=True)
class Said:
    """The result of a tool: for models to read, and for programs."""

    text: str
    structured: dict[str, Json]


def listing() -> list[types.Tool]:
    """All tools. Raises ServiceError."""
    page = unary(door().clients.agents.ListAgents, agents_pb2.ListAgentsRequest())
    agents = list(page.agents)
    return [_search_tool(), _ask_tool([agent.agent_id for agent in agents]), _verify_tool()] + [
        _agent_tool(agent) for agent in agents
    ]


async def called(name: str, arguments: Mapping[str, Json], tell: Tell) -> types.CallToolResult:
    """What a tool says; a failure is a result too, with its reason, so that a model can do better.

    Raises LookupError where there is no such tool.
    """
    try:
        said = await _call(name, Fields(arguments), tell)
    except ServiceError as error:
        return _failed(from_service_error(error))
    except ProblemError as problem:
        return _failed(problem)
    return types.CallToolResult(content=[_text(said.text)], structured_content=said.structured)


async def _call(name: str, fields: Fields, tell: Tell) -> Said:
    if name == _SEARCH:
        return _search(fields)
    if name == _VERIFY:
        return _verify(fields)
    if name == _ASK:
        return await _ask(fields, tell)
    try:
        unary(door().clients.agents.GetAgent, agents_pb2.GetAgentRequest(agent_id=name))
    except ServiceError as error:
        if error.reason == "AGENT_NOT_FOUND":
            raise LookupError(name) from None
        raise
    return await _agent(name, fields, tell)


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _failed(problem: ProblemError) -> types.CallToolResult:
    again = "" if problem.retry_after is None else f" Try again after {problem.retry_after:g} s."
    return types.CallToolResult(
        content=[_text(f"{problem.reason}: {problem.detail}{again}")], structured_content=None, is_error=True
    )


def _search_tool() -> types.Tool:
    return types.Tool(
        name=_SEARCH,
        title="Search",
        description="Finds passages in the documents by words and by meaning, best first, each with the place"
        " where it stands.",
        input_schema={
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for."},
                "collections": _COLLECTIONS,
                "limit": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": _MAX_HITS,
                    "description": "How many passages at most.",
                },
            },
            "required": ["query"],
            "additionalProperties": False,
        },
        output_schema=schemas.SEARCH,
        annotations=_READS,
    )


def _search(fields: Fields) -> Said:
    message = vector_pb2.SearchRequest(
        query=fields.text("query", required=True),
        top_k=fields.integer("limit", minimum=1, maximum=_MAX_HITS),
        collection_ids=fields.texts("collections") or _all_collections(),
    )
    fields.finish()
    found = unary(door().clients.vector.Search, message) if message.collection_ids else None
    result = rendering.search(found or vector_pb2.SearchResponse(), explain=False)
    hits = [
        f"[{number}] {hit['title']}{_place(hit)} — {uri_of(hit['collection'], hit['document_id'])} bytes"
        f" {hit['byte_start']}–{hit['byte_end']}\n{hit['text']}"
        for number, hit in enumerate(result["hits"], 1)
    ]
    told = [f"The search was degraded: {found.degraded_reason}"] if found and found.degraded_reason else []
    return Said("\n\n".join([*told, *hits]) or "Nothing was found.", result)


def _ask_tool(agents: list[str]) -> types.Tool:
    return types.Tool(
        name=_ASK,
        title="Ask",
        description="Answers a question from the documents. Every statement is cited, and every citation was"
        " checked byte for byte against the stored text.",
        input_schema={
            "type": "object",
            "properties": {
                "question": {"type": "string", "description": "The question, or what is to be done."},
                "collections": _COLLECTIONS,
                "agent": {
                    "enum": [_AUTO, *agents],
                    "default": _AUTO,
                    "description": "Who answers; chosen by the question when it is auto.",
                },
                "session_id": _SESSION,
            },
            "required": ["question"],
            "additionalProperties": False,
        },
        output_schema=schemas.run({"type": "object"}),
        annotations=_WORKS,
    )


async def _ask(fields: Fields, tell: Tell) -> Said:
    message = agents_pb2.RunAgentRequest(
        agent_id=fields.text("agent") or _AUTO,
        message=fields.text("question", required=True),
        session_id=fields.text("session_id"),
    )
    message.collection_ids.extend(fields.texts("collections"))
    fields.finish()
    return await _run(message, tell)


def _verify_tool() -> types.Tool:
    return types.Tool(
        name=_VERIFY,
        title="Verify citations",
        description="Says of each citation whether those very bytes stand at that place of the document.",
        input_schema={
            "type": "object",
            "properties": {
                "citations": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": {
                            "document_id": {"type": "string"},
                            "extraction_sha256": {"type": "string"},
                            "byte_start": {"type": "integer", "minimum": 0},
                            "byte_end": {"type": "integer", "minimum": 0},
                            "quote": {"type": "string"},
                        },
                        "required": [
                            "document_id",
                            "extraction_sha256",
                            "byte_start",
                            "byte_end",
                            "quote",
                        ],
                    },
                }
            },
            "required": ["citations"],
            "additionalProperties": False,
        },
        output_schema=schemas.VERDICTS,
        annotations=_READS,
    )


def _verify(fields: Fields) -> Said:
    citations = [claim(item) for item in fields.objects("citations")]
    fields.finish()
    checked = unary(
        door().clients.vector.VerifyCitations, vector_pb2.VerifyCitationsRequest(citations=citations)
    )
    results = [rendering.verdict(item) for item in checked.verdicts]
    lines = [
        f"{number}: {'stands there' if item['verified'] else item['fault'] or 'does not stand there'}"
        for number, item in enumerate(results, 1)
    ]
    return Said("\n".join(lines), {"results": results})


def _agent_tool(agent: agents_pb2.Agent) -> types.Tool:
    inputs = rendering.struct(agent.input_schema)
    message = {"type": "string", "description": "What is asked of the agent, in words."}
    # The names in _OWN come last, so that no agent takes them for something else.
    properties = {
        **inputs.get("properties", {}),
        **dict(zip(_OWN, (message, _COLLECTIONS, _SESSION), strict=True)),
    }
    schema = {**inputs, "properties": properties, "required": [_MESSAGE, *inputs.get("required", [])]}
    definitions: dict[str, schemas.Schema] = {}
    kind = results_pb2.AgentResult.DESCRIPTOR.fields_by_name.get(agent.agent_id)
    result = schemas.rendered(kind.message_type, definitions) if kind else {"type": "object"}
    examples = "".join(f" “{example}”" for example in agent.examples[:2])
    return types.Tool(
        name=agent.agent_id,
        title=agent.display_name,
        description=f"{agent.purpose}{' For instance:' if examples else ''}{examples}",
        input_schema={"type": "object", **schema},
        output_schema=schemas.run(result, definitions),
        annotations=_WORKS,
    )


async def _agent(agent_id: str, fields: Fields, tell: Tell) -> Said:
    message = agents_pb2.RunAgentRequest(
        agent_id=agent_id,
        message=fields.text(_MESSAGE, required=True),
        session_id=fields.text("session_id"),
    )
    message.collection_ids.extend(fields.texts("collections"))
    # The agent itself knows which inputs fit.
    message.inputs.CopyFrom(to_struct(fields.rest(), "arguments"))
    return await _run(message, tell)


def _all_collections() -> list[str]:
    """The collections of whoever calls. Raises ProblemError when they are too many to search at once."""
    page = unary(
        door().clients.vector.ListCollections, vector_pb2.ListCollectionsRequest(page_size=_MAX_COLLECTIONS)
    )
    if page.next_page_token:
        raise ProblemError(
            400,
            "COLLECTIONS_NEEDED",
            f"there are more than {_MAX_COLLECTIONS} collections: name those to search in `collections`",
        )
    return [found.collection_id for found in page.collections]


async def _run(message: agents_pb2.RunAgentRequest, tell: Tell) -> Said:
    """The answer of an agent. Raises ServiceError and ProblemError; a caller that leaves cancels the run."""
    with contextlib.ExitStack() as held:
        # A run that is waited for holds a thread as long as a stream does.
        held.callback(door().slots.take())
        upstream = stream(door().clients.agents.RunAgent, message)
        held.callback(upstream.close)
        ended = await _followed(upstream, Client.of(request), tell)
    result = rendering.run_result(ended.result)
    return Said(_readable(result), result)


async def _followed(
    upstream: Upstream[agents_pb2.RunAgentResponse], client: Client, tell: Tell
) -> agents_pb2.RunEnded:
    writing, caller = False, standing.current()
    with contextlib.suppress(EndOfStreamError):
        while True:
            event = upstream.poll(_LOOK_SECONDS)
            if client.gone():
                raise client_gone()
            if door().drain.due():
                raise draining()
            if caller is not None and (problem := caller.problem()):
                raise problem
            # Others have their turn: what was told goes out, and who left is noticed.
            await anyio.lowlevel.checkpoint()
            if event is None:
                continue
            kind = event.WhichOneof("event")
            if kind == "ended":
                raise_failure(event)
                return event.ended
            if kind == "text" and writing:
                continue
            writing = writing or kind == "text"
            if line := _line(event):
                await tell(float(event.sequence), line)
    raise ProblemError(502, "NO_ANSWER", "the run's events ended before the run")


def _line(event: agents_pb2.RunAgentResponse) -> str:
    """What happened, for people; empty for what they need not know."""
    match event.WhichOneof("event"):
        case "started":
            return "The run has begun."
        case "routing":
            return f"The agent {event.routing.agent_id} takes it."
        case "passages":
            return f"{len(event.passages.passages)} passages for “{event.passages.query[:_QUOTED]}”."
        case "tool_started":
            return f"{event.tool_started.tool} begins."
        case "tool_finished":
            return f"{event.tool_finished.tool}: {event.tool_finished.summary}"
        case "text":
            return "The answer is being written."
        case "degradation":
            return event.degradation.reason
        case "step":
            state = rendering.enum_name(workflow_pb2.StepState.DESCRIPTOR, event.step.state)
            return f"Step {event.step.step_id}: {state}"
        case _:
            return ""


def _readable(result: Mapping[str, Json]) -> str:
    """The answer with its sources as footnotes."""
    sources = [
        f"[{item['number']}] {item['title']}{_place(item)}: “{item['quote']}”"
        f" — {uri_of(item['collection'], item['document_id'])}"
        for item in result["citations"]
    ]
    degraded = [f"Note: {item['reason']}" for item in result["degraded"]]
    return "\n\n".join(filter(None, [result["text"], "\n".join(sources), "\n".join(degraded)]))


def _place(item: Mapping[str, Json]) -> str:
    if item["location"]:
        return f", {item['location']}"
    return f", page {item['page']}" if item["page"] else ""
