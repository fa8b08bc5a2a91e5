"""The operations of the OpenAPI document as they are attacked: which of what they take names somebody's
things, and what else a request needs.

An operation that comes to the document is attacked without another word when all that it takes is ids that
KINDS knows. One with a body needs an entry in BODIES. One that names nobody's things needs one in EXEMPT.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from services.agents.roster.registry import Registry
from tests.support.documented import document_of_code

REQUEST, PAGE, TAG = "request", "page", "tag"

HOUSE_WIDE = "of the whole house with all its tenants, and for its administration alone"
HEALTH = "how the house is; nothing in it is anybody's"
PUBLISHED = "comes with the release and is the same for everybody"
COMPUTED = "computes from the request and the release alone"
CREDENTIAL = "whoever shows the credential is its owner; it names no other thing"
EXEMPT = {
    **dict.fromkeys(("index", "asset", "docs", "openapi_document"), PUBLISHED),
    **dict.fromkeys(("list_agents", "get_agent", "list_models", "get_model"), PUBLISHED),
    **dict.fromkeys(("route_task", "create_embeddings", "draw_steps"), COMPUTED),
    **dict.fromkeys(("live", "ready", "health", "get_system"), HEALTH),
    **dict.fromkeys(("metrics", "profile", "purge_deleted"), HOUSE_WIDE),
    **dict.fromkeys(("make_backup", "verify_backup", "restore_backup"), HOUSE_WIDE),
    "get_insights": "counts what list_runs tells the caller, which is attacked",
    "create_webhook": "makes one for the caller and names no other thing",
    "ways": "how one signs in here",
    **dict.fromkeys(("begin_external", "finish_external", "login", "logout", "refresh"), CREDENTIAL),
    "set_up": "makes the first user of a house that has none",
    "change_password": "of the caller, who shows the old one",
    "me": "who calls",
    "list_embedding_models": "models come with the release and the settings",
    "list_quotas": "what the caller has used, counted under the caller's own id; it names nothing",
}
# Fields that may tell something to somebody of the same tenant, and why.
TOLD_WITHIN_A_TENANT = {
    "create_collection": {
        "id": "an id is taken once in a tenant; that it is taken is all that is said",
    },
}

# What a parameter or field names, by its own name or by "operation.name".
KINDS = {
    "api_key_id": "key",
    "attachment_id": "attachment",
    "attachment_ids": "attachment",
    "collection": "collection",
    "collection_id": "collection",
    "collection_ids": "collection",
    "collections": "collection",
    "create_collection.id": "collection",
    "create_workflow.id": "workflow",
    "cursor": "cursor",
    "document_id": "document",
    "document_ids": "document",
    "evaluation_id": "evaluation",
    "external_id": "external",
    "external_ids": "external",
    "extraction_sha256": "extraction",
    "import_documents.id": "external",
    "ingest_collection_id": "collection",
    "run_id": "run",
    **{f"{name}.run_id": "live run" for name in ("cancel_run", "decide_step", "watch_run")},
    "session_id": "session",
    "tombstone_id": "deletion",
    "uri": "resource",
    "user": "user",
    "user_id": "user",
    "webhook_id": "webhook",
    "workflow": "workflow",
    "workflow_id": "workflow",
    "Idempotency-Key": REQUEST,
    "page_token": PAGE,
    "If-Match": TAG,
    "If-None-Match": TAG,
    "If-Range": TAG,
}
_OVER = "read and passed over"
# What has the name of an id, or could be taken for one, and names nobody's things; and why.
NOT_IDS = {
    "agent_id": PUBLISHED,
    "step_id": "a name inside of a run or of the request, which says whose it is",
    "group": "a name that anybody may write down; who is in it, users say",
    "groups": "names; for who administers the tenant",
    "Last-Event-ID": "a number within the run that the path names",
    "prompt_cache_key": _OVER,
    "safety_identifier": _OVER,
    "create_chat_completion.user": _OVER,
    "create_embeddings.user": _OVER,
    "run_evaluation.id": "a name that the query has in this request",
    "verify_citations.collection": _OVER,
    "create_chat_completion.id": "a call of a tool, named in the same request",
    "tool_call_id": "a call of a tool, named in the same request",
    "passes_tools": "whether it does",
}
_LIKE_AN_ID = re.compile(
    r"(.*[_-])?(ids?|keys?|tokens?|cursors?|sha256|uris?|users?|groups?|tags?|match|collections?|sessions?"
    r"|documents?|runs?|workflows?|attachments?|identifier|range)",
    re.IGNORECASE,
)
# Words that end like names of things.
_PLAIN = frozenset(("max_tokens", "max_completion_tokens", "max_output_tokens", "dry_run", "Range", "sha256"))

# They tell of things unasked, and have no pages.
_WHOLE_LISTS = frozenset(("list_api_keys", "list_webhooks"))

Values = Mapping[str, str]


class UnknownFieldError(Exception):
    """Nothing says what a field with the name of an id is."""


class NothingToAttackError(Exception):
    """An operation takes nobody's ids and lists nothing, and nothing says why it is there."""


class BodyMissingError(Exception):
    """Nothing says what an operation is sent besides ids."""


@dataclass(frozen=True)
class Slot:
    """A place in a request that names a thing. place: path, query, header or body; path: into the body, where
    an empty step is the first of a list.
    """

    place: str
    name: str
    kind: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """An operation as it is attacked. name: operationId, and what it does where that is several things.

    slots: of ids; needed: names of those without which it is no request. lists: tells of things unasked.
    inputs: of which agent.
    """

    name: str
    operation_id: str
    method: str
    path: str
    slots: tuple[Slot, ...]
    needed: frozenset[str]
    lists: bool = False
    about: str = ""

    def variants(self) -> Iterator[tuple[Slot, ...]]:
        """Nothing, for a list; then everything of another at once, then each thing alone among one's own."""
        if self.lists:
            yield ()
        together = [slot for slot in self.slots if (self.operation_id, slot.name) not in _APART]
        if together:
            yield tuple(together)
        if len(self.slots) > 1:
            for slot in self.slots:
                yield (slot,)


# A workflow is run by its name or by its steps, not by both.
_APART = {("run_workflow", "steps..collection_ids.")}

Body = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request as it goes out."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    json: Body | None = None
    files: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    content: bytes | None = None

    @property
    def said(self) -> str:
        """All that was sent, as text."""
        return repr((self.path, self.query, self.headers, self.json, self.files, self.form, self.content))


# -- what requests hold besides ids -------------------------------------------------------------------------

_STEP = {"step_id": "okay", "agent_id": "research", "message": "What does it sing of?"}
_ASKED = "What does it sing of?"


def _nothing(_: str) -> Body:
    return {}


BODIES: dict[str, Callable[[str], Body]] = {
    # Each is made of the sentence that stands in the victim's documents.
    "cancel_run": _nothing,
    "check_index": _nothing,
    "create_api_key": lambda text: {"label": "mine"},
    "create_chat_completion": lambda text: {
        "model": "meld-research",
        "messages": [{"role": "user", "content": _ASKED}],
    },
    "create_collection": lambda text: {"description": "Mine"},
    "create_run": lambda text: {"agent": "research", "message": _ASKED},
    "create_session": lambda text: {"title": "Mine"},
    "create_user": lambda text: {
        "name": f"user-{secrets.token_hex(8)}0",
        "password": secrets.token_urlsafe(16),
        "role": "viewer",
    },
    "create_workflow": lambda text: {"title": "Mine", "steps": [dict(_STEP)]},
    "decide_step": lambda text: {"approved": True},
    "exchange": _nothing,
    "import_documents": lambda text: {"text": "The gulls are mine."},
    "put_attachment": _nothing,
    "reembed_collection": _nothing,
    "repair_index": _nothing,
    "replay_run": _nothing,
    "run_evaluation": lambda text: {"queries": [{"query": "sings gold", "relevant": [{"grade": 1}]}]},
    "run_workflow": lambda text: {"message": _ASKED, "steps": [dict(_STEP)]},
    "search_collection": lambda text: {"query": "sings gold"},
    "search_collections": lambda text: {"query": "sings gold"},
    # What the names of all of them begin with.
    "search_sessions": lambda text: {"query": "canary"},
    "set_collection_access": lambda text: {"access": [{"role": "reader"}]},
    "update_session": lambda text: {"title": "Mine"},
    "update_webhook": lambda text: {"label": "mine"},
    "update_user": lambda text: {"role": "viewer"},
    "update_workflow": lambda text: {"title": "Mine", "steps": [dict(_STEP)]},
    "upload_document": _nothing,
    "verify_citations": lambda text: {
        "citations": [{"byte_start": 0, "byte_end": len(text.encode()), "quote": text}]
    },
}
HEADERS = {"watch_run": {"Last-Event-ID": "1"}}
_PATHS = {"step_id": "okay"}
# Tools and resources of MCP: what they are called with.
_TOOLS: dict[str, Callable[[str], Body]] = {
    "search": lambda text: {"query": "sings gold"},
    "ask": lambda text: {"question": _ASKED, "agent": "research"},
    "verify_citations": BODIES["verify_citations"],
}


@cache
def operations() -> tuple[Operation, ...]:
    """All operations that are attacked. Raises what says which one cannot be."""
    found = []
    for path, methods in document_of_code()["paths"].items():
        for method, said in methods.items():
            if said["operationId"] not in EXEMPT:
                found += of_document(path, method.upper(), said)
    return tuple(sorted(found, key=lambda one: one.name))


def every_operation() -> dict[str, tuple[str, str]]:
    """Method and path of each operation of the document."""
    return {
        said["operationId"]: (method.upper(), path)
        for path, methods in document_of_code()["paths"].items()
        for method, said in methods.items()
    }


def of_document(path: str, method: str, said: dict[str, Any]) -> Iterator[Operation]:
    """What one operation of the document is attacked as. Raises what says why it cannot be."""
    name = said["operationId"]
    if name == "exchange":
        yield from _exchanges(path, method)
        return
    yield _operation(name, path, method, said)
    if name == "create_run":
        # Agents whose inputs name things.
        for hosted in _registry():
            slots = list(_named(name, hosted.input_schema, ("inputs",)))
            if slots:
                agent = hosted.definition.agent_id
                yield Operation(f"{name} {agent}", name, method, path, tuple(slots), frozenset(), about=agent)


@cache
def _registry() -> Registry:
    return Registry()


def _named(operation: str, inputs: dict[str, Any], path: tuple[str, ...]) -> Iterator[Slot]:
    """The ids among an agent's own inputs; what is deeper in them are names inside of the request."""
    for name, said in inputs["properties"].items():
        if kind := kind_of(operation, name):
            where = (*path, name, "") if said.get("type") == "array" else (*path, name)
            yield Slot("body", ".".join(where), kind, where)


def _operation(name: str, path: str, method: str, said: dict[str, Any]) -> Operation:
    slots, needed, lists = [], set(), name in _WHOLE_LISTS
    for parameter in map(_resolved, said["parameters"]):
        if kind := kind_of(name, parameter["name"]):
            slots.append(Slot(parameter["in"], parameter["name"], kind))
            lists = lists or kind == PAGE
            if parameter.get("required"):
                needed.add(parameter["name"])
    for schema in _schemas(name, said):
        if name not in BODIES:
            raise BodyMissingError(f"{name}: BODIES does not say what it is sent")
        slots += _fields(name, schema, ())
        needed |= set(_needed(name, schema, ()))
    if not slots and not lists:
        raise NothingToAttackError(f"{name}: EXEMPT does not say why it is not attacked")
    return Operation(name, name, method, path, tuple(slots), frozenset(needed), lists)


def _schemas(name: str, said: dict[str, Any]) -> Iterator[Any]:
    if "requestBody" in said:
        for kind, content in said["requestBody"]["content"].items():
            # Lines of text, as far as the document is concerned.
            yield (
                {"$ref": "#/components/schemas/DocumentLine"}
                if kind.endswith("ndjson")
                else content["schema"]
            )


def _resolved(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = document_of_code_once()
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value


@cache
def document_of_code_once() -> dict[str, Any]:
    """The document, made once."""
    return document_of_code()


def kind_of(operation: str, name: str) -> str | None:
    """What kind of thing a name stands for; None for what is no id. Raises UnknownFieldError."""
    for known in (f"{operation}.{name}", name):
        if known in KINDS:
            return KINDS[known]
        if known in NOT_IDS:
            return None
    if name not in _PLAIN and _LIKE_AN_ID.fullmatch(name):
        raise UnknownFieldError(f"{operation}: neither KINDS nor NOT_IDS says what {name} is")
    return None


def _ways(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    schema = _resolved(schema)
    yield schema
    for several in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(several, ()):
            yield from _ways(one)


def _fields(name: str, schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[Slot]:
    """The ids in a body of this schema, each once."""
    seen = set()
    for way in _ways(schema):
        for key, inner in way.get("properties", {}).items():
            kinds = list(_ways(inner))
            is_list = any("items" in kind for kind in kinds)
            inside = (*path, key, "") if is_list else (*path, key)
            items = [deep for kind in kinds if "items" in kind for deep in _ways(kind["items"])]
            objects = [one for one in (*kinds, *items) if "properties" in one]
            if objects:
                for each in objects:
                    yield from _fields(name, each, inside)
                continue
            if inside not in seen and (kind := kind_of(name, key)):
                seen.add(inside)
                yield Slot("body", ".".join(inside), kind, inside)


def _needed(name: str, schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for slot in _fields(name, schema, path):
        ways, wanted = list(_ways(schema)), True
        for step in slot.path:
            if step:
                wanted = wanted and any(step in way.get("required", ()) for way in ways)
            inner = [
                way["properties"][step] if step else way["items"]
                for way in ways
                if (step in way.get("properties", {}) if step else "items" in way)
            ]
            ways = [deep for one in inner for deep in _ways(one)]
        # One of two names is enough; this is the one.
        if wanted or (name, slot.name) == ("create_collection", "id"):
            yield slot.name


def _exchanges(path: str, method: str) -> Iterator[Operation]:
    """What can be asked of MCP's door."""

    def slots(*pairs: tuple[tuple[str, ...], str]) -> tuple[Slot, ...]:
        return tuple(Slot("body", ".".join(where), kind, where) for where, kind in pairs)

    collections, session = (("collections", ""), "collection"), (("session_id",), "session")
    citations = tuple((("citations", "", name), KINDS[name]) for name in ("document_id", "extraction_sha256"))
    tools = {"search": (collections,), "ask": (collections, session), "verify_citations": citations}
    for hosted in _registry():
        # What all agents' tools take is attacked with one of them, and with those that take more.
        own = tuple((slot.path, slot.kind) for slot in _named("exchange", hosted.input_schema, ()))
        if own or hosted.definition.agent_id == "research":
            tools[hosted.definition.agent_id] = (collections, session, *own)
    for tool, pairs in tools.items():
        needed = frozenset(slot.name for slot in slots(*pairs)) if tool == "verify_citations" else frozenset()
        yield Operation(f"exchange {tool}", "exchange", method, path, slots(*pairs), needed, about=tool)
    for name, kind in (("read", "resource"), ("list", "cursor")):
        field_name = "uri" if name == "read" else "cursor"
        yield Operation(
            f"exchange resources/{name}",
            "exchange",
            method,
            path,
            slots(((field_name,), kind)),
            frozenset(),
            name == "list",
            about=f"resources/{name}",
        )


def request(operation: Operation, text: str, values: Values) -> Asked:
    """A request with these values in its slots, by name. text: the sentence in the victim's documents."""
    path, query, headers = operation.path, dict[str, str](), dict(HEADERS.get(operation.operation_id, {}))
    makes = BODIES.get(operation.operation_id)
    if operation.operation_id == "exchange":
        makes = _TOOLS.get(operation.about, _agent_arguments if "/" not in operation.about else _nothing)
    body = makes(text) if makes else None
    if operation.operation_id == "create_run" and operation.about:
        body = {"message": _ASKED, "agent": operation.about}
    for slot in operation.slots:
        if slot.name not in values:
            if slot.kind == PAGE:
                # Others may have much; nothing of the victim's is to hide behind it.
                query["page_size"] = "1000"
            continue
        value = values[slot.name]
        if slot.place == "path":
            path = path.replace(f"{{{slot.name}}}", value)
        elif slot.place == "query":
            query[slot.name] = value
        elif slot.place == "header":
            headers[slot.name] = f'"{value}"' if slot.kind == TAG else value
        else:
            assert body is not None, operation.name
            put(body, slot.path, value)
    for name, value in _PATHS.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, (operation.name, path)
    if operation.operation_id == "run_workflow" and body is not None and "workflow" in body:
        body.pop("steps")
    return _sent(operation, path, query, headers, body)


def _agent_arguments(_: str) -> Body:
    return {"message": _ASKED}


def _sent(
    operation: Operation, path: str, query: dict[str, str], headers: dict[str, str], body: Body | None
) -> Asked:
    match operation.operation_id:
        case "exchange":
            return _rpc(operation, body or {})
        case "import_documents":
            content = json.dumps(body).encode() + b"\n"
            return Asked(
                operation.method,
                path,
                query,
                headers | {"Content-Type": "application/x-ndjson"},
                content=content,
            )
        case "upload_document" | "put_attachment":
            files = {"file": ("gulls.txt", b"The gulls are mine.")}
            return Asked(operation.method, path, query, headers, files=files, form=body)
        case "cancel_run" | "replay_run":
            return Asked(operation.method, path, query, headers)
    return Asked(operation.method, path, query, headers, json=body)


def _rpc(operation: Operation, body: Body) -> Asked:
    if operation.about.startswith("resources/"):
        method, params = operation.about, body
    else:
        method, params = "tools/call", {"name": operation.about, "arguments": body}
    return rpc(method, params)


def rpc(method: str, params: Body) -> Asked:
    """A message to MCP's door."""
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return Asked("POST", "/mcp", headers=headers, json=message)


def put(body: Body, path: tuple[str, ...], value: str) -> None:
    """Puts a value into a body, making what is on the way to it."""
    at: Any = body
    for step, after in zip(path, (*path[1:], None), strict=True):
        if after is None:
            if step:
                at[step] = value
            else:
                at[:] = [value]
        elif step:
            at = at.setdefault(step, [] if after == "" else {})
        else:
            if not at:
                at.append({})
            at = at[0]
