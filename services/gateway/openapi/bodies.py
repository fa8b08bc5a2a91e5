"""What requests may hold. Bodies are read strictly: a field that is not listed is refused."""

from __future__ import annotations

from typing import Any

from meldrag.agents.v1 import workflow_pb2
from services.gateway.openapi.schema import Schema, array, enumeration, nullable, reference

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_MESSAGE: Schema = {"type": "string", "minLength": 1, "maxLength": 32_000}
_ID: Schema = {"type": "string", "minLength": 1}
_COLLECTION: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$"}
_COLLECTIONS = array(_COLLECTION)
_SESSION: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
_STEP_ID: Schema = {"type": "string", "pattern": "^[a-z0-9_]{1,64}$"}
_SECONDS: Schema = {"type": "number", "minimum": 1, "maximum": 86_400}
_SHA256: Schema = {
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{64}$",
    "description": "Of the file; checked where it is given.",
}
_METADATA: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_OBJECT: Schema = {"type": "object"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_POSITION: Schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
_WEBHOOK_URL: Schema = {
    "type": "string",
    "maxLength": 2000,
    "pattern": "^https?://[!-~]+$",
    "description": "Where messages are sent; not into private networks unless the house allows it.",
}
_LABEL: Schema = {"type": "string", "maxLength": 100}
_EVENT_TYPE: Schema = {"type": "string", "enum": ["document.failed", "document.ready", "run.finished"]}


def _body(needed: dict[str, Schema], optional: dict[str, Schema], **more: Any) -> Schema:
    """An object of exactly these members; null says the same as leaving an optional one out."""
    made: Schema = {
        "type": "object",
        "properties": {**needed, **{name: nullable(schema) for name, schema in optional.items()}},
        "additionalProperties": False,
    }
    return made | ({"required": list(needed)} if needed else {}) | more


def _names(schema: Schema) -> Schema:
    """An enumeration in small letters, as requests write it."""
    return {"type": "string", "enum": [name.lower() for name in schema["enum"]]}


_QUERY: Schema = {"type": "string", "minLength": 1, "maxLength": 8000}
_FILTER = _body(
    {},
    {
        **dict.fromkeys(("document_ids", "external_ids", "media_types"), array(_TEXT, minItems=1)),
        "created_from": _TIME,
        "created_before": _TIME,
        "metadata": _METADATA,
    },
    description="Conditions on documents; all that are given must hold.",
)
_SEARCH: dict[str, Schema] = {
    "top_k": {"type": "integer", "minimum": 1, "maximum": 1000},
    "mode": {"type": "string", "enum": ["hybrid", "dense", "lexical"]},
    "similarity_threshold": {"type": "number", "minimum": -1, "maximum": 1},
    "filter": reference("Filter"),
    "explain": _FLAG,
}
_LINE: Schema = {
    "type": "integer",
    "minimum": 0,
    "description": "Where it stands in your file; errors name it.",
}
_GOLDEN = _body(
    {
        "query": _QUERY,
        "relevant": array(
            _body(
                {},
                {
                    **dict.fromkeys(("document_id", "external_id", "title"), _TEXT),
                    "quote": {"type": "string", "maxLength": 4000},
                    "grade": {"type": "integer", "minimum": 0, "maximum": 100},
                    "line": _LINE,
                },
                description="A document by one of its names, a quote that a passage must hold, or both.",
            ),
            minItems=1,
            maxItems=1000,
        ),
    },
    {"id": _TEXT | {"maxLength": 128, "description": "Its number when absent."}, "line": _LINE},
    description="A query and what should answer it: documents, or quotes for all.",
)
_EVALUATION: dict[str, Schema] = {
    "label": _TEXT | {"maxLength": 200},
    "settings": array(
        _body(
            {},
            {
                "name": _TEXT | {"maxLength": 64},
                **{name: schema for name, schema in _SEARCH.items() if name != "explain"},
            },
        ),
        maxItems=2,
    ),
    "cutoffs": array({"type": "integer", "minimum": 1, "maximum": 1000}, maxItems=5),
}
_RUN: dict[str, Schema] = {
    "session_id": _SESSION,
    "collections": _COLLECTIONS,
    "inputs": _OBJECT,
    "stream": _FLAG | {"description": "Answer with events."},
    "background": _FLAG | {"description": "Answer 202 at once; the run is followed under its events_url."},
}
_STEP = _body(
    {"step_id": _STEP_ID},
    {
        "agent_id": _TEXT,
        "title": _TEXT,
        "after": array(_TEXT),
        "inputs": _OBJECT,
        "message": _TEXT,
        "bindings": array(_body({"input": _ID, "source": _ID}, {"optional": _FLAG})),
        "attempts": {"type": "integer", "minimum": 0},
        "on_failure": _names(enumeration(workflow_pb2.FailurePolicy.DESCRIPTOR)),
        "timeout_seconds": _SECONDS,
        "collection_ids": _COLLECTIONS,
        "condition": _body(
            {"source": _ID},
            {"comparison": _names(enumeration(workflow_pb2.Comparison.DESCRIPTOR)), "value": {}},
        ),
        "approval": _body({"question": _ID}, {"timeout_seconds": _SECONDS, "approve_on_timeout": _FLAG}),
        "meld": _body({}, {}),
    },
)
_WORKFLOW: dict[str, Schema] = {"title": _TEXT, "description": _TEXT, "steps": array(reference("Step"))}

_ROLES: Schema = {"type": "string", "enum": ["owner", "admin", "member", "viewer"]}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 254}
_PASSWORD: Schema = {"type": "string", "format": "password", "maxLength": 256}
_NEW_PASSWORD = _PASSWORD | {"minLength": 12}
_GROUPS = array({"type": "string", "minLength": 1, "maxLength": 64}, maxItems=50)
_GRANTED: Schema = {"type": "string", "minLength": 1, "maxLength": 128}
# In requests of OpenAI's clients.
_PART = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"type": {"const": "text"}, "text": _TEXT},
            "required": ["type", "text"],
        },
        {
            "type": "object",
            "properties": {
                "type": {"const": "image_url"},
                "image_url": {
                    "type": "object",
                    "properties": {
                        "url": _TEXT
                        | {
                            "pattern": "^data:",
                            "description": "A data: URL; nothing is fetched from elsewhere.",
                        }
                    },
                    "required": ["url"],
                },
            },
            "required": ["type", "image_url"],
        },
        {
            "type": "object",
            "properties": {
                "type": {"const": "input_audio"},
                "input_audio": {
                    "type": "object",
                    "properties": {
                        "data": _TEXT | {"contentEncoding": "base64"},
                        "format": _TEXT | {"pattern": "^[a-z0-9]{1,10}$"},
                    },
                    "required": ["data", "format"],
                },
            },
            "required": ["type", "input_audio"],
        },
    ]
}
_CALL = _body(
    {
        "id": _TEXT,
        "function": _body({"name": _TEXT}, {"arguments": _TEXT | {"description": "A JSON object."}}),
    },
    {"type": {"const": "function"}, "index": {"type": "integer"}},
)
_TOOL = _body(
    {
        "type": {"const": "function"},
        "function": _body(
            {"name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}},
            {
                "description": _TEXT | {"maxLength": 4000},
                "parameters": _OBJECT | {"description": "JSON Schema of the arguments."},
                "strict": {"const": False},
            },
        ),
    },
    {},
)
_CHAT_MESSAGE = _body(
    {"role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]}},
    {
        "tool_calls": array(_CALL) | {"description": "What an assistant asked for."},
        "tool_call_id": _TEXT | {"description": "The call that a tool's message answers."},
        "content": {"anyOf": [_TEXT, array(_PART)]},
        "name": _TEXT,
        "refusal": _TEXT,
        "annotations": {},
    },
)
# What a client may wish for and does not get; an answer keeps every promise without it.
_WISHES = (
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "reasoning_effort",
    "verbosity",
    "prediction",
)

BODIES: dict[str, Schema] = {
    "IndexCheck": _body({}, {"collection": _COLLECTION, "every_tenant": _FLAG}),
    "IndexRepair": _body({}, {"collection": _COLLECTION, "every_tenant": _FLAG, "dry_run": _FLAG}),
    "NewCollection": _body(
        {},
        {
            "id": _COLLECTION,
            "name": _COLLECTION | {"description": "Another word for id."},
            "description": _TEXT | {"maxLength": 1000},
        },
        anyOf=[{"required": ["id"]}, {"required": ["name"]}],
    ),
    "Reembed": _body(
        {},
        {
            "embedding_model": _TEXT | {"description": "The configured one without it."},
            "keep_previous_seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": 31_536_000,
                "description": "How long the vectors before are kept, at least a minute; a week without it.",
            },
        },
    ),
    "CollectionAccess": _body(
        {
            "access": array(
                _body(
                    {"role": {"type": "string", "enum": ["reader", "writer"]}},
                    {
                        "user": _GRANTED | {"description": "A user's id."},
                        "group": _GRANTED | {"description": "Of users; all are in everyone."},
                    },
                    oneOf=[{"required": ["user"]}, {"required": ["group"]}],
                )
            )
        },
        {},
    ),
    "SetUp": _body({"name": _NAME, "password": _NEW_PASSWORD, "setup_code": _TEXT}, {}),
    "Login": _body(
        {"name": _NAME, "password": _PASSWORD},
        {
            "tenant": _TEXT,
            "cookie": _FLAG | {"description": "Answer with cookies, which no script sees, and no tokens."},
        },
    ),
    "Refresh": _body({}, {"refresh_token": _TEXT | {"description": "The cookie's when absent."}}),
    "Logout": _body({}, {"token": _TEXT | {"description": "The cookie's when absent."}}),
    "ChangedPassword": _body({"current_password": _PASSWORD, "new_password": _NEW_PASSWORD}, {}),
    "NewUser": _body({"name": _NAME, "password": _NEW_PASSWORD, "role": _ROLES}, {"groups": _GROUPS}),
    "ChangedUser": _body(
        {}, {"password": _NEW_PASSWORD, "role": _ROLES, "disabled": _FLAG, "groups": _GROUPS}
    ),
    "NewApiKey": _body(
        {"label": {"type": "string", "minLength": 1, "maxLength": 100}},
        {
            "role": _ROLES
            | {"description": "The most that the key may do; as much as its user when absent."},
            "user": _TEXT | {"description": "Whose; the caller's when absent."},
            "expires": _TIME | {"description": "From when on it is refused; never when absent."},
        },
    ),
    "NewWebhook": _body(
        {"url": _WEBHOOK_URL},
        {"label": _LABEL, "event_types": array(_EVENT_TYPE), "include_answer": _FLAG},
    ),
    "ChangedWebhook": _body(
        {},
        {
            "url": _WEBHOOK_URL,
            "label": _LABEL,
            "event_types": array(_EVENT_TYPE, minItems=1),
            "include_answer": _FLAG,
            "enabled": _FLAG | {"description": "Whether messages are sent."},
        },
    ),
    "NewCompletion": _body(
        {"model": _TEXT | {"minLength": 1}, "messages": array(_CHAT_MESSAGE, minItems=1)},
        {
            "stream": _FLAG,
            "stream_options": _body({}, {"include_usage": _FLAG, "include_obfuscation": _FLAG}),
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "max_completion_tokens": {"type": "integer", "minimum": 1},
            "max_tokens": {"type": "integer", "minimum": 1},
            "agent": _TEXT | {"description": "An agent's id, beside the model that chooses."},
            "session_id": _SESSION,
            "collections": _COLLECTIONS,
            "inputs": _OBJECT,
            "sources": {"type": "string", "enum": ["field", "footnotes", "none"]},
            "metadata": _OBJECT
            | {"description": "May hold agent, session_id, collections, inputs and sources as strings."},
            "n": {"const": 1},
            "logprobs": {"const": False},
            "top_logprobs": {"const": 0},
            "store": {"const": False},
            "response_format": _body({"type": {"const": "text"}}, {}),
            "modalities": {"const": ["text"]},
            "tools": array(_TOOL)
            | {"description": "For agents that have passes_tools; the client calls them and answers."},
            "parallel_tool_calls": _FLAG | {"description": "Whether several may be asked for at once."},
            "functions": array(_OBJECT) | {"description": "Not called; only beside function_call none."},
            "tool_choice": {
                "anyOf": [
                    {"type": "string", "enum": ["none", "auto", "required"]},
                    _body({"type": {"const": "function"}, "function": _body({"name": _TEXT}, {})}, {}),
                ]
            },
            "function_call": {"type": "string", "enum": ["none", "auto"]},
            **{name: {"description": "Read and passed over."} for name in _WISHES},
        },
        description="A chat of OpenAI's. What would be a lie to pass over is refused.",
    ),
    "NewEmbeddings": _body(
        {
            "model": _TEXT | {"minLength": 1},
            "input": {
                "anyOf": [
                    _TEXT | {"minLength": 1},
                    array(_TEXT | {"minLength": 1}, minItems=1, maxItems=2048),
                ]
            },
        },
        {
            "dimensions": {"type": "integer", "minimum": 1},
            "encoding_format": {"type": "string", "enum": ["float", "base64"]},
            "user": {"description": "Read and passed over."},
        },
    ),
    "RpcRequest": {
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "integer"]},
            "method": _TEXT,
            "params": _OBJECT,
        },
        "required": ["jsonrpc", "method"],
        "description": "A request or a notification of MCP.",
    },
    "NewDocument": _body(
        {"file": _TEXT | {"contentMediaType": "application/octet-stream"}},
        {
            "external_id": _TEXT | {"maxLength": 512},
            "title": _TEXT | {"maxLength": 1000},
            "metadata": _METADATA,
            "sha256": _SHA256,
        },
    ),
    "DocumentAddress": _body(
        {
            "url": _TEXT
            | {
                "minLength": 1,
                "maxLength": 2000,
                "description": "Fetched over http or https from the public internet, or from what "
                "MELD_FETCH_ALLOW names.",
            }
        },
        {
            "external_id": _TEXT | {"maxLength": 512, "description": "The address when absent."},
            "title": _TEXT | {"maxLength": 1000},
            "metadata": _METADATA,
        },
    ),
    "DocumentLine": _body(
        {"text": _TEXT}, {"id": _TEXT | {"maxLength": 512}, "title": _TEXT, "metadata": _METADATA}
    ),
    "NewAttachment": _body(
        {"file": _TEXT | {"contentMediaType": "application/octet-stream"}},
        {
            "session_id": _SESSION,
            "sha256": _SHA256,
        },
    ),
    "Filter": _FILTER,
    "Search": _body({"query": _QUERY}, _SEARCH),
    "SearchOfSeveral": _body({"query": _QUERY, "collections": array(_COLLECTION, minItems=1)}, _SEARCH),
    "Citations": _body(
        {
            "citations": array(
                _body(
                    {
                        "document_id": _ID,
                        "extraction_sha256": _ID,
                        "byte_start": _POSITION,
                        "byte_end": _POSITION,
                        "quote": _TEXT,
                    },
                    # What a run's citation carries besides is no part of the claim.
                    {name: {} for name in ("title", "page", "location", "number", "collection")},
                )
            )
        },
        {},
    ),
    "EvaluationHeader": _body({}, _EVALUATION, description="What is evaluated, and how."),
    "GoldenQuery": _GOLDEN,
    "NewEvaluation": _body({"queries": array(reference("GoldenQuery"), minItems=1)}, _EVALUATION),
    "Message": _body({"message": _MESSAGE}, {}),
    "NewRun": _body(
        {"message": _MESSAGE},
        {
            "agent": _TEXT | {"description": "An agent's id, or auto (also when absent)."},
            **_RUN,
            "top_k": {"type": "integer", "minimum": 1, "maximum": 100},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "max_output_tokens": {"type": "integer", "minimum": 1},
        },
    ),
    "Step": _STEP,
    "NewWorkflowRun": _body(
        {"message": _MESSAGE},
        {
            "workflow": _TEXT | {"description": "A workflow's id."},
            "steps": array(reference("Step")),
            **_RUN,
        },
    ),
    "NewWorkflow": _body({"id": _ID}, _WORKFLOW),
    "ChangedWorkflow": _body(
        {},
        {
            **_WORKFLOW,
            "revision": {
                "type": "integer",
                "minimum": 0,
                "description": "Replaces only the revision of this number; 0 replaces any.",
            },
        },
    ),
    "Steps": _body({}, {"steps": array(reference("Step"))}),
    "Decision": _body({"approved": _FLAG}, {"comment": _TEXT}),
    "NewSession": _body(
        {}, {"title": _TEXT | {"maxLength": 200}, "collections": _COLLECTIONS, "metadata": _METADATA}
    ),
    "SearchOfSessions": _body(
        {
            "query": {
                "type": "string",
                "minLength": 1,
                "maxLength": 500,
                "description": "Words that stand in one message or the title, or begin words there; what "
                "stands between quotes stands there as it is. Case and accents do not matter.",
            }
        },
        {},
    ),
    "ChangedSession": _body(
        {}, {"title": _TEXT | {"maxLength": 200}, "collections": _COLLECTIONS, "metadata": _METADATA}
    ),
    "Empty": _body({}, {}, description="Nothing, or an empty object."),
}
